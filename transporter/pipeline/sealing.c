#include "transporter/pipeline/sealing.h"

#include "common/base/alloc.h"
#include "common/crypto/record.h"
#include "transporter/pipeline/sent_ids.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* How the asks of one type have gone. Threads may count a little past each other: that moves the
 * moment of a mode change, nothing else. */
struct asking {
    _Atomic unsigned misses; /* in a row */
    _Atomic unsigned unasked;
};

struct sealing {
    struct sealing_options options;
    struct id seal;
    uint8_t envelope[ENVELOPE_LEN];
    struct hash domain;
    uint8_t plain_key[HASH_LEN]; /* the public constant of plaintext repositories */
    const uint8_t *dedup_key;    /* the half's, or plain_key; NULL: SEAL_THERE */
    struct sent_ids *sent;
    struct asking asking[FRAME_NODE + 1]; /* by frame type */

    pthread_mutex_t order; /* guards what follows, and is held while the outlet takes a batch */
    uint64_t last_number;
    bool envelope_sent;
    struct err broken; /* why the outlet takes no more */
    _Atomic uint64_t sent_bytes;
    _Atomic uint64_t deduplicated_bytes;
};

/* The key material of SEAL_HERE. */
static bool make_seal(struct sealing *sealing, struct err *err)
{
    const struct sealing_options *options = &sealing->options;
    if (!options->half) {
        plaintext_dedup_key(sealing->plain_key);
        sealing->dedup_key = sealing->plain_key;
    } else {
        if (!envelope_seal(options->run, options->half, options->writer, sealing->envelope, err))
            return false;
        sealing->dedup_key = options->half->dedup_key->data;
    }
    sealing->seal = options->run->seal;
    sealing->domain = domain_id(sealing->dedup_key);
    return true;
}

static bool options_fit(const struct sealing_options *options, struct err *err)
{
    if (options->place == SEAL_THERE) {
        if (options->half || options->run || options->writer)
            return err_set(err, ERR_POLICY, "a side that does not seal must not hold the key");
        return true;
    }
    if (!options->writer || !options->run)
        return err_set(err, ERR_POLICY, "sealing needs a writer's signing key and a run key");
    if (options->half && options->cipher == CIPHER_NONE)
        return err_set(err, ERR_POLICY, "a key was given, but the cipher is 'none'");
    if (!options->half && options->cipher != CIPHER_NONE)
        return err_set(err, ERR_POLICY, "cipher '%s' was asked for, but there is no key",
                       cipher_name(options->cipher));
    return true;
}

bool sealing_new(const struct sealing_options *options, struct sealing **out, struct err *err)
{
    if (!options_fit(options, err)) return false;
    AUTO(sealing) struct sealing *sealing = xcalloc(1, sizeof(*sealing));
    sealing->options = *options;
    pthread_mutex_init(&sealing->order, NULL);
    sealing->sent = sent_ids_new(SENT_IDS_DEFAULT);
    if (options->place == SEAL_HERE && !make_seal(sealing, err)) return err_wrap(err, "cannot make a seal");
    *out = sealing;
    sealing = NULL;
    return true;
}

void sealing_free(struct sealing *sealing)
{
    if (!sealing) return;
    sent_ids_free(sealing->sent);
    pthread_mutex_destroy(&sealing->order);
    free(sealing);
}

const struct sealing_options *sealing_options(const struct sealing *sealing)
{
    return &sealing->options;
}

const struct id *sealing_seal(const struct sealing *sealing)
{
    return &sealing->seal;
}

const struct hash *sealing_domain(const struct sealing *sealing)
{
    return &sealing->domain;
}

struct hash sealing_id(const struct sealing *sealing, enum frame_type type, const struct hash *content)
{
    return sealing->dedup_key ? chunk_id(sealing->dedup_key, type, content) : *content;
}

struct id sealing_point_of(const struct sealing *sealing, const struct id *origin)
{
    enum { TYPE_POINT = 3 }; /* beside those of frames */
    struct hash of = hash_of(span_of(origin->bytes, ID_LEN));
    struct hash derived = chunk_id(sealing->dedup_key, (enum frame_type)TYPE_POINT, &of);
    struct id point;
    memcpy(point.bytes, derived.bytes, ID_LEN);
    return point;
}

bool sealing_sealer(const struct sealing *sealing, struct frame_sealer **out, struct err *err)
{
    const struct sealing_options *options = &sealing->options;
    return frame_sealer_new(options->half ? options->run : NULL, options->cipher, options->padding, out, err);
}

