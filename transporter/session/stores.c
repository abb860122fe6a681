#include "transporter/session/stores.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/lock.h"
#include "common/base/text.h"
#include "common/wire/grant.h"
#include "transporter/session/store_place.h"

#include <assert.h>
#include <string.h>

/* Whoever tells the director of a log has it for moments, again and again: so long a new index waits for
 * that. */
enum { UNUSED_WAIT_MS = 2000, UNUSED_LOOK_MS = 20 };

/* One repository that we own. `open` NULL: `failure` says why it is not open. */
struct store {
    struct id id;
    bool expected; /* it is going to be opened for the first time */
    bool opening;  /* a thread is at it: no other one may begin */
    bool retired;  /* not ours any more, by a statement of this version */
    uint64_t retired_version;
    char *name;
    char *path;
    struct statement *statement; /* by which it was opened */
    struct repository *open;
    size_t users; /* of `open` */
    struct err failure;
    struct store *next;
};

struct stores {
    const char *state_dir;
    const struct identity *self;
    const struct policy *policy;
    struct repository_operators operators;
    stores_closed_fn *closed; /* or NULL */
    void *closed_arg;
    pthread_mutex_t lock;
    pthread_cond_t unused; /* a user less */
    struct store *first;
};

struct stores *stores_new(const char *state_dir, const struct identity *self, const struct policy *policy)
{
    struct stores *stores = xcalloc(1, sizeof(*stores));
    stores->state_dir = state_dir;
    stores->self = self;
    stores->policy = policy;
    (void)pthread_mutex_init(&stores->lock, NULL);
    (void)pthread_cond_init(&stores->unused, NULL);
    return stores;
}

void stores_watch(struct stores *stores, stores_closed_fn *closed, void *arg)
{
    stores->closed = closed;
    stores->closed_arg = arg;
}

void stores_trust(struct stores *stores, const struct repository_operators *operators)
{
    stores->operators = *operators;
}

static void store_free(struct store *store)
{
    if (!store) return;
    repository_close(store->open);
    statement_free(store->statement);
    free(store->name);
    free(store->path);
    free(store);
}
DEFINE_AUTO(store, struct store *, store_free)

void stores_free(struct stores *stores)
{
    if (!stores) return;
    while (stores->first) {
        struct store *store = stores->first;
        stores->first = store->next;
        store_free(store);
    }
    (void)pthread_cond_destroy(&stores->unused);
    (void)pthread_mutex_destroy(&stores->lock);
    free(stores);
}

static struct store *find(const struct stores *stores, const struct id *id)
{
    struct store *store = stores->first;
    while (store && !id_eq(&store->id, id))
        store = store->next;
    return store;
}

/* The directory, from the part of the statement that is sealed to us. */
static bool path_of(const struct stores *stores, const struct statement *statement, char **out,
                    struct err *err)
{
    const Sealift__RepositoryBody *body = statement->body.repository;
    AUTO(secret) struct secret *path = NULL;
    if (!sealed_copy_open(body->path, body->n_path, stores->self->known.sign_pk, stores->self->box,
                          "repository", &statement->site, &statement->id, &path, err))
        return false;
    if (memchr(path->data, 0, path->len))
        return err_set(err, ERR_PROTOCOL, "the repository's path has a NUL in it");
    AUTO(free) char *text = xcalloc(1, path->len + 1);
    memcpy(text, path->data, path->len);
    if (!store_place_check(stores->policy, text, err)) return false;
    *out = text;
    text = NULL;
    return true;
}

/* The repository that lies there must be the one that the statement means, of the same kind. */
static bool matches(struct repository *repository, const struct statement *statement, struct err *err)
{
    struct repository_info info;
    repository_info(repository, &info);
    bool plain = statement->body.repository->kind == SEALIFT__STORE_KIND__STORE_PLAINTEXT;
    char id[2 * ID_LEN + 1];
    hex_encode(info.repository.bytes, ID_LEN, id);
    if (!id_eq(&info.repository, &statement->id) || !id_eq(&info.site, &statement->site))
        return err_set(err, ERR_POLICY, "the directory holds another repository, %s", id);
    if ((info.kind == REPOSITORY_PLAINTEXT) != plain)
        return err_set(err, ERR_POLICY, "the repository there is not of the kind that the statement says");
    return true;
}

