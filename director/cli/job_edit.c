#include "director/cli/job_edit.h"

#include "common/wire/lent.h"
#include "director/cli/job_pace.h"
#include "director/cli/job_rules.h"
#include "director/cli/pair.h"
#include "director/cli/put.h"
#include "director/core/run.h"

const struct option_spec job_edit_options[] = {
    {"connection", "HOW", "direct, reverse or rendezvous, or 'link': as the link of both hosts says"},
    {"proxy", "HOST:PORT",
     "rendezvous: where both meet; direct: a SOCKS5 proxy that the source dials through"},
    JOB_RULES_OPTIONS,
    JOB_PACE_OPTIONS,
    {0},
};

/* The job with what it refers to, and its next version in the making. */
struct edit {
    struct statements jobs, repositories;
    struct link_table links;
    const struct statement *job;
    Sealift__JobBody body;
    Sealift__Retention retention; /* the body's, where it has one */
    struct way_wish way;
    struct pair pair;
    bool local; /* both sides are one host */
};
static void edit_deinit(struct edit *edit)
{
    statements_deinit(&edit->jobs);
    statements_deinit(&edit->repositories);
    link_table_deinit(&edit->links);
}
DEFINE_AUTO_IN_PLACE(edit, struct edit, edit_deinit)

static bool read_way(struct edit *edit, const struct args *args, struct err *err)
{
    edit->way = pair_job_wish(&edit->body);
    if (!args_flag(args, "connection") && !args_flag(args, "proxy")) return true;
    if (edit->local)
        return err_set(err, ERR_USAGE, "the repository of the job '%s' is on its source: nobody dials",
                       edit->body.name);
    if (!pair_read(args, PAIR_MAY_SAY_LINK, &edit->links, &edit->pair, &edit->way, err)) return false;
    edit->body.connection = edit->way.connection;
    edit->body.proxy = edit->way.proxy;
    return true;
}

static bool get(struct cli *cli, const char *name, struct edit *out, struct err *err)
{
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &out->jobs, err) ||
        !statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &out->repositories, err) ||
        !statements_named(&out->jobs, name, &out->job, err) || !pair_links(cli, &out->links, err))
        return false;
    out->body = *out->job->body.job;
    out->local = !pair_of_job(cli, &out->body, &out->repositories, &out->pair);
    return true;
}

static void say(struct cli *cli, const struct edit *edit)
{
    json_t *object = json_pack("{s:s}", "job", edit->body.name);
    job_rules_json(&edit->body, object);
    job_pace_json(&edit->body, object);
    if (!edit->local) pair_json(&edit->links, &edit->way, &edit->pair, object);
    AUTO(json) json_t *shown = json_deep_copy(object);
    const char *dials = json_string_value(json_object_get(shown, "dials"));
    bool started = job_rules_is_started(&edit->body);
    AUTO(json) json_t *keeps = job_rules_keep_words(&edit->body);
    output_line(&cli->output, object, "%s: signed anew; %s%s, keeps %s; bandwidth %s, priority %u%s%s",
                edit->body.name, started ? "started " : "started by nobody but people",
                started ? edit->body.schedule : "", json_string_value(keeps),
                edit->body.bandwidth[0] ? edit->body.bandwidth : "unlimited",
                edit->body.priority ? edit->body.priority : RUN_PRIORITY_USUAL, dials ? "; " : "",
                dials ? dials : "");
    if (!edit->local) pair_warn(cli, &edit->way, &edit->pair);
}

bool job_edit(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(edit) struct edit edit = {0};
    bool any = false;
    for (const struct option_spec *option = job_edit_options; option->name; option++)
        any = any || args_flag(args, option->name);
    if (!any) return err_set(err, ERR_USAGE, "say what is to be another: 'sealift job edit --help' lists it");
    if (!get(cli, args_operand(args, 0), &edit, err) || !read_way(&edit, args, err) ||
        !job_pace_read(args, &edit.body, err) ||
        !job_rules_read(args, &edit.job->id, &edit.retention, &edit.body, err))
        return false;
    const struct put_request request = {
        .type = SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, .id = edit.job->id, .body = &edit.body};
    if (!put_statement(cli, &request, NULL, NULL, err)) return false;
    say(cli, &edit);
    return true;
}
