/* Message heads on every channel, and what payloads hold. The first byte chooses. What decodes is encoded to
 * something that decodes. */
#include "common/wire/head.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define FUZZ_PAYLOAD(name, type)                                                                             \
    static void fuzz_##name(struct span bytes)                                                               \
    {                                                                                                        \
        struct err err;                                                                                      \
        AUTO(payload_##name) type *value = NULL;                                                             \
        AUTO(payload_##name) type *same = NULL;                                                              \
        AUTO(buf) struct buf again = {0};                                                                    \
        if (!payload_##name##_decode(bytes, &value, &err)) return;                                           \
        payload_##name##_encode(value, &again);                                                              \
        if (!payload_##name##_decode(buf_span(&again), &same, &err)) abort();                                \
    }

FUZZ_PAYLOAD(blobs, Sealift__Blobs)
FUZZ_PAYLOAD(status, Sealift__StatusAnswer)
FUZZ_PAYLOAD(run_list, Sealift__RunListAnswer)
FUZZ_PAYLOAD(point_list, Sealift__PointListAnswer)
FUZZ_PAYLOAD(link_list, Sealift__LinkListAnswer)
FUZZ_PAYLOAD(link_test, Sealift__LinkTestAnswer)
FUZZ_PAYLOAD(unlock, Sealift__UnlockReport)
FUZZ_PAYLOAD(warnings, Sealift__Warnings)

/* The last ones are of the highest first bytes. */
static void (*const payloads[])(struct span bytes) = {fuzz_blobs,      fuzz_status,    fuzz_run_list,
                                                      fuzz_point_list, fuzz_link_list, fuzz_link_test,
                                                      fuzz_unlock,     fuzz_warnings};
enum { PAYLOADS = sizeof(payloads) / sizeof(payloads[0]), FIRST_PAYLOAD = 256 - PAYLOADS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0) return 0;
    struct err err = {0};
    struct span rest = span_of(data + 1, len - 1);
    if (data[0] >= FIRST_PAYLOAD) {
        payloads[data[0] - FIRST_PAYLOAD](rest);
        return 0;
    }
    AUTO(head) Sealift__Head *head = NULL;
    enum channel channel = (enum channel)(data[0] % (CHANNEL_LISTENER_TO_DIALLER + 1));
    if (!head_decode(channel, rest, 0, &head, &err)) return 0;
    return 0;
}
