#include "transporter/repository/check.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/text.h"
#include "transporter/repository/check_state.h"
#include "transporter/repository/reserve.h"
#include "transporter/repository/rewraps.h"
#include "transporter/repository/unlocks.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

size_t check_add(struct check *check, enum err_code code, const char *object, const char *fmt, ...)
{
    va_list args;
    char *text;
    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) < 0) alloc_abort(sizeof(struct finding));
    va_end(args);
    (void)pthread_mutex_lock(&check->lock);
    if (check->count == check->cap) {
        check->cap = check->cap ? 2 * check->cap : 16;
        check->findings = xreallocarray(check->findings, check->cap, sizeof(*check->findings));
    }
    size_t number = check->count++;
    check->findings[number] = (struct finding){.code = code, .object = xstrdup(object), .text = text};
    (void)pthread_mutex_unlock(&check->lock);
    return number;
}

/* How many ranges begin at or before this place. */
static size_t ranges_up_to(const struct check *check, uint32_t pack, uint32_t offset)
{
    size_t from = 0;
    size_t to = check->range_count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        const struct bad_range *range = &check->ranges[middle];
        if (range->pack < pack || (range->pack == pack && range->from <= offset))
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

void check_add_range(struct check *check, uint32_t pack, uint64_t from, uint64_t to, size_t finding)
{
    struct bad_range range = {.pack = pack, .finding = finding};
    range.from = from < UINT32_MAX ? (uint32_t)from : UINT32_MAX;
    range.to = to < UINT32_MAX ? (uint32_t)to : UINT32_MAX;
    (void)pthread_mutex_lock(&check->lock);
    if (check->range_count == check->range_cap) {
        check->range_cap = check->range_cap ? 2 * check->range_cap : 16;
        check->ranges = xreallocarray(check->ranges, check->range_cap, sizeof(*check->ranges));
    }
    size_t at = ranges_up_to(check, pack, range.from);
    memmove(check->ranges + at + 1, check->ranges + at, (check->range_count - at) * sizeof(range));
    check->ranges[at] = range;
    check->range_count++;
    (void)pthread_mutex_unlock(&check->lock);
}

bool check_find_range(struct check *check, uint32_t pack, uint32_t offset, size_t *finding)
{
    for (size_t i = ranges_up_to(check, pack, offset); i > 0 && check->ranges[i - 1].pack == pack; i--) {
        if (offset >= check->ranges[i - 1].to) continue;
        *finding = check->ranges[i - 1].finding;
        return true;
    }
    return false;
}

bool check_admitted(void *arg, const uint8_t writer[SIGN_PK_LEN])
{
    struct check *check = arg;
    if (!check->sink->admitted) return true;
    (void)pthread_mutex_lock(&check->lock);
    bool admitted = check->sink->admitted(check->sink->arg, writer);
    (void)pthread_mutex_unlock(&check->lock);
    return admitted;
}

bool check_cancelled(const struct check *check)
{
    return check->options->cancelled && atomic_load(check->options->cancelled);
}

/* --- what lies beside --- */

enum { TOLD_MOST = 100, STRAY_NAME_MOST = 256 };

/* What there may be any number of, because somebody lays it there: of each kind so many are told one by one,
 * behind all that concerns points, and of the others their number and the worst of it. */
enum extra { EXTRA_UNLOCK, EXTRA_REWRAP, EXTRA_PACK, EXTRA_POINT, EXTRA_STRAY, EXTRA_COUNT };

static const struct {
    const char *directory, *one, *many;
} extra_kinds[EXTRA_COUNT] = {
    [EXTRA_UNLOCK] = {"unlock", "such section", "such sections"},
    [EXTRA_REWRAP] = {"rewrap", "such rewrap", "such rewraps"},
    [EXTRA_PACK] = {"packs", "pack that was not there when the repository was opened",
                    "packs that were not there when the repository was opened"},
    [EXTRA_POINT] = {"points", "point that no log entry names", "points that no log entry names"},
    [EXTRA_STRAY] = {".", "name that is no object of a repository",
                     "names that are no objects of a repository"},
};

struct extras {
    struct check *check;
    size_t seen[EXTRA_COUNT];         /* told or not */
    enum err_code worst[EXTRA_COUNT]; /* of those that were not told */
};

static void add_extra(struct extras *extras, enum extra kind, enum err_code code, const char *object,
                      const char *text)
{
    if (extras->seen[kind]++ < TOLD_MOST)
        (void)check_add(extras->check, code, object, "%s", text);
    else if (check_gravity(code) > check_gravity(extras->worst[kind]))
        extras->worst[kind] = code;
}

static void tell_more(const struct extras *extras)
{
    for (size_t i = 0; i < EXTRA_COUNT; i++) {
        if (extras->seen[i] <= TOLD_MOST) continue;
        size_t more = extras->seen[i] - TOLD_MOST;
        (void)check_add(extras->check, extras->worst[i], extra_kinds[i].directory, "%zu more %s", more,
                        plural(more, extra_kinds[i].one, extra_kinds[i].many));
    }
}

/* Such a name may be any bytes: told as text that every message takes. */
static void add_stray(struct extras *extras, const char *name, const char *what)
{
    AUTO(buf) struct buf shown = {0};
    if (++extras->seen[EXTRA_STRAY] > TOLD_MOST) return;
    for (const uint8_t *at = (const uint8_t *)name; *at && shown.len < STRAY_NAME_MOST; at++) {
        if (*at >= ' ' && *at < 0x7f && *at != '\\')
            buf_put_u8(&shown, *at);
        else
            buf_printf(&shown, "\\x%02x", *at);
    }
    if (shown.len >= STRAY_NAME_MOST) buf_put_str(&shown, "...");
    size_t number = check_add(extras->check, ERR_NONE, buf_cstr(&shown), "%s", what);
    extras->check->findings[number].about = CHECK_FOREIGN;
}

static bool is_point(const char *name, struct id *point)
{
    char again[POINT_NAME_LEN];
    struct err ignored;
    if (strncmp(name, "points/", 7) != 0 || strlen(name) != POINT_NAME_LEN - 1) return false;
    if (!hex_decode(name + 7, point->bytes, ID_LEN, &ignored)) return false;
    point_name(point, again);
    return strcmp(again, name) == 0;
}

static void note_point(struct extras *extras, const char *name, const struct id *point)
{
    struct repository_point known;
    enum index_mark mark;
    struct err err;
    if (!index_point_find(extras->check->repository->index, point, &known, &mark, &err) &&
        err.code == ERR_NOT_FOUND)
        add_extra(extras, EXTRA_POINT, ERR_NONE, name, "no log entry names this point: a commit did not end");
}

/* Packs that the index does not have: nothing in them could be used when the repository was opened. */
static void note_pack(struct extras *extras, const char *name, uint64_t size, const struct hash *hash)
{
    struct repository *repository = extras->check->repository;
    struct index_pack pack;
    struct err why;
    struct pack_header header;
    AUTO(pack_toc) struct pack_toc toc;
    pack_toc_init(&toc);
    if (index_pack_find(repository->index, hash, &pack, &why)) return;
    if (why.code != ERR_NOT_FOUND ||
        !pack_toc_read(&repository->storage, name, size, &repository->ours, &header, &toc, &why))
        add_extra(extras, EXTRA_PACK, why.code, name, why.text);
    else
        add_extra(extras, EXTRA_PACK, ERR_NONE, name, "a pack that came after the repository was opened");
}

/* An unlock section that was added: an operator has signed it. */
static void check_unlock(struct extras *extras, const char *name)
{
    struct check *check = extras->check;
    const struct storage *storage = &check->repository->storage;
    struct err err;
    struct hash key_id;
    uint32_t number;
    AUTO(buf) struct buf file = {0};
    AUTO(statement) struct statement *order = NULL;
    AUTO(stored_unlock) Sealift__UnlockSection *section = NULL;
    if (!unlock_parse_name(name, &key_id, &number))
        add_stray(extras, name, "not an object of a repository");
    else if (!storage->ops->get(storage->self, name, STATEMENT_MAX, &file, &err) ||
             !unlock_object_decode(buf_span(&file), &key_id, &order, &section, &err))
        add_extra(extras, EXTRA_UNLOCK, err.code, name, err.text);
    else if (check->sink->is_operator && !check->sink->is_operator(check->sink->arg, order->signer))
        add_extra(extras, EXTRA_UNLOCK, ERR_NOT_AUTHENTIC, name, "no operator of a known roster signed it");
}

static bool is_member(const struct check *check, const uint8_t host[SIGN_PK_LEN])
{
    return !check->sink->is_member || check->sink->is_member(check->sink->arg, host);
}

struct replacement {
    const struct check *check;
    const struct rewrap_view *rewrap;
    bool found;
};

static bool replaces(void *arg, struct span object, struct err *err)
{
    struct replacement *replacement = arg;
    struct rewrap_view view;
    struct err ignored;
    uint8_t signer[SIGN_PK_LEN];
    (void)err;
    if (rewrap_object_decode(object, &replacement->rewrap->seal, &view, signer, &ignored) &&
        hash_eq(&view.key_id, &replacement->rewrap->key_id) && is_member(replacement->check, signer))
        replacement->found = true;
    return true;
}

/* What it opens to is checked against the envelope, so it harms nothing; but it is not to be relied on. */
static void tell_revoked(struct extras *extras, const char *name, const struct rewrap_view *rewrap)
{
    struct err ignored;
    const struct check *check = extras->check;
    struct replacement replacement = {.check = check, .rewrap = rewrap};
    if (repository_rewraps(check->repository, &rewrap->seal, replaces, &replacement, &ignored) &&
        replacement.found)
        add_extra(extras, EXTRA_REWRAP, ERR_NONE, name,
                  "its signer was revoked; another host has made one since");
    else
        add_extra(extras, EXTRA_REWRAP, ERR_NOT_AUTHENTIC, name,
                  "its signer was revoked: 'sealift key rewrap' has another host make one");
}

/* A rewrap: what it says of its seal, and who signed it. Whether it opens to the run key only a key tells. */
static void check_rewrap(struct extras *extras, const char *name)
{
    struct check *check = extras->check;
    const struct storage *storage = &check->repository->storage;
    struct err err = {0};
    struct id seal;
    unsigned number;
    uint8_t signer[SIGN_PK_LEN];
    struct rewrap_view rewrap;
    AUTO(buf) struct buf file = {0};
    if (!rewrap_parse_name(name, &seal, &number))
        add_stray(extras, name, "not an object of a repository");
    else if (!storage->ops->get(storage->self, name, REWRAP_OBJECT_MAX, &file, &err) ||
             !rewrap_object_decode(buf_span(&file), &seal, &rewrap, signer, &err))
        add_extra(extras, EXTRA_REWRAP, err.code, name, err.text);
    else if (!check_admitted(check, signer))
        add_extra(extras, EXTRA_REWRAP, ERR_NOT_AUTHENTIC, name, "its signer was never admitted");
    else if (!rewrap_fits_here(check->repository, &rewrap, &err))
        add_extra(extras, EXTRA_REWRAP, err.code == ERR_NOT_FOUND ? ERR_NONE : err.code, name, err.text);
    else if (!is_member(check, signer))
        tell_revoked(extras, name, &rewrap);
}

/* One name after the other, and none is kept: there may be any number. */
static bool note_object(void *arg, const char *name, uint64_t size)
{
    struct extras *extras = arg;
    const char *slash = strrchr(name, '/');
    struct id id;
    struct hash hash;
    uint64_t number;
    uint32_t journal;
    if (check_cancelled(extras->check)) return false;
    if (is_point(name, &id))
        note_point(extras, name, &id);
    else if (strncmp(name, "unlock/", 7) == 0)
        check_unlock(extras, name);
    else if (strncmp(name, "rewrap/", 7) == 0)
        check_rewrap(extras, name);
    else if (pack_parse_name(name, &hash))
        note_pack(extras, name, size, &hash);
    else if (strncmp(slash ? slash + 1 : name, FILE_TEMP_PREFIX, strlen(FILE_TEMP_PREFIX)) == 0)
        add_stray(extras, name, "an unfinished write, removed when the owner starts");
    else if (strcmp(name, RESERVE_NAME) != 0 && !chain_parse_name(name, &number) &&
             !journal_parse_name(name, &id, &journal))
        add_stray(extras, name, "not an object of a repository");
    return true;
}

/* What lies in the directory beside. */
static bool note_extras(struct check *check, struct err *err)
{
    const struct storage *storage = &check->repository->storage;
    struct extras extras = {.check = check};
    bool listed = storage->ops->list(storage->self, "", note_object, &extras, err);
    tell_more(&extras);
    if (listed && check_cancelled(check)) return err_set(err, ERR_CANCELLED, "the check was cancelled");
    return listed;
}

/* --- all of it --- */

/* That a pack is missing which was swept meanwhile is as it should be. */
static bool is_past(const struct check *check, const struct finding *finding)
{
    struct hash name;
    struct index_pack pack;
    struct err err;
    return finding->code == ERR_NOT_FOUND && pack_parse_name(finding->object, &name) &&
           !index_pack_find(check->repository->index, &name, &pack, &err) && err.code == ERR_NOT_FOUND;
}

/* Of a check of one point: what is wrong with a pack, and does not hurt it. */
static bool is_of_others(const struct check *check, const struct finding *finding)
{
    return check->options->point && finding->points.len == 0 && strncmp(finding->object, "packs", 5) == 0;
}

static bool is_unneeded_pack(const struct finding *finding)
{
    return finding->code == ERR_NOT_FOUND && finding->points.len == 0 &&
           strncmp(finding->object, "packs", 5) == 0;
}

/* A pack that is gone and that no point needs is no damage: who has the files alone does not even miss it.
 * But that nothing needs it is known only where all points were read to their ends. */
static void forgive_unneeded(struct check *check)
{
    for (size_t i = 0; i < check->count; i++)
        if (check->findings[i].code != ERR_NONE && !is_unneeded_pack(&check->findings[i])) return;
    for (size_t i = 0; i < check->count; i++) {
        struct finding *finding = &check->findings[i];
        if (finding->code == ERR_NONE || is_past(check, finding)) continue;
        char *text = xasprintf("%s; no point needs what it held", finding->text);
        free(finding->text);
        finding->text = text;
        finding->code = ERR_NONE;
    }
}

static void tell(struct check *check)
{
    for (size_t i = 0; i < check->count; i++) {
        const struct finding *finding = &check->findings[i];
        if (is_past(check, finding) || is_of_others(check, finding)) continue;
        struct check_finding told = {
            .code = finding->code, .object = finding->object, .text = finding->text, .about = finding->about};
        told.points = (const struct id *)(const void *)finding->points.data;
        told.point_count = finding->points.len / sizeof(struct id);
        if (finding->code != ERR_NONE) check->result.findings++;
        check->sink->finding(check->sink->arg, &told);
    }
}

static void check_deinit(struct check *check)
{
    for (size_t i = 0; i < check->count; i++) {
        free(check->findings[i].object);
        free(check->findings[i].text);
        buf_deinit(&check->findings[i].points);
    }
    free(check->findings);
    free(check->items);
    free(check->ranges);
    free(check->bad_seals);
    (void)pthread_mutex_destroy(&check->lock);
}
DEFINE_AUTO_IN_PLACE(check, struct check, check_deinit)

/* In the order in which their parts rely on each other. */
static bool check_all(struct check *check, struct err *err)
{
    const struct storage *storage = &check->repository->storage;
    /* what was moved away may be sound, and is not there for whoever will look for it */
    if (storage->ops->in_place && !storage->ops->in_place(storage->self, err)) return false;
    return check_log(check, err) && check_packs(check, err) && check_points(check, err) &&
           (check->options->point || note_extras(check, err));
}

bool repository_check(struct repository *repository, const struct check_options *options,
                      const struct check_sink *sink, struct check_result *result, struct err *err)
{
    AUTO(check)
    struct check check = {
        .repository = repository, .options = options, .level = options->level, .sink = sink};
    pace_init(&check.pace, options->bytes_per_s, options->cancelled);
    (void)pthread_mutex_init(&check.lock, NULL);
    bool done = check_all(&check, err);
    if (!done && err->code != ERR_CANCELLED) return false;
    if (done && !options->point) forgive_unneeded(&check);
    tell(&check);
    *result = check.result;
    struct err ignored; /* the next check does it again */
    if (done && !options->point && result->findings == 0)
        (void)!index_set_proven(repository->index, &ignored);
    return done;
}

uint64_t repository_pack_count(struct repository *repository)
{
    struct index_totals totals;
    index_totals(repository->index, &totals);
    return totals.packs;
}

bool repository_has_pack_from(struct repository *repository, const struct hash *name)
{
    struct index_pack pack;
    struct err ignored;
    return index_pack_by_name(repository->index, name, &pack, &ignored);
}

enum err_code check_code(enum err_code found)
{
    return found == ERR_NOT_FOUND ? ERR_DAMAGED : found;
}

int check_gravity(enum err_code found)
{
    static const enum err_code order[] = {ERR_NONE,          ERR_NO_KEY,       ERR_WRONG_KEY,
                                          ERR_NOT_ENCRYPTED, ERR_NOT_FOUND,    ERR_TRUNCATED,
                                          ERR_DAMAGED,       ERR_SALT_MISSING, ERR_NOT_AUTHENTIC};
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        if (order[i] == found) return (int)i;
    return 1;
}
