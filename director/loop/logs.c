/* What transporters report of their repositories' logs. The log is the truth and the catalog its copy; a log
 * that steps back or forks is remembered until an operator signs the repository anew. */
#include "director/loop/inside.h"

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/wire/stored.h"

#include <string.h>

/* ---- questions: at most one is open about each repository */

/* NULL: none */
static struct log_question *open_question(struct host_link *host, const struct id *repository)
{
    for (size_t i = 0; i < host->question_count; i++)
        if (id_eq(&host->questions[i].repository, repository)) return &host->questions[i];
    return NULL;
}

static void close_question(struct host_link *host, const struct id *repository)
{
    struct log_question *question = open_question(host, repository);
    if (question) *question = host->questions[--host->question_count];
}

void logs_forget(struct host_link *host, const struct id *repository)
{
    close_question(host, repository);
}

void logs_ask(struct director *director, struct host_link *host, const struct id *repository)
{
    struct catalog_head head;
    struct err err;
    bool known = catalog_head_get(director->catalog, repository, &head, &err);
    if (!known && err.code != ERR_NOT_FOUND) {
        director_fail(director, &err);
        return;
    }
    close_question(host, repository);
    if (host->question_count == host->question_cap) {
        host->question_cap = host->question_cap ? host->question_cap * 2 : 4;
        host->questions = xreallocarray(host->questions, host->question_cap, sizeof(*host->questions));
    }
    host->questions[host->question_count++] =
        (struct log_question){.repository = *repository, .serial = ++director->serial};
    Sealift__LogAsk ask = SEALIFT__LOG_ASK__INIT;
    ask.repository = lent_id(repository);
    ask.from = known ? head.read + 1 : 1;
    Sealift__Head message = head_of(SEALIFT__HEAD__KIND_LOG_ASK, director->serial);
    message.log_ask = &ask;
    line_send(&host->line, &message, (struct span){0});
}

void logs_ask_all(struct director *director, struct host_link *host)
{
    Sealift__StatementType type = SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY;
    for (size_t i = 0; i < registry_count(director->registry, type); i++) {
        const struct statement *statement = registry_at(director->registry, type, i);
        const Sealift__RepositoryBody *body = statement->body.repository;
        if (!body->deleted && memcmp(body->owner.data, host->sign_pk, SIGN_PK_LEN) == 0)
            logs_ask(director, host, &statement->id);
    }
}

/* ---- who may speak for a repository */

static const Sealift__RepositoryBody *owned(struct director *director, const struct host_link *host,
                                            const ProtobufCBinaryData *repository, struct id *id,
                                            struct err *err)
{
    *id = stored_id(repository);
    const struct statement *statement =
        registry_find(director->registry, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, id);
    if (!statement) {
        (void)err_set(err, ERR_NOT_FOUND, "the repository is unknown");
        return NULL;
    }
    const Sealift__RepositoryBody *body = statement->body.repository;
    if (memcmp(body->owner.data, host->sign_pk, SIGN_PK_LEN) == 0) return body;
    (void)err_set(err, ERR_POLICY, "repository '%s' belongs to another transporter", body->name);
    return NULL;
}

static void answer(struct host_link *host, uint64_t serial, const struct err *err)
{
    if (serial == 0) return;
    Sealift__Done done = SEALIFT__DONE__INIT;
    Sealift__Fail fail = SEALIFT__FAIL__INIT;
    Sealift__Head head = head_of(err ? SEALIFT__HEAD__KIND_FAIL : SEALIFT__HEAD__KIND_DONE, serial);
    if (err) {
        fail.code = err->code;
        fail.text = lent_text(err->text);
        head.fail = &fail;
    } else {
        head.done = &done;
    }
    line_send(&host->line, &head, (struct span){0});
}

/* ---- heads */

static bool head_of_log(struct director *director, const struct id *repository, struct catalog_head *out,
                        struct err *err)
{
    if (catalog_head_get(director->catalog, repository, out, err)) return true;
    if (err->code != ERR_NOT_FOUND) return false;
    *out = (struct catalog_head){.repository = *repository};
    return true;
}

static void raise_alarm(struct catalog_head *head, const char *repository, const char *host, const char *text)
{
    log_event(LOG_ERROR, "log_not_authentic", "repository", repository, "transporter", host, "reason", text,
              "next", "status shows it until the repository is signed anew", NULL);
    if (head->alarm[0] == '\0') run_text_set(head->alarm, sizeof(head->alarm), text);
}

