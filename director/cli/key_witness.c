#include "director/cli/key_witness.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/wire/lent.h"
#include "common/wire/placement.h"
#include "common/wire/witness.h"
#include "director/cli/catalog_ask.h"
#include "director/cli/follow.h"
#include "director/cli/order.h"
#include "director/cli/put.h"

#include <stdio.h>
#include <string.h>

enum { EXPIRY_S = 600 };

/* A grant that a host has. */
struct sighting {
    struct statement *grant;
    const Sealift__Member *host;
};

/* One asking of several hosts. */
struct witness {
    struct cli *cli;
    struct sighting *seen;
    size_t seen_count;
    bool has_own; /* of the host that was asked last */
    struct hash own_id, own_domain;
    /* the answer under way */
    const Sealift__Member *host;
    struct order order;
};

static void witness_deinit(struct witness *witness)
{
    for (size_t i = 0; i < witness->seen_count; i++)
        statement_free(witness->seen[i].grant);
    free(witness->seen);
}
DEFINE_AUTO_IN_PLACE(witness, struct witness, witness_deinit)

/* --- an answer --- */

static bool check_roster(const struct witness *witness, uint64_t version, struct err *err)
{
    uint64_t shown = roster_version(access_roster(witness->cli));
    if (version <= shown) return true;
    return err_set(err, ERR_NOT_AUTHENTIC,
                   "the director withholds rosters: '%s' has number %llu, and it shows %llu",
                   witness->host->name, (unsigned long long)version, (unsigned long long)shown);
}

/* However often a host says it. */
static bool is_seen(const struct witness *witness, const struct statement *grant)
{
    for (size_t i = 0; i < witness->seen_count; i++)
        if (witness->seen[i].host == witness->host && hash_eq(&witness->seen[i].grant->hash, &grant->hash))
            return true;
    return false;
}

/* A host that lies can make no grant. What is not believed of a director (its signer has left, it has
 * expired) is not believed here either. */
static void add_sighting(struct witness *witness, struct span bytes)
{
    struct err ignored = {0};
    AUTO(statement) struct statement *grant = NULL;
    AUTO(version_memory) struct version_memory *nothing = version_memory_new();
    if (!statement_decode(bytes, &grant, &ignored) ||
        grant->type != SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT || is_seen(witness, grant) ||
        !statement_check(grant, access_roster(witness->cli), NULL, clock_real_ns() / 1000000000, nothing,
                         &ignored))
        return;
    witness->seen = xreallocarray(witness->seen, witness->seen_count + 1, sizeof(*witness->seen));
    witness->seen[witness->seen_count++] = (struct sighting){.grant = grant, .host = witness->host};
    grant = NULL;
}

static bool take_answer(void *arg, uint64_t number, bool last, struct span sealed, struct err *err)
{
    struct witness *witness = arg;
    AUTO(secret) struct secret *plain = NULL;
    AUTO(payload_witness) Sealift__Witness *said = NULL;
    const struct witness_place place = {.order = witness->order.id, .number = number, .last = last};
    if (!order_answer_open(witness->cli, &witness->order, number, last, sealed, &plain, err) ||
        !witness_open(span_of(plain->data, plain->len), witness->host->sign_pk.data, &place, &said, err))
        return err_wrap(err, "what '%s' says of keys", witness->host->name);
    for (size_t i = 0; i < said->n_grants; i++)
        add_sighting(witness, stored_span(&said->grants[i]));
    if (said->own_key && said->own_key->key_id.len == HASH_LEN && said->own_key->domain_id.len == HASH_LEN) {
        witness->has_own = true;
        witness->own_id = stored_hash(&said->own_key->key_id);
        witness->own_domain = stored_hash(&said->own_key->domain_id);
    }
    return check_roster(witness, said->roster_version, err);
}

/* --- asking one --- */

