/* Batches and envelopes that a repository refuses. */
#include "builder.h"

#include <criterion/criterion.h>
#include <string.h>

enum spoil {
    SPOIL_NOTHING,
    SPOIL_EMPTY,
    SPOIL_CUT,
    SPOIL_FLIP_PAYLOAD,
    SPOIL_NO_LIST,
    SPOIL_LIST_ONLY,
    SPOIL_FRAME_TWICE,
    SPOIL_FRAME_NOT_LISTED,
    SPOIL_FRAME_LEFT_OUT,
    SPOIL_FRAME_EXCHANGED,
    SPOIL_OTHER_WRITER,
    SPOIL_OTHER_NUMBER,
    SPOIL_OTHER_CLASS,
    SPOIL_NODE_AMONG_DATA,
    SPOIL_ENVELOPE_INSIDE,
    SPOIL_TRAILER_INSIDE,
    SPOIL_TWO_LISTS,
    SPOIL_COUNT
};

static const struct {
    enum err_code code;
    const char *what;
} spoils[SPOIL_COUNT] = {
    [SPOIL_NOTHING] = {ERR_NONE, "nothing"},
    [SPOIL_EMPTY] = {ERR_PROTOCOL, "no bytes"},
    [SPOIL_CUT] = {ERR_TRUNCATED, "cut"},
    [SPOIL_FLIP_PAYLOAD] = {ERR_DAMAGED, "a flipped bit"},
    [SPOIL_NO_LIST] = {ERR_PROTOCOL, "no list"},
    [SPOIL_LIST_ONLY] = {ERR_PROTOCOL, "a list alone"},
    [SPOIL_FRAME_TWICE] = {ERR_NOT_AUTHENTIC, "a frame twice, listed once"},
    [SPOIL_FRAME_NOT_LISTED] = {ERR_NOT_AUTHENTIC, "a frame that is not listed"},
    [SPOIL_FRAME_LEFT_OUT] = {ERR_NOT_AUTHENTIC, "a listed frame left out"},
    [SPOIL_FRAME_EXCHANGED] = {ERR_NOT_AUTHENTIC, "another frame in the place of the listed one"},
    [SPOIL_OTHER_WRITER] = {ERR_NOT_AUTHENTIC, "signed by another writer"},
    [SPOIL_OTHER_NUMBER] = {ERR_PROTOCOL, "another number"},
    [SPOIL_OTHER_CLASS] = {ERR_DAMAGED, "a list of the other class"},
    [SPOIL_NODE_AMONG_DATA] = {ERR_DAMAGED, "a node among data"},
    [SPOIL_ENVELOPE_INSIDE] = {ERR_PROTOCOL, "an envelope inside"},
    [SPOIL_TRAILER_INSIDE] = {ERR_DAMAGED, "a trailer inside"},
    [SPOIL_TWO_LISTS] = {ERR_NOT_AUTHENTIC, "two lists"},
};

static void make_spoiled(struct writer *writer, enum spoil spoil, struct buf *out)
{
    AUTO(buf) struct buf extra = {0};
    AUTO(buf) struct buf hash = {0};
    (void)writer_data(writer, 1, 300);
    if (spoil == SPOIL_FRAME_NOT_LISTED || spoil == SPOIL_FRAME_TWICE) {
        AUTO(buf) struct buf first = {0};
        buf_put_span(&first, buf_span(&writer->frames));
        buf_put_span(&hash, buf_span(&writer->hashes));
        if (spoil == SPOIL_FRAME_TWICE)
            buf_put_span(&writer->frames, buf_span(&first));
        else
            (void)writer_data(writer, 2, 300);
        buf_clear(&writer->hashes);
        buf_put_span(&writer->hashes, buf_span(&hash));
    } else if (spoil == SPOIL_FRAME_LEFT_OUT) {
        buf_put_span(&extra, buf_span(&writer->frames));
        (void)writer_data(writer, 2, 300);
        buf_clear(&writer->frames);
        buf_put_span(&writer->frames, buf_span(&extra));
    } else if (spoil == SPOIL_FRAME_EXCHANGED) {
        buf_put_span(&hash, buf_span(&writer->hashes));
        buf_clear(&writer->frames);
        (void)writer_data(writer, 2, 300);
        buf_clear(&writer->hashes);
        buf_put_span(&writer->hashes, buf_span(&hash));
    } else if (spoil == SPOIL_NODE_AMONG_DATA) {
        (void)writer_node(writer, 3, NULL, 0, NULL, 0);
    } else if (spoil == SPOIL_ENVELOPE_INSIDE) {
        record_append(&writer->frames, RECORD_ENVELOPE, span_of(writer->envelope, ENVELOPE_LEN));
    } else if (spoil == SPOIL_TRAILER_INSIDE) {
        record_append(&writer->frames, RECORD_TRAILER, span_str("trailer"));
    }
    if (spoil == SPOIL_OTHER_NUMBER) writer->number++;
    size_t frames_len = writer->frames.len;
    (void)writer_batch(writer, spoil == SPOIL_OTHER_CLASS ? PACK_META : PACK_DATA, out);
    if (spoil == SPOIL_OTHER_NUMBER) writer->number--;
    if (spoil == SPOIL_EMPTY) buf_clear(out);
    if (spoil == SPOIL_CUT) out->len--;
    if (spoil == SPOIL_FLIP_PAYLOAD) out->data[200] ^= 1;
    if (spoil == SPOIL_NO_LIST) out->len = frames_len;
    if (spoil == SPOIL_LIST_ONLY) {
        memmove(out->data, out->data + frames_len, out->len - frames_len);
        out->len -= frames_len;
    }
    if (spoil == SPOIL_TWO_LISTS) {
        (void)writer_data(writer, 4, 300);
        (void)writer_batch(writer, PACK_DATA, out);
        writer->number--;
    }
}

