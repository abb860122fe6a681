#include "transporter/repository/repository.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/lock.h"
#include "common/base/text.h"
#include "transporter/repository/inside.h"
#include "transporter/repository/reserve.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>

/* --- names --- */

void point_name(const struct id *point, char out[static POINT_NAME_LEN])
{
    memcpy(out, "points/", 7);
    hex_encode(point->bytes, ID_LEN, out + 7);
}

void journal_name(const struct id *session, uint32_t number, char out[static JOURNAL_NAME_LEN])
{
    char digits[2 * ID_LEN + 1];
    hex_encode(session->bytes, ID_LEN, digits);
    (void)snprintf(out, JOURNAL_NAME_LEN, "open/%s/%08" PRIx32, digits, number);
}

bool journal_parse_name(const char *name, struct id *session, uint32_t *number)
{
    struct id id;
    uint8_t bytes[4];
    char again[JOURNAL_NAME_LEN];
    char digits[2 * ID_LEN + 1];
    struct err ignored;
    if (strlen(name) != JOURNAL_NAME_LEN - 1) return false;
    memcpy(digits, name + 5, 2 * ID_LEN);
    digits[2 * ID_LEN] = 0;
    if (!hex_decode(digits, id.bytes, ID_LEN, &ignored) ||
        !hex_decode(name + 6 + 2 * ID_LEN, bytes, sizeof(bytes), &ignored))
        return false;
    uint32_t value = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
    journal_name(&id, value, again);
    if (strcmp(name, again) != 0) return false;
    *session = id;
    *number = value;
    return true;
}

void bytes_name(const struct index_pack *pack, char out[static BYTES_NAME_LEN])
{
    if (pack->state == INDEX_OPEN || pack->state == INDEX_STRAY)
        journal_name(&pack->session, pack->journal, out);
    else
        pack_name(&pack->name, out);
}

/* What is seen and not durable would be built upon. */
static bool settle(const struct storage *storage, struct err *err)
{
    return !storage->ops->settle || storage->ops->settle(storage->self, err);
}

/* --- creating --- */

static bool note_object(void *arg, const char *name, uint64_t size)
{
    const char *slash = strrchr(name, '/');
    const char *base = slash ? slash + 1 : name;
    bool *occupied = arg;
    /* what a creation that did not come to its end has left */
    *occupied =
        strncmp(base, FILE_TEMP_PREFIX, strlen(FILE_TEMP_PREFIX)) != 0 && strcmp(name, RESERVE_NAME) != 0;
    return !*occupied;
}

bool repository_create_on(const struct storage *storage, const struct id *site, const struct id *repository,
                          enum repository_kind kind, struct span statement, const struct sign_pair *owner,
                          struct err *err)
{
    bool occupied = false;
    if (!settle(storage, err) || !storage->ops->list(storage->self, "", note_object, &occupied, err))
        return false;
    if (occupied) return err_set(err, ERR_EXISTS, "the directory is not empty");
    if (!reserve_make(storage, err)) return false;
    struct chain chain = {.site = *site, .repository = *repository, .kind = kind};
    Sealift__LogEntry entry = SEALIFT__LOG_ENTRY__INIT;
    entry.kind = SEALIFT__LOG_KIND__LOG_CREATED;
    entry.site = stored_bytes(span_of(site->bytes, ID_LEN));
    entry.plaintext = kind == REPOSITORY_PLAINTEXT;
    entry.statement = stored_bytes(statement);
    return chain_append(&chain, storage, owner, &entry, err);
}

static void close_storage(struct storage *storage)
{
    if (storage->ops) storage->ops->close(storage->self);
}
DEFINE_AUTO_IN_PLACE(storage, struct storage, close_storage)

bool repository_create(const char *path, const struct id *site, const struct id *repository,
                       enum repository_kind kind, struct span statement, const struct sign_pair *owner,
                       struct err *err)
{
    AUTO(storage) struct storage storage = {0};
    if (!dir_make(path, 0700, err) || !storage_directory_open(path, &storage, err)) return false;
    if (repository_create_on(&storage, site, repository, kind, statement, owner, err)) return true;
    return err_wrap(err, "cannot create a repository in '%s'", path);
}

/* --- opening --- */

