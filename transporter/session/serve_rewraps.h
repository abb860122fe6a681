/* The repository side of a run that rewraps: says which seals are there, with their envelopes and rewraps,
 * and keeps the rewraps that come. It has no key, and verifies what it can without one. */
#ifndef SEALIFT_SESSION_SERVE_REWRAPS_H
#define SEALIFT_SESSION_SERVE_REWRAPS_H

#include "transporter/repository/repository.h"
#include "transporter/session/dialler.h"

struct serve_rewraps_options {
    struct dialler *dialler;
    struct repository *repository;
    uint8_t signer[SIGN_PK_LEN]; /* the other side: rewraps of nobody else are kept */
    _Atomic uint64_t *sent_bytes, *received_bytes;
};

/* Answers until the other side says that it is over. ERR_PROTOCOL, ERR_NOT_AUTHENTIC, … */
bool serve_rewraps(const struct serve_rewraps_options *options, struct err *err) MUST_CHECK;

#endif
