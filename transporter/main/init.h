/* `sealift-transporter --init`: makes the identity, pins the site, writes a commented configuration, and
 * says what to do next. Refuses to overwrite anything. */
#ifndef SEALIFT_TRANSPORTER_INIT_H
#define SEALIFT_TRANSPORTER_INIT_H

#include "common/base/err.h"
#include "common/crypto/identity.h"
#include "common/wire/site_line.h"

struct init_options {
    const char *site;                /* the site line */
    const char *name;                /* of this transporter */
    const char *config;              /* the file to write */
    const char *state;               /* the directory to make */
    const char *data_listen;         /* or NULL: the default */
    const char *data_advertise;      /* or NULL */
    const char *reverse;             /* HOST:PORT that targets dial; NULL: no reverse port */
    const char *director_proxy;      /* HOST:PORT of a SOCKS5 proxy on the way to the director; or NULL */
    const char *director_listen;     /* ADDRESS:PORT where the director dials this host; or NULL */
    const char *const *read;         /* NULL-terminated; none: "/" */
    const char *const *restore;      /* NULL-terminated */
    const char *const *repositories; /* NULL-terminated */
};
bool init_transporter(const struct init_options *options, struct err *err) MUST_CHECK;

/* The site has another director: its line takes the place of the one that is kept, if it is of the same site
 * and first admin (ERR_POLICY). The daemon must not run. */
bool init_move(const char *state_dir, const char *line, struct err *err) MUST_CHECK;

/* What --init left in the state directory. */
bool init_load(const char *state_dir, struct site_line *site, struct identity **identity,
               struct err *err) MUST_CHECK;

#endif
