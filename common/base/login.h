/* Who logs in at a SOCKS5 proxy (RFC 1929). A plain value: who makes it says who owns what it points to. */
#ifndef SEALIFT_BASE_LOGIN_H
#define SEALIFT_BASE_LOGIN_H

#include "common/base/secret.h"

struct login {
    char *address; /* of the proxy: HOST:PORT, as it is written where the proxy is used */
    char *user;    /* 1 to 255 bytes each */
    struct secret *password;
};

#endif
