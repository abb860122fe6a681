#include "transporter/session/authority_inside.h"

#include "common/base/file.h"
#include "common/base/lock.h"
#include "common/base/text.h"
#include "common/wire/stored.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { STATEMENTS_MAX = 8192, FILE_MODE = 0600, DIR_MODE = 0700, NAME_LEN = 96 };
/* An executed order is forgotten so long after its expiry, for a clock may be set back. */
enum { EXECUTED_KEPT_S = 90 * 86400, EXPIRY_LEN = 8 };

static bool open_dir(const char *state_dir, const char *name, int *out, struct err *err)
{
    AUTO(free) char *path = xasprintf("%s/%s", state_dir, name);
    if (!dir_make(path, DIR_MODE, err)) return false;
    *out = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *out >= 0 || err_sys(err, errno, "cannot open '%s'", path);
}

static void statement_file(const struct statement *statement, char out[static NAME_LEN])
{
    char id[2 * ID_LEN + 1];
    hex_encode(statement->id.bytes, ID_LEN, id);
    (void)snprintf(out, NAME_LEN, "%s-%s", statement_type_name(statement->type), id);
}

static struct kept *find_kept(const struct authority *authority, Sealift__StatementType type,
                              const struct id *id)
{
    struct statement_key key = {.type = (uint32_t)type, .id = *id};
    struct kept *found = NULL;
    HASH_FIND(hh, authority->statements, &key, sizeof(key), found);
    return found;
}

const struct statement *authority_find(const struct authority *authority, Sealift__StatementType type,
                                       const struct id *id)
{
    const struct kept *kept = find_kept(authority, type, id);
    return kept ? kept->statement : NULL;
}

/* Puts the statement into memory, in the place of an older one. */
static void keep(struct authority *authority, struct statement *statement)
{
    struct kept *kept = find_kept(authority, statement->type, &statement->id);
    if (kept) {
        statement_free(kept->statement);
    } else {
        kept = xcalloc(1, sizeof(*kept));
        kept->key = (struct statement_key){.type = (uint32_t)statement->type, .id = statement->id};
        HASH_ADD(hh, authority->statements, key, sizeof(kept->key), kept);
    }
    kept->statement = statement;
}

/* A stored statement counts if it was signed by somebody who was an operator, and is of this site. */
static bool load_statement(struct authority *authority, const char *name, struct err *err)
{
    AUTO(buf) struct buf bytes = {0};
    AUTO(statement) struct statement *statement = NULL;
    if (!file_read(authority->statement_dir, name, STATEMENT_MAX, &bytes, err)) return false;
    if (!statement_decode(buf_span(&bytes), &statement, err)) return false;
    char expected[NAME_LEN];
    statement_file(statement, expected);
    if (strcmp(expected, name) != 0 || !id_eq(&statement->site, &authority->site) ||
        !roster_chain_had_operator(authority->rosters, statement->signer))
        return err_set(err, ERR_NOT_AUTHENTIC,
                       "it is not a statement of this site's operators under its own name");
    keep(authority, statement);
    statement = NULL;
    return true;
}

static bool for_each_file(int dir, const char *what, size_t *count,
                          bool (*each)(struct authority *authority, const char *name, struct err *err),
                          struct authority *authority, struct err *err)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = fd < 0 ? NULL : fdopendir(fd);
    if (!listing) {
        auto_close_fd(fd);
        return err_sys(err, errno, "cannot list %s", what);
    }
    bool ok = true;
    struct dirent *entry;
    while (ok && (errno = 0, entry = readdir(listing))) {
        if (entry->d_name[0] == '.') continue; /* also unfinished files */
        (*count)++;
        ok = !each || each(authority, entry->d_name, err) ||
             err_wrap(err,
                      "%s '%s' in the local state (put the file back from a copy, or remove it and what was "
                      "seen of it is forgotten)",
                      what, entry->d_name);
    }
    /* what a failing disk does not list must not pass for what never came */
    if (ok && errno != 0) ok = err_sys(err, errno, "cannot list all of the local state's %ss", what);
    (void)closedir(listing);
    return ok;
}

/* --- unlock sections: nobody signs them, the grants that operators signed name them --- */

static void unlock_file(const struct hash *hash, char out[static 2 * HASH_LEN + 1])
{
    hex_encode(hash->bytes, HASH_LEN, out);
}

