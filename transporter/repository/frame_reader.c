#include "transporter/repository/frame_reader.h"

#include "common/base/alloc.h"
#include "common/crypto/envelope.h"

#include <stdlib.h>
#include <string.h>

enum {
    RUN_MAX = 4 * 1024 * 1024, /* bytes announced at once; a larger frame is a run of its own */
    READ_MAX = 512 * 1024,     /* bytes of one read: they are hashed and copied while the cache holds them */
    GAP_MAX = 64 * 1024,       /* unwanted bytes read along rather than skipped */
    MAX_ENVELOPES_TRIED = 64
};

struct want {
    const struct hash *id;
    struct index_location at;
    size_t number;  /* in the order asked for */
    unsigned tried; /* locations that were bad, or are passed over */
    bool only;      /* there is no other location */
};

struct reading {
    const struct frame_reader *reader;
    struct want *wants;
    size_t count;       /* wants still open */
    struct want *retry; /* those to be tried elsewhere; as many as wants */
    size_t retry_count;
    struct err **why; /* by want's number: what was wrong with the last location; NULL: nothing */
    size_t asked;
    struct buf bytes;
    struct index_pack pack; /* of the current run */
};

static uint64_t start_of(const struct want *want)
{
    return (uint64_t)want->at.offset - RECORD_HEADER_LEN;
}

static uint64_t end_of(const struct want *want)
{
    return (uint64_t)want->at.offset + want->at.len;
}

static int by_place(const void *a, const void *b)
{
    const struct want *one = a;
    const struct want *other = b;
    if (one->at.pack != other->at.pack) return one->at.pack < other->at.pack ? -1 : 1;
    return (one->at.offset > other->at.offset) - (one->at.offset < other->at.offset);
}

/* --- one read --- */

/* Reads bytes of a pack. A journal may become a pack between the question and the read. */
static bool read_bytes(struct repository *repository, struct index_pack *pack, uint64_t offset, void *out,
                       size_t len, struct err *err)
{
    const struct storage *storage = &repository->storage;
    char name[BYTES_NAME_LEN];
    bytes_name(pack, name);
    if (storage->ops->get_range(storage->self, name, offset, out, len, err)) return true;
    if (pack->state != INDEX_OPEN || err->code != ERR_NOT_FOUND) return false;
    struct err ignored;
    if (!index_pack_get(repository->index, pack->no, pack, &ignored)) return false;
    bytes_name(pack, name);
    return storage->ops->get_range(storage->self, name, offset, out, len, err);
}

static bool in_pack(const struct index_pack *pack, struct err *err)
{
    char name[BYTES_NAME_LEN];
    bytes_name(pack, name);
    return err_wrap(err, "'%s'", name);
}

bool frame_reader_record(struct repository *repository, const struct index_pack *pack, enum record_kind kind,
                         uint32_t offset, uint32_t len, struct buf *out, struct err *err)
{
    struct index_pack at = *pack;
    struct record_view record;
    AUTO(buf) struct buf bytes = {0};
    size_t total = (size_t)len + RECORD_HEADER_LEN;
    if (!read_bytes(repository, &at, offset - RECORD_HEADER_LEN, buf_grow(&bytes, total), total, err))
        return false;
    if (!record_parse(buf_span(&bytes), &record, err)) return in_pack(pack, err);
    if (record.kind != kind || record.payload.len != len) {
        (void)err_set(err, ERR_DAMAGED, "another record than the one that was there");
        return in_pack(pack, err);
    }
    buf_put_span(out, record.payload);
    return true;
}

static bool envelope_at(struct repository *repository, const struct index_pack *pack, const struct id *seal,
                        uint32_t offset, struct buf *out, struct err *err)
{
    AUTO(buf) struct buf bytes = {0};
    struct envelope_view view;
    if (!frame_reader_record(repository, pack, RECORD_ENVELOPE, offset, ENVELOPE_LEN, &bytes, err) ||
        !envelope_parse(buf_span(&bytes), &view, err))
        return false;
    if (!id_eq(&view.seal, seal)) return err_set(err, ERR_DAMAGED, "the envelope is of another seal");
    buf_put_span(out, buf_span(&bytes));
    return true;
}

/* Where an envelope of the seal lies: in the pack itself (nth 0), then elsewhere. */
static bool find_envelope(struct repository *repository, const struct index_pack *pack, const struct id *seal,
                          size_t nth, struct index_pack *in, uint32_t *offset, struct err *err)
{
    AUTO(index_view) struct index_view *view = NULL;
    struct index_location at;
    if (!index_view_open(repository->index, &view, err)) return false;
    if (nth == 0 && index_envelope(view, seal, pack->no, offset)) {
        *in = *pack;
        return true;
    }
    if (nth > 0 && index_nth_envelope(view, seal, nth - 1, &at) && index_view_pack(view, at.pack, in)) {
        *offset = at.offset;
        return true;
    }
    return err_set(err, ERR_NOT_FOUND, "the envelope of a frame's seal is in no pack");
}

