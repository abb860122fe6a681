/* The input is what a KMIP server answers, to each of our questions. What is taken lies inside it. */
#include "transporter/kms/kmip.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

static bool lies_in(struct span whole, struct span part)
{
    return part.data >= whole.data && part.len <= whole.len &&
           (size_t)(part.data - whole.data) <= whole.len - part.len;
}

static void walk(struct span whole, struct span value)
{
    struct ttlv item;
    while (ttlv_next(&value, &item)) {
        check(lies_in(whole, item.value));
        if (item.type == TTLV_STRUCTURE) walk(whole, item.value);
    }
    check(value.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char key[] = "7f1c-42"; /* of the seeds */
    struct span bytes = span_of(data, size), out;
    struct kmip_abilities able;
    struct kmip_sealed sealed;
    struct ttlv item;
    struct err err = {0};
    size_t len = 0;
    if (size >= TTLV_HEADER_LEN && ttlv_message_len(data, KMIP_RESPONSE_MESSAGE, &len, &err))
        check(len <= TTLV_LEN_MAX);
    if (ttlv_parse(bytes, &item, &err) && item.type == TTLV_STRUCTURE) walk(bytes, item.value);
    if (kmip_encrypted(bytes, key, 32, &sealed, &err))
        check(lies_in(bytes, sealed.data) && sealed.data.len == 32 && sealed.tag.len == KMIP_TAG_LEN);
    if (kmip_decrypted(bytes, key, &out, &err)) check(lies_in(bytes, out));
    if (kmip_got(bytes, key, &out, &err)) check(lies_in(bytes, out));
    (void)!kmip_queried(bytes, &able, &err);
    (void)!kmip_versions(bytes, &err);
    return 0;
}
