#include "director/cli/key_rewrap.h"

#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/wire/grant.h"
#include "common/wire/lent.h"
#include "director/cli/follow.h"
#include "director/cli/generations.h"
#include "director/cli/key_protect.h"
#include "director/cli/key_witness.h"
#include "director/cli/point.h"
#include "director/cli/put.h"
#include "director/core/run_state.h"

#include <stdio.h>
#include <string.h>

enum { EXPIRY_S = 24 * 3600, WHAT_LEN = 2 * IDENTITY_NAME_MAX + 64 };

const struct option_spec key_rewrap_options[] = {
    KEY_REWRAP_OPTIONS, UNWITNESSED_OPTION, WAITS_ANYWAY_OPTION, {0}};

struct rewrapping {
    struct cli *cli;
    const struct args *args;
    const struct key_entry *key;
    const struct read_half *half;
    struct points points;
    struct statements repositories;
    json_t *rows;
    struct err worst;
};

static void rewrapping_deinit(struct rewrapping *rewrapping)
{
    points_deinit(&rewrapping->points);
    statements_deinit(&rewrapping->repositories);
    json_decref(rewrapping->rows);
}
DEFINE_AUTO_IN_PLACE(rewrapping, struct rewrapping, rewrapping_deinit)

/* A point of an earlier generation in the repository; NULL: there is none. */
static const struct point *old_point(const struct rewrapping *rewrapping, const struct id *repository)
{
    for (size_t i = 0; i < rewrapping->points.count; i++) {
        const struct point *point = rewrapping->points.items[i];
        struct hash key_id = stored_hash(&point->body->key_id);
        if (id_eq(&point->repository, repository) && point->body->key_id.len == HASH_LEN &&
            !hash_eq(&key_id, &rewrapping->key->key_id) && generations_has(rewrapping->key, &key_id))
            return point;
    }
    return NULL;
}

static bool is_trusted(const Sealift__Member *member)
{
    return member && member->zone == SEALIFT__ZONE__ZONE_TRUSTED;
}

/* What is sealed to a host cannot be taken back from it: nobody else is relied on to refuse. */
static bool may_have(const Sealift__Member *host, struct err *err)
{
    return is_trusted(host) ||
           err_set(err, ERR_POLICY, "'%s' is not in the trusted zone: no key is given to it", host->name);
}

/* The repository's own host reads its envelopes without a connection; the writer had the key before. */
static bool choose_host(const struct rewrapping *rewrapping, const struct statement *repository,
                        const struct point *point, const Sealift__Member **out, struct err *err)
{
    const char *at = args_value(rewrapping->args, "at");
    const struct roster *roster = access_roster(rewrapping->cli);
    if (at) return access_transporter(rewrapping->cli, at, out, err) && may_have(*out, err);
    *out = roster_transporter(roster, repository->body.repository->owner.data);
    if (!is_trusted(*out)) *out = roster_transporter(roster, point->body->writer.data);
    if (is_trusted(*out)) return true;
    return err_set(
        err, ERR_POLICY,
        "neither the host of the repository '%s' nor the writer of its points is in the trusted zone: "
        "name a trusted transporter with --at",
        statement_name(repository));
}

static bool put_order(struct rewrapping *rewrapping, const struct statement *repository,
                      const Sealift__Member *host, struct id *run, struct err *err)
{
    struct id id = id_random();
    const struct hash no_point = {{0}};
    const struct hash *key_id = &rewrapping->half->key_id;
    const struct secret *s = rewrapping->half->s;
    const struct key_entry *key = rewrapping->key;
    AUTO(buf) struct buf context = {0};
    AUTO(buf) struct buf sealed = {0};
    Sealift__OrderBody body = SEALIFT__ORDER_BODY__INIT;
    order_secret_context(&state_site(rewrapping->cli->state)->line.site, &id, key_id, &context);
    if (!box_seal(host->box_pk.data, buf_span(&context), span_of(s->data, s->len), &sealed, err))
        return err_wrap(err, "cannot seal to '%s'", host->name);
    body.kind = SEALIFT__ORDER_KIND__ORDER_REWRAP;
    body.repository = lent_bytes(repository->id.bytes, ID_LEN);
    body.point_hash = lent_bytes(no_point.bytes, HASH_LEN);
    body.target = host->sign_pk;
    body.open_at = SEALIFT__OPEN_AT__OPEN_AT_TARGET;
    body.key_id = lent_bytes(key_id->bytes, HASH_LEN);
    body.secret = lent_bytes(sealed.data, sealed.len);
    body.generation = lent_bytes(key->section_bytes.data, key->section_bytes.len);
    const struct put_request request = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER,
                                        .id = id,
                                        .expiry_s = clock_real_ns() / 1000000000 + EXPIRY_S,
                                        .body = &body};
    return put_statement(rewrapping->cli, &request, run, NULL, err);
}

