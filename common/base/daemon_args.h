/* A daemon's command line: long options only, the same ones for every daemon and some of its own. */
#ifndef SEALIFT_BASE_DAEMON_ARGS_H
#define SEALIFT_BASE_DAEMON_ARGS_H

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

/* What is asked for; a daemon numbers its own modes from DAEMON_OWN on. */
enum daemon_mode {
    DAEMON_RUN,
    DAEMON_CHECK, /* --check-config */
    DAEMON_INIT,  /* --init */
    DAEMON_VERSION,
    DAEMON_HELP,
    DAEMON_OWN,
};

#define DAEMON_TEXTS_MAX 64
struct daemon_texts {
    const char *items[DAEMON_TEXTS_MAX + 1]; /* NULL behind the last */
    size_t count;
};

/* An option of one daemon. It takes what it has a place for; without any it asks for `mode`. One with a place
 * belongs to `mode` and is refused in every other; DAEMON_RUN: it belongs to all. */
struct daemon_option {
    const char *name; /* without dashes; NULL ends the table */
    int mode;
    const char **text;
    struct daemon_texts *texts; /* may be given more than once */
    uint16_t *port;             /* 0 to 65535 */
    bool *flag;                 /* takes no value */
    enum {
        DAEMON_CONFIG,
        DAEMON_NO_CONFIG
    } needs; /* of an option that asks for a mode: whether it is run by
                a configuration, or is refused with one */
};

struct daemon_args {
    int mode;
    const char *config; /* --config FILE; NULL with --version and --help, which win at once, and in modes
                           that are DAEMON_NO_CONFIG */
};

/* All values are borrowed from argv. ERR_USAGE. */
bool daemon_args_parse(int argc, char *const *argv, const struct daemon_option *own, struct daemon_args *out,
                       struct err *err) MUST_CHECK;

#endif