static bool open_at(const struct stores *stores, const struct statement *statement, const char *path,
                    const struct repository_options *how, struct repository **out, struct err *err)
{
    char id[2 * ID_LEN + 1];
    hex_encode(statement->id.bytes, ID_LEN, id);
    AUTO(free) char *state = xasprintf("%s/repositories/%s", stores->state_dir, id);
    /* A repository that we once had and that is gone is a disk not mounted, never a new repository. Its index
     * is made when it is first opened; one that could not be created has none. */
    AUTO(free) char *index = xasprintf("%s/index", state);
    bool known_here = access(index, F_OK) == 0;
    struct repository_options options = {.path = path,
                                         .state_dir = state,
                                         .owner = stores->self->sign,
                                         .statement = buf_span(&statement->bytes),
                                         .operators = stores->operators.known ? &stores->operators : NULL,
                                         .index = how->index,
                                         .progress = how->progress};
    AUTO(repository) struct repository *repository = NULL;
    bool existing = statement->body.repository->existing != 0;
    if (!known_here && !existing && !dir_make(path, 0700, err)) return false;
    if (!repository_open(&options, &repository, err)) {
        if (known_here && err->code == ERR_NOT_FOUND)
            return err_wrap(err, "it was here before: is its disk mounted?");
        if (err->code != ERR_NOT_FOUND || existing) return false;
        err_clear(err);
        enum repository_kind kind = statement->body.repository->kind == SEALIFT__STORE_KIND__STORE_PLAINTEXT
                                        ? REPOSITORY_PLAINTEXT
                                        : REPOSITORY_ENCRYPTED;
        if (!repository_create(path, &statement->site, &statement->id, kind, buf_span(&statement->bytes),
                               stores->self->sign, err) ||
            !repository_open(&options, &repository, err))
            return false;
    }
    if (!matches(repository, statement, err)) return false;
    *out = repository;
    repository = NULL;
    return true;
}

static bool open_store(const struct stores *stores, const struct statement *statement, struct store *store,
                       struct err *err)
{
    static const struct repository_options as_it_is = {.index = REPOSITORY_INDEX_KEPT};
    if (!path_of(stores, statement, &store->path, err)) return false;
    return open_at(stores, statement, store->path, &as_it_is, &store->open, err);
}

bool stores_owns(const struct stores *stores, const struct statement *statement)
{
    const Sealift__RepositoryBody *body = statement->body.repository;
    return !body->deleted && memcmp(body->owner.data, stores->self->known.sign_pk, SIGN_PK_LEN) == 0;
}

void stores_expect(struct stores *stores, const struct statement *statement)
{
    LOCK_HERE(&stores->lock);
    if (find(stores, &statement->id)) return;
    struct store *store = xcalloc(1, sizeof(*store));
    store->id = statement->id;
    store->name = xstrdup(statement->body.repository->name);
    store->expected = true;
    (void)err_set(&store->failure, ERR_BUSY, "the repository '%s' is still being opened", store->name);
    store->next = stores->first;
    stores->first = store;
}

bool stores_is_expected(struct stores *stores, const struct id *id)
{
    LOCK_HERE(&stores->lock);
    const struct store *store = find(stores, id);
    return store && store->expected;
}

/* Whether a statement is older than the one that took the repository from us; false with ERR_BUSY: it is
 * newer, and what it was taken with is still in use. */
static bool may_return(struct stores *stores, const struct statement *statement, bool *old, struct err *err)
{
    LOCK_HERE(&stores->lock);
    const struct store *known = find(stores, &statement->id);
    *old = known && known->retired && statement->version <= known->retired_version;
    if (*old || !known || !known->retired || !known->open) return true;
    return err_set(err, ERR_BUSY, "repository '%s' is still in use as it was", known->name);
}

void stores_retire(struct stores *stores, const struct statement *statement)
{
    LOCK_HERE(&stores->lock);
    struct store *known = find(stores, &statement->id);
    if (!known) return;
    known->retired = true;
    known->expected = false;
    known->retired_version = statement->version;
    (void)err_set(&known->failure, ERR_NOT_FOUND, "repository '%s' is not this transporter's any more",
                  known->name);
}

void stores_reap(struct stores *stores)
{
    LOCK_HERE(&stores->lock);
    for (struct store *store = stores->first; store; store = store->next) {
        if (!store->retired || !store->open) continue;
        repository_close(store->open);
        store->open = NULL;
        free(store->path);
        store->path = NULL;
    }
}

