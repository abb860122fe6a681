#include "tests/unit/cli/small_site.h"

#include "common/wire/lent.h"
#include "director/cli/member.h"

#include <criterion/criterion.h>
#include <string.h>

static struct identity *named(const char *name)
{
    struct err err = {0};
    struct identity *identity = NULL;
    cr_assert(identity_new(name, &identity, &err), "%s", err.text);
    return identity;
}

static void sign(const struct small_site *site, const struct identity *signer, Sealift__StatementType type,
                 const struct id *id, uint64_t version, const void *body, struct buf *out)
{
    struct err err = {0};
    AUTO(buf) struct buf encoded = {0};
    statement_body_encode(body, &encoded);
    const struct statement_draft draft = {
        .type = type, .site = site->id, .id = *id, .version = version, .body = buf_span(&encoded)};
    cr_assert(statement_sign(signer->sign, &draft, out, &err), "%s", err.text);
}

void small_site_roster(const struct small_site *site, uint64_t version, const struct hash *previous,
                       const struct identity *signer, struct buf *out)
{
    Sealift__Member anna, web, vault;
    member_init(&anna, &site->anna->known);
    member_init(&web, &site->web->known);
    member_init(&vault, &site->vault->known);
    anna.role = SEALIFT__ROLE__ROLE_ADMIN;
    web.zone = SEALIFT__ZONE__ZONE_TRUSTED;
    vault.zone = SEALIFT__ZONE__ZONE_UNTRUSTED;
    Sealift__Member *operators[] = {&anna}, *transporters[] = {&web, &vault};
    Sealift__RosterBody body = SEALIFT__ROSTER_BODY__INIT;
    body.n_operators = 1;
    body.operators = operators;
    body.n_transporters = 2;
    body.transporters = transporters;
    body.director_curve_pk = lent_bytes(site->script.address.curve_pk, 32);
    if (previous) body.previous = lent_bytes(previous->bytes, HASH_LEN);
    sign(site, signer, SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER, &(struct id){{0}}, version, &body, out);
}

void small_site_repository(const struct small_site *site, const struct identity *signer, uint8_t id,
                           uint64_t version, const char *name, struct buf *out)
{
    struct id which;
    memset(which.bytes, id, ID_LEN);
    Sealift__RepositoryBody body = SEALIFT__REPOSITORY_BODY__INIT;
    body.name = (char *)(uintptr_t)name;
    body.owner = lent_bytes(site->vault->known.sign_pk, 32);
    body.kind = SEALIFT__STORE_KIND__STORE_ENCRYPTED;
    sign(site, signer, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &which, version, &body, out);
}

void small_site_answer_blobs(const struct request *request, const struct buf *blobs, size_t count)
{
    Sealift__Blobs list = SEALIFT__BLOBS__INIT;
    ProtobufCBinaryData items[16];
    for (size_t i = 0; i < count; i++)
        items[i] = lent_bytes(blobs[i].data, blobs[i].len);
    list.n_blob = count;
    list.blob = items;
    AUTO(buf) struct buf payload = {0};
    payload_blobs_encode(&list, &payload);
    answer_done(request, count, buf_span(&payload));
}

static void keep_state(struct small_site *site)
{
    struct err err = {0};
    struct state_site pinned = {.director = site->script.address, .line = {.site = site->id}};
    memcpy(pinned.line.admin, site->anna->known.sign_pk, SIGN_PK_LEN);
    pinned.line.director = site->script.address;
    AUTO(secret) struct secret *file = identity_encode(site->anna);
    struct state *state = NULL;
    cr_assert(access_state(&site->cli, &state, &err) && state_keep_identity(state, site->anna, file, &err) &&
                  state_pin_site(state, &pinned, &err) &&
                  state_add_roster(state, buf_span(&site->roster), &err),
              "%s", err.text);
}

void small_site_init(struct small_site *site, script_fn *answer)
{
    struct err err = {0};
    *site = (struct small_site){.scratch = scratch_make(), .id = id_random()};
    site->anna = named("anna");
    site->web = named("web");
    site->vault = named("vault");
    site->stranger = named("stranger");
    script_start(&site->script, answer, 0);
    small_site_roster(site, 1, NULL, site->anna, &site->roster);
    site->cli = (struct cli){.identity_password = SECRET_FROM_TERMINAL, .state_dir = site->scratch.path};
    site->cli.output.quiet = true;
    keep_state(site);
    cr_assert(
        client_new(&site->script.address, state_transport(site->cli.state), 5000, &site->cli.client, &err),
        "%s", err.text);
}

void small_site_deinit(struct small_site *site)
{
    access_close(&site->cli);
    script_stop(&site->script);
    script_deinit(&site->script);
    buf_deinit(&site->roster);
    identity_free(site->anna);
    identity_free(site->web);
    identity_free(site->vault);
    identity_free(site->stranger);
    scratch_remove(&site->scratch);
}