static bool put_order(struct witness *witness, struct order *order, struct err *err)
{
    struct identity_public self;
    struct hash no_point = {{0}};
    Sealift__OrderBody body = SEALIFT__ORDER_BODY__INIT;
    (void)state_identity(witness->cli->state, &self);
    *order = (struct order){.id = id_random()};
    body.kind = SEALIFT__ORDER_KIND__ORDER_WITNESS;
    body.point_hash = lent_bytes(no_point.bytes, HASH_LEN);
    body.target = witness->host->sign_pk;
    body.answer_to = lent_bytes(self.sign_pk, SIGN_PK_LEN);
    const struct put_request request = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER,
                                        .id = order->id,
                                        .expiry_s = clock_real_ns() / 1000000000 + EXPIRY_S,
                                        .body = &body};
    return placement_check_alone(&body, access_roster(witness->cli), err) &&
           put_statement(witness->cli, &request, &order->run, NULL, err);
}

static bool await_answer(struct witness *witness, struct err *err)
{
    char hex[2 * ID_LEN + 1], stop[64], what[IDENTITY_NAME_MAX + 48];
    hex_encode(witness->order.run.bytes, ID_LEN, hex);
    (void)snprintf(stop, sizeof(stop), "sealift job stop %.12s", hex);
    (void)snprintf(what, sizeof(what), "asking '%s' what it knows of keys", witness->host->name);
    const struct follow_request request = {.run = witness->order.run,
                                           .from = FOLLOW_ASK,
                                           .what = what,
                                           .stop = stop,
                                           .silent = true,
                                           .answer = take_answer,
                                           .arg = witness};
    AUTO(follow_result) struct follow_result result = {0};
    witness->has_own = false;
    if (!follow_run(witness->cli, &request, &result, err) ||
        !follow_conclude(witness->cli, &request, &result, err))
        return false;
    return !result.interrupted || err_set(err, ERR_CANCELLED, "interrupted");
}

/* --- asking all --- */

/* Of the one operator that there has ever been, on the one machine that has his identity: he signed all. */
static bool has_seen_all(const struct cli *cli)
{
    const Sealift__RosterBody *body = roster_body(access_roster(cli));
    for (size_t i = 0; i < body->n_revoked; i++)
        if (body->revoked[i]->member && body->revoked[i]->member->role != SEALIFT__ROLE__ROLE_NONE)
            return false;
    return body->n_operators == 1 && !state_exported(cli->state);
}

/* A host that does not answer is no witness; one that says what the director does not show is. */
static bool is_absence(enum err_code code)
{
    return code != ERR_NOT_AUTHENTIC && code != ERR_CANCELLED && code != ERR_NO_KEY && code != ERR_WRONG_KEY;
}

struct asked {
    const Sealift__Member *host;
    struct order order;
    bool put;
};

/* Each host works on its answer while the others do. *answered: how many did. */
static bool ask_hosts(struct witness *witness, struct asked *asked, size_t count, size_t *answered,
                      struct err *absence, struct err *err)
{
    *answered = 0;
    for (size_t i = 0; i < count; i++) {
        witness->host = asked[i].host;
        asked[i].put = put_order(witness, &asked[i].order, err);
        if (asked[i].put) continue;
        if (!is_absence(err->code)) return false;
        *absence = *err;
        err_clear(err);
    }
    for (size_t i = 0; i < count; i++) {
        if (!asked[i].put) continue;
        witness->host = asked[i].host;
        witness->order = asked[i].order;
        if (await_answer(witness, err)) {
            (*answered)++;
            continue;
        }
        if (!is_absence(err->code)) return false;
        *absence = *err;
        err_clear(err);
    }
    return true;
}

static size_t list_hosts(const struct cli *cli, const Sealift__StatusAnswer *status, struct asked *out,
                         size_t *away)
{
    const Sealift__RosterBody *body = roster_body(access_roster(cli));
    size_t count = 0;
    *away = 0;
    for (size_t i = 0; i < body->n_transporters; i++) {
        const Sealift__Member *host = body->transporters[i];
        if (host->zone != SEALIFT__ZONE__ZONE_TRUSTED) continue;
        const Sealift__TransporterStatus *row = status_of_transporter(status, host->sign_pk.data);
        if (row && row->connected)
            out[count++].host = host;
        else
            (*away)++;
    }
    return count;
}

