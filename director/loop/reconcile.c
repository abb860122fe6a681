/* A director whose state was brought back from a copy, or that was made anew for a site which had another:
 * what it lacks is given back by those who hold it. Every transporter is asked for the rosters, statements
 * and unlock sections that it has; operators' programs give back their own. All of it is signed, and judged
 * as if it were put for the first time. Until every transporter of the roster has been heard, with its runs
 * and the logs of its repositories, or an admin does not want to wait, nothing is started by schedule: what
 * the director would start may have been done, changed or revoked since the copy was made. */
#include "director/loop/inside.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "director/core/bundle_table.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { ORPHANS_MAX = 4096, ORPHAN_BYTES_MAX = 16 * 1024 * 1024, FILE_LEN_MAX = 64 };

/* What cannot be judged yet: a job whose repository another transporter gives back. */
struct orphans {
    struct statement **items;
    size_t count, cap, bytes;
};

struct reconcile {
    bool active;
    uint64_t copied_ns; /* 0: not known */
    struct orphans orphans;
};

static char *file_of(const struct director *director)
{
    return xasprintf("%s/%s", director->settings.state_dir, RESTORED_FILE);
}

/* ---- life */

bool reconcile_open(struct director *director, struct err *err)
{
    AUTO(free) char *path = file_of(director);
    AUTO(buf) struct buf text = {0};
    director->reconcile = xcalloc(1, sizeof(*director->reconcile));
    if (!file_read(AT_FDCWD, path, FILE_LEN_MAX, &text, err)) return err->code == ERR_NOT_FOUND;
    director->reconcile->active = true;
    director->reconcile->copied_ns = strtoull(buf_cstr(&text), NULL, 10);
    log_event(LOG_WARN, "restored", "reason", "this director's state was brought back from a copy", "next",
              "schedules wait until every transporter has been heard", NULL);
    return true;
}

static void orphans_clear(struct orphans *orphans)
{
    for (size_t i = 0; i < orphans->count; i++)
        statement_free(orphans->items[i]);
    free(orphans->items);
    *orphans = (struct orphans){0};
}

void reconcile_free(struct director *director)
{
    if (!director->reconcile) return;
    orphans_clear(&director->reconcile->orphans);
    free(director->reconcile);
}

bool reconcile_active(const struct director *director)
{
    return director->reconcile->active;
}

void reconcile_begin(struct director *director)
{
    AUTO(free) char *path = file_of(director);
    struct err err;
    if (director->reconcile->active) return;
    director->reconcile->active = true;
    director->reconcile->copied_ns = 0;
    for (size_t i = 0; i < director->host_count; i++)
        director->hosts[i]->gave_back = false;
    director->probes = 1; /* by which those who are connected hear that they are asked */
    if (!file_replace(AT_FDCWD, path, span_str("0\n"), 0600, &err)) director_fail(director, &err);
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
    orphans_clear(&director->reconcile->orphans);
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

bool reconcile_status(struct director *director, Sealift__Restored *out, ProtobufCBinaryData *keys)
{
    const struct roster *roster = registry_roster(director->registry);
    if (!director->reconcile->active || !roster) return false;
    const Sealift__RosterBody *body = roster_body(roster);
    sealift__restored__init(out);
    out->copied_ns = director->reconcile->copied_ns;
    out->waits_for = keys;
    for (size_t i = 0; i < body->n_transporters; i++)
        if (!heard(director, body->transporters[i]->sign_pk.data))
            keys[out->n_waits_for++] = body->transporters[i]->sign_pk;
    return true;
}

void reconcile_tick(struct director *director)
{
    const struct roster *roster = registry_roster(director->registry);
    if (!director->reconcile->active || director->failed || !roster) return;
    const Sealift__RosterBody *body = roster_body(roster);
    for (size_t i = 0; i < body->n_transporters; i++)
        if (!heard(director, body->transporters[i]->sign_pk.data)) return;
    if (body->n_transporters > 0) end(director, "every transporter has been heard");
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

static void add_orphan(struct orphans *orphans, struct statement **statement)
{
    size_t len = (*statement)->bytes.len;
    if (orphans->count >= ORPHANS_MAX || orphans->bytes + len > ORPHAN_BYTES_MAX) return;
    if (orphans->count == orphans->cap) {
        orphans->cap = orphans->cap ? orphans->cap * 2 : 16;
        orphans->items = xreallocarray(orphans->items, orphans->cap, sizeof(struct statement *));
    }
    orphans->items[orphans->count++] = *statement;
    orphans->bytes += len;
    *statement = NULL;
}

/* What did not fit may fit now; each that does may be what another one waits for. */
static void try_orphans(struct director *director)
{
    struct orphans *orphans = &director->reconcile->orphans;
    bool moved = true;
    while (moved && !director->failed) {
        moved = false;
        for (size_t i = 0; i < orphans->count; i++) {
            struct err err;
            size_t len = orphans->items[i]->bytes.len;
            if (!put_given_back(director, &orphans->items[i], &err)) continue;
            statement_free(orphans->items[i]);
            orphans->items[i--] = orphans->items[--orphans->count];
            orphans->bytes -= len;
            moved = true;
        }
    }
}

static void take_statement(struct director *director, struct host_link *host, struct span payload)
{
    struct err err;
    AUTO(statement) struct statement *statement = NULL;
    bool ok = statement_decode(payload, &statement, &err) && put_given_back(director, &statement, &err);
    if (ok || director->failed) return;
    bool roster = statement && statement->type == SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER;
    if (statement && !roster && (err.code == ERR_NOT_FOUND || err.code == ERR_EXISTS))
        add_orphan(&director->reconcile->orphans, &statement);
    else
        log_event(LOG_DEBUG, "not_taken_back", "transporter", host->name, "reason", err.text, NULL);
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
    if (!director->reconcile->active) return;
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
