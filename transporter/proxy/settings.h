/* The proxy's configuration file, read once and validated whole (configs/proxy.conf shows every setting).
 * Unknown settings are errors that name file, line and key. */
#ifndef SEALIFT_PROXY_SETTINGS_H
#define SEALIFT_PROXY_SETTINGS_H

#include "common/base/log.h"
#include "common/base/secret.h"
#include "transporter/proxy/allow.h"

struct proxy_user {
    char *name;
    struct secret *password;
};

enum rendezvous_use { RENDEZVOUS_OFF, RENDEZVOUS_ON };

struct settings {
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
    uint64_t drain_ms;     /* how long SIGTERM waits for connections */
    enum log_level log_level;
};

#define PROXY_LISTEN "0.0.0.0:9449" /* what --init writes where nothing else is said */

bool settings_load(const char *path, struct settings *out, struct err *err) MUST_CHECK;
void settings_deinit(struct settings *settings);
DEFINE_AUTO_IN_PLACE(settings, struct settings, settings_deinit)

/* A user and password of a login; told without telling by time how much was right. */
bool settings_know_user(const struct settings *settings, struct span user, struct span password);

#endif
