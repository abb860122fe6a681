/* sealift job prune, repository sweep and reindex, point hold, release, delete, undelete: which points there
 * are. */
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/wire/lent.h"
#include "director/cli/confirm.h"
#include "director/cli/follow.h"
#include "director/cli/maintain.h"
#include "director/cli/point.h"
#include "director/cli/put.h"
#include "director/cli/verbs.h"

#include <stdio.h>
#include <string.h>

enum { ORDER_EXPIRY_S = 3600, STATS_S = 10 };

/* --- following --- */

/* Waits for the run; `name` and what it says it did are the answer. */
static bool conclude(struct cli *cli, const struct id *run, enum follow_from from, const char *name,
                     const char *done, struct err *err)
{
    char hex[2 * ID_LEN + 1], stop[64];
    hex_encode(run->bytes, ID_LEN, hex);
    (void)snprintf(stop, sizeof(stop), "sealift job stop %.12s", hex);
    const struct follow_request request = {
        .run = *run, .from = from, .what = name, .stop = stop, .stats_s = STATS_S};
    AUTO(follow_result) struct follow_result result = {0};
    if (!follow_run(cli, &request, &result, err)) return false;
    bool ok = !result.interrupted && result.state == SEALIFT__RUN_STATE__RUN_OK;
    if (cli->output.form == OUTPUT_JSON && !result.interrupted)
        output_line(&cli->output, follow_json(run, &result), "%s", "");
    else if (ok)
        output_line(&cli->output, NULL, "%s: %s", name, result.text[0] ? result.text : done);
    return follow_conclude(cli, &request, &result, err);
}

/* --- maintenance runs --- */

static bool sweep(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(statements) struct statements repositories = {0};
    const struct statement *repository = NULL;
    Sealift__Maintenance work = SEALIFT__MAINTENANCE__INIT;
    struct id run;
    work.kind = SEALIFT__MAINTENANCE_KIND__MAINTENANCE_SWEEP;
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &repositories, err) ||
        !statements_named(&repositories, args_operand(args, 0), &repository, err) ||
        !maintain_start(cli, &repository->id, &work, &run, err))
        return false;
    return conclude(cli, &run, FOLLOW_STARTED, args_operand(args, 0), "swept", err);
}

static bool reindex(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(statements) struct statements repositories = {0};
    const struct statement *repository = NULL;
    const char *name = args_operand(args, 0);
    Sealift__Maintenance work = SEALIFT__MAINTENANCE__INIT;
    char hex[2 * ID_LEN + 1];
    struct id run;
    work.kind = SEALIFT__MAINTENANCE_KIND__MAINTENANCE_REINDEX;
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &repositories, err) ||
        !statements_named(&repositories, name, &repository, err) ||
        !maintain_start(cli, &repository->id, &work, &run, err))
        return false;
    if (args_flag(args, "wait")) return conclude(cli, &run, FOLLOW_STARTED, name, "indexed anew", err);
    hex_encode(run.bytes, ID_LEN, hex);
    output_line(&cli->output, json_pack("{s:s, s:s}", "repository", name, "run", hex),
                "%s: the run %.12s is queued; 'sealift job log %.12s' shows how it ended", name, hex, hex);
    return true;
}

static bool prune(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(statements) struct statements jobs = {0};
    const struct statement *job = NULL;
    const char *name = args_operand(args, 0);
    Sealift__Maintenance work = SEALIFT__MAINTENANCE__INIT;
    char question[256];
    struct id run;
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &jobs, err) ||
        !statements_named(&jobs, name, &job, err))
        return false;
    struct id repository = stored_id(&job->body.job->repository);
    work.kind = SEALIFT__MAINTENANCE_KIND__MAINTENANCE_PRUNE;
    work.about = lent_id(&job->id);
    work.dry_run = args_flag(args, "dry-run");
    (void)snprintf(question, sizeof(question), "remove the points of '%s' that its retention does not keep",
                   name);
    if (!work.dry_run && !confirm(args, question, err)) return false;
    if (!maintain_start(cli, &repository, &work, &run, err)) return false;
    return conclude(cli, &run, FOLLOW_STARTED, name, "pruned", err);
}

/* --- orders about a point --- */

struct point_order {
    Sealift__OrderKind kind;
    struct id repository, point;
    struct hash file; /* of the point file that was seen; zeros: none */
};