static bool follow(struct rewrapping *rewrapping, const struct statement *repository,
                   const Sealift__Member *host, const struct id *run, struct err *err)
{
    char what[WHAT_LEN], hex[2 * ID_LEN + 1], stop[64];
    AUTO(follow_result) struct follow_result result = {0};
    (void)snprintf(what, sizeof(what), "rewrapping in '%s'", statement_name(repository));
    hex_encode(run->bytes, ID_LEN, hex);
    (void)snprintf(stop, sizeof(stop), "sealift job stop %.12s", hex);
    const struct follow_request request = {.run = *run, .from = FOLLOW_ASK, .what = what, .stop = stop};
    if (!follow_run(rewrapping->cli, &request, &result, err)) return false;
    struct err why = {0};
    bool done = follow_conclude(rewrapping->cli, &request, &result, &why);
    (void)json_array_append_new(rewrapping->rows, json_pack("{s:s, s:s, s:s, s:s, s:s}", "repository",
                                                            statement_name(repository), "at", host->name,
                                                            "run", hex, "state", run_state_name(result.state),
                                                            "text", done ? result.text : why.text));
    if (!done && rewrapping->worst.code == ERR_NONE) rewrapping->worst = why;
    return true;
}

static bool rewrap_one(struct rewrapping *rewrapping, const struct statement *repository,
                       const struct point *point, struct err *err)
{
    const Sealift__Member *host = NULL;
    struct id run;
    return choose_host(rewrapping, repository, point, &host, err) &&
           put_order(rewrapping, repository, host, &run, err) &&
           follow(rewrapping, repository, host, &run, err);
}

bool key_rewrap_all(struct cli *cli, const struct args *args, const struct key_entry *key,
                    const struct read_half *half, json_t **rows, struct err *err)
{
    *rows = json_array();
    AUTO(rewrapping)
    struct rewrapping rewrapping = {
        .cli = cli, .args = args, .key = key, .half = half, .rows = json_incref(*rows)};
    if (!points_get(cli, NULL, NULL, POINTS_THERE, &rewrapping.points, err) ||
        !statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &rewrapping.repositories, err))
        return false;
    for (size_t i = 0; i < rewrapping.repositories.count; i++) {
        const struct statement *repository = rewrapping.repositories.items[i];
        const struct point *point =
            statement_is_deleted(repository) ? NULL : old_point(&rewrapping, &repository->id);
        if (point && !rewrap_one(&rewrapping, repository, point, err))
            return err_wrap(err, "the repository '%s'", statement_name(repository));
    }
    if (json_array_size(rewrapping.rows) == 0)
        output_note(&cli->output, "no repository has points of an earlier generation of the key '%s'",
                    key->label);
    if (rewrapping.worst.code != ERR_NONE) {
        *err = rewrapping.worst;
        return false;
    }
    state_end_rewrap(cli->state, &key->key_id);
    return true;
}

static void say(const struct cli *cli, json_t *rows)
{
    static const struct column columns[] = {
        {"repository", "REPOSITORY", COLUMN_TEXT},
        {"at", "AT", COLUMN_TEXT},
        {"state", "STATE", COLUMN_TEXT},
        {"text", "WHAT WAS DONE", COLUMN_TEXT},
        {0},
    };
    output_table(&cli->output, "repositories", columns, rows);
}

bool key_rewrap(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(keys) struct keys keys = {0};
    AUTO(read_half) struct read_half *half = NULL;
    const struct key_entry *key = NULL;
    if (!keys_get_newest(cli, args, &keys, err) || !keys_named(&keys, args_operand(args, 0), &key, err))
        return false;
    if (generations_of_later(&keys, key))
        return err_set(err, ERR_USAGE, "this is an earlier generation of the key: name the key '%s'",
                       key->label);
    json_t *rows = NULL;
    AUTO(json) json_t *kept = json_array();
    struct err why = {0};
    if (!keys_open(cli, key, &half, err)) return false;
    bool beside = generations_number(key) == 1 ||
                  key_protect_existing(cli, &key->key_id, buf_span(&key->section_bytes), kept, &why);
    bool done = key_rewrap_all(cli, args, key, half, &rows, err);
    say(cli, rows);
    if (done && !beside) *err = why;
    return done && beside;
}
