#include "director/cli/recover.h"

#include "common/base/text.h"
#include "director/cli/key_material.h"
#include "director/cli/keys.h"

#include <string.h>

struct asking {
    struct cli *cli;
    struct secret_source source;
    struct kit *kit; /* NULL: none was given */
};

static void asking_deinit(struct asking *asking)
{
    kit_free(asking->kit);
}
DEFINE_AUTO_IN_PLACE(asking, struct asking, asking_deinit)

static bool ask_password(void *arg, const char *label, struct secret **password, struct err *err)
{
    struct asking *asking = arg;
    enum password_strength strength;
    AUTO(buf) struct buf prompt = {0};
    buf_printf(&prompt, "password of key '%s'", label);
    return secret_password(&asking->source, buf_cstr(&prompt), SECRET_ONCE, password, &strength, err);
}

static bool give_kit(void *arg, const struct hash *key_id, struct secret **s, struct err *err)
{
    const struct asking *asking = arg;
    return kit_secret(asking->kit, key_id, s, err);
}

/* The opener has said what came of the others. */
static void say_step(void *arg, const struct unlock_result *result)
{
    const struct asking *asking = arg;
    if (result->step != UNLOCK_PASSWORD && result->step != UNLOCK_KIT) return;
    output_note(&asking->cli->output, "%s: %s", unlock_step_name(result->step),
                result->why ? result->why->text : "opens the recovery point");
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
                   request->point->writer, since);
}

static bool has_password(const struct args *args)
{
    return args_value(args, "password-file") || args_value(args, "password-fd");
}

/* Steps 3 and 4: what is known here, a password, a kit. */
static bool order_by_secret(struct cli *cli, const struct args *args, struct key_material *material,
                            struct order_request *request, struct order *out, struct err *err)
{
    AUTO(asking) struct asking asking = {.cli = cli};
    const ProtobufCBinaryData *section = &request->point->file->unlock;
    struct unlock_sources sources = {.password = ask_password, .report = say_step, .arg = &asking};
    AUTO(read_half) struct read_half *half = NULL;
    if (!secret_source_of(args, "password-file", "password-fd", &asking.source, err) ||
        !kit_take(args, &asking.kit, err) || !key_material_find_salt(cli, request->point, material, err))
        return false;
    if (asking.kit) sources.kit = give_kit;
    if (asking.kit && !has_password(args)) sources.password = NULL; /* who has a kit is not asked */
    const struct unlock_more more = key_material_more(material);
    if (!unlock_section(stored_span(section), &more, &sources, &half, err)) return false;
    request->secret = half->s;
    bool ok = order_put(cli, request, out, err);
    request->secret = NULL;
    return ok;
}

static bool order_without(struct cli *cli, const struct args *args, enum recover_stay stay,
                          struct key_material *material, struct order_request *request, struct order *out,
                          struct err *err)
{
    struct secret_source source;
    if (!secret_source_of(args, "password-file", "password-fd", &source, err) ||
        !key_material_get(cli, request->point, material, err) ||
        !key_material_kms(cli, request, material, &request->kms, err))
        return false;
    if (stay == RECOVER_LEAVES && (has_password(args) || args_value(args, "kit")))
        request->kms = ORDER_KMS_NONE;
    request->wraps = material->wraps;
    request->wrap_count = material->wrap_count;
    return order_put(cli, request, out, err);
}

/* A copy that is none is no reason not to take the password. */
static bool is_no_copy(enum err_code code)
{
    return code == ERR_NO_KEY || code == ERR_WRONG_KEY || code == ERR_DAMAGED;
}

bool recover_order(struct cli *cli, const struct args *args, enum recover_stay stay,
                   struct order_request *request, struct order *out, struct err *err)
{
    AUTO(key_material) struct key_material material = {0};
    const struct identity *identity = NULL;
    struct err first = {0};
    if (!check_writer(args, request, err) || !access_identity(cli, &identity, err)) return false;
    bool put = order_without(cli, args, stay, &material, request, out, &first);
    request->wraps = NULL;
    request->wrap_count = 0;
    if (put && out->by == ORDER_BY_KMS)
        output_note(&cli->output,
                    "neither the host that opens nor this operator has a copy of key '%s': its KMS is asked",
                    request->point->body->key_label);
    if (put) return true;
    if (!is_no_copy(first.code) || request->point->file->unlock.len == 0) {
        *err = first;
        return false;
    }
    output_note(&cli->output, "%s: %s", unlock_step_name(UNLOCK_KNOWN), first.text);
    return order_by_secret(cli, args, &material, request, out, err);
}

bool recover_goes_on(const struct order *order, enum err_code code)
{
    return (order->by == ORDER_BY_GRANT || order->by == ORDER_BY_KMS) &&
           (code == ERR_NO_KEY || code == ERR_WRONG_KEY);
}

/* A grant that its transporter does not have, or that does not open, is followed by the own copy. */
static bool order_by_copy(struct cli *cli, struct order_request *request, struct order *order)
{
    struct err why = {0};
    request->from = ORDER_FROM_COPY;
    request->kms = ORDER_KMS_NONE;
    if (order_put(cli, request, order, &why)) return true;
    output_note(&cli->output, "%s: %s", unlock_step_name(UNLOCK_KNOWN), why.text);
    return false;
}

bool recover_again(struct cli *cli, const struct args *args, struct order_request *request,
                   struct order *order, struct err *err)
{
    AUTO(key_material) struct key_material material = {0};
    struct err why = {0};
    if (!recover_goes_on(order, err->code)) return false;
    output_note(&cli->output, "%s", err->text);
    if (order->by == ORDER_BY_GRANT && order_by_copy(cli, request, order)) return true;
    bool put = key_material_get(cli, request->point, &material, &why) &&
               order_by_secret(cli, args, &material, request, order, &why);
    if (!put) *err = why;
    return put;
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
