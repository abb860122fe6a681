#include "transporter/repository/fetch.h"

#include "transporter/repository/frame_reader.h"
#include "transporter/repository/id_set.h"
#include "transporter/repository/pack_scan.h"
#include "transporter/repository/rewraps.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

struct fetching {
    struct repository *repository;
    const struct fetch_sink *sink;
    enum fetch_proof proof;
    struct id_set told;  /* seals whose envelope was told */
    struct buf envelope; /* of the frame that is told next; empty: told already, or none */
    struct pack_toc toc; /* of the pack being read, with FETCH_WITH_LISTS */
    uint32_t toc_of;
    const struct pack_entry *list; /* covers the frames told last; told when they are all told */
    struct buf list_bytes;
    const struct pack_entry *next_list; /* covers the frame that is told next */
    struct buf next_list_bytes;
};

static void fetching_deinit(struct fetching *fetching)
{
    id_set_deinit(&fetching->told);
    buf_deinit(&fetching->envelope);
    buf_deinit(&fetching->list_bytes);
    buf_deinit(&fetching->next_list_bytes);
    pack_toc_deinit(&fetching->toc);
}
DEFINE_AUTO_IN_PLACE(fetching, struct fetching, fetching_deinit)

/* --- lists --- */

static bool load_toc(struct fetching *fetching, const struct index_pack *pack, struct err *err)
{
    struct repository *repository = fetching->repository;
    if (fetching->toc_of == pack->no) return true;
    char name[BYTES_NAME_LEN];
    bytes_name(pack, name);
    fetching->toc_of = 0;
    struct pack_header header;
    if (pack->state != INDEX_OPEN && pack->state != INDEX_STRAY &&
        pack_toc_read(&repository->storage, name, pack->size, &repository->ours, &header, &fetching->toc,
                      err)) {
        fetching->toc_of = pack->no;
        return true;
    }
    AUTO(pack_prefix) struct pack_prefix prefix = {0};
    if (!pack_scan_prefix(&repository->storage, name, &repository->ours, repository->kind, &prefix, err))
        return false;
    struct pack_toc old = fetching->toc;
    fetching->toc = prefix.rules.toc;
    prefix.rules.toc = old;
    fetching->toc_of = pack->no;
    return true;
}

/* The list behind the frame: the entries stand in the order of their offsets. */
static const struct pack_entry *covering_list(const struct pack_toc *toc, uint32_t offset)
{
    size_t from = 0;
    size_t to = toc->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (toc->entries[middle].offset <= offset)
            from = middle + 1;
        else
            to = middle;
    }
    while (from < toc->count && toc->entries[from].kind != RECORD_LIST)
        from++;
    return from < toc->count ? &toc->entries[from] : NULL;
}

/* Finds and verifies the list that covers the frame. */
static bool load_list(struct fetching *fetching, const struct frame_read *frame, struct err *why)
{
    if (!load_toc(fetching, frame->pack, why)) return false;
    fetching->next_list = covering_list(&fetching->toc, frame->at.offset);
    if (!fetching->next_list) return err_set(why, ERR_DAMAGED, "no signed list covers it");
    if (fetching->next_list == fetching->list) return true;
    struct seal_list_view view;
    buf_clear(&fetching->next_list_bytes);
    if (frame_reader_record(fetching->repository, frame->pack, RECORD_LIST, fetching->next_list->offset,
                            fetching->next_list->len, &fetching->next_list_bytes, why) &&
        seal_list_parse(buf_span(&fetching->next_list_bytes), &view, why))
        return true;
    return err_wrap(why, "the list that covers it");
}

static bool tell_list(struct fetching *fetching, struct err *err)
{
    if (!fetching->list) return true;
    fetching->list = NULL;
    return fetching->sink->list(fetching->sink->arg, buf_span(&fetching->list_bytes), err);
}

static bool pack_done(void *arg, const struct index_pack *pack, struct err *err)
{
    return tell_list(arg, err);
}

/* --- frames --- */

/* Has what must be told along with the frame: without it the frame is as good as missing. */
static bool usable(void *arg, const struct frame_read *frame, struct err *why)
{
    struct fetching *fetching = arg;
    buf_clear(&fetching->envelope);
    if (frame->view.cipher != CIPHER_NONE && !id_set_has(&fetching->told, frame->view.seal.bytes) &&
        !frame_reader_envelope(fetching->repository, frame->pack, &frame->view.seal, &fetching->envelope,
                               why))
        return false;
    return fetching->proof == FETCH_FRAMES || load_list(fetching, frame, why);
}

static bool tell_rewrap(void *arg, struct span object, struct err *err)
{
    const struct fetching *fetching = arg;
    return fetching->sink->rewrap(fetching->sink->arg, buf_span(&fetching->envelope), object, err);
}

static bool tell_frame(void *arg, const struct frame_read *frame, struct err *err)
{
    struct fetching *fetching = arg;
    const struct fetch_sink *sink = fetching->sink;
    if (fetching->proof == FETCH_WITH_LISTS && fetching->next_list != fetching->list) {
        if (!tell_list(fetching, err)) return false;
        struct buf old = fetching->list_bytes;
        fetching->list_bytes = fetching->next_list_bytes;
        fetching->next_list_bytes = old;
        fetching->list = fetching->next_list;
    }
    if (fetching->envelope.len) {
        (void)id_set_add(&fetching->told, frame->view.seal.bytes);
        if (sink->rewrap &&
            !repository_rewraps(fetching->repository, &frame->view.seal, tell_rewrap, fetching, err))
            return false;
        if (!sink->envelope(sink->arg, buf_span(&fetching->envelope), err)) return false;
    }
    return sink->record ? sink->record(sink->arg, frame->id, frame->record, err)
                        : sink->frame(sink->arg, frame->id, frame->bytes, err);
}

static bool tell_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    struct fetching *fetching = arg;
    return fetching->sink->missing(fetching->sink->arg, id, why, err);
}

static bool domain_number(struct repository *repository, const struct hash *domain, uint32_t *no,
                          struct err *err)
{
    *no = INDEX_ANY_DOMAIN;
    if (!domain) return true;
    if (repository->kind == REPOSITORY_ENCRYPTED) return index_domain(repository->index, domain, no, err);
    *no = 0;
    return true;
}

bool repository_fetch(struct repository *repository, const struct hash *ids, size_t count,
                      enum fetch_proof proof, const struct fetch_sink *sink, struct err *err)
{
    if (count > FETCH_MAX_IDS)
        return err_set(err, ERR_LIMIT, "%zu ids asked for at once, at most %d are answered", count,
                       FETCH_MAX_IDS);
    if (sink->skip >= FETCH_PLACES)
        return err_set(err, ERR_LIMIT, "of each id at most %d places are told", FETCH_PLACES);
    assert(proof == FETCH_FRAMES || sink->verify == FETCH_VERIFIED);
    AUTO(fetching) struct fetching fetching = {.repository = repository, .sink = sink, .proof = proof};
    pack_toc_init(&fetching.toc);
    struct frame_reader reader = {.repository = repository,
                                  .use = INDEX_FOR_READING,
                                  .skip = sink->skip,
                                  .check = sink->verify == FETCH_TO_OPEN ? FRAME_ONLY_ONE : FRAME_HASHED,
                                  .frame = tell_frame,
                                  .missing = tell_missing,
                                  .pack_done = pack_done,
                                  .usable = usable,
                                  .arg = &fetching};
    return domain_number(repository, sink->domain, &reader.domain, err) &&
           frame_reader_run(&reader, ids, count, err);
}
