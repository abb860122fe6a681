/* Message heads on every channel, and payloads that sealed answers and ends of runs hold. The first byte
 * chooses. */
#include "common/wire/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum { PAYLOAD_UNLOCK = 254, PAYLOAD_WARNINGS = 255 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0) return 0;
    struct err err = {0};
    struct span rest = span_of(data + 1, len - 1);
    AUTO(payload_unlock) Sealift__UnlockReport *report = NULL;
    AUTO(payload_warnings) Sealift__Warnings *warnings = NULL;
    if ((data[0] == PAYLOAD_UNLOCK && !payload_unlock_decode(rest, &report, &err)) ||
        (data[0] == PAYLOAD_WARNINGS && !payload_warnings_decode(rest, &warnings, &err)))
        return 0;
    AUTO(head) Sealift__Head *head = NULL;
    enum channel channel = (enum channel)(data[0] % (CHANNEL_LISTENER_TO_DIALLER + 1));
    if (!head_decode(channel, rest, 0, &head, &err)) return 0;
    return 0;
}
