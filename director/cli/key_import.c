/* sealift key import and delete. */
#include "common/base/alloc.h"
#include "common/base/text.h"
#include "common/wire/grant.h"
#include "director/cli/confirm.h"
#include "director/cli/generations.h"
#include "director/cli/key_export.h"
#include "director/cli/key_witness.h"
#include "director/cli/kit_take.h"
#include "director/cli/point.h"
#include "director/cli/put.h"

#include <stdio.h>
#include <string.h>

/* --- import --- */

const struct option_spec key_import_options[] = {KIT_OPTIONS, UNWITNESSED_OPTION, {0}};

/* The name may belong to the same key in another generation, and to no other key. */
static bool name_is_free(const struct keys *keys, const struct kit *kit, struct err *err)
{
    for (size_t i = 0; i < keys->count; i++) {
        const struct key_entry *other = &keys->items[i];
        if (strcmp(other->label, kit->section->label) != 0) continue;
        if (generations_has(other, &kit->half->key_id) || stored_unlock_covers(kit->section, &other->key_id))
            continue;
        return err_set(err, ERR_EXISTS, "there is another key '%s' here: the names must differ",
                       other->label);
    }
    return true;
}

/* Who was taken his copy gets it back by name only; but whoever imports has the key in his hand. */
static bool stays_withdrawn(const struct cli *cli, const struct keys *keys, const struct hash *key_id,
                            const Sealift__Member *operator)
{
    struct identity_public self;
    struct id id = grant_id(key_id, operator->sign_pk.data, SEALIFT__HALF__HALF_READ, NULL);
    const struct statement *grant = statements_with_id(&keys->grants, &id);
    (void)state_identity(cli->state, &self);
    return grant && grant->body.grant->withdrawn &&
           memcmp(operator->sign_pk.data, self.sign_pk, SIGN_PK_LEN) != 0;
}

static bool grant_missing(struct cli *cli, const struct keys *keys, const struct key_entry *key,
                          const struct read_half *half, size_t *given, struct err *err)
{
    const Sealift__RosterBody *roster = roster_body(access_roster(cli));
    for (size_t i = 0; i < roster->n_operators; i++) {
        const Sealift__Member *operator= roster->operators[i];
        if (keys_grant_of(keys, &key->key_id, operator->sign_pk.data, NULL)) continue;
        if (stays_withdrawn(cli, keys, &key->key_id, operator)) {
            output_note(&cli->output,
                        "the copy of '%s' was withdrawn, and stays so: 'sealift key grant %s %s "
                        "--half read' gives it back",
                        operator->name, key->label, operator->name);
            continue;
        }
        if (!keys_grant(cli, key, half, operator, NULL, err)) return false;
        (*given)++;
    }
    return true;
}

static void say_imported(const struct cli *cli, const struct key_entry *key, size_t given)
{
    char fingerprint[KEY_FINGERPRINT_LEN];
    key_fingerprint(&key->key_id, fingerprint);
    output_line(&cli->output,
                json_pack("{s:s, s:o, s:s, s:o}", "key", key->label, "id",
                          json_hex(key->key_id.bytes, HASH_LEN), "fingerprint", fingerprint, "copies_given",
                          json_count(given)),
                "%s is here, fingerprint %s; %zu %s got a copy", key->label, fingerprint, given,
                plural(given, "operator", "operators"));
}

/* A key that the site knows keeps the section it has, which may be newer than the kit's. */
static bool import_kit(struct cli *cli, const struct keys *keys, const struct kit *kit, struct err *err)
{
    AUTO(read_half) struct read_half *half = NULL;
    AUTO(key_entry) struct key_entry fresh = {.key_id = kit->half->key_id};
    const struct key_entry *known = keys_with_id(keys, &kit->half->key_id);
    const struct key_entry *key = known && known->section ? known : &fresh;
    size_t given = 0;
    (void)snprintf(fresh.label, sizeof(fresh.label), "%s", kit->section->label);
    buf_put_span(&fresh.section_bytes, buf_span(&kit->section_bytes));
    fresh.unlock_hash = hash_of(buf_span(&fresh.section_bytes));
    if (!stored_unlock_decode(buf_span(&fresh.section_bytes), &fresh.section, err) ||
        !read_half_open(kit->half->s->data, &key->key_id, stored_span(&key->section->keyring), &half, err) ||
        !put_unlock_section(cli, buf_span(&key->section_bytes), err) ||
        !state_keep_unlock(cli->state, buf_span(&key->section_bytes), err) ||
        !grant_missing(cli, keys, key, half, &given, err))
        return false;
    say_imported(cli, key, given);
    return true;
}

