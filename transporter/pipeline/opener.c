#include "transporter/pipeline/opener.h"

#include "common/base/alloc.h"
#include "common/chunk/compress.h"
#include "common/crypto/seal/rewrap_key.h"
#include "transporter/pipeline/seal_keys.h"
#include "transporter/repository/rewraps.h"

struct opener {
    const struct read_half *half; /* NULL: plaintext repository */
    struct secret *dedup_key;     /* NULL: ids are content hashes */
    struct seal_keys *seals;
};

struct opener_thread {
    struct opener *opener;
    struct frame_opener *frames;
    struct decompressor *decompressor;
    struct buf scratch;
};

struct opener *opener_new(const struct read_half *half, const char *domain)
{
    struct opener *opener = xcalloc(1, sizeof(*opener));
    opener->half = half;
    if (half) {
        opener->dedup_key = read_half_dedup_key(half, domain);
    } else {
        opener->dedup_key = secret_new(HASH_LEN);
        plaintext_dedup_key(opener->dedup_key->data);
    }
    opener->seals = seal_keys_new();
    return opener;
}

struct opener *opener_new_opened(void)
{
    struct opener *opener = xcalloc(1, sizeof(*opener));
    opener->seals = seal_keys_new();
    return opener;
}

void opener_free(struct opener *opener)
{
    if (!opener) return;
    seal_keys_free(opener->seals);
    secret_free(opener->dedup_key);
    free(opener);
}

bool opener_thread_new(struct opener *opener, struct opener_thread **out, struct err *err)
{
    AUTO(opener_thread) struct opener_thread *thread = xcalloc(1, sizeof(*thread));
    thread->opener = opener;
    thread->frames = frame_opener_new();
    if (!decompressor_new(&thread->decompressor, err)) return false;
    *out = thread;
    thread = NULL;
    return true;
}

void opener_thread_free(struct opener_thread *thread)
{
    if (!thread) return;
    frame_opener_free(thread->frames);
    decompressor_free(thread->decompressor);
    wipe(thread->scratch.data, thread->scratch.cap);
    buf_deinit(&thread->scratch);
    free(thread);
}

struct hash opener_chunk_id(const struct opener *opener, enum frame_type type, const struct hash *content)
{
    return opener->dedup_key ? chunk_id(opener->dedup_key->data, type, content) : *content;
}

/* --- seals --- */

bool opener_envelope(struct opener *opener, struct span envelope, struct err *err)
{
    if (!opener->half) return err_set(err, ERR_NOT_ENCRYPTED, "an envelope in a plaintext repository");
    struct envelope_view view;
    if (!envelope_parse(envelope, &view, err)) return false;
    if (seal_keys_find(opener->seals, &view.seal)) return true;
    AUTO(run_key) struct run_key *run = NULL;
    return envelope_open(envelope, opener->half, &run, err) && seal_keys_add(opener->seals, run, err);
}

bool opener_take_envelope(struct opener *opener, struct span envelope, struct err *err)
{
    struct err why = {0};
    if (opener_envelope(opener, envelope, &why)) return true;
    if (why.code == ERR_DAMAGED || why.code == ERR_NOT_AUTHENTIC || why.code == ERR_WRONG_KEY) return true;
    *err = why;
    return false;
}

bool opener_rewrap(struct opener *opener, struct span envelope, struct span object, struct err *err)
{
    struct err ignored;
    struct envelope_view view;
    struct rewrap_view rewrap;
    uint8_t signer[SIGN_PK_LEN];
    AUTO(run_key) struct run_key *run = NULL;
    if (!opener->half || !envelope_parse(envelope, &view, &ignored) ||
        seal_keys_find(opener->seals, &view.seal) || read_half_secret_of(opener->half, &view.key_id) ||
        !rewrap_object_decode(object, &view.seal, &rewrap, signer, &ignored) ||
        !rewrap_open(span_of(rewrap.bytes, REWRAP_LEN), signer, envelope, opener->half, &run, &ignored))
        return true;
    return seal_keys_add(opener->seals, run, err);
}

/* --- frames --- */

static bool check_id(const struct opener *opener, const struct hash *id, enum frame_type type,
                     const struct buf *plain, struct err *err)
{
    if (!opener->dedup_key && hash_is_zero(id)) return true; /* the root */
    struct hash content = hash_of(buf_span(plain));
    struct hash found = opener_chunk_id(opener, type, &content);
    if (hash_eq(&found, id)) return true;
    return err_set(err, ERR_DAMAGED, "the chunk's content does not match its id");
}