static bool put_order(struct cli *cli, const struct point_order *order, struct id *run, struct err *err)
{
    AUTO(statements) struct statements repositories = {0};
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &repositories, err)) return false;
    const struct statement *repository = statements_with_id(&repositories, &order->repository);
    if (!repository)
        return err_set(err, repositories.doubt.code ? ERR_NOT_AUTHENTIC : ERR_NOT_FOUND,
                       "the repository of this point is unknown");
    Sealift__OrderBody body = SEALIFT__ORDER_BODY__INIT;
    body.kind = order->kind;
    body.repository = lent_id(&order->repository);
    body.point = lent_id(&order->point);
    body.target = repository->body.repository->owner;
    body.point_hash = lent_bytes(order->file.bytes, HASH_LEN);
    const struct put_request request = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER,
                                        .id = id_random(),
                                        .expiry_s = clock_real_ns() / 1000000000 + ORDER_EXPIRY_S,
                                        .body = &body};
    return put_statement(cli, &request, run, NULL, err);
}

/* What holds or removes a point does so in one repository: where others have copies, it is not guessed which
 * one is meant. */
static bool is_only_there(struct cli *cli, const struct point *point, struct err *err)
{
    AUTO(points) struct points points = {0};
    if (!points_get(cli, NULL, point->body->job, POINTS_THERE, &points, err)) return false;
    for (size_t i = 0; i < points.count; i++)
        if (id_eq(&points.items[i]->id, &point->id) &&
            !id_eq(&points.items[i]->repository, &point->repository))
            return err_set(
                err, ERR_USAGE,
                "the point is in several repositories, as 'sealift point list' shows: say in which "
                "with --repository");
    return true;
}

static bool act(struct cli *cli, const struct args *args, Sealift__OrderKind kind, const char *done,
                struct err *err)
{
    AUTO(point) struct point *point = NULL;
    char name[2 * ID_LEN + 8], hex[2 * ID_LEN + 1], question[128];
    struct id run;
    const char *repository = args_value(args, "repository");
    if (!point_resolve(cli, args_operand(args, 0), repository, &point, err)) return false;
    if (!repository && !is_only_there(cli, point, err)) return false;
    hex_encode(point->id.bytes, ID_LEN, hex);
    (void)snprintf(name, sizeof(name), "point %s", hex);
    (void)snprintf(question, sizeof(question), "delete the point %.12s of the job '%.60s'", hex,
                   point->body->job);
    if (kind == SEALIFT__ORDER_KIND__ORDER_DELETE && !confirm(args, question, err)) return false;
    const struct point_order order = {
        .kind = kind, .repository = point->repository, .point = point->id, .file = point->hash};
    return put_order(cli, &order, &run, err) && conclude(cli, &run, FOLLOW_ASK, name, done, err);
}

static bool hold(struct cli *cli, const struct args *args, struct err *err)
{
    return act(cli, args, SEALIFT__ORDER_KIND__ORDER_HOLD, "held", err);
}

static bool release(struct cli *cli, const struct args *args, struct err *err)
{
    return act(cli, args, SEALIFT__ORDER_KIND__ORDER_RELEASE, "released", err);
}

static bool delete (struct cli *cli, const struct args *args, struct err *err)
{
    return act(cli, args, SEALIFT__ORDER_KIND__ORDER_DELETE,
               "deleted; 'sealift point undelete' brings it back until a sweep", err);
}

/* Of a point that the director does not know, as after a loss of its catalog, the whole id and the repository
 * say enough. */
static bool removed_by_id(struct cli *cli, const char *word, const char *name, struct point_order *order,
                          struct err *err)
{
    AUTO(statements) struct statements repositories = {0};
    const struct statement *repository = NULL;
    struct err ignored;
    struct id id;
    if (err->code != ERR_NOT_FOUND) return false;
    bool whole_id = strlen(word) == 2 * ID_LEN && hex_decode(word, id.bytes, ID_LEN, &ignored);
    if (!whole_id || !name)
        return err_set(
            err, ERR_NOT_FOUND,
            "no removed point is '%s': 'sealift point list --removed' shows those that no sweep has "
            "taken yet%s",
            word, whole_id ? "; of one that the director has forgotten, --repository R says where" : "");
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &repositories, err) ||
        !statements_named(&repositories, name, &repository, err))
        return false;
    order->repository = repository->id;
    order->point = id;
    return true;
}

