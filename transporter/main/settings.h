/* The transporter's configuration file, read once and validated whole (configs/transporter-*.conf show
 * every setting). Unknown settings are errors that name file, line and key. */
#ifndef SEALIFT_TRANSPORTER_SETTINGS_H
#define SEALIFT_TRANSPORTER_SETTINGS_H

#include "common/base/auto.h"
#include "common/base/err.h"
#include "common/base/log.h"
#include "common/net/net_context.h"
#include "common/wire/bandwidth_rule.h"
#include "transporter/core/policy.h"
#include "transporter/kms/kms_set.h"
#include "transporter/main/settings_data.h"
#include "transporter/main/settings_director.h"

#define DATA_PORT "9448"
#define DATA_LISTEN "tcp://0.0.0.0:" DATA_PORT /* where nothing else is said */

struct settings {
    char *state_dir;
    struct director_settings director;
    char *data_listen;    /* tcp://ADDRESS:PORT */
    char *data_advertise; /* what sources are told to dial; NULL: the listening address */
    struct data_settings data;
    char *own_key_file;              /* NULL: none */
    uint32_t slots;                  /* runs at a time */
    uint32_t kept_slots;             /* of them: for recoveries */
    struct bandwidth_rule bandwidth; /* of all runs together; without parts: unlimited */
    uint64_t lease_ms;               /* how long a run waits for a lost peer */
    struct net_pace pace;            /* heartbeats, and how a lost peer is dialled again */
    uint64_t drain_ms;               /* how long SIGTERM waits for runs */
    uint64_t check_bytes_per_s;      /* how fast a check reads packs; 0: unlimited */
    enum log_level log_level;
    struct kms_set *kms;
    struct policy policy;
};

bool settings_load(const char *path, struct settings *out, struct err *err) MUST_CHECK;
void settings_deinit(struct settings *settings);
DEFINE_AUTO_IN_PLACE(settings, struct settings, settings_deinit)

#endif
