#include "transporter/repository/rewrite.h"

#include "common/base/alloc.h"
#include "common/base/secret.h"
#include "transporter/repository/frame_reader.h"
#include "transporter/repository/open_pack.h"
#include "transporter/repository/pack_scan.h"

#include <string.h>

struct rewrite {
    struct repository *repository;
    const struct live_set *live;
    struct id session; /* names the journals */
    uint32_t next_journal;
    struct open_pack *packs[PACK_META + 1]; /* by class */
    uint64_t bytes;
};

struct rewrite *rewrite_new(struct repository *repository, const struct live_set *live)
{
    struct rewrite *rewrite = xcalloc(1, sizeof(*rewrite));
    rewrite->repository = repository;
    rewrite->live = live;
    random_bytes(rewrite->session.bytes, ID_LEN);
    return rewrite;
}

static void drop_pack(struct open_pack *pack)
{
    struct repository *repository = pack->repository;
    const struct storage *storage = &repository->storage;
    struct err ignored; /* what stays is salvaged at the next start: a copy too many */
    if (pack->journal && !pack->publishing) {
        char name[JOURNAL_NAME_LEN];
        journal_name(&pack->row.session, pack->row.journal, name);
        (void)!storage->ops->remove(storage->self, name, &ignored);
    }
    if (pack->row.no) (void)!index_pack_drop(repository->index, pack->row.no, &ignored);
    open_pack_free(pack);
}

void rewrite_free(struct rewrite *rewrite)
{
    if (!rewrite) return;
    for (int class_ = PACK_DATA; class_ <= PACK_META; class_++)
        if (rewrite->packs[class_]) drop_pack(rewrite->packs[class_]);
    free(rewrite);
}

/* --- the packs being written --- */

static bool publish(struct rewrite *rewrite, enum pack_class class_, struct err *err)
{
    struct repository *repository = rewrite->repository;
    const struct storage *storage = &repository->storage;
    struct open_pack *pack = rewrite->packs[class_];
    if (!pack) return true;
    if (pack->rules.toc.count == 0) {
        rewrite->packs[class_] = NULL;
        drop_pack(pack);
        return true;
    }
    if (!storage->ops->journal_sync(storage->self, pack->journal, err)) return false;
    /* no commit may come to rely on the journal between: it belongs to no session that could publish it */
    (void)pthread_mutex_lock(&repository->commit_lock);
    bool done = index_add(repository->index, pack->row.no, pack->rules.toc.entries, pack->rules.toc.count,
                          pack->domains, 0, err) &&
                open_pack_publish(pack, err);
    (void)pthread_mutex_unlock(&repository->commit_lock);
    if (!done) return false;
    rewrite->bytes += pack->written;
    rewrite->packs[class_] = NULL;
    open_pack_free(pack);
    return true;
}

static bool room_for(struct rewrite *rewrite, enum pack_class class_, struct err *err)
{
    struct open_pack *pack = rewrite->packs[class_];
    if (pack && open_pack_is_full(pack) && !publish(rewrite, class_, err)) return false;
    if (!rewrite->packs[class_]) rewrite->packs[class_] = open_pack_new(rewrite->repository, class_);
    pack = rewrite->packs[class_];
    return pack->journal || open_pack_start(pack, &rewrite->session, &rewrite->next_journal, err);
}

/* --- one pack --- */

/* The pack being copied: the envelopes met so far, and the live frames since the last list. */
struct copying {
    struct rewrite *rewrite;
    const struct index_pack *from;
    struct buf envelopes; /* ENVELOPE_LEN bytes each */
    struct buf frames;    /* records */
    struct buf places;    /* of these frames, a uint32_t each: for who wants to tell them */
    struct id seal;       /* of the frames since the last list */
};

static void copying_deinit(struct copying *copying)
{
    buf_deinit(&copying->envelopes);
    buf_deinit(&copying->frames);
    buf_deinit(&copying->places);
}
DEFINE_AUTO_IN_PLACE(copying, struct copying, copying_deinit)

/* The seal's envelope as met in the pack; empty: none. */
static struct span envelope_of(const struct copying *copying, const struct id *seal)
{
    for (size_t at = 0; at < copying->envelopes.len; at += ENVELOPE_LEN)
        if (memcmp(copying->envelopes.data + at + ENVELOPE_AT_SEAL, seal->bytes, ID_LEN) == 0)
            return span_of(copying->envelopes.data + at, ENVELOPE_LEN);
    return span_of(NULL, 0);
}

