/* A director whose state was brought back from a copy, or that was made anew for a site which had another:
 * what it lacks is given back by those who hold it. Every transporter is asked for the rosters, statements
 * and unlock sections that it has; operators' programs give back their own. All of it is signed, and judged
 * as if it were put for the first time. Nothing is started by schedule, as what the director would start may
 * have been done, changed or revoked since the copy was made, until every transporter of the trusted zone has
 * been heard, with its runs and the logs of its repositories, and every other one, for which it waits an hour
 * and no longer: none of those shall keep a site from being backed up. They are asked as before, whenever
 * they come. An admin may end all of it. */
#include "director/loop/inside.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "director/core/bundle_table.h"
#include "director/core/orphans.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define UNTRUSTED_WAIT_NS (UINT64_C(3600) * 1000000000)

enum { FILE_LEN_MAX = 64 };

struct reconcile {
    bool active;
    uint64_t copied_ns; /* 0: not known */
    uint64_t until_ns;  /* hosts outside the trusted zone are waited for, by the clock of the wall */
    bool told;          /* that schedules go on without some of them */
    struct orphans *orphans;
};

static char *file_of(const struct director *director)
{
    return xasprintf("%s/%s", director->settings.state_dir, RESTORED_FILE);
}

/* ---- life */

/* Both times outlive the process: each start would begin the wait anew. */
static bool keep(struct director *director, struct err *err)
{
    const struct reconcile *reconcile = director->reconcile;
    AUTO(free) char *path = file_of(director);
    AUTO(buf) struct buf text = {0};
    buf_printf(&text, "%llu %llu\n", (unsigned long long)reconcile->copied_ns,
               (unsigned long long)reconcile->until_ns);
    return file_replace(AT_FDCWD, path, buf_span(&text), 0600, err);
}

/* A clock that was set back lengthens no wait. */
static bool take_deadline(struct director *director, uint64_t until_ns, struct err *err)
{
    uint64_t most_ns = director->now.wall_ns + UNTRUSTED_WAIT_NS;
    director->reconcile->until_ns = until_ns;
    if (until_ns != 0 && until_ns <= most_ns) return true;
    director->reconcile->until_ns = most_ns;
    return keep(director, err);
}

bool reconcile_open(struct director *director, struct err *err)
{
    AUTO(free) char *path = file_of(director);
    AUTO(buf) struct buf text = {0};
    char *rest = NULL;
    director->reconcile = xcalloc(1, sizeof(*director->reconcile));
    director->reconcile->orphans = orphans_new();
    if (!file_read(AT_FDCWD, path, FILE_LEN_MAX, &text, err)) return err->code == ERR_NOT_FOUND;
    director->reconcile->active = true;
    director->reconcile->copied_ns = strtoull(buf_cstr(&text), &rest, 10);
    log_event(LOG_WARN, "restored", "reason", "this director's state was brought back from a copy", "next",
              "schedules wait until the transporters have been heard", NULL);
    return take_deadline(director, strtoull(rest, NULL, 10), err);
}

void reconcile_free(struct director *director)
{
    if (!director->reconcile) return;
    orphans_free(director->reconcile->orphans);
    free(director->reconcile);
}

bool reconcile_active(const struct director *director)
{
    return director->reconcile->active;
}

void reconcile_begin(struct director *director)
{
    struct err err;
    if (director->reconcile->active) return;
    director->reconcile->active = true;
    director->reconcile->copied_ns = 0;
    director->reconcile->told = false;
    for (size_t i = 0; i < director->host_count; i++)
        director->hosts[i]->gave_back = false;
    director->probes = 1; /* by which those who are connected hear that they are asked */
    if (!take_deadline(director, 0, &err)) director_fail(director, &err);
}

static void end(struct director *director, const char *reason)
{
    AUTO(free) char *path = file_of(director);
    struct err err;
    if (unlink(path) != 0 && access(path, F_OK) == 0) {
        (void)err_sys(&err, errno, "cannot remove '%s'", path);
        director_fail(director, &err);
        return;
    }
    director->reconcile->active = false;
    orphans_clear(director->reconcile->orphans);
    director->probes = 1; /* by which those who are connected hear that it is over, and may begin again */
    log_event(LOG_INFO, "reconciled", "reason", reason, "next", "schedules go on", NULL);
}

/* ---- who has been heard */

static bool heard(struct director *director, const uint8_t sign_pk[SIGN_PK_LEN])
{
    const struct host_link *host = hosts_find(director, sign_pk);
    if (!host || !host->gave_back) return false;
    for (size_t i = 0; i < host->question_count; i++)
        if (!host->questions[i].refused) return false;
    return true;
}

/* How a member of the roster stands. */
enum word { WORD_HEARD, WORD_AWAITED, WORD_LATE };

static enum word word_of(struct director *director, const Sealift__Member *member)
{
    if (heard(director, member->sign_pk.data)) return WORD_HEARD;
    if (member->zone == SEALIFT__ZONE__ZONE_TRUSTED) return WORD_AWAITED;
    return director->now.wall_ns < director->reconcile->until_ns ? WORD_AWAITED : WORD_LATE;
}

static size_t count_word(struct director *director, enum word word)
{
    const Sealift__RosterBody *body = roster_body(registry_roster(director->registry));
    size_t count = 0;
    for (size_t i = 0; i < body->n_transporters; i++)
        count += word_of(director, body->transporters[i]) == word;
    return count;
}

bool reconcile_holds(struct director *director)
{
    if (!director->reconcile->active) return false;
    return !registry_roster(director->registry) || count_word(director, WORD_AWAITED) > 0;
}

