/* Private to transporter/proxy: the sockets that callers come to. */
#ifndef SEALIFT_PROXY_LISTEN_H
#define SEALIFT_PROXY_LISTEN_H

#include "transporter/proxy/inside.h"

/* Listens where the settings say, keeping what listens there already. On failure all is as it was. */
bool listen_as(struct proxy *proxy, const struct proxy_settings *settings, struct err *err) MUST_CHECK;
void listen_no_more(struct proxy *proxy);
/* Takes callers, up to some dozen at a time. */
void listen_accept(struct proxy *proxy, const struct listener *listener);
void listen_resume(struct proxy *proxy);

#endif