bool sealing_claim(struct sealing *sealing, enum frame_type type, const struct hash *id)
{
    /* a content hash does not say the type, and the bytes of a node may also be the content of a file */
    struct hash key = *id;
    if (!sealing->dedup_key) key.bytes[0] ^= (uint8_t)type;
    return sent_ids_claim(sealing->sent, &key);
}

bool sealing_is_unasked(const struct sealing *sealing, enum frame_type type)
{
    return atomic_load_explicit(&sealing->asking[type].misses, memory_order_relaxed) >= SEALING_PATIENCE;
}

bool sealing_should_ask(struct sealing *sealing, enum frame_type type)
{
    struct asking *asking = &sealing->asking[type];
    if (!sealing_is_unasked(sealing, type)) return true;
    return atomic_fetch_add_explicit(&asking->unasked, 1, memory_order_relaxed) % SEALING_PROBE ==
           SEALING_PROBE - 1;
}

static void learn(struct asking *asking, uint8_t have)
{
    if (have) {
        atomic_store_explicit(&asking->misses, 0, memory_order_relaxed);
        atomic_store_explicit(&asking->unasked, 0, memory_order_relaxed);
    } else if (atomic_load_explicit(&asking->misses, memory_order_relaxed) < SEALING_PATIENCE) {
        atomic_fetch_add_explicit(&asking->misses, 1, memory_order_relaxed);
    }
}

bool sealing_ask(struct sealing *sealing, const enum frame_type *types, const struct hash *ids, size_t count,
                 uint8_t *have, struct err *err)
{
    const struct outlet *outlet = &sealing->options.outlet;
    if (!outlet->ops->ask(outlet->self, types, ids, count, have, err)) return false;
    for (size_t i = 0; i < count; i++)
        learn(&sealing->asking[types[i]], have[i]);
    return true;
}

static void append_list(const struct sealing *sealing, enum pack_class class_, uint64_t number,
                        const struct hash *hashes, size_t count, struct buf *batch)
{
    AUTO(buf) struct buf list = {0};
    buf_reserve(&list, SEAL_LIST_FIXED_LEN + count * HASH_LEN);
    seal_list_encode(sealing->options.writer, class_, &sealing->seal, number, hashes, count, &list);
    record_append(batch, RECORD_LIST, buf_span(&list));
}

static bool send_envelope(struct sealing *sealing, struct err *err)
{
    if (sealing->envelope_sent || !sealing->options.half) return true;
    const struct outlet *outlet = &sealing->options.outlet;
    if (!outlet->ops->envelope(outlet->self, span_of(sealing->envelope, ENVELOPE_LEN), err)) return false;
    sealing->envelope_sent = true;
    return true;
}

static bool send_in_order(struct sealing *sealing, enum pack_class class_, struct buf *batch,
                          const struct hash *hashes, size_t count, struct err *err)
{
    const struct outlet *outlet = &sealing->options.outlet;
    if (!send_envelope(sealing, err)) return false;
    uint64_t number = sealing->last_number + 1;
    if (sealing->options.place == SEAL_HERE) append_list(sealing, class_, number, hashes, count, batch);
    size_t len = batch->len;
    if (!outlet->ops->send(outlet->self, number, batch, err)) return false;
    sealing->last_number = number;
    atomic_fetch_add_explicit(&sealing->sent_bytes, len, memory_order_relaxed);
    return true;
}

bool sealing_send(struct sealing *sealing, enum pack_class class_, struct buf *batch,
                  const struct hash *hashes, size_t count, uint64_t *number, struct err *err)
{
    struct err *broken = &sealing->broken;
    pthread_mutex_lock(&sealing->order);
    bool sent = broken->code == ERR_NONE && send_in_order(sealing, class_, batch, hashes, count, broken);
    if (sent && number) *number = sealing->last_number;
    if (!sent) *err = *broken;
    pthread_mutex_unlock(&sealing->order);
    return sent;
}

uint64_t sealing_sent_bytes(const struct sealing *sealing)
{
    return atomic_load_explicit(&sealing->sent_bytes, memory_order_relaxed);
}

void sealing_note_deduplicated(struct sealing *sealing, uint64_t bytes)
{
    atomic_fetch_add_explicit(&sealing->deduplicated_bytes, bytes, memory_order_relaxed);
}

uint64_t sealing_deduplicated_bytes(const struct sealing *sealing)
{
    return atomic_load_explicit(&sealing->deduplicated_bytes, memory_order_relaxed);
}
