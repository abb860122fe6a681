/* Message heads on every channel. The first byte chooses the channel. */
#include "common/wire/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0) return 0;
    struct err err = {0};
    AUTO(head) Sealift__Head *head = NULL;
    enum channel channel = (enum channel)(data[0] % (CHANNEL_LISTENER_TO_DIALLER + 1));
    if (!head_decode(channel, span_of(data + 1, len - 1), 0, &head, &err)) return 0;
    return 0;
}
