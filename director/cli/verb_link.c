/* sealift link …: in this version every run's source dials its target. */
#include "director/cli/statements.h"
#include "director/cli/verbs.h"

#include <string.h>

static bool list(struct cli *cli, const struct args *args, struct err *err)
{
    static const struct column columns[] = {
        {"job", "JOB", COLUMN_TEXT},
        {"source", "SOURCE", COLUMN_TEXT},
        {"target", "TARGET", COLUMN_TEXT},
        {"connection", "CONNECTION", COLUMN_TEXT},
        {0},
    };
    AUTO(statements) struct statements jobs = {0};
    AUTO(statements) struct statements repositories = {0};
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &jobs, err) ||
        !statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &repositories, err))
        return false;
    json_t *rows = json_array();
    for (size_t i = 0; i < jobs.count; i++) {
        if (statement_is_deleted(jobs.items[i])) continue;
        const Sealift__JobBody *body = jobs.items[i]->body.job;
        char source[IDENTITY_NAME_MAX + 1], target[IDENTITY_NAME_MAX + 1] = "?";
        struct id id;
        memcpy(id.bytes, body->repository.data, ID_LEN);
        const struct statement *repository = statements_with_id(&repositories, &id);
        access_name_of(cli, body->source.data, source);
        if (repository) access_name_of(cli, repository->body.repository->owner.data, target);
        (void)json_array_append_new(rows, json_pack("{s:s, s:s, s:s, s:s}", "job", body->name, "source",
                                                    source, "target", target, "connection", "direct"));
    }
    output_table(&cli->output, "links", columns, rows);
    return true;
}

static bool set(struct cli *cli, const struct args *args, struct err *err)
{
    struct client *client = NULL;
    const Sealift__Member *a = NULL, *b = NULL;
    const char *connection = args_value(args, "connection");
    if (!connection) return err_set(err, ERR_USAGE, "--connection is needed");
    if (strcmp(connection, "reverse") == 0 || strcmp(connection, "rendezvous") == 0)
        return err_set(err, ERR_USAGE, "the connection '%s' is not there yet in this version: 'direct' is",
                       connection);
    if (strcmp(connection, "direct") != 0)
        return err_set(err, ERR_USAGE, "a connection is 'direct', not '%s'", connection);
    if (!access_director(cli, &client, err) || !access_transporter(cli, args_operand(args, 0), &a, err) ||
        !access_transporter(cli, args_operand(args, 1), &b, err))
        return false;
    output_line(&cli->output,
                json_pack("{s:s, s:s, s:s}", "a", a->name, "b", b->name, "connection", "direct"),
                "%s and %s connect directly: the source of a run dials its target", a->name, b->name);
    return true;
}

static const struct option_spec set_options[] = {
    {"connection", "HOW", "direct: the source of a run dials its target"},
    {"proxy", "URI", NULL},
    {0},
};

const struct command link_commands[] = {
    {"link", "list", "", "Lists how the transporters of each job connect.",
     "$ sealift link list\n"
     "JOB  SOURCE  TARGET  CONNECTION\n"
     "web  web1    vault   direct",
     NULL, 0, 0, list},
    {"link", "set", "A B --connection direct",
     "Says how two transporters connect. Only 'direct' exists in this version, and it is what all do.",
     "$ sealift link set web1 vault --connection direct\n"
     "web1 and vault connect directly: the source of a run dials its target",
     set_options, 2, 2, set},
    {0},
};
