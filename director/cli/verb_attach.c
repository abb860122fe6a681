/* sealift repository attach, detach: a directory comes under a transporter's care, or leaves it, with all
 * that is in it. */
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/wire/lent.h"
#include "director/cli/catalog_ask.h"
#include "director/cli/confirm.h"
#include "director/cli/put.h"
#include "director/cli/statements.h"
#include "director/cli/verbs.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { OPEN_LIMIT_MS = 300000, STEP_MS = 100, PATH_LIMIT = 4096 };

#define REPOSITORIES SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY

/* --- which repository --- */

static bool parse_id(const char *text, struct id *out, struct err *err)
{
    return (strlen(text) == 2 * ID_LEN && hex_decode(text, out->bytes, ID_LEN, err)) ||
           err_set(err, ERR_USAGE, "--id takes the 32 digits of a repository's id, not '%s'", text);
}

/* The one of the name that is there, else the one that was detached under it. */
static const struct statement *known_as(const struct statements *repositories, const char *name)
{
    const struct statement *found = NULL;
    for (size_t i = 0; i < repositories->count; i++) {
        const struct statement *item = repositories->items[i];
        if (strcmp(statement_name(item), name) != 0) continue;
        if (!statement_is_deleted(item)) return item;
        if (!found || item->version > found->version) found = item;
    }
    return found;
}

/* *known NULL: no statement says anything of it; then its id must have been given. */
static bool choose(const struct args *args, const struct statements *repositories,
                   const struct statement **known, struct id *id, struct err *err)
{
    const char *name = args_operand(args, 0), *given = args_value(args, "id");
    if (given && !parse_id(given, id, err)) return false;
    *known = given ? statements_with_id(repositories, id) : known_as(repositories, name);
    if (*known) *id = (*known)->id;
    return *known || given ||
           err_set(err, ERR_NOT_FOUND,
                   "no operator's statement of a repository '%s' is known: --id says which one it is "
                   "(the answer to a wrong one names the repository that lies there)",
                   name);
}

static bool check_args(const struct args *args, struct err *err)
{
    const char *path = args_value(args, "path");
    if (!identity_name_check(args_operand(args, 0), err)) return false;
    if (!args_value(args, "on"))
        return err_set(err, ERR_USAGE, "--on TRANSPORTER is needed: who takes the repository");
    if (!path || path[0] != '/' || strlen(path) >= PATH_LIMIT)
        return err_set(err, ERR_USAGE, "--path DIR is needed: the directory on the transporter, absolute");
    return true;
}

/* --- attach --- */

/* Until the new owner says that it has it open, or why not. */
static bool wait_until_open(struct cli *cli, const Sealift__Member *owner, const struct id *id,
                            struct err *err)
{
    uint64_t deadline_ms = clock_steady_ms() + OPEN_LIMIT_MS;
    for (;;) {
        AUTO(payload_status) Sealift__StatusAnswer *status = NULL;
        if (!ask_status(cli, &status, err)) return false;
        const Sealift__RepositoryState *state = status_of_repository(status, id);
        const Sealift__TransporterStatus *host = status_of_transporter(status, owner->sign_pk.data);
        if (state && state->code == 0) return true;
        if (state && state->code != ERR_BUSY)
            return err_set(err, client_code(state->code), "'%s' says: %s", owner->name, state->text);
        bool connected = host && host->connected;
        if (!connected || clock_steady_ms() >= deadline_ms)
            return err_set(
                err, ERR_UNREACHABLE,
                "'%s' %s: it takes the repository when it hears of it; 'sealift repository show' tells",
                owner->name, connected ? "is still reading it" : "is not connected to the director");
        struct timespec pause = {.tv_nsec = STEP_MS * 1000000};
        (void)nanosleep(&pause, NULL);
    }
}

/* As it was before: of another owner, or of none. */
static void take_back(struct cli *cli, const struct id *id, const Sealift__RepositoryBody *body,
                      const struct statement *known)
{
    struct err why;
    Sealift__RepositoryBody before = known ? *known->body.repository : *body;
    if (!known) statement_take_back(&before);
    const struct put_request request = {.type = REPOSITORIES, .id = *id, .body = &before};
    if (put_statement(cli, &request, NULL, NULL, &why))
        output_note(&cli->output, "the statement was taken back: all is as before");
    else
        output_warning(
            &cli->output,
            "the statement could not be taken back, and gives the repository '%s' to the new owner: %s",
            body->name, why.text);
}

/* Who has it now loses it: asked about while that one is a transporter of the site. */
static bool confirm_taking(struct cli *cli, const struct args *args, const struct statement *known,
                           const Sealift__Member *owner, struct err *err)
{
    char question[256];
    if (!known || statement_is_deleted(known)) return true;
    const Sealift__RepositoryBody *body = known->body.repository;
    const Sealift__Member *keeper =
        body->owner.len == SIGN_PK_LEN ? roster_transporter(access_roster(cli), body->owner.data) : NULL;
    if (!keeper || keeper == owner) return true;
    (void)snprintf(question, sizeof(question),
                   "'%.60s' keeps this repository and loses it: give it to '%.60s'", keeper->name,
                   owner->name);
    return confirm(args, question, err);
}