/* Takes one record into the new pack's rules and bytes. */
static bool put_record(struct open_pack *pack, struct buf *out, enum record_kind kind, struct span payload,
                       struct err *err)
{
    struct record_view record;
    size_t from = out->len;
    record_append(out, kind, payload);
    return record_parse(span_of(out->data + from, out->len - from), &record, err) &&
           pack_rules_add(&pack->rules, &record, err);
}

static bool put_envelope(struct copying *copying, struct open_pack *pack, struct buf *out, struct err *err)
{
    struct envelope_view view;
    uint32_t domain = 0;
    if (id_is_zero(&copying->seal) || pack_rules_envelope(&pack->rules, &copying->seal)) return true;
    if (!envelope_parse(envelope_of(copying, &copying->seal), &view, err) ||
        !index_domain(copying->rewrite->repository->index, &view.domain, &domain, err) ||
        !put_record(pack, out, RECORD_ENVELOPE, span_of(view.bytes, ENVELOPE_LEN), err))
        return false;
    open_pack_domain(pack, domain);
    return true;
}

/* The group's records by the rules of the new pack: what does not keep them is never written. */
static bool gather_group(struct copying *copying, struct open_pack *pack, struct span list, struct buf *out,
                         struct err *err)
{
    if (!put_envelope(copying, pack, out, err)) return false;
    for (size_t at = 0; at < copying->frames.len;) {
        struct record_view record;
        if (!record_parse(span_of(copying->frames.data + at, copying->frames.len - at), &record, err) ||
            !pack_rules_add(&pack->rules, &record, err))
            return false;
        buf_put(out, copying->frames.data + at, record.total_len);
        at += record.total_len;
    }
    return put_record(pack, out, RECORD_LIST, list, err);
}

static bool end_group(struct copying *copying, struct span list, struct err *err)
{
    struct rewrite *rewrite = copying->rewrite;
    enum pack_class class_ = copying->from->class_;
    if (copying->frames.len == 0) return true;
    if (!room_for(rewrite, class_, err)) return false;
    struct open_pack *pack = rewrite->packs[class_];
    size_t before = pack->rules.toc.count;
    AUTO(buf) struct buf out = {0};
    if (!gather_group(copying, pack, list, &out, err)) {
        pack_rules_cut(&pack->rules, before);
        return false;
    }
    buf_clear(&copying->frames);
    return open_pack_append(pack, buf_span(&out), err);
}

/* --- frames that are elsewhere already --- */

/* The same bytes under the same envelope: whoever finds that one needs this one no more. */
static bool is_copy(struct copying *copying, const struct index_location *place, const struct hash *hash)
{
    struct index_pack pack;
    struct err ignored;
    AUTO(buf) struct buf bytes = {0};
    AUTO(buf) struct buf envelope = {0};
    struct repository *repository = copying->rewrite->repository;
    if (place->state != INDEX_PACK || !index_pack_get(repository->index, place->pack, &pack, &ignored) ||
        !frame_reader_record(repository, &pack, RECORD_FRAME, place->offset, place->len, &bytes, &ignored))
        return false;
    struct hash there = hash_of(buf_span(&bytes));
    if (!hash_eq(&there, hash)) return false;
    return id_is_zero(&copying->seal) ||
           (frame_reader_envelope(repository, &pack, &copying->seal, &envelope, &ignored) &&
            span_eq(buf_span(&envelope), envelope_of(copying, &copying->seal)));
}

/* An earlier rewrite that did not come to its log entry has left such. Whoever writes in a domain may store
 * an id as often as it likes: where there are more copies than are looked at, nothing is compared. One copy
 * more does no harm; each with all others would take for ever. */
static bool lies_elsewhere(struct copying *copying, const struct frame_view *frame,
                           const struct record_view *record, bool *out, struct err *err)
{
    AUTO(buf) struct buf places = {0};
    AUTO(index_view) struct index_view *view = NULL;
    struct index_part part = {0};
    if (!index_view_open(copying->rewrite->repository->index, &view, err) ||
        !index_locate_part(view, &frame->chunk, INDEX_ANY_DOMAIN, INDEX_FOR_KEEPING, &part, &places, err))
        return false;
    index_view_close(view);
    view = NULL;
    *out = false;
    for (size_t at = 0; part.ended && at < places.len && !*out; at += sizeof(struct index_location)) {
        struct index_location place;
        memcpy(&place, places.data + at, sizeof(place));
        *out = place.len == record->payload.len && is_copy(copying, &place, &record->payload_hash);
    }
    return true;
}

