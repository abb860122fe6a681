/* What dead sessions left in their journals, published as far as signed lists cover it. */
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "transporter/repository/inside.h"
#include "transporter/repository/pack_scan.h"

#include <string.h>

/* Names gathered from a listing, to be worked on after it. */
struct names {
    char **items;
    size_t count, cap;
};

static void names_deinit(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
}
DEFINE_AUTO_IN_PLACE(names, struct names, names_deinit)

static void names_add(struct names *names, const char *name)
{
    if (names->count == names->cap) {
        names->cap = names->cap ? 2 * names->cap : 16;
        names->items = xreallocarray(names->items, names->cap, sizeof(*names->items));
    }
    names->items[names->count++] = xstrdup(name);
}

static bool note_journal(void *arg, const char *name, uint64_t size)
{
    struct id session;
    uint32_t number;
    if (journal_parse_name(name, &session, &number)) names_add(arg, name);
    return true;
}

static bool note_unfinished(void *arg, const char *name, uint64_t size)
{
    const char *slash = strrchr(name, '/');
    if (slash && strncmp(slash + 1, FILE_TEMP_PREFIX, strlen(FILE_TEMP_PREFIX)) == 0) names_add(arg, name);
    return true;
}

static void close_journal(struct repository *repository, struct journal *journal)
{
    if (journal) repository->storage.ops->journal_close(repository->storage.self, journal);
}

/* Says which pack the journal's prefix, of one record at least, is; into `end` what makes it one. */
static void name_it(struct pack_prefix *prefix, struct index_pack *pack, struct buf *end)
{
    pack_toc_encode(&prefix->rules.toc, end);
    hasher_add(&prefix->hasher, end->data, end->len);
    pack->name = hasher_result(&prefix->hasher);
    pack->class_ = prefix->rules.class_;
    pack->size = prefix->rules.toc.end;
}

static bool publish(struct repository *repository, struct journal *journal, struct index_pack *pack,
                    struct span end, struct err *err)
{
    const struct storage *storage = &repository->storage;
    char name[PACK_NAME_LEN];
    pack_name(&pack->name, name);
    if (!reconcile_in_place(repository, err) ||
        !storage->ops->journal_truncate(storage->self, journal, pack->size, err) ||
        !storage->ops->journal_append(storage->self, journal, end, err) ||
        !storage->ops->journal_publish(storage->self, journal, name, err))
        return false;
    pack->state = INDEX_PACK;
    pack->size += end.len;
    return true;
}

/* Whether it is a pack of the index, which is to stay what holds its frames and lists: the journal can be a
 * second name of it that nobody came to take away, and that cannot be opened now. */
static bool is_indexed(struct repository *repository, const struct index_pack *pack)
{
    struct index_pack known;
    struct err ignored;
    return index_pack_find(repository->index, &pack->name, &known, &ignored) && known.state != INDEX_LOST;
}

bool salvage_journal(struct repository *repository, const char *name, struct err *err)
{
    const struct storage *storage = &repository->storage;
    struct err why;
    AUTO(pack_prefix) struct pack_prefix prefix = {0};
    struct index_pack pack = {.state = INDEX_STRAY};
    (void)journal_parse_name(name, &pack.session, &pack.journal);
    struct journal *journal = NULL;
    if (repository->owner && !storage->ops->journal_open(storage->self, name, &journal, &why)) {
        journal = NULL;               /* it can still be read, perhaps */
        if (why.code == ERR_EXISTS) { /* published already: only the name is left */
            (void)!storage->ops->remove(storage->self, name, &why);
            return true;
        }
    }
    bool done = true;
    if (pack_scan_prefix(storage, name, &repository->ours, repository->kind, &prefix, &why)) {
        AUTO(buf) struct buf end = {0};
        bool empty = prefix.rules.toc.count == 0;
        if (empty && journal)
            (void)!storage->ops->remove(storage->self, name, &why);
        else if (!empty) {
            name_it(&prefix, &pack, &end);
            if (journal) (void)!publish(repository, journal, &pack, buf_span(&end), &why);
            done = is_indexed(repository, &pack) ||
                   reconcile_add(repository, &pack, &prefix.rules.toc, prefix.rules.seals, err);
        }
    }
    close_journal(repository, journal);
    return done;
}

static void remove_unfinished(struct repository *repository)
{
    static const char *const directories[] = {"log", "points", "unlock", "rewrap"};
    const struct storage *storage = &repository->storage;
    struct err ignored; /* they are tried again next time */
    AUTO(names) struct names names = {0};
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
        (void)!storage->ops->list(storage->self, directories[i], note_unfinished, &names, &ignored);
    for (size_t i = 0; i < names.count; i++)
        (void)!storage->ops->remove(storage->self, names.items[i], &ignored);
}

bool salvage_journals(struct repository *repository, struct err *err)
{
    const struct storage *storage = &repository->storage;
    AUTO(names) struct names names = {0};
    if (!storage->ops->list(storage->self, "open", note_journal, &names, err)) return false;
    for (size_t i = 0; i < names.count; i++)
        if (!salvage_journal(repository, names.items[i], err)) return false;
    if (repository->owner) remove_unfinished(repository);
    return true;
}
