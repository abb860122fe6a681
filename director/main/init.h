/* `sealift-director --init` and `--new-claim-code`. */
#ifndef SEALIFT_DIRECTOR_INIT_H
#define SEALIFT_DIRECTOR_INIT_H

#include "common/base/err.h"

#include <stdint.h>

struct init_options {
    const char *config; /* file to write */
    const char *state;  /* directory to make */
    const char *bind;
    uint16_t operator_port, control_port;
};

/* Makes the state directory with key, catalog and claim code, and a commented configuration; prints the
 * public key, the claim code and the next command to type. ERR_EXISTS: one of the files is there already;
 * what this call made is removed again. */
bool init_director(const struct init_options *options, struct err *err) MUST_CHECK;

/* Replaces the claim code and prints the new one. ERR_EXISTS: the site is claimed. The director must not run
 * (ERR_BUSY). */
bool init_claim_code(const char *state_dir, struct err *err) MUST_CHECK;

#endif