/* The highest head that was ever seen is what later ones are held against. */
static void judge_head(struct catalog_head *head, uint64_t number, const struct hash *hash,
                       const char *repository, const char *host)
{
    char text[RUN_TEXT_MAX + 1];
    if (number < head->number) {
        (void)snprintf(text, sizeof(text), "the repository's log stepped back from entry %llu to entry %llu",
                       (unsigned long long)head->number, (unsigned long long)number);
        raise_alarm(head, repository, host, text);
    } else if (number == head->number && number != 0 && !hash_eq(hash, &head->hash)) {
        (void)snprintf(text, sizeof(text),
                       "the repository's log forked: entry %llu is another one than before",
                       (unsigned long long)number);
        raise_alarm(head, repository, host, text);
    } else if (number > head->number) {
        head->number = number;
        head->hash = *hash;
    }
}

static void take_state(struct catalog_head *head, const Sealift__RepositoryState *state)
{
    head->code = state->code;
    run_text_set(head->text, sizeof(head->text), state->text);
    if (state->code != 0) return;
    head->points = state->points;
    head->pack_bytes = state->pack_bytes;
    head->free_bytes = state->free_bytes;
}

/* A state that comes unasked while a question is open means that the repository was not open when the
 * question came; one that is ahead of what was read means that there is more to be read. */
static bool ask_again(const struct log_question *question, const struct catalog_head *head,
                      const Sealift__Head *message)
{
    const Sealift__RepositoryState *state = message->repository_state;
    return message->serial == 0 && state->code == 0 && (question || state->head_number > head->read);
}

static bool take_head(struct director *director, struct host_link *host, const char *name,
                      const struct id *id, const Sealift__Head *message, bool *again, bool *whole)
{
    const Sealift__RepositoryState *state = message->repository_state;
    struct log_question *question = open_question(host, id);
    struct catalog_head head;
    struct err err;
    if (!head_of_log(director, id, &head, &err)) {
        director_fail(director, &err);
        return false;
    }
    *again = ask_again(question, &head, message);
    *whole = question && question->serial == message->serial && state->code == 0;
    if (question && state->code != 0) question->refused = true;
    struct hash hash = stored_hash(&state->head_hash);
    take_state(&head, state);
    if (state->code == 0) judge_head(&head, state->head_number, &hash, name, host->name);
    if (*whole && state->head_number > head.read) head.read = state->head_number;
    if (catalog_head_put(director->catalog, &head, &err)) return true;
    director_fail(director, &err);
    return false;
}

void logs_state(struct director *director, struct host_link *host, const Sealift__Head *message)
{
    const Sealift__RepositoryState *state = message->repository_state;
    struct id id;
    struct err err;
    bool again = false, whole = false;
    const Sealift__RepositoryBody *body = owned(director, host, &state->repository, &id, &err);
    if (!body || state->head_number > INT64_MAX) {
        say_once(director, "state_refused", &host->line.peer, body ? "an impossible log number" : err.text);
        return;
    }
    if (!take_head(director, host, body->name, &id, message, &again, &whole)) return;
    if (again) logs_ask(director, host, &id);
    if (!whole) return;
    close_question(host, &id);
    AUTO(effects) struct effects effects = {0};
    run_table_log_read(director->runs, &director->now, host->sign_pk, &id, &effects);
    (void)apply(director, &effects);
}

/* ---- points */

/* The body of a point that may be believed, or NULL; its unlock section is appended to `section`. */
static Sealift__PointBody *open_point(const struct roster *roster, struct span payload, struct buf *section,
                                      struct err *err)
{
    AUTO(stored_point) Sealift__PointFile *file = NULL;
    AUTO(stored_body) Sealift__PointBody *body = NULL;
    if (!stored_point_decode(payload, &file, err) || !stored_point_open(file, &body, err)) return NULL;
    struct id site = stored_id(&body->site);
    uint64_t since_ns =
        0; /* points after a revocation are kept: whether to restore them is the operators' choice */
    bool ours = id_eq(&site, roster_site(roster));
    bool admitted = roster_ever_admitted(roster, body->writer.data, &since_ns);
    if (!ours) (void)err_set(err, ERR_NOT_AUTHENTIC, "the point is of another site");
    if (ours && !admitted)
        (void)err_set(err, ERR_NOT_AUTHENTIC, "the writer of the point was never admitted");
    if (!ours || !admitted) return NULL;
    Sealift__PointBody *out = body;
    body = NULL;
    buf_put_span(section, stored_span(&file->unlock));
    return out;
}