static bool undelete(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(point) struct point *point = NULL;
    const char *word = args_operand(args, 0), *name = args_value(args, "repository");
    struct point_order order = {.kind = SEALIFT__ORDER_KIND__ORDER_UNDELETE};
    char what[2 * ID_LEN + 8], hex[2 * ID_LEN + 1];
    struct id run;
    if (point_resolve_removed(cli, word, name, &point, err)) {
        order.repository = point->repository;
        order.point = point->id;
    } else if (!removed_by_id(cli, word, name, &order, err)) {
        return false;
    }
    hex_encode(order.point.bytes, ID_LEN, hex);
    (void)snprintf(what, sizeof(what), "point %s", hex);
    return put_order(cli, &order, &run, err) && conclude(cli, &run, FOLLOW_ASK, what, "is back", err);
}

static const struct option_spec prune_options[] = {
    {"dry-run", NULL, "only say (on stderr) which would be removed, and why the others stay"},
    CONFIRM_OPTION,
    WAITS_ANYWAY_OPTION,
    {0},
};
static const struct option_spec point_options[] = {
    {"repository", "R", "in this repository; needed where others have copies"},
    WAITS_ANYWAY_OPTION,
    {0},
};
static const struct option_spec delete_options[] = {
    {"repository", "R", "in this repository; needed where others have copies"},
    CONFIRM_OPTION,
    WAITS_ANYWAY_OPTION,
    {0},
};
static const struct option_spec undelete_options[] = {
    {"repository", "R", "where it was, where others have copies"},
    WAITS_ANYWAY_OPTION,
    {0},
};

static const struct option_spec sweep_options[] = {
    WAITS_ANYWAY_OPTION,
    {0},
};
static const struct option_spec reindex_options[] = {
    WAIT_OPTION,
    {0},
};

const struct command care_commands[] = {
    {"repository", "sweep", "NAME",
     "Takes away what no point refers to, beside running backups and restores. It needs no key.",
     "$ sealift repository sweep offsite\n"
     "offsite: 12 packs taken away with 380.0 MiB, of which 1.0 MiB were written anew; 0 packs spared",
     sweep_options, 1, 1, sweep},
    {"repository", "reindex", "NAME [--wait]",
     "Builds the chunk index of a repository anew from its packs. The old one, which the repository's\n"
     "transporter keeps in its own state, is dropped unread: for restores and checks that fail though packs\n"
     "are good. Nothing can be lost by it. Beside a run that uses the repository it ends with 6; runs that "
     "come\nmeanwhile wait, or are refused.",
     "$ sealift repository reindex offsite --wait\n"
     "offsite: indexed anew: 48211 chunks in 1318 packs with 41.2 GiB, 12 points",
     reindex_options, 1, 1, reindex},
    {"job", "prune", "NAME [--dry-run] [--yes]",
     "Removes the points of a job that its signed retention does not keep. The newest stays always, and what "
     "is\nheld, immutable, or below the floor of the repository or its transporter. The space comes back "
     "with "
     "a sweep.",
     "$ sealift job prune web --yes\n"
     "web: 3 points removed, 14 stay",
     prune_options, 1, 1, prune},
    {"point", "hold", "ID [--repository R]", "Keeps a point from being removed until it is released.",
     "$ sealift point hold web@latest\n"
     "point 3f2a91c0d4e7…: held",
     point_options, 1, 1, hold},
    {"point", "release", "ID [--repository R]", "Takes a hold back.",
     "$ sealift point release web@latest\n"
     "point 3f2a91c0d4e7…: released",
     point_options, 1, 1, release},
    {"point", "delete", "ID [--repository R] [--yes]",
     "Removes one point, unless it is held, immutable, the last of its job, or below the floor (exit code "
     "5).",
     "$ sealift point delete 3f2a91c0 --yes\n"
     "point 3f2a91c0d4e7…: deleted; 'sealift point undelete' brings it back until a sweep",
     delete_options, 1, 1, delete},
    {"point", "undelete", "ID [--repository R]",
     "Brings a removed point back, until a sweep has taken its data: 'sealift point list --removed' shows "
     "which.\n"
     "ID is the start of its id, JOB@latest (the newest that was removed), or JOB@2026-11-20.",
     "$ sealift point undelete 3f2a91c0\n"
     "point 3f2a91c0d4e7…: is back",
     undelete_options, 1, 1, undelete},
    {0},
};
