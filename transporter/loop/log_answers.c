#include "transporter/loop/log_answers.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/log_gate.h"
#include "common/wire/stored.h"

enum { PIECE_BYTES = 1 << 20 }; /* that wait in the outbox, and one entry's news more */

struct log_answer {
    struct log_answer *next;
    const struct repository_news *news;
    struct log_gate *gate;
    struct id repository;
    uint64_t serial;
    uint64_t from; /* what the director asked for */
    uint64_t at;   /* the next entry to be told */
    struct repository *store;
};

struct log_answers {
    struct repository_news news;
    struct log_gate gate; /* the director asks as often as it likes */
    struct log_answer *first;
};

struct log_answers *log_answers_new(const struct repository_news *news)
{
    struct log_answers *answers = xcalloc(1, sizeof(*answers));
    answers->news = *news;
    return answers;
}

void log_answers_forget(struct log_answers *answers)
{
    while (answers->first) {
        struct log_answer *answer = answers->first;
        answers->first = answer->next;
        free(answer);
    }
}

void log_answers_free(struct log_answers *answers)
{
    if (!answers) return;
    log_answers_forget(answers);
    free(answers);
}

/* --- one entry --- */

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

static void log_unreadable(const struct log_answer *answer, const struct err *why)
{
    static const char event[] = "point_not_readable";
    if (log_gate_pass(answer->gate, event, clock_steady_ms()))
        log_event(LOG_WARN, event, "reason", why->text, NULL);
}

static void put_point(const struct log_answer *answer, const struct repository_point *point,
                      const struct hash *log_hash)
{
    struct err err = {0};
    AUTO(buf) struct buf file = {0};
    Sealift__PointNews news = SEALIFT__POINT_NEWS__INIT;
    if (!repository_point_read(answer->store, &point->point, &file, &err)) {
        log_unreadable(answer, &err);
        return;
    }
    news.number = point->number;
    news.time_ns = point->time_ns;
    news.held = point->hold == REPOSITORY_HELD;
    put_news(answer, &news, log_hash, buf_span(&file));
}

/* Of the entry that is asked for: the first. */
static bool take_entry_hash(void *arg, uint64_t number, struct span entry)
{
    struct hash *hash = arg;
    (void)number;
    *hash = hash_of(entry);
    return false;
}

/* A point whose own entry is not told: it was before. */
static void put_older(const struct log_answer *answer, const struct repository_point *point)
{
    struct err err = {0};
    struct hash log_hash = {{0}};
    if (repository_log(answer->store, point->number, take_entry_hash, &log_hash, &err))
        put_point(answer, point, &log_hash);
    else
        log_unreadable(answer, &err);
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
    return kind == SEALIFT__LOG_KIND__LOG_POINT || kind == SEALIFT__LOG_KIND__LOG_REMOVED ||
           kind == SEALIFT__LOG_KIND__LOG_UNDELETED || kind == SEALIFT__LOG_KIND__LOG_HELD ||
           kind == SEALIFT__LOG_KIND__LOG_RELEASED;
}

/* Points as they are now, whatever the entry said then: those that are there by their own entry, or, where
 * that is not asked for, by one that changed them. */
static void tell_point(const struct log_answer *answer, const Sealift__LogEntry *entry,
                       const struct hash *log_hash)
{
    struct err err = {0};
    struct repository_point point;
    struct id id = stored_id(&entry->object);
    bool own = entry->kind == SEALIFT__LOG_KIND__LOG_POINT;
    bool there = repository_point_find(answer->store, &id, &point, &err);
    if (!there && !own)
        put_removed(answer, entry, NEWS_REMOVED, log_hash);
    else if (there && own && point.number == entry->number)
        put_point(answer, &point, log_hash);
    else if (there && !own && point.number < answer->from)
        put_older(answer, &point);
}

/* false: no room for more */
static bool tell_entry(void *arg, uint64_t number, struct span file)
{
    struct log_answer *answer = arg;
    struct err err = {0};
    struct span payload;
    uint8_t signer[SIGN_PK_LEN];
    AUTO(stored_log) Sealift__LogEntry *entry = NULL;
    if (outbox_bytes(answer->news->outbox) >= PIECE_BYTES) return false;
    answer->at = number + 1;
    if (!stored_verify(file, "log", &payload, signer, &err) || !stored_log_decode(payload, &entry, &err))
        return true; /* opening the repository has verified it */
    struct hash log_hash = hash_of(file);
    if (entry->kind == SEALIFT__LOG_KIND__LOG_SWEPT) put_removed(answer, entry, NEWS_SWEPT, &log_hash);
    if (is_about_a_point(entry->kind)) tell_point(answer, entry, &log_hash);
    return true;
}

/* --- questions --- */

/* Whether there is something to be said of it: where it is not open, its state is told when it is. */
static bool may_answer(struct log_answers *answers, const struct id *repository)
{
    struct err err = {0};
    struct repository *store = NULL;
    if (!stores_get(answers->news.stores, repository, &store, &err))
        return err.code != ERR_NOT_FOUND && err.code != ERR_BUSY;
    stores_give_back(answers->news.stores, repository);
    return true;
}

void log_answers_ask(struct log_answers *answers, uint64_t serial, const Sealift__LogAsk *ask)
{
    if (ask->repository.len != ID_LEN) return;
    struct id repository = stored_id(&ask->repository);
    if (!may_answer(answers, &repository)) return;
    struct log_answer **at = &answers->first;
    while (*at && !id_eq(&(*at)->repository, &repository))
        at = &(*at)->next;
    if (!*at) *at = xcalloc(1, sizeof(**at));
    struct log_answer *answer = *at;
    answer->news = &answers->news;
    answer->gate = &answers->gate;
    answer->repository = repository;
    answer->serial = serial;
    answer->from = answer->at = ask->from > 0 ? ask->from : 1;
}

/* Whether it is told to the end. */
static bool tell_piece(struct log_answer *answer)
{
    struct err err = {0};
    struct repository_info info = {0};
    bool ok = repository_log(answer->store, answer->at, tell_entry, answer, &err);
    if (ok) repository_info(answer->store, &info);
    if (ok && answer->at <= info.head_number) return false;
    repository_news_state(answer->news, answer->serial, &answer->repository, ok ? answer->store : NULL, &err);
    return true;
}

/* The same; the repository is taken for each piece anew, since it may be closed in between. */
static bool go_on(struct log_answer *answer)
{
    const struct repository_news *news = answer->news;
    struct err err = {0};
    if (stores_get(news->stores, &answer->repository, &answer->store, &err)) {
        bool done = tell_piece(answer);
        stores_give_back(news->stores, &answer->repository);
        stores_mend(news->stores, &answer->repository); /* a run that ended meanwhile has left it to us */
        return done;
    }
    if (err.code != ERR_NOT_FOUND && err.code != ERR_BUSY)
        repository_news_state(news, answer->serial, &answer->repository, NULL, &err);
    return true;
}

void log_answers_go_on(struct log_answers *answers)
{
    while (answers->first && outbox_bytes(answers->news.outbox) < PIECE_BYTES) {
        struct log_answer *answer = answers->first;
        if (!go_on(answer)) continue;
        answers->first = answer->next;
        free(answer);
    }
}
