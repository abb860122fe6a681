#include "director/cli/offline.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "director/cli/point.h"

#include <string.h>

/* --- whose points these are --- */

static const Sealift__Member *find_writer(const struct statement *roster, const uint8_t writer[SIGN_PK_LEN])
{
    const Sealift__RosterBody *body = roster->body.roster;
    for (size_t i = 0; i < body->n_transporters; i++)
        if (memcmp(body->transporters[i]->sign_pk.data, writer, SIGN_PK_LEN) == 0)
            return body->transporters[i];
    return NULL;
}

static bool decode_roster(struct offline_point *point, struct err *err)
{
    struct span bytes = stored_span(&point->file->writer_roster);
    point->writer = point->body->writer_name;
    if (bytes.len == 0) return true;
    if (!statement_decode(bytes, &point->roster, err)) return err_wrap(err, "the writer's roster");
    if (point->roster->type != SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER)
        return err_set(err, ERR_NOT_AUTHENTIC, "the writer's roster is another statement");
    struct id site = stored_id(&point->body->site);
    if (!id_eq(&point->roster->site, &site))
        return err_set(err, ERR_NOT_AUTHENTIC, "the writer's roster is of another site");
    const Sealift__Member *writer = find_writer(point->roster, point->body->writer.data);
    if (!writer)
        return err_set(err, ERR_NOT_AUTHENTIC, "the writer '%s' is not in the roster that the point carries",
                       point->body->writer_name);
    point->writer = writer->name;
    return true;
}

/* The chain of rosters is not in a repository, so the pinned admin's own signature is what counts. */
static bool check_pin(const struct offline *offline, const struct offline_point *point, struct err *err)
{
    if (!offline->pinned) return true;
    if (memcmp(point->body->site.data, offline->site.site.bytes, ID_LEN) != 0)
        return err_set(err, ERR_NOT_AUTHENTIC, "it is of another site than the site line");
    if (!point->roster)
        return err_set(err, ERR_NOT_AUTHENTIC, "it carries no roster that admits its writer '%s'",
                       point->body->writer_name);
    if (memcmp(point->roster->signer, offline->site.admin, SIGN_PK_LEN) != 0)
        return err_set(
            err, ERR_NOT_AUTHENTIC,
            "the roster that admits its writer is signed by another admin than the site line names");
    return true;
}

bool offline_admitted(const struct offline *offline, const uint8_t writer[SIGN_PK_LEN])
{
    for (size_t i = 0; i < offline->count; i++)
        if (offline->points[i].body && find_writer(offline->points[i].roster, writer)) return true;
    return false;
}

static bool is_known(const struct offline *offline, const uint8_t signer[SIGN_PK_LEN])
{
    for (size_t i = 0; i < offline->known_count; i++)
        if (memcmp(offline->known[i], signer, SIGN_PK_LEN) == 0) return true;
    return false;
}

bool offline_is_vouched(const struct offline *offline, const struct offline_point *point)
{
    if (!point->body) return false;
    if (offline->pinned || offline->known_count == 0) return true;
    return point->roster && is_known(offline, point->roster->signer);
}

bool offline_is_operator(const struct offline *offline, const uint8_t signer[SIGN_PK_LEN])
{
    if (is_known(offline, signer)) return true;
    for (size_t i = 0; i < offline->count; i++) {
        const struct offline_point *point = &offline->points[i];
        if (!offline_is_vouched(offline, point) || !point->roster) continue;
        const Sealift__RosterBody *roster = point->roster->body.roster;
        for (size_t k = 0; k < roster->n_operators; k++)
            if (memcmp(roster->operators[k]->sign_pk.data, signer, SIGN_PK_LEN) == 0) return true;
    }
    return false;
}

void offline_tell_pin(const struct offline *offline, const struct offline_point *point)
{
    const struct output *output = &offline->cli->output;
    if (offline->pinned)
        output_note(output, "written by '%s', which the pinned site's admin admitted", point->writer);
    else if (offline->known_count && offline_is_vouched(offline, point))
        output_note(output, "written by '%s', which an operator whom the recovery kit knows admitted",
                    point->writer);
    else if (offline->known_count)
        output_warning(
            output,
            "signed by a writer that calls itself '%s', which no operator admitted whom the recovery "
            "kit knows",
            point->body->writer_name);
    else
        output_note(output,
                    "signed by a writer that calls itself '%s'; nothing was pinned: --site LINE does it",
                    point->body->writer_name);
}