static bool is_granted(const struct authority *authority, const struct hash *section)
{
    for (const struct kept *kept = authority->statements; kept; kept = kept->hh.next) {
        if (kept->statement->type != SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT) continue;
        const ProtobufCBinaryData *named = &kept->statement->body.grant->unlock_hash;
        if (named->len == HASH_LEN && memcmp(named->data, section->bytes, HASH_LEN) == 0) return true;
    }
    return false;
}

/* Room for one more: forgets those that a grant names by now, else removes the oldest. */
static void make_room(struct authority *authority)
{
    size_t left = 0;
    for (size_t i = 0; i < authority->loose_count; i++)
        if (!is_granted(authority, &authority->loose[i])) authority->loose[left++] = authority->loose[i];
    if (left == LOOSE_MAX) {
        char name[2 * HASH_LEN + 1];
        unlock_file(&authority->loose[0], name);
        (void)unlinkat(authority->unlock_dir, name, 0);
        memmove(authority->loose, authority->loose + 1, --left * sizeof(authority->loose[0]));
    }
    authority->loose_count = left;
}

/* A grant may come after its section, but a director makes no disk full of sections without one. */
static void note_section(struct authority *authority, const struct hash *section)
{
    if (is_granted(authority, section)) return;
    if (authority->loose_count == LOOSE_MAX) make_room(authority);
    authority->loose[authority->loose_count++] = *section;
}

static bool load_section(struct authority *authority, const char *name, struct err *err)
{
    struct hash section;
    if (!hex_decode(name, section.bytes, HASH_LEN, err)) return false;
    note_section(authority, &section);
    return true;
}

static bool load(struct authority *authority, struct err *err)
{
    size_t statements = 0, sections = 0;
    return for_each_file(authority->statement_dir, "statement", &statements, load_statement, authority,
                         err) &&
           for_each_file(authority->unlock_dir, "unlock section", &sections, load_section, authority, err) &&
           for_each_file(authority->executed_dir, "executed order", &authority->executed_count, NULL,
                         authority, err);
}

bool authority_open(const char *state_dir, const struct site_line *line, const struct identity *self,
                    struct authority **out, struct err *err)
{
    AUTO(authority) struct authority *authority = xcalloc(1, sizeof(*authority));
    authority->self = self;
    authority->site = line->site;
    authority->statement_dir = authority->unlock_dir = authority->executed_dir = -1;
    (void)pthread_mutex_init(&authority->lock, NULL);
    AUTO(free) char *rosters = xasprintf("%s/rosters", state_dir);
    if (!roster_chain_open(rosters, line, &authority->rosters, err)) return false;
    if (!open_dir(state_dir, "statements", &authority->statement_dir, err)) return false;
    if (!open_dir(state_dir, "unlock", &authority->unlock_dir, err)) return false;
    if (!open_dir(state_dir, "executed", &authority->executed_dir, err)) return false;
    if (!load(authority, err)) return false;
    *out = authority;
    authority = NULL;
    return true;
}

void authority_close(struct authority *authority)
{
    if (!authority) return;
    struct kept *kept, *next;
    HASH_ITER(hh, authority->statements, kept, next)
    {
        HASH_DEL(authority->statements, kept);
        statement_free(kept->statement);
        free(kept);
    }
    roster_chain_close(authority->rosters);
    auto_close_fd(authority->statement_dir);
    auto_close_fd(authority->unlock_dir);
    auto_close_fd(authority->executed_dir);
    (void)pthread_mutex_destroy(&authority->lock);
    free(authority);
}

/* --- accepting --- */

/* Orders that have expired can be refused without being remembered: they make room for others. */
static void forget_expired_orders(struct authority *authority)
{
    struct kept *kept, *next;
    uint64_t now_s = (uint64_t)time(NULL);
    HASH_ITER(hh, authority->statements, kept, next)
    {
        char name[NAME_LEN];
        const struct statement *statement = kept->statement;
        if (statement->type != SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER || statement->expiry_s == 0 ||
            now_s <= statement->expiry_s)
            continue;
        statement_file(statement, name);
        (void)unlinkat(authority->statement_dir, name, 0);
        HASH_DEL(authority->statements, kept);
        statement_free(kept->statement);
        free(kept);
    }
}

