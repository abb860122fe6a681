/* The director's CURVE key in its state directory, `director.key`, mode 0600: three lines,
 *     sealift-director-key 1
 *     secret HEX
 *     public HEX
 * It is in no database and in no backup of one. */
#ifndef SEALIFT_DIRECTOR_DIRECTOR_KEY_H
#define SEALIFT_DIRECTOR_DIRECTOR_KEY_H

#include "common/net/net_key.h"

#define DIRECTOR_KEY_FILE "director.key"

/* ERR_EXISTS */
bool director_key_create(const char *state_dir, struct net_key **out, struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND; ERR_POLICY: others can read it; ERR_VERSION, ERR_DAMAGED. */
bool director_key_open(const char *state_dir, struct net_key **out, struct err *err) MUST_CHECK;

#endif