bool key_import(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(keys) struct keys keys = {0};
    AUTO(kit) struct kit *kit = NULL;
    if (!args_value(args, "kit"))
        return err_set(err, ERR_USAGE, "say which recovery kit: --kit FILE, or --kit - to type it in");
    return keys_get_newest(cli, args, &keys, err) && kit_take(args, &kit, err) &&
           name_is_free(&keys, kit, err) && import_kit(cli, &keys, kit, err);
}

/* --- delete --- */

const struct option_spec key_delete_options[] = {CONFIRM_OPTION, {0}};

static bool no_job_uses(struct cli *cli, const struct key_entry *key, struct err *err)
{
    AUTO(statements) struct statements jobs = {0};
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &jobs, err)) return false;
    if (!statements_believed(&jobs, err)) return err_wrap(err, "whether a job uses the key is not known");
    for (size_t i = 0; i < jobs.count; i++) {
        const Sealift__JobBody *job = jobs.items[i]->body.job;
        if (job->deleted || job->key_id.len != HASH_LEN) continue;
        struct hash key_id = stored_hash(&job->key_id);
        if (generations_has(key, &key_id))
            return err_set(err, ERR_POLICY, "the job '%s' uses the key '%s'", job->name, key->label);
    }
    return true;
}

/* Who deletes a key does not mean to lose points, and where he does, he deletes those first. */
static bool no_point_needs(struct cli *cli, const struct key_entry *key, struct err *err)
{
    AUTO(points) struct points points = {0};
    size_t count = 0;
    if (!points_get(cli, NULL, NULL, POINTS_THERE, &points, err)) return false;
    if (points.doubt.code != ERR_NONE) {
        *err = points.doubt;
        return err_wrap(err, "whether a recovery point needs the key is not known");
    }
    for (size_t i = 0; i < points.count; i++) {
        const Sealift__PointBody *body = points.items[i]->body;
        if (body->key_id.len != HASH_LEN) continue;
        struct hash key_id = stored_hash(&body->key_id);
        count += generations_has(key, &key_id);
    }
    if (count == 0) return true;
    return err_set(err, ERR_POLICY,
                   "%zu recovery %s sealed for the key '%s', which nobody here could open any more: "
                   "delete them first ('sealift point list' shows them)",
                   count, plural(count, "point is", "points are"), key->label);
}

bool key_delete(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(keys) struct keys keys = {0};
    const struct key_entry *key = NULL;
    char question[IDENTITY_NAME_MAX + 64];
    size_t count = 0;
    if (!keys_get(cli, &keys, err) || !keys_named(&keys, args_operand(args, 0), &key, err)) return false;
    if (!key->section)
        return err_set(err, ERR_POLICY, "the key '%s' is that of a source: its file there is the key",
                       key->label);
    if (!no_job_uses(cli, key, err) || !no_point_needs(cli, key, err)) return false;
    (void)snprintf(question, sizeof(question), "take every copy of the key '%s' back", key->label);
    if (!confirm(args, question, err)) return false;
    for (size_t i = 0; i < keys.grants.count; i++) {
        struct hash key_id = stored_hash(&keys.grants.items[i]->body.grant->key_id);
        if (keys.grants.items[i]->body.grant->withdrawn || !generations_has(key, &key_id)) continue;
        if (!keys_withdraw(cli, keys.grants.items[i], err)) return false;
        count++;
    }
    output_line(&cli->output,
                json_pack("{s:s, s:b, s:o}", "key", key->label, "deleted", 1, "withdrawn", json_count(count)),
                "%s is deleted: %zu %s withdrawn", key->label, count,
                plural(count, "grant is", "grants are"));
    output_note(&cli->output, "recovery kits of it, its password and its KMS still open what it sealed");
    return true;
}