static bool check_other(struct authority *authority, const struct statement *statement, struct err *err)
{
    const struct roster *roster = roster_chain_current(authority->rosters);
    const struct statement *known = authority_find(authority, statement->type, &statement->id);
    AUTO(version_memory) struct version_memory *memory = version_memory_new();
    if (!roster)
        return err_set(err, ERR_NOT_AUTHENTIC, "a %s statement before the first roster",
                       statement_type_name(statement->type));
    if (!known && HASH_COUNT(authority->statements) >= STATEMENTS_MAX) forget_expired_orders(authority);
    if (!known && HASH_COUNT(authority->statements) >= STATEMENTS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d statements", STATEMENTS_MAX);
    if (known) version_memory_put(memory, known->type, &known->id, known->version, &known->hash);
    return statement_check(statement, roster, authority->self->known.sign_pk, (uint64_t)time(NULL), memory,
                           err) &&
           (!known || statement_keeps_promises(statement, known, err));
}

static bool store(struct authority *authority, const struct statement *statement, struct err *err)
{
    char name[NAME_LEN];
    statement_file(statement, name);
    return file_replace(authority->statement_dir, name, buf_span(&statement->bytes), FILE_MODE, err) ||
           err_wrap(err, "cannot keep the %s statement", statement_type_name(statement->type));
}

static void note_refusal(struct authority *authority, const struct statement *statement,
                         const struct err *why)
{
    struct refusal *refusal = &authority->refusals[authority->refusal_count++ % REFUSALS_MAX];
    *refusal = (struct refusal){.type = statement->type, .id = statement->id, .why = *why};
}

/* The newest; NULL: it was not refused, or long ago. */
static const struct refusal *find_refusal(const struct authority *authority, Sealift__StatementType type,
                                          const struct id *id)
{
    for (size_t back = 1; back <= authority->refusal_count && back <= REFUSALS_MAX; back++) {
        const struct refusal *refusal =
            &authority->refusals[(authority->refusal_count - back) % REFUSALS_MAX];
        if (refusal->type == type && id_eq(&refusal->id, id)) return refusal;
    }
    return NULL;
}

bool authority_accept(struct authority *authority, struct span bytes, struct accepted *out, struct err *err)
{
    AUTO(statement) struct statement *statement = NULL;
    if (!statement_decode(bytes, &statement, err)) return false;
    struct accepted what = {.type = statement->type, .id = statement->id, .version = statement->version};
    LOCK_HERE(&authority->lock);
    if (statement->type == SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER) {
        if (!roster_chain_add(authority->rosters, statement, err)) return false;
    } else {
        if (!check_other(authority, statement, err) || !store(authority, statement, err)) {
            note_refusal(authority, statement, err);
            return false;
        }
        keep(authority, statement);
        statement = NULL;
    }
    *out = what;
    return true;
}

/* One that was spoiled on the disk is taken again. */
static bool has_section(const struct authority *authority, const char *name, const struct hash *hash)
{
    struct err ignored;
    AUTO(buf) struct buf bytes = {0};
    if (!file_read(authority->unlock_dir, name, STORED_MAX_UNLOCK, &bytes, &ignored)) return false;
    struct hash there = hash_of(buf_span(&bytes));
    return hash_eq(&there, hash);
}

bool authority_accept_unlock(struct authority *authority, struct span bytes, struct err *err)
{
    AUTO(stored_unlock) Sealift__UnlockSection *section = NULL;
    if (!stored_unlock_decode(bytes, &section, err)) return err_wrap(err, "the unlock section");
    struct hash hash = hash_of(bytes);
    char name[2 * HASH_LEN + 1];
    unlock_file(&hash, name);
    LOCK_HERE(&authority->lock);
    if (has_section(authority, name, &hash)) return true;
    if (!file_replace(authority->unlock_dir, name, bytes, FILE_MODE, err)) return false;
    note_section(authority, &hash);
    return true;
}

/* The file of an executed order holds when that expires; of one that never does, nothing. */
static bool forget_executed(struct authority *authority, const char *name, struct err *err)
{
    AUTO(buf) struct buf bytes = {0};
    struct err ignored;
    (void)err;
    if (!file_read(authority->executed_dir, name, EXPIRY_LEN, &bytes, &ignored) || bytes.len != EXPIRY_LEN)
        return true;
    uint64_t expiry_s = le64_get(bytes.data), now_s = (uint64_t)time(NULL);
    if (now_s < EXECUTED_KEPT_S || expiry_s >= now_s - EXECUTED_KEPT_S) return true;
    if (unlinkat(authority->executed_dir, name, 0) == 0) authority->executed_count--;
    return true;
}

/* Orders that expired long ago are refused for that, and need not be remembered. */
static bool make_room_for_executed(struct authority *authority, struct err *err)
{
    size_t seen = 0;
    if (authority->executed_count < AUTHORITY_EXECUTED_MAX) return true;
    if (!for_each_file(authority->executed_dir, "executed order", &seen, forget_executed, authority, err))
        return false;
    return authority->executed_count < AUTHORITY_EXECUTED_MAX ||
           err_set(err, ERR_LIMIT, "more than %d executed orders that have not expired",
                   AUTHORITY_EXECUTED_MAX);
}

static bool note_executed(struct authority *authority, const struct id *order, const char *name,
                          struct err *err)
{
    uint8_t expiry[EXPIRY_LEN];
    const struct statement *known =
        authority_find(authority, SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER, order);
    bool expires = known && known->expiry_s != 0;
    le64_put(expiry, expires ? known->expiry_s : 0);
    return file_create(authority->executed_dir, name, span_of(expiry, expires ? EXPIRY_LEN : 0), FILE_MODE,
                       err);
}

bool authority_execute_once(struct authority *authority, const struct id *order, struct err *err)
{
    char name[2 * ID_LEN + 1];
    hex_encode(order->bytes, ID_LEN, name);
    LOCK_HERE(&authority->lock);
    if (!make_room_for_executed(authority, err)) return false;
    if (!note_executed(authority, order, name, err)) {
        if (err->code == ERR_EXISTS)
            return err_set(
                err, ERR_EXISTS,
                "the order %.12s was begun before, and each is carried out at most once: make a new one",
                name);
        return err_wrap(err, "cannot mark the order as executed");
    }
    authority->executed_count++;
    return true;
}

/* --- looking up --- */

const struct roster *authority_roster_take(struct authority *authority)
{
    LOCK_HERE(&authority->lock);
    return roster_chain_take(authority->rosters);
}

void authority_roster_release(struct authority *authority, const struct roster *roster)
{
    LOCK_HERE(&authority->lock);
    if (roster) roster_chain_release(authority->rosters, roster);
}

bool authority_roster_bytes(struct authority *authority, uint64_t version, struct buf *out, struct err *err)
{
    LOCK_HERE(&authority->lock);
    return roster_chain_bytes(authority->rosters, version, out, err);
}

bool authority_unlock_bytes(struct authority *authority, const struct hash *hash, struct buf *out,
                            struct err *err)
{
    char name[2 * HASH_LEN + 1];
    unlock_file(hash, name);
    LOCK_HERE(&authority->lock);
    if (!file_read(authority->unlock_dir, name, STORED_MAX_UNLOCK, out, err)) return false;
    struct hash there = hash_of(buf_span(out));
    return hash_eq(&there, hash) || err_set(err, ERR_DAMAGED, "the unlock section %.12s was changed", name);
}

bool authority_knew_operator(void *arg, const uint8_t sign_pk[SIGN_PK_LEN])
{
    struct authority *authority = arg;
    LOCK_HERE(&authority->lock);
    return roster_chain_had_operator(authority->rosters, sign_pk);
}

bool authority_member(struct authority *authority)
{
    LOCK_HERE(&authority->lock);
    const struct roster *roster = roster_chain_current(authority->rosters);
    const Sealift__Member *self = roster ? roster_transporter(roster, authority->self->known.sign_pk) : NULL;
    return self && memcmp(self->box_pk.data, authority->self->known.box_pk, BOX_PK_LEN) == 0 &&
           memcmp(self->curve_pk.data, authority->self->known.transport_pk, BOX_PK_LEN) == 0;
}

bool authority_statement(struct authority *authority, Sealift__StatementType type, const struct id *id,
                         struct statement **out, struct err *err)
{
    LOCK_HERE(&authority->lock);
    const struct statement *known = authority_find(authority, type, id);
    if (known) return statement_decode(buf_span(&known->bytes), out, err);
    const struct refusal *refusal = find_refusal(authority, type, id);
    if (refusal) return err_set(err, refusal->why.code, "%s", refusal->why.text);
    char text[2 * ID_LEN + 1];
    hex_encode(id->bytes, ID_LEN, text);
    return err_set(err, ERR_NOT_FOUND, "there is no %s statement %s here", statement_type_name(type), text);
}

void authority_each(struct authority *authority, Sealift__StatementType type, authority_each_fn *each,
                    void *arg)
{
    LOCK_HERE(&authority->lock);
    for (const struct kept *kept = authority->statements; kept; kept = kept->hh.next)
        if (kept->statement->type == type) each(arg, kept->statement);
}