/* --- reading the points --- */

static bool read_body(struct offline *offline, struct offline_point *point, struct err *err)
{
    AUTO(buf) struct buf bytes = {0};
    if (!repository_point_read(offline->repository, &point->id, &bytes, err)) return false;
    if (!stored_point_decode(buf_span(&bytes), &point->file, err) ||
        !stored_point_open(point->file, &point->body, err))
        return false;
    if (memcmp(point->body->point.data, point->id.bytes, ID_LEN) != 0 ||
        memcmp(point->body->site.data, offline->info.site.bytes, ID_LEN) != 0)
        return err_set(err, ERR_NOT_AUTHENTIC, "the point file is of another point or site");
    return decode_roster(point, err) && check_pin(offline, point, err);
}

static void point_drop(struct offline_point *point)
{
    stored_point_free(point->file);
    stored_body_free(point->body);
    statement_free(point->roster);
    point->file = NULL;
    point->body = NULL;
    point->roster = NULL;
    point->writer = NULL;
}

static bool note_point(void *arg, const struct repository_point *listed)
{
    struct offline *offline = arg;
    offline->points = xreallocarray(offline->points, offline->count + 1, sizeof(*offline->points));
    offline->points[offline->count++] =
        (struct offline_point){.id = listed->point, .number = listed->number, .time_ns = listed->time_ns};
    return true;
}

static bool read_points(struct offline *offline, struct err *err)
{
    if (!repository_points(offline->repository, note_point, offline, err)) return false;
    for (size_t i = 0; i < offline->count; i++) {
        struct offline_point *point = &offline->points[i];
        if (read_body(offline, point, &point->doubt)) continue;
        point_drop(point);
        if (point->doubt.code == ERR_NOT_FOUND) {
            point->doubt.code = ERR_DAMAGED;
            (void)err_wrap(&point->doubt, "the point file is missing");
        }
    }
    return true;
}

/* The points whose entries are good are worth more than a log without a gap. */
static bool open_repository(struct offline *offline, struct err *err)
{
    struct repository_options options = {.path = offline->path};
    if (repository_open(&options, &offline->repository, err)) return true;
    if (err->code != ERR_DAMAGED && err->code != ERR_TRUNCATED && err->code != ERR_NOT_AUTHENTIC)
        return false;
    struct err ignored;
    options.damage = REPOSITORY_READ_DAMAGED;
    if (!repository_open(&options, &offline->repository, &ignored)) return false;
    offline->log_doubt = *err;
    err_clear(err);
    output_warning(&offline->cli->output,
                   "%s; the entries that are good are read: what the others said, removals too, is not known",
                   offline->log_doubt.text);
    return true;
}

/* --- what a kit remembers --- */

struct looking {
    uint64_t number;
    struct hash hash;
    bool found;
};

static bool look(void *arg, uint64_t number, struct span entry)
{
    struct looking *looking = arg;
    if (number != looking->number) return false;
    looking->hash = hash_of(entry);
    looking->found = true;
    return false;
}

static void check_head(const struct offline *offline, const struct kit_head *head, struct err *doubt)
{
    struct err ignored;
    struct looking looking = {.number = head->number};
    if (head->number > offline->info.head_number) {
        (void)err_set(doubt, ERR_NOT_AUTHENTIC,
                      "the log was rolled back: it ends at entry %llu, the recovery kit has seen entry %llu",
                      (unsigned long long)offline->info.head_number, (unsigned long long)head->number);
        return;
    }
    if (!repository_log(offline->repository, head->number, look, &looking, &ignored) || !looking.found ||
        !hash_eq(&looking.hash, &head->hash))
        (void)err_set(doubt, ERR_NOT_AUTHENTIC,
                      "the log is another one: its entry %llu is not the one that the recovery kit has seen",
                      (unsigned long long)head->number);
}

/* A doubt is no reason to refuse what can still be restored: whoever restores is warned. */
static void witness(struct offline *offline, const struct kit *kit)
{
    struct err doubt = {0};
    const struct kit_head *head = kit ? kit_head_of(kit, &offline->info.repository) : NULL;
    if (!head || offline->log_doubt.code != ERR_NONE) return;
    check_head(offline, head, &doubt);
    offline->witnessed = doubt.code == ERR_NONE;
    offline->log_doubt = doubt;
    if (!offline->witnessed) output_warning(&offline->cli->output, "%s", doubt.text);
}

