#include "transporter/repository/open_pack.h"

#include "common/base/alloc.h"

#include <string.h>

/* A batch fits behind these in any pack. */
enum { FULL_RECORDS = PACK_MAX_RECORDS / 2, FULL_ENVELOPES = PACK_MAX_ENVELOPES / 2 };

struct open_pack *open_pack_new(struct repository *repository, enum pack_class class_)
{
    struct open_pack *pack = xcalloc(1, sizeof(*pack));
    pack->repository = repository;
    pack_rules_init(&pack->rules, repository->kind, class_);
    hasher_init(&pack->hasher);
    pack->domain_cap = 4;
    pack->domains = xcalloc(pack->domain_cap, sizeof(*pack->domains));
    return pack;
}

void open_pack_free(struct open_pack *pack)
{
    if (!pack) return;
    if (pack->journal)
        pack->repository->storage.ops->journal_close(pack->repository->storage.self, pack->journal);
    pack_rules_deinit(&pack->rules);
    free(pack->domains);
    free(pack);
}

bool open_pack_append(struct open_pack *pack, struct span bytes, struct err *err)
{
    const struct storage *storage = &pack->repository->storage;
    if (!storage->ops->journal_append(storage->self, pack->journal, bytes, err)) return false;
    hasher_add(&pack->hasher, bytes.data, bytes.len);
    pack->written += bytes.len;
    return true;
}

static bool create_journal(struct open_pack *pack, const struct id *session, uint32_t *number,
                           struct err *err)
{
    const struct storage *storage = &pack->repository->storage;
    for (;;) {
        char name[JOURNAL_NAME_LEN];
        pack->row.session = *session;
        pack->row.journal = (*number)++;
        journal_name(session, pack->row.journal, name);
        if (storage->ops->journal_create(storage->self, name, &pack->journal, err)) return true;
        pack->journal = NULL;
        if (err->code != ERR_EXISTS || *number == UINT32_MAX) return false;
    }
}

bool open_pack_start(struct open_pack *pack, const struct id *session, uint32_t *number, struct err *err)
{
    struct pack_header header = pack->repository->ours;
    uint8_t bytes[PACK_HEADER_LEN];
    header.class_ = pack->rules.class_;
    pack->row.state = INDEX_OPEN;
    pack->row.class_ = pack->rules.class_;
    pack_header_encode(&header, bytes);
    return create_journal(pack, session, number, err) &&
           open_pack_append(pack, span_of(bytes, sizeof(bytes)), err) &&
           index_pack_add(pack->repository->index, &pack->row, err);
}

void open_pack_domain(struct open_pack *pack, uint32_t domain)
{
    size_t number = pack->rules.toc.envelopes;
    if (number >= pack->domain_cap) {
        pack->domain_cap = 2 * number;
        pack->domains = xreallocarray(pack->domains, pack->domain_cap, sizeof(*pack->domains));
    }
    pack->domains[number] = domain;
}

bool open_pack_is_full(const struct open_pack *pack)
{
    const struct pack_toc *toc = &pack->rules.toc;
    return toc->end >= PACK_CLOSE_BYTES || toc->count >= FULL_RECORDS || toc->envelopes >= FULL_ENVELOPES;
}

bool open_pack_publish(struct open_pack *pack, struct err *err)
{
    const struct storage *storage = &pack->repository->storage;
    AUTO(buf) struct buf end = {0};
    if (!reconcile_in_place(pack->repository, err)) return false;
    pack_toc_encode(&pack->rules.toc, &end);
    if (!open_pack_append(pack, buf_span(&end), err)) return false;
    char name[PACK_NAME_LEN];
    struct index_pack row = pack->row;
    row.state = INDEX_PACK;
    row.name = hasher_result(&pack->hasher);
    row.size = pack->written;
    row.frames = pack->rules.toc.frames;
    pack_name(&row.name, name);
    pack->publishing = true;
    if (!storage->ops->journal_publish(storage->self, pack->journal, name, err) ||
        !index_pack_set(pack->repository->index, &row, err))
        return false;
    pack->row = row;
    return true;
}

void open_pack_abandon(struct open_pack *pack)
{
    struct repository *repository = pack->repository;
    const struct storage *storage = &repository->storage;
    struct err ignored; /* what cannot be saved now is tried again when the repository is opened */
    if (pack->journal && pack->row.state == INDEX_OPEN) {
        char name[JOURNAL_NAME_LEN];
        journal_name(&pack->row.session, pack->row.journal, name);
        bool cut = !pack->publishing &&
                   storage->ops->journal_truncate(storage->self, pack->journal, pack->synced, &ignored);
        storage->ops->journal_close(storage->self, pack->journal);
        pack->journal = NULL;
        if (pack->row.no) (void)!index_pack_drop(repository->index, pack->row.no, &ignored);
        if (cut) (void)!salvage_journal(repository, name, &ignored);
    }
    open_pack_free(pack);
}
