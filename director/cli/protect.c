#include "director/cli/protect.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/wire/grant.h"
#include "common/wire/lent.h"
#include "common/wire/placement.h"
#include "director/cli/catalog_ask.h"
#include "director/cli/follow.h"
#include "director/cli/order.h"
#include "director/cli/put.h"

#include <stdio.h>
#include <string.h>

enum { EXPIRY_S = 600 };

/* --- which entry of which host --- */

/* ENTRY[@TRANSPORTER] */
static bool split(const char *word, const char *at, struct protect_place *out, const char **host,
                  struct err *err)
{
    const char *mark = strrchr(word, '@');
    size_t len = mark ? (size_t)(mark - word) : strlen(word);
    if (len > IDENTITY_NAME_MAX) return err_set(err, ERR_USAGE, "'%s' is no name of a KMS entry", word);
    memcpy(out->entry, word, len);
    out->entry[len] = '\0';
    *host = mark ? mark + 1 : at;
    return identity_name_check(out->entry, err) || err_wrap(err, "--kms");
}

static bool offers(const Sealift__TransporterStatus *status, const char *entry)
{
    for (size_t i = 0; i < status->n_kms; i++)
        if (strcmp(status->kms[i]->name, entry) == 0) return true;
    return false;
}

/* "'eu' of 'web1', 'vault' of 'web1'" */
static void list_offers(const struct cli *cli, const Sealift__StatusAnswer *status, struct buf *out)
{
    for (size_t i = 0; i < status->n_transporters; i++) {
        const Sealift__Member *host =
            roster_transporter(access_roster(cli), status->transporters[i]->sign_pk.data);
        struct err ignored;
        for (size_t k = 0; host && k < status->transporters[i]->n_kms; k++)
            if (identity_name_check(status->transporters[i]->kms[k]->name, &ignored))
                buf_printf(out, "%s'%s' of '%s'", out->len ? ", " : "", status->transporters[i]->kms[k]->name,
                           host->name);
    }
}

static bool no_entry(const struct cli *cli, const Sealift__StatusAnswer *status, const char *entry,
                     struct err *err)
{
    AUTO(buf) struct buf known = {0};
    list_offers(cli, status, &known);
    if (known.len == 0)
        return err_set(
            err, ERR_NOT_FOUND,
            "no connected transporter has a KMS '%s', or any: name it in 'kms' of the configuration "
            "of a trusted one",
            entry);
    return err_set(err, ERR_NOT_FOUND,
                   "no connected transporter in the trusted zone has a KMS '%s'; there is %s", entry,
                   buf_cstr(&known));
}

static bool find_host(struct cli *cli, struct protect_place *place, struct err *err)
{
    AUTO(payload_status) Sealift__StatusAnswer *status = NULL;
    if (!ask_status(cli, &status, err)) return false;
    for (size_t i = 0; i < status->n_transporters; i++) {
        const Sealift__TransporterStatus *row = status->transporters[i];
        const Sealift__Member *host = roster_transporter(access_roster(cli), row->sign_pk.data);
        if (!host || host->zone != SEALIFT__ZONE__ZONE_TRUSTED || !row->connected ||
            !offers(row, place->entry))
            continue;
        if (place->host)
            return err_set(err, ERR_USAGE, "'%s' and '%s' both have a KMS '%s': say which with --kms %s@%s",
                           place->host->name, host->name, place->entry, place->entry, host->name);
        place->host = host;
    }
    return place->host || no_entry(cli, status, place->entry, err);
}

bool protect_find(struct cli *cli, const char *word, const char *at, struct protect_place *out,
                  struct err *err)
{
    struct client *client = NULL;
    struct protect_place place = {.host = NULL};
    const char *host = NULL;
    if (!access_director(cli, &client, err) || !split(word, at, &place, &host, err)) return false;
    if (host ? !access_transporter(cli, host, &place.host, err) : !find_host(cli, &place, err)) return false;
    *out = place;
    return true;
}

/* --- wrapping --- */

struct wrapping {
    struct cli *cli;
    const struct secret *s;
    const char *entry;
    struct order order;
    Sealift__KmsWrap *wrap;
};

/* The one answer: the proof, then the wrap. */
static bool take_answer(void *arg, uint64_t number, bool last, struct span sealed, struct err *err)
{
    struct wrapping *wrapping = arg;
    uint8_t proof[WRAP_PROOF_LEN];
    AUTO(secret) struct secret *bytes = NULL;
    if (number != 1 || !last) return err_set(err, ERR_PROTOCOL, "more than one answer to one wrapping");
    if (!order_answer_open(wrapping->cli, &wrapping->order, number, last, sealed, &bytes, err)) return false;
    if (bytes->len < WRAP_PROOF_LEN) return err_set(err, ERR_TRUNCATED, "the answer is cut off");
    struct span wrap = span_of(bytes->data + WRAP_PROOF_LEN, bytes->len - WRAP_PROOF_LEN);
    order_wrap_proof(wrapping->s, &wrapping->order.id, wrap, proof);
    if (memcmp(proof, bytes->data, WRAP_PROOF_LEN) != 0)
        return err_set(err, ERR_NOT_AUTHENTIC, "the wrap does not come from who was given the key");
    AUTO(stored_kms) Sealift__KmsWrap *decoded = NULL;
    if (!stored_kms_decode(wrap, &decoded, err)) return false;
    if (strcmp(decoded->entry, wrapping->entry) != 0)
        return err_set(err, ERR_PROTOCOL, "the wrap is by another KMS entry");
    stored_kms_free(wrapping->wrap);
    wrapping->wrap = decoded;
    decoded = NULL;
    return true;
}