bool frame_reader_envelope(struct repository *repository, const struct index_pack *pack,
                           const struct id *seal, struct buf *out, struct err *err)
{
    struct err last; /* what was wrong with the one tried last */
    (void)err_set(&last, ERR_DAMAGED, "the envelope of a frame's seal is in no pack");
    for (size_t nth = 0; nth < MAX_ENVELOPES_TRIED; nth++) {
        struct index_pack in = {0};
        uint32_t offset = 0;
        if (find_envelope(repository, pack, seal, nth, &in, &offset, err)) {
            if (envelope_at(repository, &in, seal, offset, out, &last)) return true;
            (void)err_wrap(&last, "the envelope of a frame's seal");
        } else if (err->code != ERR_NOT_FOUND) {
            return false;
        } else if (nth > 0) {
            break;
        }
    }
    *err = last;
    return false;
}

/* --- runs --- */

static bool is_swept(struct repository *repository, uint32_t no)
{
    struct index_pack pack;
    struct err err;
    if (index_pack_get(repository->index, no, &pack, &err)) return pack.state == INDEX_SWEPT;
    return err.code == ERR_NOT_FOUND;
}

static bool again_elsewhere(struct reading *reading, const struct want *want, const struct err *why)
{
    struct want *retry = &reading->retry[reading->retry_count++];
    *retry = *want;
    /* what was moved out of a pack that was swept meanwhile is looked up again, and not among places tried */
    if (is_swept(reading->reader->repository, want->at.pack)) return true;
    retry->tried++;
    struct err **last = &reading->why[want->number];
    if (!*last) *last = xmalloc(sizeof(**last));
    **last = *why;
    return true;
}

/* Looks at the record that lies in `bytes` and tells its frame. */
static bool take_frame(struct reading *reading, const struct want *want, struct span bytes, struct err *err)
{
    const struct frame_reader *reader = reading->reader;
    struct record_view record;
    struct frame_read read = {.id = want->id, .at = want->at, .pack = &reading->pack};
    struct err why;
    bool hashed = reader->check == FRAME_HASHED || !want->only;
    bool good = (hashed ? record_parse(bytes, &record, &why) : record_split(bytes, &record, &why)) &&
                frame_parse(record.payload, &read.view, &why);
    if (good) {
        read.bytes = record.payload;
        read.record = bytes;
        read.hash = record.payload_hash;
        good = record.kind == RECORD_FRAME && record.total_len == bytes.len &&
               hash_eq(&read.view.chunk, want->id);
        if (!good) (void)err_set(&why, ERR_DAMAGED, "another record than the one that was there");
    }
    if (!good) (void)in_pack(&reading->pack, &why);
    if (!good || (reader->usable && !reader->usable(reader->arg, &read, &why)))
        return again_elsewhere(reading, want, &why);
    return reader->frame(reader->arg, &read, err);
}

static bool read_run(struct reading *reading, const struct want *wants, size_t count, struct err *err)
{
    uint64_t from = start_of(&wants[0]);
    size_t len = (size_t)(end_of(&wants[count - 1]) - from);
    struct err why;
    buf_clear(&reading->bytes);
    uint8_t *bytes = buf_grow(&reading->bytes, len);
    if (!read_bytes(reading->reader->repository, &reading->pack, from, bytes, len, &why)) {
        if (count == 1) return again_elsewhere(reading, &wants[0], &why);
        /* one bad sector does not take the neighbours along */
        for (size_t i = 0; i < count; i++)
            if (!read_run(reading, &wants[i], 1, err)) return false;
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        size_t at = (size_t)(start_of(&wants[i]) - from);
        size_t total = (size_t)wants[i].at.len + RECORD_HEADER_LEN;
        if (!take_frame(reading, &wants[i], span_of(bytes + at, total), err)) return false;
    }
    return true;
}

/* How many of the wants from the first on lie together in no more than `most` bytes, or are one. */
static size_t run_length(const struct want *wants, size_t count, uint64_t most)
{
    size_t n = 1;
    while (n < count && wants[n].at.pack == wants[0].at.pack &&
           start_of(&wants[n]) >= end_of(&wants[n - 1]) &&
           start_of(&wants[n]) - end_of(&wants[n - 1]) <= GAP_MAX &&
           end_of(&wants[n]) - start_of(&wants[0]) <= most)
        n++;
    return n;
}

static void announce(struct reading *reading, const struct want *wants, size_t count)
{
    const struct storage *storage = &reading->reader->repository->storage;
    if (count == 0 || !storage->ops->will_read || wants[0].at.pack != reading->pack.no) return;
    size_t n = run_length(wants, count, RUN_MAX);
    char name[BYTES_NAME_LEN];
    bytes_name(&reading->pack, name);
    storage->ops->will_read(storage->self, name, start_of(&wants[0]),
                            end_of(&wants[n - 1]) - start_of(&wants[0]));
}

