#include "director/cli/statements.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "director/cli/nearest.h"

#include <stdio.h>
#include <string.h>

enum { STATEMENTS_MAX = 100000, NAMES_MAX = 512 };

void statements_deinit(struct statements *statements)
{
    for (size_t i = 0; i < statements->count; i++)
        statement_free(statements->items[i]);
    free(statements->items);
    *statements = (struct statements){0};
}

/* --- fetching --- */

/* What this machine has seen verified stays so when its signer has left the roster since. */
static bool is_remembered(const struct state *state, const struct statement *statement)
{
    struct hash known;
    return state_version(state, statement->type, &statement->id, &known) == statement->version &&
           hash_eq(&known, &statement->hash) && state_had_operator(state, statement->signer) &&
           id_eq(&statement->site, roster_site(state_roster(state)));
}

static bool believe(struct cli *cli, Sealift__StatementType type, struct span bytes, struct statement **out,
                    struct err *err)
{
    AUTO(statement) struct statement *statement = NULL;
    if (!statement_decode(bytes, &statement, err)) return false;
    if (statement->type != type)
        return err_set(err, ERR_PROTOCOL, "a %s statement among those of type %s",
                       statement_type_name(statement->type), statement_type_name(type));
    if (!is_remembered(cli->state, statement) &&
        !statement_check(statement, state_roster(cli->state), NULL, clock_real_ns() / 1000000000,
                         state_versions(cli->state), err))
        return false;
    *out = statement;
    statement = NULL;
    return true;
}

static void leave_out(struct cli *cli, struct statements *statements, const struct err *why)
{
    output_warning(&cli->output, "left out, because it cannot be believed: %s", why->text);
    if (statements->doubt.code == ERR_NONE) statements->doubt = *why;
}

static void take(struct cli *cli, struct statements *statements, const Sealift__Blobs *blobs)
{
    for (size_t i = 0; i < blobs->n_blob; i++) {
        struct err why = {0};
        struct statement *statement = NULL;
        if (!believe(cli, statements->type, span_of(blobs->blob[i].data, blobs->blob[i].len), &statement,
                     &why)) {
            leave_out(cli, statements, &why);
            continue;
        }
        statements->items =
            xreallocarray(statements->items, statements->count + 1, sizeof(*statements->items));
        statements->items[statements->count++] = statement;
    }
}

static bool fetch(struct cli *cli, struct client *client, struct statements *statements, uint64_t *from,
                  uint64_t *all, struct err *err)
{
    AUTO(client_message) struct client_message answer = {0};
    AUTO(payload_blobs) Sealift__Blobs *blobs = NULL;
    Sealift__Get body = SEALIFT__GET__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    body.what = SEALIFT__GET_KIND__GET_STATEMENTS;
    body.type = statements->type;
    body.from = *from;
    head.kind_case = SEALIFT__HEAD__KIND_GET;
    head.get = &body;
    if (!client_request(client, &head, span_of(NULL, 0), CLIENT_REPEATABLE, &answer, err)) return false;
    if (!payload_blobs_decode(buf_span(&answer.payload), &blobs, err))
        return err_wrap(err, "the director's statements");
    take(cli, statements, blobs);
    *all = answer.head->done->count;
    *from += blobs->n_blob;
    if (blobs->n_blob == 0) *all = *from; /* it says that there are more, but gives none */
    return true;
}

/* --- what the director no longer has --- */

struct tally {
    Sealift__StatementType type;
    size_t count;
};

static void count_one(void *arg, Sealift__StatementType type, const struct id *id, uint64_t version,
                      const struct hash *hash)
{
    struct tally *tally = arg;
    (void)id, (void)version, (void)hash;
    if (type == tally->type) tally->count++;
}

/* A director keeps the newest statement of each id for good, those that delete included; only orders that
 * were carried out leave it. */
static size_t count_forgotten(struct cli *cli, const struct statements *statements, uint64_t told)
{
    struct tally tally = {.type = statements->type};
    if (tally.type == SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER) return 0;
    version_memory_each(state_versions(cli->state), count_one, &tally);
    return tally.count > told ? tally.count - (size_t)told : 0;
}

static void note_forgotten(struct cli *cli, const struct statements *statements, uint64_t told)
{
    size_t count = count_forgotten(cli, statements, told);
    if (count == 0) return;
    output_warning(&cli->output,
                   "the director has forgotten %zu %s %s that this machine has seen: its state is older "
                   "than that; make %s again, or bring back a newer state",
                   count, statement_type_name(statements->type), plural(count, "statement", "statements"),
                   plural(count, "it", "them"));
}

static bool fetch_all(struct cli *cli, struct client *client, struct statements *statements, uint64_t *told,
                      struct err *err)
{
    uint64_t from = 0, all = 0;
    do {
        if (!fetch(cli, client, statements, &from, &all, err)) return false;
    } while (from < all && from < STATEMENTS_MAX);
    *told = from;
    return true;
}

void statement_take_back(Sealift__RepositoryBody *body)
{
    body->deleted = 1;
    body->path = NULL;
    body->n_path = 0;
}

