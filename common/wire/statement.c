#include "common/wire/statement.h"

#include "common/base/alloc.h"
#include "common/wire/fields.h"
#include "common/wire/message.h"
#include "common/wire/statement_body.h"
#include "common/wire/stored.h"

#include <string.h>

enum { TEXT_MAX_LEN = 4096 };

struct type {
    Sealift__StatementType type;
    const char *name;
    const ProtobufCMessageDescriptor *body;
};

static const struct type types[] = {
    {SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER, "roster", &sealift__roster_body__descriptor},
    {SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT, "grant", &sealift__grant_body__descriptor},
    {SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, "repository", &sealift__repository_body__descriptor},
    {SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, "job", &sealift__job_body__descriptor},
    {SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER, "order", &sealift__order_body__descriptor},
};

static const struct type *type_of(Sealift__StatementType type)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (types[i].type == type) return &types[i];
    return NULL;
}

const char *statement_type_name(Sealift__StatementType type)
{
    const struct type *known = type_of(type);
    return known ? known->name : "none";
}

const char *statement_job_label(const Sealift__JobBody *job)
{
    return job->kind == SEALIFT__JOB_KIND__JOB_COPY ? job->from_job : job->name;
}

static struct span span_of_bytes(const ProtobufCBinaryData *bytes)
{
    return span_of(bytes->data, bytes->len);
}

static void free_signed(Sealift__SignedStatement *message)
{
    message_free(message);
}
DEFINE_AUTO(signed_statement, Sealift__SignedStatement *, free_signed)
static void free_plain(Sealift__Statement *message)
{
    message_free(message);
}
DEFINE_AUTO(plain_statement, Sealift__Statement *, free_plain)

void statement_free(struct statement *statement)
{
    if (!statement) return;
    message_free(statement->body.roster); /* all members of the union are messages */
    buf_deinit(&statement->bytes);
    free(statement);
}

static bool fill_header(const Sealift__Statement *plain, struct statement *out, struct err *err)
{
    if (plain->format != 1)
        return err_set(err, ERR_VERSION, "a statement of format %u, this program reads format 1",
                       plain->format);
    if (plain->id.len != ID_LEN) return err_set(err, ERR_PROTOCOL, "a statement without an id");
    if (plain->version == 0) return err_set(err, ERR_PROTOCOL, "a statement without a version");
    out->type = plain->type;
    memcpy(out->site.bytes, plain->site.data, ID_LEN);
    memcpy(out->id.bytes, plain->id.data, ID_LEN);
    out->version = plain->version;
    out->expiry_s = plain->expiry_s;
    out->for_everybody = plain->audience.len == 0;
    if (!out->for_everybody) memcpy(out->audience, plain->audience.data, SIGN_PK_LEN);
    return true;
}

static bool decode_plain(struct span bytes, struct statement *out, struct err *err)
{
    AUTO(plain_statement)
    Sealift__Statement *plain = (Sealift__Statement *)message_decode(
        &sealift__statement__descriptor, bytes, STATEMENT_MAX, TEXT_MAX_LEN, "statement", err);
    if (!plain || !fields_check(plain, "statement", err)) return false;
    const struct type *type = type_of(plain->type);
    if (!type) return err_set(err, ERR_PROTOCOL, "a statement of no known type");
    if (!fill_header(plain, out, err)) return false;

    out->body.roster = (Sealift__RosterBody *)message_decode(type->body, span_of_bytes(&plain->body),
                                                             STATEMENT_MAX, TEXT_MAX_LEN, type->name, err);
    return out->body.roster && fields_check(out->body.roster, type->name, err) &&
           statement_body_check(out, err);
}

bool statement_decode(struct span bytes, struct statement **out, struct err *err)
{
    AUTO(signed_statement)
    Sealift__SignedStatement *outer = (Sealift__SignedStatement *)message_decode(
        &sealift__signed_statement__descriptor, bytes, STATEMENT_MAX, TEXT_MAX_LEN, "signed statement", err);
    if (!outer || !fields_check(outer, "signed statement", err)) return false;

    AUTO(statement) struct statement *statement = xcalloc(1, sizeof(*statement));
    if (!decode_plain(span_of_bytes(&outer->statement), statement, err)) return false;
    const char *name = statement_type_name(statement->type);
    if (!sign_verify(outer->signer.data, name, span_of_bytes(&outer->statement), outer->signature.data))
        return err_set(err, ERR_NOT_AUTHENTIC, "the signature of a %s statement does not verify", name);

    memcpy(statement->signer, outer->signer.data, SIGN_PK_LEN);
    buf_put_span(&statement->bytes, bytes);
    statement->hash = hash_of(bytes);
    *out = statement;
    statement = NULL;
    return true;
}

static void encode_plain(const struct statement_draft *draft, struct buf *out)
{
    Sealift__Statement plain = SEALIFT__STATEMENT__INIT;
    plain.format = 1;
    plain.type = draft->type;
    plain.site = stored_bytes(span_of(draft->site.bytes, ID_LEN));
    if (draft->audience) plain.audience = stored_bytes(span_of(draft->audience, SIGN_PK_LEN));
    plain.id = stored_bytes(span_of(draft->id.bytes, ID_LEN));
    plain.version = draft->version;
    plain.expiry_s = draft->expiry_s;
    plain.body = stored_bytes(draft->body);
    message_encode(&plain, out);
}

bool statement_sign(const struct sign_pair *signer, const struct statement_draft *draft, struct buf *out,
                    struct err *err)
{
    AUTO(buf) struct buf plain = {0};
    encode_plain(draft, &plain);
    AUTO(statement) struct statement *probe = xcalloc(1, sizeof(*probe));
    if (!decode_plain(buf_span(&plain), probe, err)) {
        err->code = ERR_USAGE;
        return false;
    }

    uint8_t signature[SIGNATURE_LEN];
    sign_bytes(signer, statement_type_name(draft->type), buf_span(&plain), signature);
    Sealift__SignedStatement outer = SEALIFT__SIGNED_STATEMENT__INIT;
    outer.statement = stored_bytes(buf_span(&plain));
    outer.signer = stored_bytes(span_of(signer->pk, SIGN_PK_LEN));
    outer.signature = stored_bytes(span_of(signature, sizeof(signature)));
    message_encode(&outer, out);
    return true;
}

void statement_body_encode(const void *body, struct buf *out)
{
    message_encode(body, out);
}

void statement_box_context(const char *purpose, const struct id *site, const struct id *id, struct span extra,
                           struct buf *out)
{
    buf_printf(out, "sealift %s v1", purpose);
    buf_put_u8(out, 0);
    buf_put(out, site->bytes, ID_LEN);
    buf_put(out, id->bytes, ID_LEN);
    buf_put_span(out, extra);
}
