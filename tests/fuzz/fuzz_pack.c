/* Any bytes as a pack or journal: the table of contents at its end, and the scan from its start. The
 * lowest bit of the first byte chooses the repository's kind. */
#include "transporter/repository/pack_scan.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A storage of one object. */
static bool range_of_input(void *self, const char *name, uint64_t offset, void *out, size_t len,
                           struct err *err)
{
    const struct span *input = self;
    if (offset > input->len || len > input->len - offset)
        return err_set(err, ERR_TRUNCATED, "ends too early");
    if (len) memcpy(out, input->data + offset, len);
    return true;
}

static bool size_of_input(void *self, const char *name, uint64_t *out, struct err *err)
{
    const struct span *input = self;
    *out = input->len;
    return true;
}

static void check(bool holds)
{
    if (!holds) abort();
}

/* What was read encodes to the bytes that were there. */
static void check_toc(const struct pack_toc *toc, struct span input)
{
    AUTO(buf) struct buf tail = {0};
    pack_toc_encode(toc, &tail);
    check(toc->end + tail.len == input.len);
    check(memcmp(input.data + toc->end, tail.data, tail.len) == 0);
}

/* A prefix lies within the input, ends in a list, and hashes to what its hasher says. */
static void check_prefix(const struct pack_prefix *prefix, struct span input)
{
    const struct pack_toc *toc = &prefix->rules.toc;
    check(toc->count == 0 || toc->end <= input.len);
    if (toc->count == 0) return;
    check(toc->entries[toc->count - 1].kind == RECORD_LIST);
    struct hash hash = hash_of(span_of(input.data, (size_t)toc->end));
    struct hash running = hasher_result(&prefix->hasher);
    check(hash_eq(&hash, &running));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct span input = span_of(data + 1, size - 1);
    static const struct storage_ops ops = {.get_range = range_of_input, .size = size_of_input};
    struct storage storage = {.ops = &ops, .self = &input};
    struct err err;
    struct pack_header header;
    AUTO(pack_toc) struct pack_toc toc;
    AUTO(pack_prefix) struct pack_prefix prefix = {0};
    pack_toc_init(&toc);
    if (pack_toc_read(&storage, "input", input.len, NULL, &header, &toc, &err)) check_toc(&toc, input);
    enum repository_kind kind = data[0] & 1 ? REPOSITORY_PLAINTEXT : REPOSITORY_ENCRYPTED;
    if (pack_scan_prefix(&storage, "input", NULL, kind, &prefix, &err)) check_prefix(&prefix, input);
    return 0;
}
