#include "registering.h"

#include <criterion/criterion.h>

struct signing signing;
struct registry *registry;
const struct id store = {{1}}, plain = {{2}}, second = {{3}};

static enum err_code accept_statement(struct buf *bytes, struct err *err)
{
    AUTO(statement) struct statement *statement = signing_decode(bytes);
    AUTO(acceptance) struct acceptance acceptance = {0};
    *err = (struct err){0};
    buf_clear(bytes);
    if (!registry_accept(registry, &statement, now_s, &acceptance, err)) return err->code;
    cr_assert(acceptance.known || statement == NULL ||
              statement->type == SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER ||
              statement->type == SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER);
    return acceptance.known ? ERR_EXISTS : ERR_NONE;
}

void expect(struct buf *bytes, enum err_code code, const char *text)
{
    struct err err;
    enum err_code got = accept_statement(bytes, &err);
    cr_assert_eq(got, code, "%d instead of %d: %s", got, code, err.text);
    if (text) cr_assert_str_eq(err.text, text);
}

void put_repository(const struct id *id, uint64_t version, const char *name, enum signing_member owner,
                    Sealift__StoreKind kind, enum err_code code, const char *text)
{
    AUTO(buf) struct buf bytes = {0};
    signing_repository(&signing, id, version, name, owner, kind, &bytes);
    expect(&bytes, code, text);
}

void registering_begin(void)
{
    signing_init(&signing);
    registry = registry_new(signing.director_pk);
    AUTO(buf) struct buf bytes = {0};
    signing_roster(&signing, ANNA, &bytes);
    AUTO(statement) struct statement *roster = signing_decode(&bytes);
    struct err err;
    cr_assert(registry_claim(registry, roster, signing_public(&signing, ANNA)->transport_pk, &err), "%s",
              err.text);
    put_repository(&store, 1, "main", NAS, SEALIFT__STORE_KIND__STORE_ENCRYPTED, ERR_NONE, NULL);
    put_repository(&plain, 1, "plain", LAB, SEALIFT__STORE_KIND__STORE_PLAINTEXT, ERR_NONE, NULL);
    put_repository(&second, 1, "second", LAB, SEALIFT__STORE_KIND__STORE_ENCRYPTED, ERR_NONE, NULL);
}

void registering_end(void)
{
    registry_free(registry);
    signing_deinit(&signing);
}

void put_job(const struct job_draft *draft, enum err_code code, const char *text)
{
    AUTO(buf) struct buf bytes = {0};
    signing_job(&signing, draft, &bytes);
    expect(&bytes, code, text);
}
