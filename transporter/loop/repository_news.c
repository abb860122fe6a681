#include "transporter/loop/repository_news.h"

#include "common/base/log.h"
#include "common/wire/stored.h"
#include "transporter/core/public_text.h"

/* --- states --- */

/* `serial`: of the question that it answers, or 0 */
static void put_state(const struct repository_news *news, uint64_t serial, const struct id *repository,
                      struct repository *store, const struct err *failure)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__RepositoryState state = SEALIFT__REPOSITORY_STATE__INIT;
    struct repository_info info = {0};
    AUTO(buf) struct buf text = {0};
    state.repository = stored_bytes(span_of(repository->bytes, ID_LEN));
    if (store) {
        repository_info(store, &info);
        state.head_number = info.head_number;
        state.head_hash = stored_bytes(span_of(info.head_hash.bytes, HASH_LEN));
        state.points = info.points;
        state.pack_bytes = info.pack_bytes;
        state.free_bytes = info.free_bytes;
    } else {
        state.code = (uint32_t)failure->code;
        public_text(failure->text, &text);
        state.text = stored_lent(buf_cstr(&text));
    }
    head.serial = serial;
    head.kind_case = SEALIFT__HEAD__KIND_REPOSITORY_STATE;
    head.repository_state = &state;
    outbox_put(news->outbox, &head, span_of(NULL, 0), OUTBOX_KEEP);
}

void repository_news_attached(const struct repository_news *news, const struct statement *repository,
                              const struct err *why)
{
    const char *name = repository->body.repository->name;
    struct repository *store = NULL;
    struct err err = {0};
    if (why) {
        log_event(LOG_WARN, "repository_not_open", "name", name, "reason", why->text, NULL);
        put_state(news, 0, &repository->id, NULL, why);
    } else if (stores_get(news->stores, &repository->id, &store, &err)) {
        log_event(LOG_INFO, "repository_open", "name", name, NULL);
        if (repository_mended(store))
            log_event(LOG_WARN, "repository_mended", "name", name, "reason", repository_mended(store), NULL);
        put_state(news, 0, &repository->id, store, NULL);
        stores_give_back(news->stores, &repository->id);
    }
}

static void tell_store(void *arg, const struct id *repository, const char *name, struct repository *store,
                       const struct err *failure)
{
    (void)name;
    put_state(arg, 0, repository, store, failure);
}

void repository_news_tell_all(const struct repository_news *news)
{
    struct repository_news copy = *news;
    stores_each(news->stores, tell_store, &copy);
}

/* --- logs --- */

struct log_answer {
    const struct repository_news *news;
    struct id repository;
    struct repository *store;
    uint64_t from;
};

/* Of the entry that is asked for: the first. */
static bool take_entry_hash(void *arg, uint64_t number, struct span entry)
{
    struct hash *hash = arg;
    (void)number;
    *hash = hash_of(entry);
    return false;
}

/* Of the log entry with this hash; *news says what else there is. */
static void put_news(const struct log_answer *answer, Sealift__PointNews *news, const struct hash *log_hash,
                     struct span file)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    news->repository = stored_bytes(span_of(answer->repository.bytes, ID_LEN));
    news->log_hash = stored_bytes(span_of(log_hash->bytes, HASH_LEN));
    head.kind_case = SEALIFT__HEAD__KIND_POINT_NEWS;
    head.point_news = news;
    outbox_put(answer->news->outbox, &head, file, OUTBOX_KEEP);
}

static void put_point(const struct log_answer *answer, const struct repository_point *point,
                      const struct hash *log_hash, struct span file)
{
    Sealift__PointNews news = SEALIFT__POINT_NEWS__INIT;
    news.number = point->number;
    news.time_ns = point->time_ns;
    news.held = point->hold == REPOSITORY_HELD;
    put_news(answer, &news, log_hash, file);
}

static void tell_one(const struct log_answer *answer, const struct repository_point *point)
{
    struct err err = {0};
    struct hash log_hash = {{0}};
    AUTO(buf) struct buf file = {0};
    if (repository_point_read(answer->store, &point->point, &file, &err) &&
        repository_log(answer->store, point->number, take_entry_hash, &log_hash, &err))
        put_point(answer, point, &log_hash, buf_span(&file));
    else
        log_event(LOG_WARN, "point_not_readable", "reason", err.text, NULL);
}

static bool tell_point(void *arg, const struct repository_point *point)
{
    const struct log_answer *answer = arg;
    if (point->number >= answer->from) tell_one(answer, point);
    return true;
}

static void put_removed(const struct log_answer *answer, const Sealift__LogEntry *entry, uint32_t removed,
                        const struct hash *log_hash)
{
    Sealift__PointNews news = SEALIFT__POINT_NEWS__INIT;
    news.number = entry->number;
    news.time_ns = entry->time_ns;
    news.removed = removed;
    if (removed == NEWS_REMOVED) news.point = entry->object;
    put_news(answer, &news, log_hash, span_of(NULL, 0));
}

static bool is_about_a_point(Sealift__LogKind kind)
{
    return kind == SEALIFT__LOG_KIND__LOG_REMOVED || kind == SEALIFT__LOG_KIND__LOG_UNDELETED ||
           kind == SEALIFT__LOG_KIND__LOG_HELD || kind == SEALIFT__LOG_KIND__LOG_RELEASED;
}

/* Points that were removed, came back, or are held: told as they are now. */
static bool tell_change(void *arg, uint64_t number, struct span file)
{
    const struct log_answer *answer = arg;
    struct err err = {0};
    struct span payload;
    uint8_t signer[SIGN_PK_LEN];
    struct repository_point point;
    AUTO(stored_log) Sealift__LogEntry *entry = NULL;
    (void)number;
    if (!stored_verify(file, "log", &payload, signer, &err) || !stored_log_decode(payload, &entry, &err))
        return true; /* opening the repository has verified it */
    struct id id = stored_id(&entry->object);
    struct hash log_hash = hash_of(file);
    if (entry->kind == SEALIFT__LOG_KIND__LOG_SWEPT) put_removed(answer, entry, NEWS_SWEPT, &log_hash);
    if (!is_about_a_point(entry->kind)) return true;
    if (!repository_point_find(answer->store, &id, &point, &err))
        put_removed(answer, entry, NEWS_REMOVED, &log_hash);
    else if (point.number < answer->from) /* the others have been told */
        tell_one(answer, &point);
    return true;
}

void repository_news_answer(const struct repository_news *news, uint64_t serial, const Sealift__LogAsk *ask)
{
    struct log_answer answer = {.news = news, .from = ask->from};
    struct err err = {0};
    if (ask->repository.len != ID_LEN) return;
    answer.repository = stored_id(&ask->repository);
    if (!stores_get(news->stores, &answer.repository, &answer.store, &err)) {
        /* still being opened: its state is told then */
        if (err.code != ERR_NOT_FOUND && err.code != ERR_BUSY)
            put_state(news, serial, &answer.repository, NULL, &err);
        return;
    }
    bool ok = repository_points(answer.store, tell_point, &answer, &err) &&
              repository_log(answer.store, ask->from, tell_change, &answer, &err);
    put_state(news, serial, &answer.repository, ok ? answer.store : NULL, &err);
    stores_give_back(news->stores, &answer.repository);
}
