/* Settings that are addresses: HOST:PORT, and tcp://HOST:PORT. */
#ifndef SEALIFT_CONF_ADDRESS_H
#define SEALIFT_CONF_ADDRESS_H

#include "common/base/host_port.h"
#include "common/conf/conf.h"

/* HOST:PORT that can be dialled (host_port.h) */
bool conf_is_host_port(const char *text) __attribute__((warn_unused_result));
/* Such a setting; `fallback` may be NULL. */
bool conf_get_host_port_or(struct conf_group at, const char *key, const char *fallback, const char **out,
                           struct err *err) MUST_CHECK;
/* tcp://HOST:PORT */
bool conf_get_endpoint(struct conf_group at, const char *key, enum host_port_use use, const char **out,
                       struct err *err) MUST_CHECK;
/* `fallback` may be NULL. */
bool conf_get_endpoint_or(struct conf_group at, const char *key, enum host_port_use use, const char *fallback,
                          const char **out, struct err *err) MUST_CHECK;

#endif
