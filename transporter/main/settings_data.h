/* What the transporter's configuration says of data connections beside the data port itself: the group
 * `data.reverse`, `data.proxy`, and the logins `proxies`. */
#ifndef SEALIFT_TRANSPORTER_SETTINGS_DATA_H
#define SEALIFT_TRANSPORTER_SETTINGS_DATA_H

#include "common/conf/conf_logins.h"
#include "transporter/proxy/proxy_settings.h"

#define REVERSE_PORT "9450"

/* {0} is no reverse port. */
struct reverse_settings {
    struct proxy_settings port; /* listens nowhere: there is none */
    char *advertise;            /* HOST:PORT that targets dial; NULL: where it listens */
};

struct data_settings {
    struct reverse_settings reverse;
    char *proxy; /* HOST:PORT that what this host dials goes through; NULL: straight */
    struct conf_logins logins;
};

/* `data` is the group of that name; `silence_ms`: of the reverse port's limits, unless they say otherwise.
 * What was read stays `out`'s to free, in case of failure too. */
bool settings_data_read(struct conf_group root, struct conf_group data, uint64_t silence_ms,
                        struct data_settings *out, struct err *err) MUST_CHECK;
void settings_data_deinit(struct data_settings *settings);

#endif
