#include "director/cli/key_rotate.h"

#include "common/base/alloc.h"
#include "common/base/text.h"
#include "director/cli/catalog_ask.h"
#include "director/cli/confirm.h"
#include "director/cli/generations.h"
#include "director/cli/key_draft.h"
#include "director/cli/key_move.h"
#include "director/cli/key_protect.h"
#include "director/cli/key_protectors.h"
#include "director/cli/key_rewrap.h"
#include "director/cli/key_witness.h"
#include "director/cli/point.h"
#include "director/cli/protect.h"
#include "director/cli/put.h"

#include <stdio.h>
#include <string.h>

enum { RUNS_ASKED = 10000 };

const struct option_spec key_rotate_options[] = {
    KEY_DRAFT_OPTIONS,
    NEW_PASSWORD_OPTIONS,
    {"new-dedup", NULL, "a new deduplication secret too: everything is stored again, once"},
    {"rewrap", NULL, "and rewrap what the repositories hold, as 'key rewrap' does"},
    KEY_REWRAP_OPTIONS,
    {"without-kms", "NAME", "leave this KMS entry out: it does not protect the new generation"},
    UNWITNESSED_OPTION,
    CONFIRM_OPTION,
    {0},
};

struct rotation {
    struct cli *cli;
    const struct args *args;
    struct keys keys;
    const struct key_entry *old; /* the newest generation so far */
    struct read_half *old_half;
    struct key_draft draft;
    struct hash *earlier;
    struct protect_wraps wraps;
};

static void rotation_deinit(struct rotation *rotation)
{
    keys_deinit(&rotation->keys);
    read_half_free(rotation->old_half);
    key_draft_deinit(&rotation->draft);
    free(rotation->earlier);
    protect_wraps_deinit(&rotation->wraps);
}
DEFINE_AUTO_IN_PLACE(rotation, struct rotation, rotation_deinit)

/* --- what is said --- */

/* Takes the rows of what was rewrapped; NULL: nothing was to be. */
static void say_rotated(const struct cli *cli, const struct key_entry *key, const struct key_move *move,
                        const char *how, json_t *rewrapped)
{
    char fingerprint[KEY_FINGERPRINT_LEN];
    key_fingerprint(&key->key_id, fingerprint);
    for (size_t i = 0; cli->output.form == OUTPUT_TEXT && i < json_array_size(rewrapped); i++) {
        json_t *row = json_array_get(rewrapped, i);
        output_note(&cli->output, "%s: %s", json_string_value(json_object_get(row, "repository")),
                    json_string_value(json_object_get(row, "text")));
    }
    output_line(&cli->output,
                json_pack("{s:s, s:o, s:s, s:I, s:I, s:I, s:I, s:o*}", "key", key->label, "id",
                          json_hex(key->key_id.bytes, HASH_LEN), "fingerprint", fingerprint, "generation",
                          (json_int_t)generations_number(key), "granted", (json_int_t)move->granted, "jobs",
                          (json_int_t)move->jobs, "withdrawn", (json_int_t)move->withdrawn, "rewrapped",
                          rewrapped),
                "%s is %s: generation %zu, fingerprint %s; %zu %s signed again", key->label, how,
                generations_number(key), fingerprint, move->jobs, plural(move->jobs, "job", "jobs"));
}

static void say_what_stays(const struct cli *cli, const struct key_entry *old)
{
    bool password =
        old->section->origin == SEALIFT__KEY_ORIGIN__KEY_FROM_PASSWORD || old->section->n_passwords;
    output_warning(&cli->output,
                   "recovery kits of '%s' that were exported before do not have the new generation: export "
                   "one again",
                   old->label);
    if (password)
        output_warning(&cli->output, "the old password still opens the points that were made until now");
    if (old->section->n_passwords)
        output_warning(&cli->output,
                       "further passwords of '%s' open the old generation only: add them again with "
                       "'sealift key protect'",
                       old->label);
    output_note(
        &cli->output,
        "old points keep their keys: who copied the key, or the run keys of a point, still reads what he "
        "could read. Only a copy with --reencrypt takes that away");
}