static bool put_order(struct cli *cli, const Sealift__Member *host, const struct hash *key_id,
                      struct wrapping *wrapping, struct err *err)
{
    struct identity_public self;
    struct hash no_point = {{0}};
    Sealift__WrapPlan plan = SEALIFT__WRAP_PLAN__INIT;
    Sealift__OrderBody body = SEALIFT__ORDER_BODY__INIT;
    AUTO(buf) struct buf plain = {0};
    AUTO(buf) struct buf context = {0};
    AUTO(buf) struct buf sealed = {0};
    AUTO(sealed_copies) struct sealed_copies copies = {0};
    struct id id = id_random();
    (void)state_identity(cli->state, &self);
    order_secret_context(&state_site(cli->state)->line.site, &id, key_id, &context);
    plan.entry = lent_text(wrapping->entry);
    statement_body_encode(&plan, &plain);
    if (!box_seal(host->box_pk.data, buf_span(&context), span_of(wrapping->s->data, wrapping->s->len),
                  &sealed, err) ||
        !sealed_copies_make(access_roster(cli), "order", &id, &host, 1, buf_span(&plain), &copies, err))
        return false;
    body.kind = SEALIFT__ORDER_KIND__ORDER_WRAP;
    body.point_hash = lent_bytes(no_point.bytes, HASH_LEN);
    body.target = host->sign_pk;
    body.key_id = lent_bytes(key_id->bytes, HASH_LEN);
    body.secret = lent_bytes(sealed.data, sealed.len);
    body.answer_to = lent_bytes(self.sign_pk, SIGN_PK_LEN);
    body.plan = copies.list;
    body.n_plan = copies.count;
    const struct put_request request = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER,
                                        .id = id,
                                        .expiry_s = clock_real_ns() / 1000000000 + EXPIRY_S,
                                        .body = &body};
    wrapping->order.id = id;
    return placement_check_alone(&body, access_roster(cli), err) &&
           put_statement(cli, &request, &wrapping->order.run, NULL, err);
}

static bool await_wrap(struct wrapping *wrapping, struct err *err)
{
    char hex[2 * ID_LEN + 1], stop[64];
    hex_encode(wrapping->order.run.bytes, ID_LEN, hex);
    (void)snprintf(stop, sizeof(stop), "sealift job stop %.12s", hex);
    const struct follow_request request = {.run = wrapping->order.run,
                                           .from = FOLLOW_ASK,
                                           .what = "the wrapping",
                                           .stop = stop,
                                           .answer = take_answer,
                                           .arg = wrapping};
    AUTO(follow_result) struct follow_result result = {0};
    if (!follow_run(wrapping->cli, &request, &result, err) ||
        !follow_conclude(wrapping->cli, &request, &result, err))
        return false;
    if (result.interrupted) return err_set(err, ERR_CANCELLED, "interrupted");
    return wrapping->wrap || err_set(err, ERR_PROTOCOL, "the wrapping ended without a wrap");
}

bool protect_wrap(struct cli *cli, const Sealift__Member *host, const char *entry, const struct hash *key_id,
                  const struct secret *s, Sealift__KmsWrap **out, struct err *err)
{
    struct wrapping wrapping = {.cli = cli, .s = s, .entry = entry};
    bool done = put_order(cli, host, key_id, &wrapping, err) && await_wrap(&wrapping, err);
    if (!done) {
        stored_kms_free(wrapping.wrap);
        return err_wrap(err, "KMS '%s' at '%s'", entry, host->name);
    }
    *out = wrapping.wrap;
    return true;
}

/* --- several --- */

void protect_wraps_deinit(struct protect_wraps *wraps)
{
    for (size_t i = 0; i < wraps->count; i++)
        stored_kms_free(wraps->list[i]);
    free(wraps->list);
    *wraps = (struct protect_wraps){0};
}

static bool is_new(const struct protect_wraps *wraps, const char *entry, struct err *err)
{
    for (size_t i = 0; i < wraps->count; i++)
        if (strcmp(wraps->list[i]->entry, entry) == 0)
            return err_set(err, ERR_USAGE,
                           "--kms names the entry '%s' twice: those of two hosts need names of their own",
                           entry);
    return true;
}

bool protect_wrap_all(struct cli *cli, const struct args *args, const char *at, const struct hash *key_id,
                      const struct secret *s, struct protect_wraps *out, struct err *err)
{
    AUTO(protect_wraps) struct protect_wraps wraps = {0};
    const char *word;
    for (size_t i = 0; (word = args_nth(args, "kms", i)); i++) {
        struct protect_place place;
        Sealift__KmsWrap *wrap = NULL;
        if (!protect_find(cli, word, at, &place, err) || !is_new(&wraps, place.entry, err) ||
            !protect_wrap(cli, place.host, place.entry, key_id, s, &wrap, err))
            return false;
        wraps.list = xreallocarray(wraps.list, wraps.count + 1, sizeof(*wraps.list));
        wraps.list[wraps.count++] = wrap;
    }
    *out = wraps;
    wraps = (struct protect_wraps){0};
    return true;
}