static bool take_frame(struct copying *copying, const struct record_view *record, struct err *err)
{
    struct frame_view frame;
    bool elsewhere = false;
    if (!frame_parse(record->payload, &frame, err)) return false;
    copying->seal = frame.seal;
    if (!live_set_has(copying->rewrite->live, frame.chunk.bytes)) return true;
    if (!lies_elsewhere(copying, &frame, record, &elsewhere, err)) return false;
    if (!elsewhere) record_append(&copying->frames, RECORD_FRAME, record->payload);
    return true;
}

static bool take_record(struct copying *copying, const struct record_view *record, struct err *err)
{
    switch (record->kind) {
    case RECORD_ENVELOPE:
        if (record->payload.len != ENVELOPE_LEN)
            return err_set(err, ERR_DAMAGED, "an envelope of another length");
        buf_put_span(&copying->envelopes, record->payload);
        return true;
    case RECORD_FRAME:
        return take_frame(copying, record, err);
    case RECORD_LIST:
        return end_group(copying, record->payload, err);
    default:
        return err_set(err, ERR_DAMAGED, "a trailer in the middle of a pack");
    }
}

/* Whatever keeps a pack from being read, it is the pack's fault and not the rewrite's. */
static bool bad_source(const char *name, struct err *err)
{
    if (err->code == ERR_SYSTEM || err->code == ERR_NOT_FOUND) err->code = ERR_DAMAGED;
    return err_wrap(err, "'%s'", name);
}

bool rewrite_pack(struct rewrite *rewrite, const struct index_pack *pack, struct err *err)
{
    struct repository *repository = rewrite->repository;
    char name[BYTES_NAME_LEN];
    struct pack_header header;
    AUTO(pack_toc) struct pack_toc toc;
    pack_toc_init(&toc);
    bytes_name(pack, name);
    AUTO(pack_scan) struct pack_scan scan = {0};
    if (!pack_toc_read(&repository->storage, name, pack->size, &repository->ours, &header, &toc, err) ||
        !pack_scan_open(&scan, &repository->storage, name, toc.end, &repository->ours, &header, err))
        return bad_source(name, err);
    AUTO(copying) struct copying copying = {.rewrite = rewrite, .from = pack};
    while (scan.pos < toc.end) {
        struct record_view record;
        if (!pack_scan_next(&scan, &record, err)) return bad_source(name, err);
        if (!take_record(&copying, &record, err)) return false;
    }
    return true;
}

/* --- a damaged pack --- */

static bool list_names(const struct seal_list_view *list, const struct hash *hash)
{
    for (size_t i = 0; i < list->count; i++)
        if (memcmp(list->hashes + i * HASH_LEN, hash->bytes, HASH_LEN) == 0) return true;
    return false;
}

/* Of the frames since the last list only those that this one names. */
static void keep_named(struct copying *copying, const struct seal_list_view *list, struct healed *healed)
{
    size_t kept = 0, total = 0;
    struct err ignored;
    if (copying->rewrite->repository->kind == REPOSITORY_ENCRYPTED) copying->seal = list->seal;
    for (size_t at = 0, i = 0; at < copying->frames.len; at += total, i++) {
        struct record_view record;
        uint32_t place;
        uint8_t *bytes = copying->frames.data + at;
        if (!record_parse(span_of(bytes, copying->frames.len - at), &record, &ignored)) break;
        total = record.total_len;
        memcpy(&place, copying->places.data + i * sizeof(place), sizeof(place));
        if (!list_names(list, &record.payload_hash)) {
            healed_refute(healed, copying->from->no, place);
            continue;
        }
        memmove(copying->frames.data + kept, bytes, total);
        kept += total;
    }
    copying->frames.len = kept;
}

