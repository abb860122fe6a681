/* The packs' part of a check: records, hashes, signed lists; several threads. */
#include "common/base/alloc.h"
#include "common/base/text.h"
#include "transporter/repository/check_state.h"
#include "transporter/repository/pack_scan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PER_PACK = 16, MAX_READERS = 64 };

/* One pack being checked. */
struct packing {
    struct check *check;
    struct index_pack pack;
    enum check_depth depth;
    char name[BYTES_NAME_LEN];
    uint64_t size;
    struct pack_rules rules;
    struct pack_toc toc; /* of the trailer */
    size_t told;         /* findings of this pack */
    size_t last;         /* the last of them */
    bool group_broken;   /* the frames since the last list cannot be judged by their list */
    bool *seal_bad;      /* by envelope */
    struct buf *window;  /* the reader's, for one pack after the other */
};

static void packing_deinit(struct packing *packing)
{
    pack_rules_deinit(&packing->rules);
    pack_toc_deinit(&packing->toc);
    free(packing->seal_bad);
}
DEFINE_AUTO_IN_PLACE(packing, struct packing, packing_deinit)

/* At most so many sentences a pack; the ranges of all stay apart. */
static size_t tell(struct packing *packing, enum err_code code, const char *text)
{
    if (packing->told < MAX_PER_PACK)
        packing->last = check_add(packing->check, code, packing->name, "%s", text);
    else if (packing->told == MAX_PER_PACK)
        packing->last = check_add(packing->check, code, packing->name, "more records are damaged");
    packing->told++;
    return packing->last;
}

static void describe(const struct pack_entry *entry, size_t number, char *out, size_t size)
{
    char digits[2 * HASH_LEN + 1];
    struct id seal = pack_entry_seal(entry);
    if (entry->kind == RECORD_FRAME)
        hex_encode(entry->id.bytes, HASH_LEN, digits);
    else
        hex_encode(seal.bytes, ID_LEN, digits);
    const char *what = entry->kind == RECORD_FRAME      ? "the frame"
                       : entry->kind == RECORD_ENVELOPE ? "the envelope of seal"
                                                        : "a list of seal";
    (void)snprintf(out, size, "record %zu at offset %" PRIu32 ", %s %s", number + 1, entry->offset, what,
                   digits);
}

/* --- one record --- */

static void note_bad_seal(struct packing *packing, const struct pack_entry *entry, uint32_t envelope)
{
    struct check *check = packing->check;
    packing->seal_bad[envelope] = true;
    (void)pthread_mutex_lock(&check->lock);
    check->bad_seals = xreallocarray(check->bad_seals, check->bad_seal_count + 1, sizeof(*check->bad_seals));
    check->bad_seals[check->bad_seal_count++] = (struct bad_seal){.seal = pack_entry_seal(entry),
                                                                  .pack = packing->pack.no,
                                                                  .envelope = envelope,
                                                                  .finding = packing->last};
    (void)pthread_mutex_unlock(&check->lock);
}

static void bad_record(struct packing *packing, size_t number, uint32_t envelope, struct err *why)
{
    const struct pack_entry *entry = &packing->toc.entries[number];
    char what[160];
    describe(entry, number, what, sizeof(what));
    (void)err_wrap(why, "%s", what);
    size_t finding = tell(packing, why->code, why->text);
    if (entry->kind == RECORD_FRAME)
        check_add_range(packing->check, packing->pack.no, entry->offset, (uint64_t)entry->offset + entry->len,
                        finding);
    if (entry->kind == RECORD_ENVELOPE) note_bad_seal(packing, entry, envelope);
    if (entry->kind != RECORD_LIST) packing->group_broken = true;
    if (entry->kind == RECORD_LIST) buf_clear(&packing->rules.group);
}

static bool same_entry(const struct pack_entry *a, const struct pack_entry *b)
{
    return a->kind == b->kind && a->type == b->type && a->envelope == b->envelope && a->len == b->len &&
           a->offset == b->offset && hash_eq(&a->id, &b->id);
}