static bool put_attached(struct cli *cli, const struct args *args, const Sealift__Member *owner,
                         const struct statement *known, const struct id *id, struct err *err)
{
    AUTO(sealed_copies) struct sealed_copies copies = {0};
    Sealift__RepositoryBody body = SEALIFT__REPOSITORY_BODY__INIT;
    if (known) body = *known->body.repository;
    bool plain = known ? body.kind == SEALIFT__STORE_KIND__STORE_PLAINTEXT : args_flag(args, "plaintext");
    if (plain && owner->zone != SEALIFT__ZONE__ZONE_TRUSTED)
        return err_set(err, ERR_POLICY,
                       "a plaintext repository is kept in the trusted zone only: '%s' is not in it",
                       owner->name);
    if (!sealed_copies_make(access_roster(cli), "repository", id, &owner, 1,
                            span_str(args_value(args, "path")), &copies, err))
        return false;
    body.name = lent_text(args_operand(args, 0));
    body.owner = owner->sign_pk;
    body.kind = plain ? SEALIFT__STORE_KIND__STORE_PLAINTEXT : SEALIFT__STORE_KIND__STORE_ENCRYPTED;
    body.path = copies.list;
    body.n_path = copies.count;
    body.deleted = 0;
    body.existing = 1;
    const struct put_request request = {.type = REPOSITORIES, .id = *id, .body = &body};
    if (!put_statement(cli, &request, NULL, NULL, err)) return false;
    if (wait_until_open(cli, owner, id, err)) return true;
    if (err->code != ERR_UNREACHABLE) take_back(cli, id, &body, known);
    return false;
}

static bool attach(struct cli *cli, const struct args *args, struct err *err)
{
    struct client *client = NULL;
    const Sealift__Member *owner = NULL;
    const struct statement *known = NULL;
    AUTO(statements) struct statements repositories = {0};
    struct id id;
    if (!check_args(args, err) || !access_director(cli, &client, err) ||
        !access_transporter(cli, args_value(args, "on"), &owner, err) ||
        !statements_get(cli, REPOSITORIES, &repositories, err) ||
        !choose(args, &repositories, &known, &id, err) || !confirm_taking(cli, args, known, owner, err) ||
        !put_attached(cli, args, owner, known, &id, err))
        return false;
    output_line(&cli->output,
                json_pack("{s:s, s:o, s:s}", "repository", args_operand(args, 0), "id",
                          json_hex(id.bytes, ID_LEN), "transporter", owner->name),
                "%s is kept by %s: 'sealift point list' has its points", args_operand(args, 0), owner->name);
    return true;
}

/* --- detach --- */

/* Jobs that will fail are named, and asked about. */
static bool confirm_jobs(struct cli *cli, const struct args *args, const struct id *repository,
                         struct err *err)
{
    AUTO(statements) struct statements jobs = {0};
    AUTO(buf) struct buf names = {0};
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &jobs, err)) return false;
    for (size_t i = 0; i < jobs.count; i++)
        if (job_concerns(jobs.items[i], repository))
            buf_printf(&names, "%s%s", names.len ? ", " : "", statement_name(jobs.items[i]));
    if (names.len == 0) return true;
    AUTO(buf) struct buf question = {0};
    buf_printf(&question, "jobs use this repository and will fail until it is attached again: %s; detach it",
               buf_cstr(&names));
    return confirm(args, buf_cstr(&question), err);
}

static bool detach(struct cli *cli, const struct args *args, struct err *err)
{
    const struct statement *known = NULL;
    AUTO(statements) struct statements repositories = {0};
    const char *name = args_operand(args, 0);
    if (!statements_get(cli, REPOSITORIES, &repositories, err) ||
        !statements_named(&repositories, name, &known, err) || !confirm_jobs(cli, args, &known->id, err))
        return false;
    Sealift__RepositoryBody body = *known->body.repository;
    body.deleted = 1;
    const struct put_request request = {.type = REPOSITORIES, .id = known->id, .body = &body};
    if (!put_statement(cli, &request, NULL, NULL, err)) return false;
    output_line(
        &cli->output,
        json_pack("{s:s, s:o, s:b}", "repository", name, "id", json_hex(known->id.bytes, ID_LEN), "detached",
                  1),
        "%s is detached: its transporter lets go of it when its runs have ended, and nothing of it was "
        "deleted",
        name);
    return true;
}

static const struct option_spec attach_options[] = {
    {"on", "TRANSPORTER", "who takes it"},
    {"path", "DIR", "the directory on that host, with the repository in it"},
    {"id", "ID", "which repository, if no statement of one of this name is known"},
    {"plaintext", NULL, "with --id: it is a plaintext one"},
    CONFIRM_OPTION,
    WAITS_ANYWAY_OPTION,
    {0},
};
static const struct option_spec detach_options[] = {
    CONFIRM_OPTION,
    {0},
};

const struct command attach_commands[] = {
    {"repository", "attach", "NAME --on TRANSPORTER --path DIR [--id ID [--plaintext]] [--yes]",
     "Puts a repository of this site under the care of a transporter, with all its points.\n"
     "One that was detached, whose disk was moved to another host, or whose host is lost. Its log names the "
     "new\n"
     "owner and your statement. The old owner, if it comes back, cannot write to it any more: while it is in "
     "the site\nand the repository was not detached, it is asked first. One of another site is read by "
     "'sealift offline' only.",
     "$ sealift repository attach offsite --on vault2 --path /mnt/disk/offsite\n"
     "offsite is kept by vault2: 'sealift point list' has its points",
     attach_options, 1, 1, attach},
    {"repository", "detach", "NAME [--yes]",
     "Takes a repository out of its transporter's care, to move its disk or to end with it. Nothing is "
     "deleted.\nIt asks first where jobs use the repository, which fail until it is attached again.",
     "$ sealift repository detach offsite\n"
     "offsite is detached: its transporter lets go of it when its runs have ended, and nothing of it was "
     "deleted",
     detach_options, 1, 1, detach},
    {0},
};