/* A group that does not keep the rules of packs stays where it is. */
static bool end_good_group(struct copying *copying, struct span bytes, struct healed *healed, struct err *err)
{
    struct seal_list_view list;
    struct err why;
    bool done = true;
    if (seal_list_parse(bytes, &list, &why)) {
        keep_named(copying, &list, healed);
        done = end_group(copying, bytes, err);
    }
    buf_clear(&copying->frames);
    buf_clear(&copying->places);
    return done || err->code == ERR_DAMAGED || err->code == ERR_NOT_AUTHENTIC || err->code == ERR_TRUNCATED ||
           err->code == ERR_VERSION || err->code == ERR_POLICY;
}

static bool take_good_frame(struct copying *copying, uint32_t offset, struct span payload, struct err *err)
{
    struct frame_view frame;
    struct err ignored;
    struct record_view record = {.kind = RECORD_FRAME, .payload = payload, .payload_hash = hash_of(payload)};
    size_t before = copying->frames.len;
    if (!frame_parse(payload, &frame, &ignored)) return true;
    if (!take_frame(copying, &record, err)) return false;
    if (copying->frames.len > before) buf_put(&copying->places, &offset, sizeof(offset));
    return true;
}

static bool take_entry(struct copying *copying, const struct pack_entry *entry, struct healed *healed,
                       struct err *err)
{
    struct repository *repository = copying->rewrite->repository;
    struct id seal = pack_entry_seal(entry);
    struct err ignored;
    AUTO(buf) struct buf bytes = {0};
    if (entry->kind == RECORD_ENVELOPE) { /* another pack's will do */
        (void)!frame_reader_envelope(repository, copying->from, &seal, &copying->envelopes, &ignored);
        return true;
    }
    bool good = frame_reader_record(repository, copying->from, entry->kind, entry->offset, entry->len, &bytes,
                                    &ignored);
    if (entry->kind == RECORD_LIST) return end_good_group(copying, buf_span(&bytes), healed, err);
    return !good || take_good_frame(copying, entry->offset, buf_span(&bytes), err);
}

/* The trailer tells where the next record begins behind a bad one; without it, as far as they follow each
 * other. */
static void find_entries(struct repository *repository, const char *name, struct pack_toc *toc)
{
    const struct storage *storage = &repository->storage;
    struct err ignored;
    uint64_t size = 0;
    AUTO(pack_prefix) struct pack_prefix prefix = {0};
    if (!storage->ops->size(storage->self, name, &size, &ignored) ||
        pack_toc_read_tail(storage, name, size, toc, &ignored) ||
        !pack_scan_prefix(storage, name, NULL, repository->kind, &prefix, &ignored))
        return;
    *toc = prefix.rules.toc;
    pack_toc_init(&prefix.rules.toc);
}

bool rewrite_good_of(struct rewrite *rewrite, const struct index_pack *pack, struct healed *healed,
                     struct err *err)
{
    char name[BYTES_NAME_LEN];
    AUTO(pack_toc) struct pack_toc toc;
    pack_toc_init(&toc);
    bytes_name(pack, name);
    find_entries(rewrite->repository, name, &toc);
    AUTO(copying) struct copying copying = {.rewrite = rewrite, .from = pack};
    for (size_t i = 0; i < toc.count; i++)
        if (!take_entry(&copying, &toc.entries[i], healed, err)) return false;
    return true;
}

bool rewrite_confirms_dead(const struct rewrite *rewrite, const struct index_pack *pack, struct err *err)
{
    struct repository *repository = rewrite->repository;
    char name[BYTES_NAME_LEN];
    struct err ignored;
    AUTO(pack_toc) struct pack_toc toc;
    pack_toc_init(&toc);
    bytes_name(pack, name);
    if (!pack_toc_read_tail(&repository->storage, name, pack->size, &toc, &ignored)) return true;
    for (size_t i = 0; i < toc.count; i++) {
        if (toc.entries[i].kind != RECORD_FRAME || !live_set_has(rewrite->live, toc.entries[i].id.bytes))
            continue;
        index_spoil(repository->index);
        return err_set(
            err, ERR_DAMAGED,
            "the chunk index does not know all of '%s': nothing is swept, the index is built anew when the "
            "repository is opened again",
            name);
    }
    return true;
}

bool rewrite_finish(struct rewrite *rewrite, struct err *err)
{
    return publish(rewrite, PACK_DATA, err) && publish(rewrite, PACK_META, err);
}

uint64_t rewrite_bytes(const struct rewrite *rewrite)
{
    return rewrite->bytes;
}
