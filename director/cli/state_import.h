/* A director's state directory out of a bundle. */
#ifndef SEALIFT_CLI_STATE_IMPORT_H
#define SEALIFT_CLI_STATE_IMPORT_H

#include "director/cli/bundle_reader.h"

/* Writes what the unlocked bundle holds into `dir`, which is made, or empty: the catalog gets its name last,
 * when all else is durable, and without it no director starts. *conf: a configuration was among it, and names
 * this directory. ERR_EXISTS: it is not empty; ERR_POLICY: it is open to others. */
bool state_import(struct bundle_reader *reader, const char *dir, bool *conf, struct err *err) MUST_CHECK;

#endif