/* No other thread opens it until this one is done; *open: there is nothing to be done. */
static bool begin(struct stores *stores, const struct id *id, bool *open, struct err *err)
{
    LOCK_HERE(&stores->lock);
    struct store *known = find(stores, id);
    *open = known && known->open && !known->retired;
    if (*open) return true;
    if (known && known->opening) {
        *err = known->failure;
        return false;
    }
    if (known) known->opening = true;
    return true;
}

/* It was taken from us while it was being opened. */
static void stay_retired(struct store *store, const struct store *known)
{
    store->retired = true;
    store->retired_version = known->retired_version;
    store->failure = known->failure;
}

/* By which it would be opened anew. */
static void keep_newest(struct stores *stores, struct store *told)
{
    LOCK_HERE(&stores->lock);
    struct store *known = find(stores, &told->statement->id);
    if (!known->statement || known->statement->version > told->statement->version) return;
    struct statement *older = known->statement;
    known->statement = told->statement;
    told->statement = older;
}

bool stores_attach(struct stores *stores, const struct statement *statement, struct err *err)
{
    const Sealift__RepositoryBody *body = statement->body.repository;
    if (memcmp(body->owner.data, stores->self->known.sign_pk, SIGN_PK_LEN) != 0)
        return err_set(err, ERR_POLICY, "the repository '%s' belongs to another transporter", body->name);
    bool old = false, open = false;
    if (!may_return(stores, statement, &old, err)) return false;
    if (old) return true;
    AUTO(store) struct store *store = xcalloc(1, sizeof(*store));
    if (!statement_decode(buf_span(&statement->bytes), &store->statement, err) ||
        !begin(stores, &statement->id, &open, err))
        return false;
    if (open) {
        keep_newest(stores, store);
        return true;
    }
    store->id = statement->id;
    store->name = xstrdup(body->name);
    /* without the lock: it may take as long as the disk is large, and the other repositories are asked for */
    bool ok = open_store(stores, statement, store, err);
    if (!ok) {
        (void)err_wrap(err, "repository '%s'", body->name);
        store->failure = *err;
    }
    LOCK_HERE(&stores->lock);
    struct store *known = find(stores, &statement->id);
    if (known) {
        /* a second try: what failed before is replaced in place, nobody holds it */
        if (known->retired && statement->version <= known->retired_version) stay_retired(store, known);
        store->next = known->next;
        struct store failed = *known;
        *known = *store;
        *store = failed;
        return ok;
    }
    store->next = stores->first;
    stores->first = store;
    store = NULL;
    return ok;
}

bool stores_get(struct stores *stores, const struct id *repository, struct repository **out, struct err *err)
{
    LOCK_HERE(&stores->lock);
    struct store *store = find(stores, repository);
    if (!store) {
        char id[2 * ID_LEN + 1];
        hex_encode(repository->bytes, ID_LEN, id);
        return err_set(err, ERR_NOT_FOUND, "this transporter has no repository %s", id);
    }
    if (!store->open || store->retired || store->opening) {
        *err = store->failure;
        return false;
    }
    store->users++;
    *out = store->open;
    return true;
}

void stores_give_back(struct stores *stores, const struct id *repository)
{
    LOCK_HERE(&stores->lock);
    struct store *store = find(stores, repository);
    assert(store && store->users > 0);
    store->users--;
    (void)pthread_cond_broadcast(&stores->unused);
}

/* --- what is stuck --- */

/* Takes it out of everybody's reach; *statement is how it is opened anew. NULL: there is nothing to be done.
 */
static struct repository *take_stuck(struct stores *stores, const struct id *id, struct statement **statement)
{
    LOCK_HERE(&stores->lock);
    struct store *store = find(stores, id);
    if (!stores->closed || !store || !store->open || !store->statement || store->retired || store->opening ||
        store->users > 0 || !repository_is_stuck(store->open))
        return NULL;
    struct repository *open = store->open;
    *statement = store->statement;
    store->open = NULL;
    store->statement = NULL;
    store->opening = store->expected = true;
    (void)err_set(&store->failure, ERR_BUSY, "repository '%s' is just being opened anew", store->name);
    return open;
}

static void let_open(struct stores *stores, const struct id *id)
{
    LOCK_HERE(&stores->lock);
    find(stores, id)->opening = false;
}