/* Keeps the rules' table in step with the trailer's when a record was left out of it. */
static void skip_in_rules(struct packing *packing, const struct pack_entry *entry)
{
    if (entry->kind == RECORD_ENVELOPE) {
        struct pack_rules *rules = &packing->rules;
        if (rules->toc.envelopes == rules->seal_cap) {
            rules->seal_cap = rules->seal_cap ? 2 * rules->seal_cap : 4;
            rules->seals = xreallocarray(rules->seals, rules->seal_cap, sizeof(*rules->seals));
        }
        rules->seals[rules->toc.envelopes] = (struct pack_seal){.seal = pack_entry_seal(entry)};
    }
    pack_toc_add(&packing->rules.toc, entry);
}

static bool judge(struct packing *packing, const struct pack_entry *entry, struct span bytes, struct err *why)
{
    struct record_view record;
    if (!record_parse(bytes, &record, why)) return false;
    if (record.total_len != bytes.len) return err_set(why, ERR_DAMAGED, "it has another length than listed");
    if (!pack_rules_add(&packing->rules, &record, why)) return false;
    const struct pack_toc *toc = &packing->rules.toc;
    if (same_entry(&toc->entries[toc->count - 1], entry)) return true;
    return err_set(why, ERR_DAMAGED, "the trailer lists something else there");
}

/* Frames under a damaged envelope, or a list over damaged frames, cannot be judged further. */
static bool is_excused(const struct packing *packing, const struct pack_entry *entry)
{
    if (entry->kind == RECORD_FRAME) return entry->envelope && packing->seal_bad[entry->envelope];
    return entry->kind == RECORD_LIST && packing->group_broken;
}

static bool names(const struct seal_list_view *list, const uint8_t *hash)
{
    for (size_t i = 0; i < list->count; i++)
        if (memcmp(list->hashes + i * HASH_LEN, hash, HASH_LEN) == 0) return true;
    return false;
}

/* A list that is sound itself tells which of the frames before it were put in the place of others. */
static void find_substitutes(struct packing *packing, size_t number, struct span bytes)
{
    struct seal_list_view list;
    struct err why;
    const struct buf *group = &packing->rules.group;
    size_t left = group->len / HASH_LEN;
    if (packing->group_broken || bytes.len < RECORD_HEADER_LEN ||
        !seal_list_parse(span_of(bytes.data + RECORD_HEADER_LEN, bytes.len - RECORD_HEADER_LEN), &list, &why))
        return;
    for (size_t i = number; i > 0 && left > 0; i--) {
        if (packing->toc.entries[i - 1].kind != RECORD_FRAME || names(&list, group->data + --left * HASH_LEN))
            continue;
        (void)err_set(&why, ERR_NOT_AUTHENTIC,
                      "its signed list does not name it: it is not what was written");
        bad_record(packing, i - 1, 0, &why);
    }
}

/* Reads at the speed that is allowed, and not on once the check is cancelled. */
static bool read_bytes(struct packing *packing, struct pack_scan *scan, size_t len, struct span *out,
                       struct err *err)
{
    pace_wait(&packing->check->pace, len);
    if (check_cancelled(packing->check)) return err_set(err, ERR_CANCELLED, "cancelled");
    return pack_scan_bytes(scan, len, out, err);
}

static bool check_record(struct packing *packing, struct pack_scan *scan, size_t number, uint32_t *envelopes,
                         struct err *err)
{
    const struct pack_entry *entry = &packing->toc.entries[number];
    size_t before = packing->rules.toc.count;
    struct span bytes;
    struct err why;
    if (entry->kind == RECORD_ENVELOPE) ++*envelopes;
    if (!read_bytes(packing, scan, (size_t)entry->len + RECORD_HEADER_LEN, &bytes, err)) return false;
    struct record_view record;
    bool excused = is_excused(packing, entry);
    if (excused) packing->group_broken = true;
    bool good = excused ? record_parse(bytes, &record, &why) : judge(packing, entry, bytes, &why);
    if (!good && entry->kind == RECORD_LIST) find_substitutes(packing, number, bytes);
    if (!good) bad_record(packing, number, *envelopes, &why);
    if (packing->rules.toc.count == before) skip_in_rules(packing, entry);
    if (entry->kind == RECORD_LIST) {
        buf_clear(&packing->rules.group);
        packing->group_broken = false;
    }
    return true;
}