static bool lock_state(struct repository *repository, struct err *err)
{
    if (!dir_make(repository->state_dir, 0700, err)) return false;
    AUTO(free) char *path = xasprintf("%s/lock", repository->state_dir);
    repository->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (repository->lock_fd < 0) return err_sys(err, errno, "cannot open '%s'", path);
    if (flock(repository->lock_fd, LOCK_EX | LOCK_NB) == 0) return true;
    if (errno != EWOULDBLOCK) return err_sys(err, errno, "cannot lock '%s'", path);
    return err_set(err, ERR_BUSY, "the repository is in use by another process ('%s' is locked)", path);
}

static void free_repository(struct repository *repository)
{
    if (!repository) return;
    index_close(repository->index);
    damage_marks_free(repository->marks);
    free(repository->mended);
    auto_close_fd(repository->lock_fd);
    (void)pthread_mutex_destroy(&repository->commit_lock);
    (void)pthread_mutex_destroy(&repository->head_lock);
    (void)pthread_mutex_destroy(&repository->sessions_lock);
    (void)pthread_mutex_destroy(&repository->care_lock);
    free(repository->state_dir);
    free(repository);
}
DEFINE_AUTO(raw_repository, struct repository *, free_repository)

/* An owner with nowhere to remember what it saw is none. */
static bool become_owner(struct repository *repository, const struct repository_options *options,
                         struct err *err)
{
    const struct storage *storage = &repository->storage;
    if (!options->owner || !options->state_dir) return true;
    if (!lock_state(repository, err) || !storage->ops->claim(storage->self, err) || !settle(storage, err))
        return false;
    struct chain first = {0};
    if (!load_identity(repository, &first, err)) return false;
    repository->owner = options->owner;
    repository->damage = REPOSITORY_REFUSE_DAMAGE;
    return true;
}

/* Of a repository that has more than its first entry: a new one has nothing to lose. */
static void tell_what_was_mended(struct repository *repository)
{
    const char *why = index_anew(repository->index);
    if (!repository->owner || repository->chain.number == 1 || (!why && !repository->forgot_head)) return;
    repository->mended =
        xasprintf("%s%s%s%s", why ? "the chunk index was built anew: " : "", why ? why : "",
                  why && repository->forgot_head ? "; " : "",
                  repository->forgot_head
                      ? "what was seen of its log is forgotten: an older state of it would not be noticed"
                      : "");
}

const char *repository_mended(const struct repository *repository)
{
    return repository->mended;
}

/* With an index that cannot be read after all, once more with an empty one. */
static bool load(struct repository *repository, enum repository_index how, struct err *err)
{
    const char *dir = repository->owner ? repository->state_dir : NULL;
    if (dir && how == REPOSITORY_INDEX_ANEW && !index_drop(dir, err)) return false;
    if (!index_open(dir, &repository->index, err)) return false;
    if (load_repository(repository, err)) return true;
    if (!dir || !index_is_spoiled(repository->index)) return false;
    index_close(repository->index);
    damage_marks_free(repository->marks);
    repository->index = NULL;
    repository->marks = NULL;
    repository->chain = (struct chain){0};
    repository->condemned = 0;
    return index_open(dir, &repository->index, err) && load_repository(repository, err);
}

bool repository_open_on(const struct storage *storage, const struct repository_options *options,
                        struct repository **out, struct err *err)
{
    AUTO(raw_repository) struct repository *repository = xcalloc(1, sizeof(*repository));
    (void)pthread_mutex_init(&repository->commit_lock, NULL);
    (void)pthread_mutex_init(&repository->head_lock, NULL);
    (void)pthread_mutex_init(&repository->sessions_lock, NULL);
    (void)pthread_mutex_init(&repository->care_lock, NULL);
    repository->lock_fd = -1;
    repository->storage = *storage;
    repository->damage = options->damage;
    repository->statement = options->statement;
    repository->operators = options->operators;
    repository->progress = options->progress;
    if (options->state_dir) repository->state_dir = xstrdup(options->state_dir);
    if (!become_owner(repository, options, err) || !load(repository, options->index, err))
        return err_wrap(err, REPOSITORY_NOT_OPENED "%s'", options->path);
    tell_what_was_mended(repository);
    if (repository->owner) reserve_renew(repository); /* those of before have none */
    repository->statement = (struct span){0};         /* borrowed for the opening alone */
    repository->progress = NULL;
    *out = repository;
    repository = NULL;
    return true;
}