/* A grant names its section by the hash, and whoever gives the grant back to a director that was made anew
 * may not have it. What is no section is no reason to refuse the point. */
static bool keep_section(struct director *director, struct span section, struct err *err)
{
    struct hash hash = hash_of(section);
    if (section.len == 0 || !registry_wants_unlock(director->registry, &hash)) return true;
    if (!put_unlock_bytes(director, section, err)) return !director->failed;
    reconcile_section(director, &hash);
    return !director->failed;
}

static bool news_check(const Sealift__PointNews *news, struct err *err)
{
    if (news->number != 0 && news->number <= INT64_MAX && news->time_ns <= INT64_MAX) return true;
    return err_set(err, ERR_LIMIT, "a point has an impossible number or time");
}

static bool keep_point(struct director *director, struct host_link *host,
                       const Sealift__RepositoryBody *repository, const struct catalog_point *point,
                       struct err *err)
{
    struct catalog_head head;
    if (!head_of_log(director, &point->repository, &head, err)) return false;
    bool kept = catalog_point_put(director->catalog, point, err);
    if (!kept && err->code != ERR_EXISTS) return false;
    char before[sizeof(head.alarm)];
    memcpy(before, head.alarm, sizeof(before));
    if (!kept)
        raise_alarm(&head, repository->name, host->name, err->text);
    else if (point->number == head.number)
        judge_head(&head, point->number, &point->log_hash, repository->name, host->name);
    if (strcmp(before, head.alarm) == 0) return kept;
    struct err other;
    if (!catalog_head_put(director->catalog, &head, &other)) director_fail(director, &other);
    return kept;
}

/* A point that was removed can come back until a sweep. */
static bool take_removal(struct director *director, const struct id *repository,
                         const Sealift__PointNews *news, struct err *err)
{
    struct id point = stored_id(&news->point);
    if (news->removed == NEWS_SWEPT && news->point.len == 0)
        return catalog_points_void(director->catalog, repository, news->number, err);
    if (news->removed != NEWS_REMOVED || news->point.len != ID_LEN)
        return err_set(err, ERR_PROTOCOL, "a removed point without its id");
    return catalog_point_mark(director->catalog, repository, &point, CATALOG_NOT_HELD, news->number, err);
}

static bool take_point(struct director *director, struct host_link *host, const Sealift__PointNews *news,
                       struct span payload, struct effects *effects, struct err *err)
{
    struct id id;
    const Sealift__RepositoryBody *repository = owned(director, host, &news->repository, &id, err);
    if (!repository || !news_check(news, err)) return false;
    if (news->removed) return take_removal(director, &id, news, err);
    AUTO(buf) struct buf section = {0};
    AUTO(stored_body)
    Sealift__PointBody *body = open_point(registry_roster(director->registry), payload, &section, err);
    if (!body) return false;
    struct catalog_point point = {.repository = id,
                                  .number = news->number,
                                  .point = stored_id(&body->point),
                                  .run = stored_id(&body->run),
                                  .job = body->job,
                                  .time_ns = news->time_ns,
                                  .log_hash = stored_hash(&news->log_hash),
                                  .file = payload};
    enum catalog_hold hold = news->held ? CATALOG_HELD : CATALOG_NOT_HELD;
    if (!keep_point(director, host, repository, &point, err) ||
        !catalog_point_mark(director->catalog, &id, &point.point, hold, 0, err) ||
        !keep_section(director, buf_span(&section), err))
        return false;
    run_table_point(director->runs, &director->now, host->sign_pk, &id, &point.run, &point.point, effects);
    return true;
}

void logs_point(struct director *director, struct host_link *host, const Sealift__Head *message,
                struct span payload)
{
    struct err err;
    AUTO(effects) struct effects effects = {0};
    if (!take_point(director, host, message->point_news, payload, &effects, &err)) {
        say_once(director, "point_refused", &host->line.peer, err.text);
        answer(host, message->serial, &err);
        return;
    }
    if (apply(director, &effects)) answer(host, message->serial, NULL);
}