/* --- what --new-dedup costs --- */

static bool is_point_of(const struct points *points, const struct key_entry *key,
                        const ProtobufCBinaryData *id)
{
    if (id->len != ID_LEN) return false;
    for (size_t i = 0; i < points->count; i++) {
        struct hash key_id = stored_hash(&points->items[i]->body->key_id);
        if (memcmp(points->items[i]->id.bytes, id->data, ID_LEN) == 0)
            return points->items[i]->body->key_id.len == HASH_LEN && generations_has(key, &key_id);
    }
    return false;
}

static bool say_stored_again(const struct rotation *rotation, struct err *err)
{
    AUTO(points) struct points points = {0};
    AUTO(payload_run_list) Sealift__RunListAnswer *runs = NULL;
    uint64_t stored = 0;
    size_t count = 0;
    char size[16];
    if (!points_get(rotation->cli, NULL, NULL, POINTS_THERE, &points, err) ||
        !ask_runs(rotation->cli, NULL, RUNS_ASKED, &runs, err))
        return false;
    for (size_t i = 0; i < runs->n_rows; i++) {
        if (!runs->rows[i]->counters || !is_point_of(&points, rotation->old, &runs->rows[i]->point)) continue;
        stored += runs->rows[i]->counters->stored_bytes;
        count++;
    }
    size_format(stored, size);
    output_warning(
        &rotation->cli->output,
        "--new-dedup: the points of '%s' took %s to store (%zu %s, as far as the director remembers "
        "them), and the next run of each job stores all that it still has again",
        rotation->old->label, size, count, plural(count, "run", "runs"));
    return true;
}

/* --- protectors --- */

static bool left_out(const struct args *args, const char *entry)
{
    const char *name;
    for (size_t i = 0; (name = args_nth(args, "without-kms", i)); i++)
        if (strcmp(name, entry) == 0) return true;
    return false;
}

/* Whatever protects the old generation must protect the new one, or be named. */
static bool wrap_one(struct rotation *rotation, const char *entry, const struct hash *key_id, struct err *err)
{
    struct protect_place place;
    struct protect_wraps *wraps = &rotation->wraps;
    Sealift__KmsWrap *wrap = NULL;
    if (!protect_find(rotation->cli, entry, NULL, &place, err) ||
        !protect_wrap(rotation->cli, place.host, place.entry, key_id, rotation->draft.s, &wrap, err))
        return err_wrap(err,
                        "the KMS entry '%s' protects the key and must protect its new generation "
                        "(--without-kms %s leaves it out)",
                        entry, entry);
    wraps->list = xreallocarray(wraps->list, wraps->count + 1, sizeof(Sealift__KmsWrap *));
    wraps->list[wraps->count++] = wrap;
    return true;
}

static bool wrap_again(struct rotation *rotation, const struct hash *key_id, struct err *err)
{
    const Sealift__UnlockSection *section = rotation->old->section;
    for (size_t i = 0; i < section->n_kms; i++)
        if (!left_out(rotation->args, section->kms[i]->entry) &&
            !wrap_one(rotation, section->kms[i]->entry, key_id, err))
            return false;
    rotation->draft.kms = rotation->wraps.list;
    rotation->draft.kms_count = rotation->wraps.count;
    return true;
}

/* --- beginning one --- */

static void name_earlier(struct rotation *rotation)
{
    const Sealift__UnlockSection *section = rotation->old->section;
    rotation->earlier = xcalloc(section->n_earlier + 1, sizeof(*rotation->earlier));
    rotation->earlier[0] = rotation->old->key_id;
    for (size_t i = 0; i < section->n_earlier; i++)
        rotation->earlier[i + 1] = stored_hash(&section->earlier[i]);
    rotation->draft.earlier = rotation->earlier;
    rotation->draft.earlier_count = section->n_earlier + 1;
}

