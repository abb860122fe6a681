/* The key of an offline verb: where it is taken from, and what opens a point with it. */
#ifndef SEALIFT_CLI_OFFLINE_KEY_H
#define SEALIFT_CLI_OFFLINE_KEY_H

#include "director/cli/kit_take.h"
#include "director/cli/offline.h"
#include "transporter/kms/kms_set.h"
#include "transporter/pipeline/inlet_repository.h"
#include "transporter/pipeline/opener.h"

/* What was given on the command line. */
struct offline_key {
    struct cli *cli;
    struct secret *s;    /* of --key-file, or what a password led to; NULL: none */
    struct kms_set *kms; /* of --kms-file; NULL: none */
    struct kit *kit;     /* of --kit; NULL: none */
    bool given;          /* anything at all */
    bool wants_password; /* any of the --password options */
    struct secret_source source;
    struct secret *password; /* kept once it was read: other points may need it too */
    bool told;               /* the steps, for the first point */
    bool told_later;         /* that a later generation helps */
    bool told_doubt;         /* what of the ways that were added later does not read */
    bool quiet;              /* steps are not told */
    bool no_password;        /* none is given out yet */
    struct hash in_vain[2];  /* later generations that nothing opened, without a password and with one */
};
/* ERR_USAGE: both lengths are named when a key file has a wrong one. */
bool offline_key_take(struct cli *cli, const struct args *args, struct offline_key *out,
                      struct err *err) MUST_CHECK;
void offline_key_deinit(struct offline_key *key);
DEFINE_AUTO_IN_PLACE(offline_key, struct offline_key, offline_key_deinit)

/* Reads one point: everything that the pipeline wants. */
struct offline_reading {
    struct read_half *half; /* NULL: not encrypted */
    struct opener *opener;
    struct inlet_repository *inlet;
    struct hash root;
};
/* Unlocks, telling each step as a note. ERR_NOT_ENCRYPTED: a key was given for a plain point; ERR_NO_KEY,
 * ERR_WRONG_KEY, ERR_SALT_MISSING, ERR_DAMAGED. */
bool offline_read(const struct offline *offline, const struct offline_point *point, struct offline_key *key,
                  struct offline_reading *out, struct err *err) MUST_CHECK;
void offline_reading_deinit(struct offline_reading *reading);
DEFINE_AUTO_IN_PLACE(offline_reading, struct offline_reading, offline_reading_deinit)

#define OFFLINE_KEY_OPTIONS                                                                                  \
    KIT_OPTIONS, {"key-file", "FILE", "the key: 32 bytes, or base64 of them"},                               \
        {"kms-file", "FILE", "ask the KMS entries of FILE: a list kms as in a transporter's configuration"}, \
        {"password", NULL, "derive the key from a password that you are asked for"},                         \
        {"password-file", "FILE", "the same, the password is the first line of FILE"},                       \
    {                                                                                                        \
        "password-fd", "N", "the same, read from an open descriptor"                                         \
    }

#endif
