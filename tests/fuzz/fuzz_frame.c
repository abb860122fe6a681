/* The input is a frame. What parses must lie inside it; a plain frame that opens must be the very
 * bytes that sealing its content gives; a sealed one is opened with a key that cannot fit. */
#include "common/crypto/seal/frame_key.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

static void check_canonical(const struct frame_view *view, const struct frame_content *content)
{
    AUTO(frame_sealer) struct frame_sealer *sealer = NULL;
    AUTO(buf) struct buf again = {0};
    struct err err;
    bool padded = view->body.len != FRAME_INNER_LEN + content->stored.len;
    struct frame_input input = {
        .type = view->type,
        .chunk = view->chunk,
        .raw_len = content->raw_len,
        .compression = content->compression,
        .stored = content->stored,
        .nodes = (const struct hash *)view->clear_nodes,
        .node_count = view->node_ids,
        .datas = (const struct hash *)view->clear_data,
        .data_count = view->data_ids,
    };
    check(frame_sealer_new(NULL, CIPHER_NONE, padded ? PADDING_PADME : PADDING_NONE, &sealer, &err));
    check(frame_sealed_len(sealer, &input) == view->bytes.len);
    check(frame_seal(sealer, &input, buf_grow(&again, view->bytes.len), &err));
    check(span_eq(buf_span(&again), view->bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(frame_opener) struct frame_opener *opener = frame_opener_new();
    AUTO(buf) struct buf scratch = {0};
    struct frame_view view;
    struct frame_content content;
    struct err err;
    if (!frame_parse(span_of(data, size), &view, &err)) return 0;
    check(view.bytes.data == data && view.bytes.len == size);
    check(view.tag + FRAME_TAG_LEN == data + size);
    if (view.cipher == CIPHER_NONE) {
        if (frame_open(opener, NULL, &view, &scratch, &content, &err)) check_canonical(&view, &content);
        return 0;
    }
    AUTO(run_key) struct run_key *run = run_key_new();
    run->seal = view.seal;
    check(!frame_open(opener, run, &view, &scratch, &content, &err));
    check(err.code == ERR_DAMAGED && scratch.len == 0);
    return 0;
}