static bool was_taken_back(const struct statement *statement)
{
    return statement->type == SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY &&
           statement->body.repository->deleted && statement->body.repository->n_path == 0;
}

static void drop_taken_back(struct statements *statements)
{
    size_t kept = 0;
    for (size_t i = 0; i < statements->count; i++)
        if (was_taken_back(statements->items[i]))
            statement_free(statements->items[i]);
        else
            statements->items[kept++] = statements->items[i];
    statements->count = kept;
}

bool statements_get(struct cli *cli, Sealift__StatementType type, struct statements *out, struct err *err)
{
    struct client *client = NULL;
    AUTO(statements) struct statements statements = {.type = type};
    if (!access_director(cli, &client, err)) return false;
    uint64_t told = 0;
    if (!fetch_all(cli, client, &statements, &told, err)) return false;
    if (type == SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT && count_forgotten(cli, &statements, told) > 0) {
        /* of those to this operator there are copies here */
        statements_deinit(&statements);
        statements = (struct statements){.type = type};
        if (!access_give_back(cli, err) || !fetch_all(cli, client, &statements, &told, err)) return false;
    }
    note_forgotten(cli, &statements, told);
    drop_taken_back(&statements);
    if (!state_save_versions(cli->state, err)) return false;
    *out = statements;
    statements = (struct statements){0};
    return true;
}

bool statements_believed(const struct statements *statements, struct err *err)
{
    if (statements->doubt.code == ERR_NONE) return true;
    return err_set(err, ERR_NOT_AUTHENTIC, "not every %s statement of the director can be believed: %s",
                   statement_type_name(statements->type), statements->doubt.text);
}

/* --- looking up --- */

const char *statement_name(const struct statement *statement)
{
    return statement->type == SEALIFT__STATEMENT_TYPE__STATEMENT_JOB ? statement->body.job->name
                                                                     : statement->body.repository->name;
}

bool statement_is_deleted(const struct statement *statement)
{
    return statement->type == SEALIFT__STATEMENT_TYPE__STATEMENT_JOB
               ? statement->body.job->deleted != 0
               : statement->body.repository->deleted != 0;
}

bool job_concerns(const struct statement *job, const struct id *repository)
{
    const Sealift__JobBody *body = job->body.job;
    return !body->deleted && (memcmp(body->repository.data, repository->bytes, ID_LEN) == 0 ||
                              (body->from_repository.len == ID_LEN &&
                               memcmp(body->from_repository.data, repository->bytes, ID_LEN) == 0));
}

bool repository_is_missed(const struct statement *repository, const struct statements *jobs)
{
    if (!statement_is_deleted(repository)) return false;
    for (size_t i = 0; i < jobs->count; i++)
        if (job_concerns(jobs->items[i], &repository->id)) return true;
    return false;
}

static bool was_detached(const struct statements *statements, const char *name)
{
    bool found = false;
    for (size_t i = 0;
         statements->type == SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY && i < statements->count; i++)
        found = found || strcmp(statement_name(statements->items[i]), name) == 0;
    return found;
}

static bool not_found(const struct statements *statements, const char *name, struct err *err)
{
    const char *kind = statement_type_name(statements->type);
    if (statements->doubt.code != ERR_NONE)
        return err_set(err, ERR_NOT_AUTHENTIC, "no %s '%s' can be believed: %s", kind, name,
                       statements->doubt.text);
    if (was_detached(statements, name)) /* one that is there would have been found */
        return err_set(err, ERR_NOT_FOUND,
                       "repository '%s' is detached: 'sealift repository attach' brings it back", name);
    const char *names[NAMES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < statements->count && count < NAMES_MAX; i++)
        if (!statement_is_deleted(statements->items[i]))
            names[count++] = statement_name(statements->items[i]);
    const char *near = nearest_word(name, names, count);
    if (near) return err_set(err, ERR_NOT_FOUND, "there is no %s '%s'; did you mean '%s'?", kind, name, near);
    return err_set(err, ERR_NOT_FOUND, "there is no %s '%s'", kind, name);
}

bool statements_named(const struct statements *statements, const char *name, const struct statement **out,
                      struct err *err)
{
    const struct statement *found = NULL;
    for (size_t i = 0; i < statements->count; i++) {
        const struct statement *item = statements->items[i];
        if (statement_is_deleted(item) || strcmp(statement_name(item), name) != 0) continue;
        if (found)
            return err_set(err, ERR_NOT_AUTHENTIC, "the director has two statements of a %s '%s'",
                           statement_type_name(statements->type), name);
        found = item;
    }
    if (!found) return not_found(statements, name, err);
    *out = found;
    return true;
}

const struct statement *statements_with_id(const struct statements *statements, const struct id *id)
{
    for (size_t i = 0; i < statements->count; i++)
        if (id_eq(&statements->items[i]->id, id)) return statements->items[i];
    return NULL;
}

void statements_name_of(const struct statements *repositories, const struct id *id,
                        char out[static IDENTITY_NAME_MAX + 1])
{
    const struct statement *found = statements_with_id(repositories, id);
    if (found)
        (void)snprintf(out, IDENTITY_NAME_MAX + 1, "%s", statement_name(found));
    else
        hex_encode(id->bytes, 6, out);
}
