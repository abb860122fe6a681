/* Private to transporter/proxy: the configuration read again, and its names looked up, on a thread of its
 * own: a name server that does not answer must not hold up what is joined. */
#ifndef SEALIFT_PROXY_RELOAD_H
#define SEALIFT_PROXY_RELOAD_H

#include "transporter/proxy/proxy_settings.h"

struct reload;

/* `done_fd`, an eventfd, becomes readable when it is over. `config` must stay. */
bool reload_start(const char *config, int done_fd, struct reload **out, struct err *err) MUST_CHECK;
/* Waits for it, if need be, and frees it. *out is what was read; false: why it could not be. */
bool reload_finish(struct reload *reload, struct proxy_settings *out, struct err *err) MUST_CHECK;

/* Looks the names of a list up; logs those of which nothing is known. */
void reload_resolve(struct proxy_settings *settings);

#endif