bool reconcile_status(struct director *director, Sealift__Restored *out, ProtobufCBinaryData *keys)
{
    const struct roster *roster = registry_roster(director->registry);
    if (!director->reconcile->active || !roster) return false;
    const Sealift__RosterBody *body = roster_body(roster);
    sealift__restored__init(out);
    out->copied_ns = director->reconcile->copied_ns;
    out->until_ns = director->reconcile->until_ns;
    out->waits_for = keys;
    for (size_t i = 0; i < body->n_transporters; i++)
        if (word_of(director, body->transporters[i]) == WORD_AWAITED)
            keys[out->n_waits_for++] = body->transporters[i]->sign_pk;
    out->goes_without = keys + out->n_waits_for;
    for (size_t i = 0; i < body->n_transporters; i++)
        if (word_of(director, body->transporters[i]) == WORD_LATE)
            out->goes_without[out->n_goes_without++] = body->transporters[i]->sign_pk;
    return true;
}

static void say_late(struct director *director)
{
    const Sealift__RosterBody *body = roster_body(registry_roster(director->registry));
    director->reconcile->told = true;
    for (size_t i = 0; i < body->n_transporters; i++)
        if (word_of(director, body->transporters[i]) == WORD_LATE)
            log_event(LOG_WARN, "not_waited_for", "transporter", body->transporters[i]->name, "reason",
                      "it has not given back all within an hour, and is not in the trusted zone", "next",
                      "schedules go on; it is asked whenever it is connected", NULL);
}

void reconcile_tick(struct director *director)
{
    if (!director->reconcile->active || director->failed || !registry_roster(director->registry)) return;
    if (roster_body(registry_roster(director->registry))->n_transporters == 0) return;
    if (count_word(director, WORD_AWAITED) > 0) return;
    if (count_word(director, WORD_LATE) == 0)
        end(director, "every transporter has been heard");
    else if (!director->reconcile->told)
        say_late(director);
}

void reconcile_proceed(struct director *director, struct operator_link *link, const Sealift__Head *head)
{
    const Sealift__Member *member = operator_behind(director, link);
    struct err err;
    if (!member || member->role != SEALIFT__ROLE__ROLE_ADMIN) {
        (void)err_set(&err, ERR_POLICY, "that schedules do not wait is for an admin to say");
        operator_fail(link, head->serial, &err);
        return;
    }
    if (director->reconcile->active) end(director, "an admin does not want to wait");
    if (!director->failed) operator_done(link, head->serial, NULL, 0, (struct span){0});
}

/* ---- what is given back */

static bool offer(void *arg, struct statement **statement)
{
    struct director *director = arg;
    struct err err;
    if (director->failed) return !*statement;
    return put_given_back(director, statement, &err) || !*statement;
}

/* What did not fit may fit now. */
static void try_orphans(struct director *director)
{
    orphans_offer(director->reconcile->orphans, offer, director);
}

void reconcile_section(struct director *director, const struct hash *section)
{
    const struct orphans *orphans = director->reconcile->orphans;
    for (size_t i = 0; director->reconcile->active && i < orphans_count(orphans); i++) {
        const struct statement *one = orphans_at(orphans, i);
        if (one->type != SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT ||
            !span_eq(stored_span(&one->body.grant->unlock_hash), span_of(section->bytes, HASH_LEN)))
            continue;
        try_orphans(director);
        return;
    }
}

/* An older version of what is here would wait for ever. */
static bool outdated(const struct director *director, const struct statement *statement)
{
    const struct statement *have = registry_find(director->registry, statement->type, &statement->id);
    return have && have->version >= statement->version;
}

/* By these codes the registry refuses what refers to something unknown, or has a name that another one had
 * before it was renamed; it has verified the signature and the signer before. */
static bool may_fit_later(const struct director *director, const struct statement *statement,
                          enum err_code code)
{
    return statement && statement->type != SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER &&
           (code == ERR_NOT_FOUND || code == ERR_EXISTS) && !outdated(director, statement);
}

static void take_statement(struct director *director, struct host_link *host, struct span payload)
{
    struct err err;
    AUTO(statement) struct statement *statement = NULL;
    bool ok = statement_decode(payload, &statement, &err) && put_given_back(director, &statement, &err);
    if (ok || director->failed) return;
    if (!may_fit_later(director, statement, err.code))
        log_event(LOG_DEBUG, "not_taken_back", "transporter", host->name, "reason", err.text, NULL);
    else if (!orphans_put(director->reconcile->orphans, host->sign_pk, &statement, &err))
        say_once(director, "not_kept_for_later", &host->line.peer, err.text);
}

static void take_unlock(struct director *director, struct host_link *host, struct span payload)
{
    struct err err;
    if (put_unlock_bytes(director, payload, &err) || director->failed) return;
    log_event(LOG_DEBUG, "not_taken_back", "transporter", host->name, "reason", err.text, NULL);
}

void reconcile_take(struct director *director, struct host_link *host, const Sealift__Head *head,
                    struct span payload)
{
    if (!director->reconcile->active || host->gave_back) return;
    switch (head->give_back->what) {
    case SEALIFT__GIVE_BACK_KIND__GIVE_BACK_STATEMENT:
        take_statement(director, host, payload);
        break;
    case SEALIFT__GIVE_BACK_KIND__GIVE_BACK_UNLOCK:
        take_unlock(director, host, payload);
        break;
    case SEALIFT__GIVE_BACK_KIND__GIVE_BACK_END:
        try_orphans(director);
        host->gave_back = true;
        log_event(LOG_INFO, "gave_back", "transporter", host->name, NULL);
        break;
    default:
        break;
    }
}