void stores_mend(struct stores *stores, const struct id *id)
{
    AUTO(statement) struct statement *statement = NULL;
    struct repository *stuck = take_stuck(stores, id, &statement);
    if (!stuck) return;
    repository_close(stuck);
    let_open(stores, id);
    stores->closed(stores->closed_arg, statement);
}

/* --- indexing anew --- */

/* Until those have ended who had it before. False: *err says who has it still. */
static bool await_unused(struct stores *stores, struct store *store,
                         const struct repository_progress *progress, struct err *err)
{
    uint64_t until_ms = clock_steady_ms() + UNUSED_WAIT_MS;
    while (store->users > 0) {
        bool going_on = !progress || !progress->passed || progress->passed(progress->arg, 0, 0);
        if (!going_on) return err_set(err, ERR_CANCELLED, "cancelled");
        if (clock_steady_ms() >= until_ms)
            return err_set(
                err, ERR_BUSY,
                "repository '%s' is in use, by %zu other %s: 'sealift repository sessions %s' names who "
                "is at work there; its index can be built anew later",
                store->name, store->users, plural(store->users, "run", "runs"), store->name);
        clock_wait(&stores->unused, &stores->lock, clock_steady_ms() + UNUSED_LOOK_MS);
    }
    return !store->retired || err_set(err, ERR_NOT_FOUND, "%s", store->failure.text);
}

/* Takes the repository out of everybody's reach; *out is what was open, to be closed, or NULL. */
static bool take_out(struct stores *stores, const struct statement *statement,
                     const struct repository_progress *progress, struct repository **out, struct err *err)
{
    const char *name = statement->body.repository->name;
    LOCK_HERE(&stores->lock);
    struct store *store = find(stores, &statement->id);
    if (!store) return err_set(err, ERR_NOT_FOUND, "this transporter has no repository '%s'", name);
    if (store->retired || store->expected) {
        *err = store->failure;
        return false;
    }
    if (store->opening) return err_set(err, ERR_BUSY, "repository '%s' is just being opened", name);
    struct err before = store->failure;
    store->opening = store->expected = true; /* who comes from now on waits */
    (void)err_set(&store->failure, ERR_BUSY, "the chunk index of repository '%s' is being built anew", name);
    if (!await_unused(stores, store, progress, err)) {
        store->opening = store->expected = false;
        if (!store->retired) store->failure = before;
        return false;
    }
    *out = store->open;
    store->open = NULL;
    return true;
}

/* `open` NULL: `why` it is not. */
static void put_in(struct stores *stores, const struct id *id, struct repository *open, const struct err *why)
{
    LOCK_HERE(&stores->lock);
    struct store *store = find(stores, id);
    store->open = open;
    store->opening = store->expected = false;
    if (!open && !store->retired) store->failure = *why;
}

static bool open_anew(const struct stores *stores, const struct statement *statement,
                      const struct repository_progress *progress, struct repository **out, struct err *err)
{
    const struct repository_options how = {.index = REPOSITORY_INDEX_ANEW, .progress = progress};
    AUTO(free) char *path = NULL;
    return path_of(stores, statement, &path, err) && open_at(stores, statement, path, &how, out, err);
}

bool stores_reindex(struct stores *stores, const struct statement *statement,
                    const struct repository_progress *progress, struct err *err)
{
    struct repository *open = NULL;
    if (!take_out(stores, statement, progress, &open, err)) return false;
    repository_close(open);
    open = NULL;
    bool done = open_anew(stores, statement, progress, &open, err) ||
                err_wrap(err, "repository '%s'", statement->body.repository->name);
    put_in(stores, &statement->id, open, err);
    if (!done && stores->closed) stores->closed(stores->closed_arg, statement);
    return done;
}

void stores_each(struct stores *stores, stores_each_fn *each, void *arg)
{
    LOCK_HERE(&stores->lock);
    for (const struct store *store = stores->first; store; store = store->next)
        if (!store->expected && !store->retired)
            each(arg, &store->id, store->name, store->open, store->open ? NULL : &store->failure);
}

void stores_paths(struct stores *stores, void (*each)(void *arg, const char *path), void *arg)
{
    LOCK_HERE(&stores->lock);
    for (const struct store *store = stores->first; store; store = store->next)
        if (store->path) each(arg, store->path);
}
