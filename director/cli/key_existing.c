/* Unlock sections beside points that are there already: one order to the owner of each repository. */
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/wire/lent.h"
#include "director/cli/catalog_ask.h"
#include "director/cli/follow.h"
#include "director/cli/generations.h"
#include "director/cli/key_protect.h"
#include "director/cli/point.h"
#include "director/cli/put.h"

#include <stdio.h>
#include <string.h>

enum { EXPIRY_S = 3600 };

bool key_points(struct cli *cli, const struct key_entry *key, enum key_points_of of, struct points *out,
                struct err *err)
{
    AUTO(points) struct points points = {0};
    if (!points_get(cli, NULL, NULL, POINTS_THERE, &points, err)) return false;
    size_t kept = 0;
    for (size_t i = 0; i < points.count; i++) {
        const ProtobufCBinaryData *used = &points.items[i]->body->key_id;
        struct hash key_id = stored_hash(used);
        if (used->len == HASH_LEN &&
            (of == KEY_POINTS_OF_ALL ? generations_has(key, &key_id) : hash_eq(&key->key_id, &key_id)))
            points.items[kept++] = points.items[i];
        else
            point_free(points.items[i]);
    }
    points.count = kept;
    *out = points;
    points = (struct points){0};
    return true;
}

/* --- one repository --- */

static bool put_order(struct cli *cli, const struct statement *repository, const struct hash *key_id,
                      struct span section, struct id *run, struct err *err)
{
    struct hash no_point = {{0}};
    Sealift__OrderBody body = SEALIFT__ORDER_BODY__INIT;
    body.kind = SEALIFT__ORDER_KIND__ORDER_PROTECT;
    body.repository = lent_id(&repository->id);
    body.target = repository->body.repository->owner;
    body.point_hash = lent_bytes(no_point.bytes, HASH_LEN);
    body.key_id = lent_bytes(key_id->bytes, HASH_LEN);
    body.section = stored_bytes(section);
    const struct put_request request = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER,
                                        .id = id_random(),
                                        .expiry_s = clock_real_ns() / 1000000000 + EXPIRY_S,
                                        .body = &body};
    return put_statement(cli, &request, run, NULL, err);
}

static bool await_end(struct cli *cli, const struct id *run, const char *name, struct err *err)
{
    char hex[2 * ID_LEN + 1], stop[64], what[IDENTITY_NAME_MAX + 32];
    hex_encode(run->bytes, ID_LEN, hex);
    (void)snprintf(stop, sizeof(stop), "sealift job stop %.12s", hex);
    (void)snprintf(what, sizeof(what), "keeping it in '%s'", name);
    const struct follow_request request = {.run = *run, .from = FOLLOW_ASK, .what = what, .stop = stop};
    AUTO(follow_result) struct follow_result result = {0};
    if (!follow_run(cli, &request, &result, err) || !follow_conclude(cli, &request, &result, err))
        return false;
    return !result.interrupted || err_set(err, ERR_CANCELLED, "interrupted");
}

static bool is_connected(const struct cli *cli, const Sealift__StatusAnswer *status,
                         const struct statement *repository, struct err *err)
{
    const ProtobufCBinaryData *owner = &repository->body.repository->owner;
    const Sealift__TransporterStatus *host = status_of_transporter(status, owner->data);
    char name[IDENTITY_NAME_MAX + 1];
    if (host && host->connected) return true;
    access_name_of(cli, owner->data, name);
    return err_set(err, ERR_UNREACHABLE, "transporter '%s' is not connected", name);
}

/* --- all of them --- */

/* Of the key's own generation, or an earlier one: the keyring in the section opens them. */
static bool has_points(const struct points *points, const struct id *repository,
                       const Sealift__UnlockSection *section)
{
    for (size_t i = 0; i < points->count; i++) {
        const struct point *point = points->items[i];
        struct hash key_id = stored_hash(&point->body->key_id);
        if (id_eq(&point->repository, repository) && point->body->key_id.len == HASH_LEN &&
            stored_unlock_covers(section, &key_id))
            return true;
    }
    return false;
}

bool key_protect_existing(struct cli *cli, const struct hash *key_id, struct span bytes, json_t *done,
                          struct err *err)
{
    AUTO(stored_unlock) Sealift__UnlockSection *section = NULL;
    AUTO(points) struct points points = {0};
    AUTO(statements) struct statements repositories = {0};
    AUTO(payload_status) Sealift__StatusAnswer *status = NULL;
    struct err first = {0};
    if (!stored_unlock_decode(bytes, &section, err) ||
        !points_get(cli, NULL, NULL, POINTS_THERE, &points, err) || !ask_status(cli, &status, err) ||
        !statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &repositories, err))
        return false;
    for (size_t i = 0; i < repositories.count; i++) {
        const struct statement *repository = repositories.items[i];
        const char *name = statement_name(repository);
        struct err why = {0};
        struct id run;
        if (statement_is_deleted(repository) || !has_points(&points, &repository->id, section)) continue;
        if (is_connected(cli, status, repository, &why) &&
            put_order(cli, repository, key_id, bytes, &run, &why) && await_end(cli, &run, name, &why)) {
            (void)json_array_append_new(done, json_string(name));
            continue;
        }
        output_warning(&cli->output, "not kept in '%s': %s", name, why.text);
        if (first.code == ERR_NONE) first = why;
    }
    if (first.code == ERR_NONE) return true;
    return err_set(err, first.code,
                   "not every repository keeps it; the same command again does what is left: %.300s",
                   first.text);
}
