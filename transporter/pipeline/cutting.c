#include "transporter/pipeline/cutting.h"

enum {
    READ_STEP = 256 * 1024,
    CHUNK_ROOM = 1536 * 1024,       /* enough for most chunks; a buffer grows for the others */
    SHARED_LEAST = 8 * 1024 * 1024, /* contents from this size share their chunks with idle workers */
};

static bool take_slot_out(struct cutting *cutting, struct err *err)
{
    struct chunk_slot *slot = &cutting->slots[cutting->first];
    struct ref ref = {.length = slot->length, .kind = slot->is_hole ? REF_HOLE : REF_DATA};
    if (!slot->is_hole) ref.content = slot->content;
    cutting->first = (cutting->first + 1) % CUTTING_SLOTS;
    cutting->count--;
    return refs_add(cutting->refs, &ref, err);
}

/* Waits for the oldest slot, working on other chunks meanwhile. */
static bool settle_oldest(struct cutting *cutting, struct err *err)
{
    struct worker *worker = cutting->worker;
    struct chunk_slot *slot = &cutting->slots[cutting->first];
    while (true) {
        struct chunk_job job;
        switch (work_queue_await_slot(worker->attempt->queue, slot, &job)) {
        case AWAITED_DONE:
            return take_slot_out(cutting, err);
        case AWAITED_STOPPED:
            return err_set(err, ERR_CANCELLED, "stopped");
        case AWAITED_CHUNK:
            if (!worker_chunk(worker, &job, err)) return false;
            break;
        }
    }
}

/* Slots are on this thread's stack: nobody may hold one when it is left, whatever happened. */
static void release_slots(struct cutting *cutting)
{
    struct worker *worker = cutting->worker;
    for (; cutting->count > 0; cutting->count--) {
        struct chunk_job job;
        struct err why = {0};
        while (work_queue_await_slot(worker->attempt->queue, &cutting->slots[cutting->first], &job) ==
               AWAITED_CHUNK)
            if (!worker_chunk(worker, &job, &why)) attempt_fail(worker->attempt, &why);
        cutting->first = (cutting->first + 1) % CUTTING_SLOTS;
    }
}

void cutting_deinit(struct cutting *cutting)
{
    if (!cutting->worker) return;
    release_slots(cutting);
    refs_writer_free(cutting->refs);
    chunk_pool_put(cutting->worker->attempt->pool, &cutting->chunk);
    buf_deinit(&cutting->rest);
}
static bool new_slot(struct cutting *cutting, uint64_t length, struct chunk_slot **out, struct err *err)
{
    if (cutting->count == CUTTING_SLOTS && !settle_oldest(cutting, err)) return false;
    struct chunk_slot *slot = &cutting->slots[(cutting->first + cutting->count) % CUTTING_SLOTS];
    *slot = (struct chunk_slot){.length = length};
    cutting->count++;
    *out = slot;
    return true;
}

/* The chunk's own hash is also the content's if there is nothing else in it. */
static bool is_whole_content(const struct cutting *cutting)
{
    return cutting->hashed == 0 && cutting->offset == cutting->chunk.len &&
           cutting->chunk.len == cutting->expected;
}

/* Hands the chunk at hand to an idle worker, or packs it here. */
static bool emit_chunk(struct cutting *cutting, struct err *err)
{
    struct worker *worker = cutting->worker;
    struct chunk_slot *slot;
    bool whole = is_whole_content(cutting);
    if (!whole) hasher_add(&cutting->hasher, cutting->chunk.data, cutting->chunk.len);
    cutting->hashed += cutting->chunk.len;
    if (!new_slot(cutting, cutting->chunk.len, &slot, err)) return false;
    struct chunk_job job = {.bytes = cutting->chunk, .slot = slot};
    cutting->chunk = (struct buf){0};
    if (cutting->expected >= SHARED_LEAST && work_queue_offer(worker->attempt->queue, &job)) return true;
    if (!worker_chunk(worker, &job, err)) return false;
    if (whole) cutting->whole = slot->content;
    return true;
}

/* Memory for a chunk of which `have` bytes were read already. */
static struct buf new_chunk(const struct cutting *cutting, size_t have)
{
    uint64_t size = cutting->expected;
    uint64_t room = size > cutting->offset ? size - cutting->offset + have : have;
    return chunk_pool_get(cutting->worker->attempt->pool, room < CHUNK_ROOM ? (size_t)room : CHUNK_ROOM);
}

