#include "fake_outlet.h"

#include "common/crypto/record.h"

#include <string.h>

void fake_outlet_init(struct fake_outlet *fake, enum seal_place place)
{
    *fake = (struct fake_outlet){.place = place};
    pthread_mutex_init(&fake->lock, NULL);
    pthread_cond_init(&fake->changed, NULL);
}

void fake_outlet_deinit(struct fake_outlet *fake)
{
    buf_deinit(&fake->envelope);
    buf_deinit(&fake->bytes);
    buf_deinit(&fake->chunks);
    buf_deinit(&fake->known);
    buf_deinit(&fake->batch_lens);
    buf_deinit(&fake->point_file);
    pthread_cond_destroy(&fake->changed);
    pthread_mutex_destroy(&fake->lock);
}

static size_t chunk_count(const struct fake_outlet *fake)
{
    return fake->chunks.len / sizeof(struct fake_chunk);
}

const struct fake_chunk *fake_outlet_chunk(const struct fake_outlet *fake, size_t index)
{
    return (const struct fake_chunk *)(const void *)fake->chunks.data + index;
}

const struct fake_chunk *fake_outlet_find(const struct fake_outlet *fake, enum frame_type type,
                                          const struct hash *name)
{
    for (size_t i = 0; i < chunk_count(fake); i++) {
        const struct fake_chunk *chunk = fake_outlet_chunk(fake, i);
        if (chunk->type == type && hash_eq(&chunk->name, name)) return chunk;
    }
    return NULL;
}

size_t fake_outlet_count(const struct fake_outlet *fake, enum frame_type type)
{
    size_t count = 0;
    for (size_t i = fake->earlier; i < chunk_count(fake); i++)
        count += fake_outlet_chunk(fake, i)->type == type;
    return count;
}

struct span fake_outlet_bytes(const struct fake_outlet *fake, const struct fake_chunk *chunk)
{
    return span_of(fake->bytes.data + chunk->offset, chunk->len);
}

void fake_outlet_knows(struct fake_outlet *fake, const struct hash *name)
{
    buf_put(&fake->known, name, sizeof(*name));
}

void fake_outlet_next_run(struct fake_outlet *fake)
{
    fake->earlier = chunk_count(fake);
    fake->cancelled = false;
    buf_clear(&fake->batch_lens);
    memset(fake->calls, 0, sizeof(fake->calls));
    memset(fake->fail_at, 0, sizeof(fake->fail_at));
    fake->asked = fake->asked_for_data = 0;
}

void fake_outlet_open(struct fake_outlet *fake)
{
    pthread_mutex_lock(&fake->lock);
    fake->shut = false;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
}

void fake_outlet_await_waiting(struct fake_outlet *fake, size_t count)
{
    pthread_mutex_lock(&fake->lock);
    while (fake->waiting < count)
        pthread_cond_wait(&fake->changed, &fake->lock);
    pthread_mutex_unlock(&fake->lock);
}

/* Counts the call; the caller holds the lock. */
static bool may_go_on(struct fake_outlet *fake, enum fake_call call, struct err *err)
{
    fake->calls[call]++;
    if (fake->cancelled) return err_set(err, ERR_CANCELLED, "cancelled");
    if (fake->calls[call] != fake->fail_at[call]) return true;
    return err_set(err, ERR_UNREACHABLE, "the test cut the connection");
}

static bool is_known(const struct fake_outlet *fake, const struct hash *name)
{
    for (size_t i = 0; i < fake->known.len; i += HASH_LEN)
        if (memcmp(fake->known.data + i, name->bytes, HASH_LEN) == 0) return true;
    return false;
}

static bool fake_ask(void *self, const enum frame_type *types, const struct hash *ids, size_t count,
                     uint8_t *have, struct err *err)
{
    struct fake_outlet *fake = self;
    pthread_mutex_lock(&fake->lock);
    bool fine = may_go_on(fake, FAKE_ASK, err);
    for (size_t i = 0; fine && i < count; i++)
        have[i] =
            fake->has_everything || is_known(fake, &ids[i]) || fake_outlet_find(fake, types[i], &ids[i]);
    fake->asked += count;
    for (size_t i = 0; i < count; i++)
        fake->asked_for_data += types[i] == FRAME_DATA;
    pthread_mutex_unlock(&fake->lock);
    return fine;
}

static bool fake_envelope(void *self, struct span envelope, struct err *err)
{
    struct fake_outlet *fake = self;
    pthread_mutex_lock(&fake->lock);
    bool fine = may_go_on(fake, FAKE_ENVELOPE, err);
    if (fine && fake->batch_lens.len > 0) err_set(&fake->invalid, ERR_PROTOCOL, "an envelope after a batch");
    buf_clear(&fake->envelope);
    buf_put_span(&fake->envelope, envelope);
    pthread_mutex_unlock(&fake->lock);
    return fine;
}

static void keep(struct fake_outlet *fake, struct fake_chunk chunk, struct span bytes)
{
    chunk.offset = fake->bytes.len;
    chunk.len = bytes.len;
    buf_put_span(&fake->bytes, bytes);
    buf_put(&fake->chunks, &chunk, sizeof(chunk));
}

