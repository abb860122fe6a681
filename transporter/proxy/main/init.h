/* `sealift-proxy --init`: writes a commented configuration and says what to do next. Refuses to overwrite
 * anything. */
#ifndef SEALIFT_PROXY_INIT_H
#define SEALIFT_PROXY_INIT_H

#include "common/base/err.h"

struct init_options {
    const char *config;        /* the file to write */
    const char *const *listen; /* ADDRESS:PORT, NULL-terminated; none: the default */
    const char *const *allow;  /* rules, NULL-terminated */
};
/* ERR_EXISTS, ERR_USAGE for what is no address or rule. */
bool init_proxy(const struct init_options *options, struct err *err) MUST_CHECK;

#endif
