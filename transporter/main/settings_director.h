/* The settings about the way to the director: `director`, a string or a group. */
#ifndef SEALIFT_TRANSPORTER_SETTINGS_DIRECTOR_H
#define SEALIFT_TRANSPORTER_SETTINGS_DIRECTOR_H

#include "common/conf/conf_logins.h"

#define CONTROL_LISTEN_PORT "9451" /* the usual one, of transporters that listen for their director */

struct director_settings {
    char *address; /* tcp://HOST:PORT of its control port; NULL: from the site line */
    char *proxy;   /* HOST:PORT of a SOCKS5 proxy on the way; NULL: none */
    char *listen;  /* tcp://ADDRESS:PORT where it dials this host; NULL: this host dials */
};

bool director_settings_read(struct conf_group root, struct director_settings *out,
                            struct err *err) MUST_CHECK;
void director_settings_deinit(struct director_settings *settings);

#endif
