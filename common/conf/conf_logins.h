/* Who logs in at which SOCKS5 proxy (RFC 1929), and passwords in files of their own. As settings:
 *
 *     proxies = ( { address = "socks.example:1080"; user = "site"; password_file = "/etc/socks"; } );
 */
#ifndef SEALIFT_CONF_LOGINS_H
#define SEALIFT_CONF_LOGINS_H

#include "common/base/login.h"
#include "common/conf/conf_address.h"

#define CONF_LOGIN_TEXT_MAX 255 /* bytes of a user's name or password */

/* {0} is none. Owns what its items point to. */
struct conf_logins {
    struct login *items;
    size_t count;
};

/* None if there is no such setting. ERR_CONFIG, also for one address twice. */
bool conf_get_logins(struct conf_group at, const char *key, struct conf_logins *out,
                     struct err *err) MUST_CHECK;
void conf_logins_deinit(struct conf_logins *logins);
DEFINE_AUTO_IN_PLACE(conf_logins, struct conf_logins, conf_logins_deinit)

/* The path of a regular file that nobody but its owner may read; what is in its one line. */
bool conf_get_password_file(struct conf_group at, const char *key, struct secret **out,
                            struct err *err) MUST_CHECK;

#endif