static void spoil_all(enum repository_kind kind)
{
    for (int spoil = 0; spoil < SPOIL_COUNT; spoil++) {
        if (spoil == SPOIL_ENVELOPE_INSIDE && kind == REPOSITORY_PLAINTEXT) continue;
        AUTO(place) struct place *place = place_new(kind);
        AUTO(writer) struct writer *writer = writer_new(kind, 1);
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
        AUTO(buf) struct buf batch = {0};
        struct sign_pair *own = writer->pair;
        uint8_t seed[32] = {77};
        AUTO(sign_pair) struct sign_pair *stranger = sign_pair_new(seed);
        if (spoil == SPOIL_OTHER_WRITER) writer->pair = stranger;
        make_spoiled(writer, (enum spoil)spoil, &batch);
        writer->pair = own;
        cr_expect_eq(session_send_code(ingest, 1, buf_span(&batch)), spoils[spoil].code, "%s",
                     spoils[spoil].what);
        if (spoil != SPOIL_NOTHING) writer->number = 0;
        struct hash data = writer_data(writer, 20, 300);
        session_send(ingest, writer, PACK_DATA);
        struct hash root = writer_node(writer, 21, NULL, 0, &data, 1);
        session_send(ingest, writer, PACK_META);
        (void)session_commit(ingest, writer, 1, &root);
        cr_expect(restores(place->repository, &root, NULL), "%s", spoils[spoil].what);
    }
}

Test(ingest, a_spoiled_batch_is_refused_and_the_right_one_still_taken)
{
    spoil_all(REPOSITORY_ENCRYPTED);
    spoil_all(REPOSITORY_PLAINTEXT);
}

Test(ingest, every_flipped_bit_of_a_batch_is_refused)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    AUTO(buf) struct buf batch = {0};
    (void)writer_data(writer, 1, 60);
    (void)writer_data(writer, 2, 60);
    (void)writer_batch(writer, PACK_DATA, &batch);
    for (size_t bit = 0; bit < 8 * batch.len; bit++) {
        batch.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_neq(session_send_code(ingest, 1, buf_span(&batch)), ERR_NONE, "bit %zu", bit);
        batch.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    cr_assert_eq(session_send_code(ingest, 1, buf_span(&batch)), ERR_NONE);
}

Test(ingest, every_truncation_of_a_batch_is_refused)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_PLAINTEXT);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_PLAINTEXT, 1);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    AUTO(buf) struct buf batch = {0};
    (void)writer_data(writer, 1, 60);
    (void)writer_data(writer, 2, 60);
    (void)writer_batch(writer, PACK_DATA, &batch);
    for (size_t len = 0; len < batch.len; len++)
        cr_assert_neq(session_send_code(ingest, 1, span_of(batch.data, len)), ERR_NONE, "%zu bytes", len);
    cr_assert_eq(session_send_code(ingest, 1, buf_span(&batch)), ERR_NONE);
}