static bool read_raw(struct fake_outlet *fake, struct span batch, struct err *err)
{
    struct reader reader = reader_of(batch);
    struct raw_chunk raw;
    bool found = true;
    while (true) {
        if (!raw_chunk_next(&reader, &raw, &found, err)) return false;
        if (!found) return true;
        keep(fake,
             (struct fake_chunk){.type = raw.type,
                                 .name = raw.content,
                                 .raw_len = raw.raw_len,
                                 .compression = raw.compression},
             raw.stored);
    }
}

static bool list_covers(struct span list, uint64_t number, const struct hash *hashes, size_t count,
                        struct err *err)
{
    struct seal_list_view view;
    if (!seal_list_parse(list, &view, err)) return false;
    if (view.number != number) return err_set(err, ERR_PROTOCOL, "the list has another number");
    if (view.count != count || memcmp(view.hashes, hashes, count * sizeof(*hashes)) != 0)
        return err_set(err, ERR_PROTOCOL, "the list does not cover the frames");
    return true;
}

static bool read_frame(struct fake_outlet *fake, struct span bytes, struct err *err)
{
    struct frame_view frame;
    if (!frame_parse(bytes, &frame, err)) return false;
    if (frame.cipher != CIPHER_NONE && fake->envelope.len == 0)
        return err_set(err, ERR_PROTOCOL, "a frame before its envelope");
    keep(fake, (struct fake_chunk){.type = frame.type, .name = frame.chunk}, bytes);
    return true;
}

static bool read_sealed(struct fake_outlet *fake, uint64_t number, struct span batch, struct err *err)
{
    struct hash *hashes = fake->hashes;
    size_t count = 0;
    while (batch.len > 0) {
        struct record_view record;
        if (!record_parse(batch, &record, err)) return false;
        batch = span_of(batch.data + record.total_len, batch.len - record.total_len);
        if (record.kind == RECORD_LIST) {
            if (batch.len > 0) return err_set(err, ERR_PROTOCOL, "the list is not the last record");
            return list_covers(record.payload, number, hashes, count, err);
        }
        if (record.kind != RECORD_FRAME) return err_set(err, ERR_PROTOCOL, "a record of a strange kind");
        hashes[count++] = record.payload_hash;
        if (!read_frame(fake, record.payload, err)) return false;
    }
    return err_set(err, ERR_PROTOCOL, "a batch without a list");
}

static bool take(struct fake_outlet *fake, uint64_t number, struct span batch, struct err *err)
{
    if (number != fake->batch_lens.len / sizeof(size_t) + 1)
        return err_set(err, ERR_PROTOCOL, "batch %llu is out of order", (unsigned long long)number);
    buf_put(&fake->batch_lens, &batch.len, sizeof(batch.len));
    return fake->place == SEAL_THERE ? read_raw(fake, batch, err) : read_sealed(fake, number, batch, err);
}

static bool fake_send(void *self, uint64_t number, struct buf *batch, struct err *err)
{
    struct fake_outlet *fake = self;
    pthread_mutex_lock(&fake->lock);
    fake->waiting++;
    pthread_cond_broadcast(&fake->changed);
    while (fake->shut && !fake->cancelled)
        pthread_cond_wait(&fake->changed, &fake->lock);
    fake->waiting--;
    bool fine = may_go_on(fake, FAKE_SEND, err);
    if (fine && fake->invalid.code == ERR_NONE) (void)take(fake, number, buf_span(batch), &fake->invalid);
    pthread_mutex_unlock(&fake->lock);
    if (fine) buf_clear(batch);
    return fine;
}

static bool fake_commit(void *self, const struct commit_request *request, struct commit_receipt *receipt,
                        struct buf *missing, struct err *err)
{
    struct fake_outlet *fake = self;
    pthread_mutex_lock(&fake->lock);
    bool fine = may_go_on(fake, FAKE_COMMIT, err);
    if (fine && fake->lacks_something) {
        fake->lacks_something = false;
        buf_put(missing, &request->root, sizeof(request->root));
        fine = err_set(err, ERR_NOT_FOUND, "a reference is missing");
    }
    if (fine) {
        fake->committed = *request;
        buf_clear(&fake->point_file);
        buf_put_span(&fake->point_file, request->point_file);
        *receipt = (struct commit_receipt){.number = 2};
    }
    pthread_mutex_unlock(&fake->lock);
    return fine;
}

static void fake_cancel(void *self)
{
    struct fake_outlet *fake = self;
    pthread_mutex_lock(&fake->lock);
    fake->cancelled = true;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
}

struct outlet fake_outlet_outlet(struct fake_outlet *fake)
{
    static const struct outlet_ops ops = {.ask = fake_ask,
                                          .envelope = fake_envelope,
                                          .send = fake_send,
                                          .commit = fake_commit,
                                          .cancel = fake_cancel};
    return (struct outlet){&ops, fake};
}