/* Those who became operators after the kit was made it does not know: their points are read all the same. */
static void know_operators(struct offline *offline, const struct kit *kit)
{
    if (!kit || offline->pinned || !id_eq(&kit->site, &offline->info.site) || kit->operator_count == 0)
        return;
    offline->known = xcalloc(kit->operator_count, sizeof(*offline->known));
    memcpy(offline->known, kit->operators, kit->operator_count * sizeof(*offline->known));
    offline->known_count = kit->operator_count;
}

bool offline_open(struct cli *cli, const struct args *args, const struct kit *kit, struct offline *out,
                  struct err *err)
{
    const char *path = args_operand(args, 0), *line = args_value(args, "site");
    out->cli = cli;
    out->path = xstrdup(path);
    out->pinned = line != NULL;
    if (line && !site_line_parse(line, &out->site, err)) return false;
    if (!open_repository(out, err)) return false;
    repository_info(out->repository, &out->info);
    if (out->pinned && !id_eq(&out->site.site, &out->info.site))
        return err_set(err, ERR_NOT_AUTHENTIC, "'%s' is a repository of another site than the site line",
                       path);
    know_operators(out, kit);
    witness(out, kit);
    return read_points(out, err);
}

void offline_deinit(struct offline *offline)
{
    for (size_t i = 0; i < offline->count; i++)
        point_drop(&offline->points[i]);
    free(offline->points);
    free(offline->known);
    repository_close(offline->repository);
    free(offline->path);
}

/* --- finding one --- */

static bool has_prefix(const struct id *id, const char *prefix)
{
    char text[2 * ID_LEN + 1];
    hex_encode(id->bytes, ID_LEN, text);
    return strncasecmp(text, prefix, strlen(prefix)) == 0;
}

static bool by_prefix(const struct offline *offline, const char *prefix, const struct offline_point **out,
                      struct err *err)
{
    const struct offline_point *found = NULL;
    for (size_t i = 0; i < offline->count; i++) {
        if (!has_prefix(&offline->points[i].id, prefix)) continue;
        if (found) return err_set(err, ERR_USAGE, "more than one point begins with '%s'", prefix);
        found = &offline->points[i];
    }
    *out = found;
    return found || err_set(err, ERR_NOT_FOUND, "no point in '%s' begins with '%s'", offline->path, prefix);
}

/* `job` NULL: any. One whose file is damaged or gone may be of any job: who passed it over would take an
 * older one for the newest, unsaid. One that nobody admitted signed is of none. */
static bool may_be_of(const struct offline_point *point, const char *job)
{
    if (!job) return true;
    if (point->body) return strcmp(point->body->job, job) == 0;
    return point->doubt.code != ERR_NOT_AUTHENTIC;
}

static const struct offline_point *newest(const struct offline *offline, const char *job, uint64_t until_ns)
{
    for (size_t i = offline->count; i > 0; i--) {
        const struct offline_point *point = &offline->points[i - 1];
        if (point->time_ns <= until_ns && may_be_of(point, job)) return point;
    }
    return NULL;
}

static bool find_point(const struct offline *offline, const char *text, const struct offline_point **out,
                       struct err *err)
{
    enum point_word word;
    char job[IDENTITY_NAME_MAX + 1];
    uint64_t until_ns = UINT64_MAX;
    if (strcmp(text, "latest") == 0) {
        *out = newest(offline, NULL, UINT64_MAX);
        return *out || err_set(err, ERR_NOT_FOUND, "there is no point in '%s'", offline->path);
    }
    if (!point_word_parse(text, clock_real_ns(), &word, job, &until_ns, err)) return false;
    if (word == POINT_BY_PREFIX) return by_prefix(offline, text, out, err);
    *out = newest(offline, job, word == POINT_LATEST ? UINT64_MAX : until_ns);
    return *out || err_set(err, ERR_NOT_FOUND, "there is no point '%s' in '%s'", text, offline->path);
}

bool offline_resolve(const struct offline *offline, const char *text, const struct offline_point **out,
                     struct err *err)
{
    const struct offline_point *point = NULL;
    if (!find_point(offline, text, &point, err)) return false;
    if (!point->body) {
        char id[2 * ID_LEN + 1];
        hex_encode(point->id.bytes, ID_LEN, id);
        *err = point->doubt;
        return err_wrap(err, "point %.12s (an older one is restored by the start of its id)", id);
    }
    *out = point;
    return true;
}