Test(ingest, plain_frames_never_enter_an_encrypted_repository_nor_sealed_ones_a_plain_one)
{
    struct err err;
    for (int kind = REPOSITORY_ENCRYPTED; kind <= REPOSITORY_PLAINTEXT; kind++) {
        AUTO(place) struct place *place = place_new((enum repository_kind)kind);
        AUTO(writer)
        struct writer *writer =
            writer_new(kind == REPOSITORY_ENCRYPTED ? REPOSITORY_PLAINTEXT : REPOSITORY_ENCRYPTED, 1);
        AUTO(ingest) struct ingest *ingest = NULL;
        struct ingest_options options = {
            .session = id_of(1), .seal = writer->seal, .domain = writer->domain, .min_free_bytes = 1};
        memcpy(options.writer, writer->pair->pk, SIGN_PK_LEN);
        cr_assert(ingest_open(place->repository, &options, &ingest, &err), "%s", err.text);
        AUTO(buf) struct buf batch = {0};
        (void)writer_data(writer, 1, 60);
        (void)writer_batch(writer, PACK_DATA, &batch);
        if (kind == REPOSITORY_PLAINTEXT) {
            cr_assert_not(ingest_envelope(ingest, span_of(writer->envelope, ENVELOPE_LEN), &err));
            cr_assert_eq(err.code, ERR_POLICY);
            cr_assert_eq(session_send_code(ingest, 1, buf_span(&batch)), ERR_PROTOCOL);
        } else {
            cr_assert_eq(session_send_code(ingest, 1, buf_span(&batch)), ERR_POLICY);
        }
        /* nor a point */
        struct hash root = writer_id(writer, FRAME_NODE, 1, 40);
        AUTO(buf) struct buf missing = {0};
        cr_assert_eq(session_commit_code(ingest, writer, 1, &root, &missing), ERR_POLICY);
    }
}

Test(ingest, a_sealed_batch_without_its_envelope_is_refused)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(ingest) struct ingest *ingest = NULL;
    struct err err;
    struct ingest_options options = {
        .session = id_of(1), .seal = writer->seal, .domain = writer->domain, .min_free_bytes = 1};
    memcpy(options.writer, writer->pair->pk, SIGN_PK_LEN);
    cr_assert(ingest_open(place->repository, &options, &ingest, &err), "%s", err.text);
    AUTO(buf) struct buf batch = {0};
    (void)writer_data(writer, 1, 60);
    (void)writer_batch(writer, PACK_DATA, &batch);
    cr_assert_eq(session_send_code(ingest, 1, buf_span(&batch)), ERR_PROTOCOL);
}

/* Whoever writes in the domain knows the seals of others: their frames' clear headers name them. */
Test(ingest, another_envelope_of_a_seal_that_is_stored_is_refused)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(writer) struct writer *thief = writer_new(REPOSITORY_ENCRYPTED, 2);
    struct err err;
    {
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
        struct hash root = session_tree(ingest, writer, 0, 3, 100);
        (void)session_commit(ingest, writer, 1, &root);
    }
    {
        AUTO(ingest) struct ingest *again = session_open(place->repository, writer, 2);
        cr_assert(ingest_envelope(again, span_of(writer->envelope, ENVELOPE_LEN), &err), "%s", err.text);
    }
    thief->seal = thief->run->seal = writer->seal;
    cr_assert(envelope_seal(thief->run, thief->half, thief->pair, thief->envelope, &err), "%s", err.text);
    AUTO(ingest) struct ingest *ingest = NULL;
    struct ingest_options options = {
        .session = id_of(3), .seal = thief->seal, .domain = thief->domain, .min_free_bytes = 1};
    memcpy(options.writer, thief->pair->pk, SIGN_PK_LEN);
    cr_assert(ingest_open(place->repository, &options, &ingest, &err), "%s", err.text);
    cr_assert_not(ingest_envelope(ingest, span_of(thief->envelope, ENVELOPE_LEN), &err));
    cr_assert_eq(err.code, ERR_POLICY, "%s", err.text);
}

Test(ingest, an_envelope_of_another_writer_seal_or_domain_is_refused)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(writer) struct writer *stranger = writer_new(REPOSITORY_ENCRYPTED, 2);
    AUTO(writer) struct writer *elsewhere = writer_new_in(REPOSITORY_ENCRYPTED, 1, "t:other");
    struct err err;
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    cr_assert_not(ingest_envelope(ingest, span_of(stranger->envelope, ENVELOPE_LEN), &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC);
    cr_assert_not(ingest_envelope(ingest, span_of(elsewhere->envelope, ENVELOPE_LEN), &err));
    cr_assert_eq(err.code, ERR_POLICY);
    uint8_t flipped[ENVELOPE_LEN];
    memcpy(flipped, writer->envelope, ENVELOPE_LEN);
    flipped[100] ^= 1;
    cr_assert_not(ingest_envelope(ingest, span_of(flipped, ENVELOPE_LEN), &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC);
}
