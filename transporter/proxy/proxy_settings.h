/* The proxy's configuration file, read once and validated whole (configs/proxy.conf shows every setting).
 * Unknown settings are errors that name file, line and key. */
#ifndef SEALIFT_PROXY_PROXY_SETTINGS_H
#define SEALIFT_PROXY_PROXY_SETTINGS_H

#include "common/base/log.h"
#include "common/base/secret.h"
#include "common/conf/conf.h"
#include "transporter/proxy/allow.h"

struct proxy_user {
    char *name;
    struct secret *password;
};

enum rendezvous_use { RENDEZVOUS_OFF, RENDEZVOUS_ON };

struct proxy_settings {
    struct address *listen; /* at least one */
    size_t listen_count;
    struct allow allow;
    enum rendezvous_use rendezvous;
    struct proxy_user *users; /* none: everybody may ask */
    size_t user_count;
    size_t connections;    /* callers at a time */
    size_t per_client;     /* of one address */
    uint64_t handshake_ms; /* until the request is there */
    uint64_t dial_ms;      /* for an endpoint to answer */
    uint64_t wait_ms;      /* for the other end of a rendezvous */
    uint64_t idle_ms;      /* a connection on which nothing moves */
    uint64_t silence_ms;   /* one whose other side acknowledges nothing, or takes nothing */
    uint64_t drain_ms;     /* how long SIGTERM waits for connections */
    enum log_level log_level;
};

#define PROXY_LISTEN "0.0.0.0:9449" /* what --init writes where nothing else is said */

bool proxy_settings_load(const char *path, struct proxy_settings *out, struct err *err) MUST_CHECK;
void proxy_settings_deinit(struct proxy_settings *settings);
DEFINE_AUTO_IN_PLACE(proxy_settings, struct proxy_settings, proxy_settings_deinit)

/* The group `limits`: where it does not say, connections, per_client and silence_ms stay as they are. */
bool proxy_settings_get_limits(struct conf_group at, struct proxy_settings *settings,
                               struct err *err) MUST_CHECK;

/* A user and password of a login; told without telling by time how much was right. */
bool proxy_settings_know_user(const struct proxy_settings *settings, struct span user, struct span password);

#endif