static bool make_half(struct rotation *rotation, struct read_half **out, struct err *err)
{
    enum rotate_dedup dedup = args_flag(rotation->args, "new-dedup") ? ROTATE_NEW_DEDUP : ROTATE_KEEP_DEDUP;
    const struct key_entry *old = rotation->old;
    struct key_draft *draft = &rotation->draft;
    draft->label = old->label;
    draft->description = old->section->description;
    draft->shared_domain = old->section->shared_domain;
    name_earlier(rotation);
    return key_draft_secret(rotation->args, draft, err) &&
           (read_half_rotate(rotation->old_half, draft->s->data, dedup, out, err) ||
            err_wrap(err, "key '%s'", old->label));
}

/* Until this operator has his grant of it nothing has happened: S is forgotten, and the next try makes
 * another. */
static bool begin(struct rotation *rotation, struct key_entry *key, struct read_half **half, struct err *err)
{
    struct identity_public self;
    struct cli *cli = rotation->cli;
    if (!make_half(rotation, half, err) || !wrap_again(rotation, &(*half)->key_id, err) ||
        !key_draft_section(&rotation->draft, *half, key, err))
        return false;
    key->key_id = (*half)->key_id;
    key->description = rotation->old->description;
    (void)snprintf(key->label, sizeof(key->label), "%s", rotation->old->label);
    (void)state_identity(cli->state, &self);
    return (!args_flag(rotation->args, "rewrap") || state_begin_rewrap(cli->state, &key->key_id, err)) &&
           put_unlock_section(cli, buf_span(&key->section_bytes), err) &&
           state_keep_unlock(cli->state, buf_span(&key->section_bytes), err) &&
           keys_grant(cli, key, *half, roster_operator(access_roster(cli), self.sign_pk), NULL, err);
}

static bool check_words(const struct rotation *rotation, struct err *err)
{
    const Sealift__UnlockSection *section = rotation->old->section;
    if (key_draft_ways(rotation->args) != 1)
        return err_set(err, ERR_USAGE,
                       "say where the new generation comes from: one of --password, --from-file, --generate");
    const char *name;
    for (size_t i = 0; (name = args_nth(rotation->args, "without-kms", i)); i++) {
        size_t at = 0;
        while (at < section->n_kms && strcmp(section->kms[at]->entry, name) != 0)
            at++;
        if (at == section->n_kms)
            return err_set(err, ERR_USAGE, "--without-kms %s: no KMS entry of this name protects the key",
                           name);
    }
    return true;
}

/* The newest generation has no points yet: whatever there is is of an earlier one. */
static bool rewrap_if_asked(const struct rotation *rotation, const struct key_entry *key,
                            const struct read_half *half, json_t **rows, struct err *err)
{
    return !args_flag(rotation->args, "rewrap") ||
           key_rewrap_all(rotation->cli, rotation->args, key, half, rows, err) ||
           err_wrap(err, "the key is rotated, and 'sealift key rewrap %s' does the rest", key->label);
}

/* So that whoever has nothing but a repository and the newest secret opens what is in it. A host that is away
 * is no reason to fail: the rotation is done. */
static void keep_beside_points(const struct rotation *rotation, const struct key_entry *key)
{
    struct err why = {0};
    AUTO(json) json_t *done = json_array();
    if (!key_protect_existing(rotation->cli, &key->key_id, buf_span(&key->section_bytes), done, &why))
        output_warning(&rotation->cli->output,
                       "until a first point of the new generation is there, its secret alone does not open "
                       "the earlier points where that was not kept: 'sealift key rewrap %s' keeps it there",
                       key->label);
}