/* All wants that lie in the pack of the first one. */
static bool read_pack(struct reading *reading, const struct want *wants, size_t count, struct err *err)
{
    const struct frame_reader *reader = reading->reader;
    struct err why;
    if (!index_pack_get(reader->repository->index, wants[0].at.pack, &reading->pack, &why)) {
        for (size_t i = 0; i < count; i++)
            (void)again_elsewhere(reading, &wants[i], &why);
        return true;
    }
    for (size_t at = 0; at < count;) {
        size_t end = at + run_length(wants + at, count - at, RUN_MAX);
        announce(reading, wants + end, count - end);
        for (size_t n; at < end; at += n) {
            n = run_length(wants + at, end - at, READ_MAX);
            if (!read_run(reading, wants + at, n, err)) return false;
        }
    }
    return !reader->pack_done || reader->pack_done(reader->arg, &reading->pack, err);
}

/* --- passes --- */

/* The location that is to be tried now. Few ids have so many copies that the first ones are not all. */
static bool next_place(const struct frame_reader *reader, struct index_view *view, struct want *want,
                       bool *found, struct err *err)
{
    struct index_location places[INDEX_MAX_LOCATIONS];
    want->only = false;
    if (want->tried >= INDEX_MAX_LOCATIONS) {
        *found = index_locate_nth(view, want->id, reader->domain, reader->use, want->tried, &want->at, err);
        return *found || err->code == ERR_NOT_FOUND;
    }
    size_t count = index_locate(view, want->id, reader->domain, reader->use, places);
    *found = want->tried < count;
    if (*found) want->at = places[want->tried];
    want->only = count == 1;
    return true;
}

static int by_question(const void *a, const void *b)
{
    const struct want *one = a, *other = b;
    int order = memcmp(one->id->bytes, other->id->bytes, HASH_LEN);
    return order ? order : (one->tried > other->tried) - (one->tried < other->tried);
}

/* Finds the next location of each want; those without one are told as missing and drop out. An id with many
 * copies takes long to look up: once, however often it is asked for. */
static bool locate(struct reading *reading, bool *missing, struct err *err)
{
    const struct frame_reader *reader = reading->reader;
    struct want *wants = reading->wants;
    AUTO(index_view) struct index_view *view = NULL;
    if (!index_view_open(reader->repository->index, &view, err)) return false;
    if (reading->count) qsort(wants, reading->count, sizeof(*wants), by_question);
    for (size_t i = 0; i < reading->count; i++) {
        bool found = false;
        if (i > 0 && by_question(&wants[i], &wants[i - 1]) == 0) {
            wants[i].at = wants[i - 1].at;
            wants[i].only = wants[i - 1].only;
            missing[i] = missing[i - 1];
            continue;
        }
        if (!next_place(reader, view, &wants[i], &found, err)) return false;
        missing[i] = !found;
    }
    return true;
}

static bool tell_missing(struct reading *reading, const bool *missing, struct err *err)
{
    const struct frame_reader *reader = reading->reader;
    size_t kept = 0;
    struct err nowhere;
    (void)err_set(&nowhere, ERR_NOT_FOUND, "it is in no pack");
    for (size_t i = 0; i < reading->count; i++) {
        struct want *want = &reading->wants[i];
        const struct err *why = reading->why[want->number];
        if (missing[i] && !reader->missing(reader->arg, want->id, why ? why : &nowhere, err)) return false;
        if (!missing[i]) reading->wants[kept++] = *want;
    }
    reading->count = kept;
    return true;
}

static bool one_pass(struct reading *reading, bool *missing, struct err *err)
{
    if (!locate(reading, missing, err) || !tell_missing(reading, missing, err)) return false;
    if (reading->count) qsort(reading->wants, reading->count, sizeof(*reading->wants), by_place);
    for (size_t at = 0; at < reading->count;) {
        size_t n = 1;
        while (at + n < reading->count && reading->wants[at + n].at.pack == reading->wants[at].at.pack)
            n++;
        if (!read_pack(reading, reading->wants + at, n, err)) return false;
        at += n;
    }
    return true;
}

static void reading_deinit(struct reading *reading)
{
    free(reading->wants);
    free(reading->retry);
    for (size_t i = 0; i < reading->asked; i++)
        free(reading->why[i]);
    free(reading->why);
    buf_deinit(&reading->bytes);
}
DEFINE_AUTO_IN_PLACE(reading, struct reading, reading_deinit)

bool frame_reader_run(const struct frame_reader *reader, const struct hash *ids, size_t count,
                      struct err *err)
{
    if (count == 0) return true;
    AUTO(reading) struct reading reading = {.reader = reader, .count = count, .asked = count};
    reading.why = xcalloc(count, sizeof(struct err *));
    reading.wants = xcalloc(count, sizeof(*reading.wants));
    reading.retry = xcalloc(count, sizeof(*reading.retry));
    AUTO(free) bool *missing = xcalloc(count, sizeof(*missing));
    for (size_t i = 0; i < count; i++) {
        reading.wants[i].id = &ids[i];
        reading.wants[i].number = i;
        reading.wants[i].tried = reader->skip;
    }
    while (reading.count > 0) {
        reading.retry_count = 0;
        if (!one_pass(&reading, missing, err)) return false;
        struct want *done = reading.wants;
        reading.wants = reading.retry;
        reading.retry = done;
        reading.count = reading.retry_count;
    }
    return true;
}
