/* The input is a bundle: its header as it is, and with a checksum that fits; then what follows the header as
 * pieces, with a stream of ours. */
#include "common/crypto/bundle.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void open_pieces(const struct box_pair *pair, struct span header, struct span rest)
{
    AUTO(bundle_stream) struct bundle_stream *stream = NULL;
    struct err err;
    if (!bundle_open_begin(header, pair, &stream, &err)) return;
    while (!bundle_over(stream)) {
        AUTO(secret) struct secret *piece = NULL;
        size_t len = bundle_piece_len(stream) + SMALL_OVERHEAD;
        if (len > rest.len) len = rest.len;
        if (!bundle_open_piece(stream, span_of(rest.data, len), &piece, &err)) return;
        abort(); /* nobody sealed it */
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t sk[BOX_SK_LEN] = {7};
    struct bundle_facts facts;
    struct err err;
    AUTO(box_pair) struct box_pair *pair = box_pair_new(sk);
    size_t len = size < BUNDLE_HEADER_LEN ? size : BUNDLE_HEADER_LEN;
    if (bundle_header_decode(span_of(data, len), &facts, &err)) (void)bundle_file_len(facts.content_len);
    if (size < BUNDLE_HEADER_LEN) return 0;

    AUTO(buf) struct buf header = {0};
    buf_put(&header, data, BUNDLE_HEADER_LEN);
    struct hash check = hash_of(span_of(data, BUNDLE_HEADER_LEN - HASH_LEN));
    memcpy(header.data + BUNDLE_HEADER_LEN - HASH_LEN, check.bytes, HASH_LEN);
    if (!bundle_header_decode(buf_span(&header), &facts, &err)) return 0;
    open_pieces(pair, buf_span(&header), span_of(data + len, size - len));

    AUTO(buf) struct buf ours = {0};
    AUTO(bundle_stream) struct bundle_stream *stream = NULL;
    memcpy(facts.lock.pk, pair->pk, BOX_PK_LEN);
    if (bundle_seal_begin(&facts, &ours, &stream, &err))
        open_pieces(pair, buf_span(&ours), span_of(data + len, size - len));
    return 0;
}