/* --- one pack --- */

/* A sweep took it away while it was looked at. */
static bool is_swept(const struct packing *packing)
{
    struct index_pack pack;
    struct err err;
    if (index_pack_get(packing->check->repository->index, packing->pack.no, &pack, &err))
        return pack.state == INDEX_SWEPT;
    return err.code == ERR_NOT_FOUND;
}

/* With its table of contents: every record is judged for itself. */
static bool check_by_toc(struct packing *packing, struct pack_scan *scan, struct err *err)
{
    uint32_t envelopes = 0;
    packing->seal_bad = xcalloc((size_t)packing->toc.envelopes + 1, sizeof(bool));
    for (size_t i = 0; i < packing->toc.count; i++)
        if (!check_record(packing, scan, i, &envelopes, err)) return false;
    return true;
}

/* Without one: as far as records follow each other from the start. */
static void check_by_prefix(struct packing *packing, size_t finding)
{
    struct repository *repository = packing->check->repository;
    AUTO(pack_prefix) struct pack_prefix prefix = {0};
    struct err ignored;
    uint64_t end = PACK_HEADER_LEN;
    if (pack_scan_prefix(&repository->storage, packing->name, NULL, repository->kind, &prefix, &ignored))
        end = prefix.rules.toc.end;
    check_add_range(packing->check, packing->pack.no, end, UINT32_MAX, finding);
}

/* The rest of the bytes, for the hash of all. */
static bool read_rest(struct packing *packing, struct pack_scan *scan, struct err *err)
{
    struct span bytes;
    while (scan->pos < scan->size) {
        uint64_t left = scan->size - scan->pos;
        size_t len = left < 1024 * 1024 ? (size_t)left : 1024 * 1024;
        if (!read_bytes(packing, scan, len, &bytes, err)) return false;
    }
    return true;
}

static bool read_all(struct packing *packing, struct pack_scan *scan, struct err *err)
{
    struct span header;
    return pack_scan_bytes(scan, PACK_HEADER_LEN, &header, err) &&
           (packing->toc.count == 0 || check_by_toc(packing, scan, err)) && read_rest(packing, scan, err);
}

static void check_bytes(struct packing *packing)
{
    AUTO(pack_scan) struct pack_scan scan = {0};
    struct err why;
    pack_scan_start(&scan, &packing->check->repository->storage, packing->name, packing->size,
                    packing->window);
    if (!read_all(packing, &scan, &why)) {
        if (why.code == ERR_NOT_FOUND && is_swept(packing)) return;
        if (check_cancelled(packing->check)) return;
        size_t finding = tell(packing, why.code, why.text);
        check_add_range(packing->check, packing->pack.no, scan.pos, UINT32_MAX, finding);
        return;
    }
    struct hasher hasher = pack_scan_hasher(&scan);
    struct hash hash = hasher_result(&hasher);
    if (packing->told == 0 && !hash_eq(&hash, &packing->pack.name))
        (void)tell(packing, ERR_DAMAGED, "its bytes are not those that its name says");
}

static size_t tell_length(struct packing *packing)
{
    char text[128];
    (void)snprintf(text, sizeof(text), "the pack has %" PRIu64 " bytes instead of %" PRIu64, packing->size,
                   packing->pack.size);
    return tell(packing, packing->size < packing->pack.size ? ERR_TRUNCATED : ERR_DAMAGED, text);
}

/* What the index calls lost: its file is gone, or had nothing to read when the repository was opened. */
static size_t tell_lost(struct packing *packing, bool there)
{
    if (there && packing->size != packing->pack.size) return tell_length(packing);
    return tell(packing, ERR_NOT_FOUND,
                there
                    ? "the pack was missing, and is back: it is used again when its repository is opened anew"
                    : "the pack is missing");
}