bool repository_open(const struct repository_options *options, struct repository **out, struct err *err)
{
    AUTO(storage) struct storage storage = {0};
    if (!storage_directory_open(options->path, &storage, err) ||
        !repository_open_on(&storage, options, out, err))
        return false;
    storage.ops = NULL;
    return true;
}

bool repository_is_stuck(struct repository *repository)
{
    LOCK_HERE(&repository->commit_lock);
    return repository->chain.state == CHAIN_DOUBTFUL ||
           (repository->owner && index_is_spoiled(repository->index));
}

void repository_close(struct repository *repository)
{
    if (!repository) return;
    assert(!repository->sessions); /* every ingest is closed before */
    struct storage storage = repository->storage;
    free_repository(repository);
    storage.ops->close(storage.self);
}

/* --- asking --- */

void repository_show_head(struct repository *repository)
{
    (void)pthread_mutex_lock(&repository->head_lock);
    repository->head = repository->chain;
    (void)pthread_mutex_unlock(&repository->head_lock);
}

struct chain repository_head(struct repository *repository)
{
    (void)pthread_mutex_lock(&repository->head_lock);
    struct chain head = repository->head;
    (void)pthread_mutex_unlock(&repository->head_lock);
    return head;
}

void repository_info(struct repository *repository, struct repository_info *out)
{
    struct repository_info info = {
        .site = repository->ours.site, .repository = repository->ours.repository, .kind = repository->kind};
    struct chain head = repository_head(repository);
    memcpy(info.owner, head.owner, SIGN_PK_LEN);
    info.head_number = head.number;
    info.head_hash = head.hash;
    struct index_totals totals;
    index_totals(repository->index, &totals);
    info.chunks = totals.frames;
    info.pack_bytes = totals.bytes;
    struct err ignored;
    uint64_t total_bytes;
    if (!index_point_count(repository->index, &info.points, &ignored)) info.points = 0;
    const struct storage *storage = &repository->storage;
    if (!storage->ops->free_space(storage->self, &info.free_bytes, &total_bytes, &ignored))
        info.free_bytes = 0;
    *out = info;
}

bool repository_points(struct repository *repository, repository_point_fn *each, void *arg, struct err *err)
{
    struct repository_point point = {0};
    for (uint64_t number = 0; index_point_from(repository->index, number, &point, err);
         number = point.number + 1)
        if (!each(arg, &point)) return true;
    return err->code == ERR_NOT_FOUND;
}

bool repository_point_find(struct repository *repository, const struct id *point,
                           struct repository_point *out, struct err *err)
{
    struct repository_point known;
    enum index_mark mark;
    if (!index_point_find(repository->index, point, &known, &mark, err)) return false;
    if (mark != INDEX_THERE) return err_set(err, ERR_NOT_FOUND, "the point has been removed");
    *out = known;
    return true;
}

bool repository_point_read(struct repository *repository, const struct id *point, struct buf *out,
                           struct err *err)
{
    struct repository_point listed;
    enum index_mark mark;
    if (!index_point_find(repository->index, point, &listed, &mark, err)) return false;
    char name[POINT_NAME_LEN];
    point_name(point, name);
    AUTO(buf) struct buf file = {0};
    if (!repository->storage.ops->get(repository->storage.self, name, STORED_MAX_POINT, &file, err))
        return false;
    struct hash hash = hash_of(buf_span(&file));
    if (!hash_eq(&hash, &listed.hash))
        return err_set(err, ERR_DAMAGED, "'%s' is not the file that the log names", name);
    struct buf old = *out;
    *out = file;
    file = old;
    return true;
}

bool repository_point_is_removed(struct repository *repository, const struct id *point)
{
    struct repository_point listed;
    enum index_mark mark;
    struct err ignored;
    return index_point_find(repository->index, point, &listed, &mark, &ignored) && mark != INDEX_THERE;
}

bool repository_log(struct repository *repository, uint64_t from, repository_log_fn *each, void *arg,
                    struct err *err)
{
    uint64_t last = repository_head(repository).number;
    for (uint64_t number = from ? from : 1; number <= last; number++) {
        char name[CHAIN_NAME_LEN];
        AUTO(buf) struct buf file = {0};
        chain_name(number, name);
        if (!repository->storage.ops->get(repository->storage.self, name, STORED_MAX_SIGNED, &file, err))
            return false;
        if (!each(arg, number, buf_span(&file))) return true;
    }
    return true;
}
