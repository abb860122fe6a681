/* How fast a transporter or a job may send, by the time of day, as people write it:
 *
 *     20MiB@mon-fri 08:00-18:00, 50MiB@22:00-06:00, 100MiB
 *
 * Of the parts, the first that holds now counts; where none does, and by the word `unlimited`, there is no
 * limit. A rate is in bytes a second, and may say so: 20MiB/s. Times are UTC, as in schedules; one that ends
 * before it begins goes over midnight, and the day is the one on which it begins. Pure. */
#ifndef SEALIFT_WIRE_BANDWIDTH_RULE_H
#define SEALIFT_WIRE_BANDWIDTH_RULE_H

#include "common/base/err.h"

#include <stddef.h>
#include <stdint.h>

#define BANDWIDTH_TEXT_MAX 255
#define BANDWIDTH_PARTS_MAX 16
#define BANDWIDTH_LEAST (UINT64_C(16) << 10) /* bytes a second */
#define BANDWIDTH_MOST (UINT64_C(1) << 40)
#define BANDWIDTH_UNLIMITED UINT64_C(0)

struct bandwidth_rule {
    size_t count;
    struct bandwidth_part {
        uint64_t bytes_per_s;
        uint16_t from_min, to_min; /* minutes of the day; the same: the whole day */
        uint8_t days;              /* bit 0: sunday, … */
    } parts[BANDWIDTH_PARTS_MAX];
};

/* ERR_USAGE says what can be written. */
bool bandwidth_rule_parse(const char *text, struct bandwidth_rule *out, struct err *err) MUST_CHECK;
/* What counts at that moment since 1970: bytes a second, or BANDWIDTH_UNLIMITED. */
uint64_t bandwidth_rule_at(const struct bandwidth_rule *rule, uint64_t time_ns);

#endif
