/* The director's configuration file. */
#ifndef SEALIFT_DIRECTOR_SETTINGS_H
#define SEALIFT_DIRECTOR_SETTINGS_H

#include "common/base/auto.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/conf/conf_logins.h"

#include <stdint.h>

/* A transporter that listens for the director. */
struct settings_dial {
    char *address; /* tcp://HOST:PORT */
    char *proxy;   /* NULL: none */
};

struct settings {
    char *state_dir;
    char *bind;
    uint16_t operator_port, control_port; /* 0: any free one */
    uint64_t lease_ms;
    uint64_t heartbeat_ms;
    char *self_backup_directory; /* NULL: no copies of its own state */
    char *self_backup_schedule;
    int self_backup_keep;
    struct settings_dial *dials;
    size_t dial_count;
    struct conf_logins logins; /* at proxies */
    enum log_level log_level;
};

/* ERR_CONFIG names file, line and key. */
bool settings_load(const char *path, struct settings *out, struct err *err) MUST_CHECK;
void settings_deinit(struct settings *settings);
DEFINE_AUTO_IN_PLACE(settings, struct settings, settings_deinit)

/* Whether sockets can be bound to it: an IPv4 or IPv6 address, or "*". ERR_USAGE names it. */
bool settings_bind_check(const char *bind, struct err *err) MUST_CHECK;

#endif