static bool nobody_answers(struct cli *cli, const struct args *args, const struct err *absence,
                           struct err *err)
{
    const char *why = absence->code ? absence->text : "none is connected";
    if (args && !args_flag(args, "unwitnessed"))
        return err_set(err, ERR_UNREACHABLE,
                       "no trusted host says whether the director shows the newest grants, which others may "
                       "have signed (%.200s): try again, or go by the director's word with --unwitnessed",
                       why);
    output_warning(&cli->output,
                   "no trusted host was asked (%s): that these are the newest grants is the director's word",
                   why);
    return true;
}

static bool ask_all(struct witness *witness, const struct args *args, struct err *err)
{
    struct cli *cli = witness->cli;
    AUTO(payload_status) Sealift__StatusAnswer *status = NULL;
    struct err absence = {0};
    size_t away, answered = 0;
    if (!ask_status(cli, &status, err)) return false;
    AUTO(free)
    struct asked *asked = xcalloc(roster_body(access_roster(cli))->n_transporters + 1, sizeof(*asked));
    size_t count = list_hosts(cli, status, asked, &away);
    if (!ask_hosts(witness, asked, count, &answered, &absence, err)) return false;
    if (answered > 0) {
        if (answered < count + away)
            output_note(&cli->output,
                        "%zu of %zu trusted hosts say what they were granted; the others do not answer now",
                        answered, count + away);
        return true;
    }
    return count + away == 0 || nobody_answers(cli, args, &absence, err);
}

/* --- what the director shows --- */

static bool is_shown(const struct witness *witness, const struct keys *keys, const struct sighting *sighting,
                     struct err *err)
{
    const struct statement *seen = sighting->grant;
    const struct statement *shown = statements_with_id(&keys->grants, &seen->id);
    struct hash known;
    uint64_t version = state_version(witness->cli->state, seen->type, &seen->id, &known);
    if (shown && (shown->version > seen->version ||
                  (shown->version == seen->version && hash_eq(&shown->hash, &seen->hash))))
        return true;
    if (version < seen->version) /* from now on this machine notices by itself */
        version_memory_put(state_versions(witness->cli->state), seen->type, &seen->id, seen->version,
                           &seen->hash);
    char fingerprint[KEY_FINGERPRINT_LEN];
    struct hash key_id = stored_hash(&seen->body.grant->key_id);
    key_fingerprint(&key_id, fingerprint);
    return err_set(err, ERR_NOT_AUTHENTIC,
                   "the director withholds the newest grants of the key '%s': '%s' was given one for %s that "
                   "the director does not show; nothing was signed",
                   seen->body.grant->key_label, sighting->host->name, fingerprint);
}

static bool compare(struct witness *witness, const struct keys *keys, struct err *err)
{
    struct err saving = {0};
    bool whole = true;
    for (size_t i = 0; i < witness->seen_count; i++) {
        struct err why = {0};
        if (is_shown(witness, keys, &witness->seen[i], &why)) continue;
        if (whole) *err = why;
        whole = false;
    }
    if (!whole && !state_save_versions(witness->cli->state, &saving))
        output_warning(&witness->cli->output, "what was seen cannot be remembered: %s", saving.text);
    return whole;
}

bool keys_get_newest(struct cli *cli, const struct args *args, struct keys *out, struct err *err)
{
    struct client *client = NULL;
    AUTO(witness) struct witness witness = {.cli = cli};
    AUTO(keys) struct keys keys = {0};
    if (!access_director(cli, &client, err)) return false;
    /* hosts first: what somebody signs meanwhile, the director has by then */
    if (!has_seen_all(cli) && !ask_all(&witness, args, err)) return false;
    if (!keys_get(cli, &keys, err) || !compare(&witness, &keys, err)) return false;
    *out = keys;
    keys = (struct keys){0};
    return true;
}

bool key_witness_own(struct cli *cli, const Sealift__Member *source, struct hash *key_id, struct hash *domain,
                     struct err *err)
{
    AUTO(witness) struct witness witness = {.cli = cli, .host = source};
    if (!put_order(&witness, &witness.order, err) || !await_answer(&witness, err))
        return err_wrap(err, "the own key of '%s'", source->name);
    if (!witness.has_own)
        return err_set(err, ERR_NOT_FOUND, "'%s' has no own key: set own_key in its configuration",
                       source->name);
    *key_id = witness.own_id;
    *domain = witness.own_domain;
    return true;
}