/* Whether the pack is there, with the length that is known. */
static bool is_there(struct packing *packing)
{
    struct check *check = packing->check;
    const struct storage *storage = &check->repository->storage;
    struct err why;
    bool lost = packing->pack.state == INDEX_LOST;
    bool there = storage->ops->size(storage->self, packing->name, &packing->size, &why);
    if (lost || !there) {
        if (is_swept(packing)) return false;
        bool absent = lost || why.code == ERR_NOT_FOUND;
        size_t finding = absent ? tell_lost(packing, there) : tell(packing, why.code, why.text);
        check_add_range(check, packing->pack.no, 0, UINT32_MAX, finding);
        return false;
    }
    if (packing->size == packing->pack.size) return true;
    check_add_range(check, packing->pack.no, packing->size, UINT32_MAX, tell_length(packing));
    return true;
}

static void check_header(struct packing *packing)
{
    struct repository *repository = packing->check->repository;
    uint8_t bytes[PACK_HEADER_LEN];
    struct pack_header header;
    struct err why;
    if (!repository->storage.ops->get_range(repository->storage.self, packing->name, 0, bytes, sizeof(bytes),
                                            &why) ||
        !pack_header_parse(span_of(bytes, sizeof(bytes)), &repository->ours, &header, &why))
        if (why.code != ERR_NOT_FOUND || !is_swept(packing)) (void)tell(packing, why.code, why.text);
}

static void check_toc(struct packing *packing)
{
    struct err why;
    const struct storage *storage = &packing->check->repository->storage;
    if (pack_toc_read_tail(storage, packing->name, packing->size, &packing->toc, &why)) return;
    if (why.code == ERR_NOT_FOUND && is_swept(packing)) return;
    size_t finding = packing->told ? packing->last : tell(packing, why.code, why.text);
    if (packing->depth != DEPTH_PRESENCE) check_by_prefix(packing, finding);
}

/* Nothing new relies on what is damaged; on what turned out well it does again. */
static bool mark(struct packing *packing, struct err *err)
{
    struct repository *repository = packing->check->repository;
    struct index_pack now;
    if (!repository->owner || check_cancelled(packing->check)) return true;
    if (!index_pack_get(repository->index, packing->pack.no, &now, err)) return err->code == ERR_NOT_FOUND;
    bool good = packing->told == 0;
    if (!good && !reconcile_in_place(repository, err)) return false;
    bool read = packing->depth != DEPTH_PRESENCE;
    enum index_state before = now.state;
    if (!good && now.state != INDEX_LOST) damage_marks_add(repository->marks, &now.name);
    if (good && read) damage_marks_remove(repository->marks, &now.name);
    if (!good && before == INDEX_PACK)
        now.state = INDEX_DAMAGED;
    else if (good && before == INDEX_DAMAGED && read)
        now.state = INDEX_PACK;
    return now.state == before || index_pack_set(repository->index, &now, err);
}

static void note_checked(struct packing *packing)
{
    struct check *check = packing->check;
    (void)pthread_mutex_lock(&check->lock);
    check->result.packs++;
    check->result.frames += packing->toc.frames;
    if (packing->depth != DEPTH_PRESENCE) check->result.bytes_read += packing->size;
    if (packing->depth == DEPTH_HASH) check->result.packs_read++;
    if (check->sink->progress)
        check->sink->progress(check->sink->arg, check->result.bytes_read, check->total_bytes);
    (void)pthread_mutex_unlock(&check->lock);
}

static bool check_pack(struct check *check, const struct index_pack *pack, enum check_depth depth,
                       struct buf *window, struct err *err)
{
    AUTO(packing)
    struct packing packing = {.check = check, .pack = *pack, .depth = depth, .window = window};
    struct repository *repository = check->repository;
    bytes_name(pack, packing.name);
    pack_toc_init(&packing.toc);
    pack_rules_init(&packing.rules, repository->kind, pack->class_);
    packing.rules.admitted = check_admitted;
    packing.rules.arg = check;
    if (is_there(&packing)) {
        check_header(&packing);
        check_toc(&packing);
        if (depth != DEPTH_PRESENCE) check_bytes(&packing);
        if (!check_cancelled(check)) note_checked(&packing);
    }
    return mark(&packing, err);
}