/* The first `cut` bytes are a chunk; what follows starts the next one. */
static bool cut_chunk(struct cutting *cutting, size_t cut, struct err *err)
{
    struct buf *rest = &cutting->rest;
    buf_clear(rest);
    buf_put(rest, cutting->chunk.data + cut, cutting->chunk.len - cut);
    cutting->chunk.len = cut;
    if (!emit_chunk(cutting, err)) return false;
    if (rest->len == 0) return true;
    cutting->chunk = new_chunk(cutting, rest->len);
    buf_put_span(&cutting->chunk, buf_span(rest));
    return true;
}

/* Looks for cuts in the bytes from `scanned` on. */
static bool cut_new_bytes(struct cutting *cutting, size_t scanned, struct err *err)
{
    while (scanned < cutting->chunk.len) {
        size_t used =
            chunker_next(&cutting->chunker, cutting->chunk.data + scanned, cutting->chunk.len - scanned);
        if (used == 0) return true;
        if (!cut_chunk(cutting, scanned + used, err)) return false;
        scanned = 0;
    }
    return true;
}

bool cutting_may_go_on(const struct cutting *cutting, struct err *err)
{
    return !attempt_stopped(cutting->worker->attempt) || err_set(err, ERR_CANCELLED, "stopped");
}

/* No more than is expected: the memory of a small content is just enough for it. */
static size_t next_step(const struct cutting *cutting)
{
    uint64_t left = cutting->expected > cutting->offset ? cutting->expected - cutting->offset : READ_STEP;
    size_t room = chunker_files.max - cutting->chunk.len;
    size_t step = READ_STEP < room ? READ_STEP : room;
    return left < step ? (size_t)left : step;
}

uint8_t *cutting_room(struct cutting *cutting, size_t *room)
{
    if (cutting->chunk.cap == 0) cutting->chunk = new_chunk(cutting, 0);
    size_t len = cutting->chunk.len;
    *room = next_step(cutting);
    uint8_t *out = buf_grow(&cutting->chunk, *room);
    cutting->chunk.len = len;
    return out;
}

bool cutting_take(struct cutting *cutting, size_t len, struct err *err)
{
    size_t scanned = cutting->chunk.len;
    cutting->chunk.len += len;
    cutting->offset += len;
    cutting->worker->attempt->progress->read_bytes += len;
    attempt_publish(cutting->worker->attempt); /* a large file takes long: it is seen to go on */
    return cut_new_bytes(cutting, scanned, err);
}

static bool end_chunk(struct cutting *cutting, struct err *err)
{
    chunker_restart(&cutting->chunker);
    return cutting->chunk.len == 0 || emit_chunk(cutting, err);
}

static bool hash_zeros(struct cutting *cutting, uint64_t length, struct err *err)
{
    static const uint8_t zeros[64 * 1024];
    while (length > 0) {
        if (!cutting_may_go_on(cutting, err)) return false;
        size_t step = length < sizeof(zeros) ? (size_t)length : sizeof(zeros);
        hasher_add(&cutting->hasher, zeros, step);
        length -= step;
    }
    return true;
}

bool cutting_hole(struct cutting *cutting, uint64_t length, struct err *err)
{
    struct chunk_slot *slot;
    if (!end_chunk(cutting, err) || !hash_zeros(cutting, length, err)) return false;
    if (!new_slot(cutting, length, &slot, err)) return false;
    slot->is_hole = true;
    slot->hashed = true;
    cutting->offset += length;
    cutting->hashed += length;
    cutting->worker->attempt->progress->hole_bytes += length;
    return true;
}

bool cutting_finish(struct cutting *cutting, struct buf *refs, struct metadata_content *content,
                    struct err *err)
{
    if (!end_chunk(cutting, err)) return false;
    while (cutting->count > 0)
        if (!settle_oldest(cutting, err)) return false;
    uint8_t flags;
    if (!refs_finish(cutting->refs, refs, &content->ref_count, &flags, err)) return false;
    content->flags |= flags;
    content->size = cutting->offset;
    content->file_hash = hash_is_zero(&cutting->whole) ? hasher_result(&cutting->hasher) : cutting->whole;
    return true;
}

bool cutting_init(struct cutting *cutting, struct worker *worker, uint64_t expected, struct err *err)
{
    if (!chunker_init(&cutting->chunker, &chunker_files, err)) return false;
    cutting->worker = worker;
    cutting->expected = expected;
    cutting->refs = refs_writer_new(attempt_put_node, worker->attempt);
    hasher_init(&cutting->hasher);
    return true;
}