static bool rotate(struct rotation *rotation, struct err *err)
{
    struct cli *cli = rotation->cli;
    char question[IDENTITY_NAME_MAX + 128];
    AUTO(key_entry) struct key_entry key = {0};
    AUTO(read_half) struct read_half *half = NULL;
    struct key_move move = {0};
    if (!check_words(rotation, err) || !keys_open(cli, rotation->old, &rotation->old_half, err) ||
        (args_flag(rotation->args, "new-dedup") && !say_stored_again(rotation, err)))
        return false;
    (void)snprintf(question, sizeof(question),
                   "make a new generation of the key '%s' and sign all its jobs and grants again",
                   rotation->old->label);
    if (!confirm(rotation->args, question, err) || !begin(rotation, &key, &half, err)) return false;
    if (!key_move_do(cli, &rotation->keys, &key, half, &move, err))
        return err_wrap(err, "the rotation has begun, and the same command again finishes it");
    keep_beside_points(rotation, &key);
    json_t *rows = NULL;
    bool done = rewrap_if_asked(rotation, &key, half, &rows, err);
    say_rotated(cli, &key, &move, "rotated", rows);
    say_what_stays(cli, rotation->old);
    key_warn_unprotected(cli, &key);
    return done;
}

/* --- finishing one --- */

static bool finish(struct rotation *rotation, struct err *err)
{
    struct key_move move = {0};
    struct cli *cli = rotation->cli;
    output_note(
        &cli->output,
        "a rotation of '%s' was begun and not finished: this finishes it, with the secret that was made "
        "then",
        rotation->old->label);
    if (!keys_open(cli, rotation->old, &rotation->old_half, err)) return false;
    if (!key_move_do(cli, &rotation->keys, rotation->old, rotation->old_half, &move, err))
        return err_wrap(err, "the rotation is not finished yet, and the same command again finishes it");
    keep_beside_points(rotation, rotation->old);
    json_t *rows = NULL;
    bool done = rewrap_if_asked(rotation, rotation->old, rotation->old_half, &rows, err);
    say_rotated(cli, rotation->old, &move, "rotated, as was begun before", rows);
    const Sealift__UnlockSection *section = rotation->old->section;
    struct hash before = section->n_earlier ? stored_hash(&section->earlier[0]) : rotation->old->key_id;
    const struct key_entry *earlier = keys_with_id(&rotation->keys, &before);
    say_what_stays(cli, earlier && earlier->section ? earlier : rotation->old);
    return done;
}

static bool is_ours(const struct rotation *rotation, struct err *err)
{
    const struct key_entry *key = rotation->old;
    char source[IDENTITY_NAME_MAX + 1] = "";
    if (key->section && key->section->origin != SEALIFT__KEY_ORIGIN__KEY_OWN && !key->own) return true;
    if (key->own) access_name_of(rotation->cli, key->source, source);
    if (key->own)
        return err_set(err, ERR_POLICY,
                       "the own key '%s' never leaves its source: put another file under 'own_key' in the "
                       "configuration of '%s' (and keep the old file: old points need it), register it with "
                       "'sealift key create NAME --description TEXT --own %s', and make jobs that use it",
                       key->label, source, source);
    return err_set(err, ERR_NOT_FOUND, "the unlock section of key '%s' is not to be had", key->label);
}

bool key_rotate(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(rotation) struct rotation rotation = {.cli = cli, .args = args};
    struct key_move left = {0};
    if (!keys_get_newest(cli, args, &rotation.keys, err) ||
        !statements_believed(&rotation.keys.grants, err) ||
        !keys_named(&rotation.keys, args_operand(args, 0), &rotation.old, err) || !is_ours(&rotation, err))
        return false;
    if (generations_of_later(&rotation.keys, rotation.old))
        return err_set(err, ERR_USAGE, "this is an earlier generation of the key: name the key '%s'",
                       rotation.old->label);
    if (!key_move_left(cli, &rotation.keys, rotation.old, &left, err)) return false;
    bool begun = left.granted || left.jobs || left.withdrawn ||
                 (args_flag(args, "rewrap") && state_rewrap_begun(cli->state, &rotation.old->key_id));
    return begun ? finish(&rotation, err) : rotate(&rotation, err);
}