static bool open_parsed(struct opener_thread *thread, const struct hash *id, const struct frame_view *view,
                        struct buf *plain, struct frame_content *content, struct err *err)
{
    struct opener *opener = thread->opener;
    const struct run_key *run = NULL;
    if (opener->half && view->cipher != CIPHER_NONE) {
        run = seal_keys_find(opener->seals, &view->seal);
        if (!run) return err_set(err, ERR_DAMAGED, "the envelope of the chunk's seal is missing");
    }
    if (opener->half && view->cipher == CIPHER_NONE)
        return err_set(err, ERR_NOT_AUTHENTIC, "a plain chunk in an encrypted backup");

    if (!frame_open(thread->frames, run, view, &thread->scratch, content, err)) return false;
    buf_clear(plain);
    uint8_t *raw = buf_grow(plain, content->raw_len);
    if (!decompress_chunk(thread->decompressor, content->compression, content->stored, raw, content->raw_len,
                          err))
        return false;
    return check_id(opener, id, view->type, plain, err);
}

bool opener_frame_content(struct opener_thread *thread, const struct hash *id, struct span frame,
                          struct buf *plain, struct frame_content *content, struct err *err)
{
    struct frame_view view;
    if (!frame_parse(frame, &view, err)) return false;
    if (!hash_eq(&view.chunk, id)) return err_set(err, ERR_DAMAGED, "the frame is of another chunk");
    if (open_parsed(thread, id, &view, plain, content, err)) return true;
    buf_clear(plain);
    return false;
}

bool opener_frame(struct opener_thread *thread, const struct hash *id, struct span frame, struct buf *plain,
                  struct err *err)
{
    struct frame_content content;
    return opener_frame_content(thread, id, frame, plain, &content, err);
}

/* --- one chunk --- */

struct one {
    struct opener_thread *thread;
    const struct hash *id;
    struct buf *plain;
    bool found;
    bool missing;   /* there is no further copy */
    bool told;      /* of the copy that is being asked for */
    struct err why; /* what was wrong with the first copy */
};

static void blame(struct one *one, const struct err *why)
{
    if (one->why.code == ERR_NONE) one->why = *why;
}

static bool one_envelope(void *arg, struct span envelope, struct err *err)
{
    (void)err;
    struct one *one = arg;
    struct err why = {0};
    if (!opener_envelope(one->thread->opener, envelope, &why)) blame(one, &why);
    return true;
}

static bool one_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    struct one *one = arg;
    struct err why = {0};
    if (!hash_eq(id, one->id)) return err_set(err, ERR_PROTOCOL, "a chunk that was not asked for");
    one->told = true;
    one->found = opener_frame(one->thread, id, frame, one->plain, &why);
    if (!one->found) blame(one, &why);
    return true;
}

bool opener_missing(const struct err *why, struct err *err)
{
    *err = *why;
    if (err->code == ERR_NOT_FOUND) err->code = ERR_DAMAGED;
    return false;
}

static bool one_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    (void)id;
    (void)err;
    struct one *one = arg;
    struct err what = {0};
    if (!opener_missing(why, &what)) blame(one, &what);
    one->told = one->missing = true;
    return true;
}

static bool ask_copies(struct one *one, const struct inlet *inlet, unsigned first, struct err *err)
{
    for (unsigned skip = first; skip < INLET_PLACES && !one->found && !one->missing; skip++) {
        struct inlet_sink sink = {.envelope = one_envelope,
                                  .frame = one_frame,
                                  .missing = one_missing,
                                  .arg = one,
                                  .skip = skip,
                                  .opener = one->thread->opener};
        one->told = false;
        if (!inlet->ops->fetch(inlet->self, one->id, 1, &sink, err)) return false;
        if (!one->told) return err_set(err, ERR_DAMAGED, "the repository side told nothing about a chunk");
    }
    return true;
}

bool opener_other_copy(struct opener_thread *thread, const struct inlet *inlet, const struct hash *id,
                       struct buf *plain, bool *found, struct err *err)
{
    struct one one = {.thread = thread, .id = id, .plain = plain};
    if (!ask_copies(&one, inlet, 1, err)) return false;
    *found = one.found;
    return true;
}

bool opener_root(struct opener_thread *thread, const struct inlet *inlet, const struct hash *chunk,
                 struct buf *node, struct err *err)
{
    struct one one = {.thread = thread, .id = chunk, .plain = node};
    if (!ask_copies(&one, inlet, 0, err)) return false;
    if (one.found) return true;
    *err = one.why;
    return false;
}