/* --- all packs --- */

/* Under the lock. */
static void fail(struct check *check, const struct err *why)
{
    check->failed = true;
    check->failure = *why;
}

/* A pack that was swept meanwhile is none any more. */
static struct check_item *take_pack(struct check *check, struct index_pack *pack)
{
    struct err err;
    struct check_item *taken = NULL;
    (void)pthread_mutex_lock(&check->lock);
    while (!taken && !check->failed && !check_cancelled(check) && check->next_item < check->item_count) {
        struct check_item *item = &check->items[check->next_item++];
        bool there = index_pack_get(check->repository->index, item->no, pack, &err);
        if (there ? pack->state == INDEX_SWEPT : err.code == ERR_NOT_FOUND)
            item->state = ITEM_GONE;
        else if (there)
            taken = item;
        else
            fail(check, &err);
    }
    (void)pthread_mutex_unlock(&check->lock);
    return taken;
}

/* Under the lock. Readers end out of turn; what is told has no gaps. */
static void tell_passed(struct check *check)
{
    for (; check->passed_item < check->item_count; check->passed_item++) {
        const struct check_item *item = &check->items[check->passed_item];
        struct index_pack pack;
        struct err ignored;
        if (item->state == ITEM_OPEN) return;
        if (item->state == ITEM_DONE && item->depth == DEPTH_HASH && check->sink->passed &&
            index_pack_get(check->repository->index, item->no, &pack, &ignored))
            check->sink->passed(check->sink->arg, &pack.name);
    }
}

static void *read_packs(void *arg)
{
    struct check *check = arg;
    struct index_pack pack;
    AUTO(buf) struct buf window = {0};
    struct err err;
    for (struct check_item *item; (item = take_pack(check, &pack));) {
        bool ok = check_pack(check, &pack, item->depth, &window, &err);
        (void)pthread_mutex_lock(&check->lock);
        if (!ok) fail(check, &err);
        if (ok && !check_cancelled(check)) {
            item->state = ITEM_DONE;
            tell_passed(check);
        }
        (void)pthread_mutex_unlock(&check->lock);
    }
    return NULL;
}

/* About: the packs are not all of one size. */
static uint64_t bytes_to_read(const struct check *check)
{
    uint64_t packs = 0;
    for (size_t i = 0; i < check->item_count; i++)
        packs += check->items[i].depth != DEPTH_PRESENCE;
    if (packs == check->result.packs_total) return check->result.bytes_total;
    double share = (double)packs / (double)check->result.packs_total;
    return (uint64_t)((double)check->result.bytes_total * share);
}

/* The index has them too: what is not kept is lost only with the index. */
static void keep_marks(struct check *check)
{
    struct err why;
    if (!damage_marks_save(check->repository->marks, &why))
        (void)check_add(check, ERR_NONE, "packs", "cannot keep beside the index which are damaged: %s",
                        why.text);
}

bool check_packs(struct check *check, struct err *err)
{
    if (!check_choose(check, err)) return false;
    check->total_bytes = bytes_to_read(check);
    long cores = check->options->readers ? (long)check->options->readers : sysconf(_SC_NPROCESSORS_ONLN);
    size_t readers = cores < 1 ? 1 : cores > MAX_READERS ? MAX_READERS : (size_t)cores;
    pthread_t threads[MAX_READERS];
    size_t started = 0;
    while (started + 1 < readers && pthread_create(&threads[started], NULL, read_packs, check) == 0)
        started++;
    (void)read_packs(check);
    for (size_t i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL);
    keep_marks(check);
    if (check->failed) {
        *err = check->failure;
        return false;
    }
    if (check_cancelled(check)) return err_set(err, ERR_CANCELLED, "the check was cancelled");
    return check_seals(check, err);
}
