#include "director/cli/recover.h"

#include "common/base/text.h"
#include "director/cli/keys.h"
#include "transporter/pipeline/unlock.h"

#include <string.h>

struct asking {
    struct cli *cli;
    struct secret_source source;
};

static bool ask_password(void *arg, const char *label, struct secret **password, struct err *err)
{
    struct asking *asking = arg;
    enum password_strength strength;
    AUTO(buf) struct buf prompt = {0};
    buf_printf(&prompt, "password of key '%s'", label);
    return secret_password(&asking->source, buf_cstr(&prompt), SECRET_ONCE, password, &strength, err);
}

static void say_step(void *arg, enum unlock_step step, const struct err *why)
{
    struct asking *asking = arg;
    if (step == UNLOCK_KNOWN) return; /* said before */
    if (why)
        output_note(&asking->cli->output, "%s: %s", unlock_step_name(step), why->text);
    else
        output_note(&asking->cli->output, "%s: opens the recovery point", unlock_step_name(step));
}

/* What a stolen host wrote is taken only by somebody who says that he knows. */
static bool check_writer(const struct args *args, struct order_request *request, struct err *err)
{
    char since[21];
    request->accept_revoked = args_flag(args, "accept-revoked");
    if (!point_is_revoked(request->point) || request->accept_revoked) return true;
    time_format(request->point->revoked_since, since);
    return err_set(err, ERR_NOT_AUTHENTIC,
                   "its writer '%s' is not trusted since %s, and the point was made after that: "
                   "--accept-revoked takes it all the same",
                   request->point->body->writer_name, since);
}

bool recover_order(struct cli *cli, const struct args *args, struct order_request *request, struct order *out,
                   struct err *err)
{
    struct asking asking = {.cli = cli};
    struct err first = {0};
    if (!check_writer(args, request, err)) return false;
    if (!secret_source_of(args, "password-file", "password-fd", &asking.source, err)) return false;
    if (order_put(cli, request, out, &first)) return true;
    const ProtobufCBinaryData *section = &request->point->file->unlock;
    if (first.code != ERR_NO_KEY || section->len == 0) {
        *err = first;
        return false;
    }
    output_note(&cli->output, "%s: %s", unlock_step_name(UNLOCK_KNOWN), first.text);
    struct unlock_sources sources = {.password = ask_password, .report = say_step, .arg = &asking};
    AUTO(read_half) struct read_half *half = NULL;
    if (!unlock_section(span_of(section->data, section->len), &sources, &half, err)) return false;
    request->secret = half->s;
    bool ok = order_put(cli, request, out, err);
    request->secret = NULL;
    return ok;
}

static bool is_trusted(const Sealift__Member *member)
{
    return member && member->zone == SEALIFT__ZONE__ZONE_TRUSTED;
}

bool recover_opener(struct cli *cli, const struct point *point, const char *at, const Sealift__Member **out,
                    struct err *err)
{
    if (at) return access_transporter(cli, at, out, err);
    AUTO(statements) struct statements repositories = {0};
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &repositories, err)) return false;
    const struct roster *roster = access_roster(cli);
    const struct statement *repository = statements_with_id(&repositories, &point->repository);
    const Sealift__Member *writer = roster_transporter(roster, point->body->writer.data);
    const Sealift__Member *owner =
        repository ? roster_transporter(roster, repository->body.repository->owner.data) : NULL;
    *out = is_trusted(writer) ? writer : owner;
    if (is_trusted(*out)) return true;
    return err_set(err, ERR_POLICY,
                   "neither the writer of this point nor its repository's host is in the trusted zone: "
                   "name a trusted transporter with --at");
}
