#include "director/cli/key_protect.h"

#include "common/base/alloc.h"
#include "common/base/text.h"
#include "common/wire/lent.h"
#include "director/cli/confirm.h"
#include "director/cli/generations.h"
#include "director/cli/job_keys.h"
#include "director/cli/key_protectors.h"
#include "director/cli/key_witness.h"
#include "director/cli/new_password.h"
#include "director/cli/point.h"
#include "director/cli/protect.h"

#include <stdio.h>
#include <string.h>

enum { DESCRIPTION_MAX = 200 };

/* A key, opened, and the section that it is about to get. */
struct change {
    struct cli *cli;
    const struct args *args;
    struct keys keys;
    const struct key_entry *key;
    struct read_half *half;
    struct secret *password; /* that is added; NULL: none was read yet */
    struct buf section;      /* empty: nothing changes */
};
static void change_deinit(struct change *change)
{
    keys_deinit(&change->keys);
    read_half_free(change->half);
    secret_free(change->password);
    buf_deinit(&change->section);
}
DEFINE_AUTO_IN_PLACE(change, struct change, change_deinit)

static bool begin(struct change *change, struct err *err)
{
    if (!keys_get_newest(change->cli, change->args, &change->keys, err) ||
        !keys_named(&change->keys, args_operand(change->args, 0), &change->key, err))
        return false;
    if (change->key->own)
        return err_set(
            err, ERR_POLICY,
            "the own key '%s' never leaves its source, whose file is all there is of it: keep a copy of "
            "that file",
            change->key->label);
    return keys_open(change->cli, change->key, &change->half, err);
}

/* Grants that a call which was interrupted left behind come along; *count: how many. */
static bool settle(const struct change *change, size_t *count, struct err *err)
{
    return keys_settle(change->cli, change->key, change->half, count, err);
}

static bool apply(const struct change *change, struct err *err)
{
    size_t count;
    if (change->section.len == 0) return settle(change, &count, err);
    return keys_replace_section(change->cli, change->key, change->half, buf_span(&change->section), err);
}

static struct span newest(const struct change *change)
{
    return change->section.len ? buf_span(&change->section) : buf_span(&change->key->section_bytes);
}

/* --- adding a KMS --- */

/* The wraps of the section, each in its place, those of `wraps` instead of or behind them. */
static bool with_wraps(struct change *change, const struct protect_wraps *wraps, struct err *err)
{
    Sealift__UnlockSection next = *change->key->section;
    AUTO(free) Sealift__KmsWrap **list = xcalloc(next.n_kms + wraps->count, sizeof(*list));
    size_t count = next.n_kms;
    bool changed = false;
    if (count) memcpy(list, next.kms, count * sizeof(*list));
    for (size_t i = 0; i < wraps->count; i++) {
        size_t at = 0;
        while (at < count && strcmp(list[at]->entry, wraps->list[i]->entry) != 0)
            at++;
        /* by the same master key one wrap is as good as the other */
        if (at < count && strcmp(list[at]->kind, wraps->list[i]->kind) == 0 &&
            strcmp(list[at]->master_key, wraps->list[i]->master_key) == 0)
            continue;
        list[at] = wraps->list[i];
        if (at == count) count++;
        changed = true;
    }
    next.kms = list;
    next.n_kms = count;
    return !changed || stored_unlock_encode(&next, &change->section, err);
}

static bool add_kms(struct change *change, struct err *err)
{
    AUTO(protect_wraps) struct protect_wraps wraps = {0};
    return protect_wrap_all(change->cli, change->args, args_value(change->args, "at"), &change->key->key_id,
                            change->half->s, &wraps, err) &&
           with_wraps(change, &wraps, err);
}

/* --- adding a password --- */

static bool derive(const struct secret *password, const Sealift__Kdf *kdf, struct secret **out,
                   struct err *err)
{
    const struct pwhash_limits limits = {.passes = kdf->passes, .memory_bytes = kdf->memory_bytes};
    if (kdf->salt.len != PASSWORD_SALT_LEN) return err_set(err, ERR_SALT_MISSING, "the salt is missing");
    return password_hash(password, kdf->salt.data, &limits, out, err);
}

/* A call that was interrupted had added it already. */
static bool is_same(const struct change *change, const Sealift__PasswordWrap *wrap,
                    const struct secret *password, struct err *err)
{
    AUTO(secret) struct secret *hash = NULL;
    AUTO(secret) struct secret *s = NULL;
    struct err why = {0};
    if (derive(password, wrap->kdf, &hash, &why) &&
        key_unwrap(hash->data, &change->key->key_id, stored_span(&wrap->sealed), &s, &why))
        return true;
    return err_set(
        err, ERR_EXISTS,
        "the key '%s' has another password '%s' already: give this one another description, or remove "
        "that one with 'sealift key unprotect'",
        change->key->label, wrap->description);
}

static bool with_password(struct change *change, const char *description, const struct secret *password,
                          struct err *err)
{
    uint8_t salt[PASSWORD_SALT_LEN];
    Sealift__Kdf kdf = SEALIFT__KDF__INIT;
    Sealift__PasswordWrap wrap = SEALIFT__PASSWORD_WRAP__INIT;
    Sealift__UnlockSection next = *change->key->section;
    AUTO(free) Sealift__PasswordWrap **list = xcalloc(next.n_passwords + 1, sizeof(*list));
    AUTO(secret) struct secret *hash = NULL;
    AUTO(buf) struct buf sealed = {0};
    random_bytes(salt, sizeof(salt));
    kdf.name = lent_text("argon2id13");
    kdf.passes = PWHASH_MODERATE.passes;
    kdf.memory_bytes = PWHASH_MODERATE.memory_bytes;
    kdf.salt = lent_bytes(salt, sizeof(salt));
    if (!derive(password, &kdf, &hash, err)) return false;
    key_wrap(hash->data, change->half, &sealed);
    wrap.kdf = &kdf;
    wrap.sealed = lent_bytes(sealed.data, sealed.len);
    wrap.description = lent_text(description);
    if (next.n_passwords) memcpy(list, next.passwords, next.n_passwords * sizeof(*list));
    list[next.n_passwords++] = &wrap;
    next.passwords = list;
    return stored_unlock_encode(&next, &change->section, err);
}

static bool read_password(struct change *change, const char *description, struct err *err)
{
    struct secret_source source;
    char prompt[IDENTITY_NAME_MAX + 48];
    if (!description || !description[0] || strlen(description) > DESCRIPTION_MAX || strchr(description, '\n'))
        return err_set(
            err, ERR_USAGE,
            "--description TEXT is needed: one line of at most %d bytes, such as who has the password "
            "and where it lies",
            DESCRIPTION_MAX);
    (void)snprintf(prompt, sizeof(prompt), "further password of the key '%s'", change->key->label);
    return secret_source_of(change->args, "password-file", "password-fd", &source, err) &&
           new_password(change->args, &source, prompt, &change->password, err);
}

static bool add_password(struct change *change, struct err *err)
{
    const char *description = args_value(change->args, "description");
    if (!change->password && !read_password(change, description, err)) return false;
    const Sealift__PasswordWrap *known = section_password(change->key->section, description);
    if (known) return is_same(change, known, change->password, err);
    return with_password(change, description, change->password, err);
}

static bool add(struct change *change, struct err *err)
{
    return args_value(change->args, "kms") ? add_kms(change, err) : add_password(change, err);
}

/* --- points of earlier generations --- */

static bool has_points(const struct points *points, const struct key_entry *key)
{
    for (size_t i = 0; i < points->count; i++) {
        struct hash key_id = stored_hash(&points->items[i]->body->key_id);
        if (hash_eq(&key_id, &key->key_id)) return true;
    }
    return false;
}

/* The protector wraps the secret of the newest generation, and what an earlier one sealed is opened by its
 * own: that gets the same protector, and its section is kept beside its points. */
static bool protect_earlier(struct change *change, const struct key_entry *earlier, json_t *repositories,
                            struct err *err)
{
    struct change before = {.cli = change->cli,
                            .args = change->args,
                            .keys = change->keys,
                            .key = earlier,
                            .password = change->password};
    bool done = keys_open(change->cli, earlier, &before.half, err) && add(&before, err) &&
                apply(&before, err) &&
                key_protect_existing(change->cli, &earlier->key_id, newest(&before), repositories, err);
    read_half_free(before.half);
    buf_deinit(&before.section);
    return done;
}

static bool protect_all_earlier(struct change *change, json_t *repositories, struct err *err)
{
    AUTO(points) struct points points = {0};
    if (!key_points(change->cli, change->key, KEY_POINTS_OF_ALL, &points, err)) return false;
    for (size_t i = 0; i < change->keys.count; i++) {
        const struct key_entry *earlier = &change->keys.items[i];
        if (earlier == change->key || !earlier->section || !generations_has(change->key, &earlier->key_id) ||
            !has_points(&points, earlier))
            continue;
        if (!protect_earlier(change, earlier, repositories, err))
            return err_wrap(err, "generation %zu of the key", generations_number(earlier));
    }
    return true;
}

/* --- what it came to --- */

static bool has_wrap(const struct point *point, const struct args *args)
{
    const char *entry = args_value(args, "kms");
    if (!point->unlock) return false;
    return entry ? section_kms(point->unlock, entry) != NULL
                 : section_password(point->unlock, args_value(args, "password")) != NULL;
}

static void say_protected(const struct change *change, const Sealift__UnlockSection *section,
                          json_t *repositories)
{
    AUTO(buf) struct buf words = {0};
    char fingerprint[KEY_FINGERPRINT_LEN];
    key_fingerprint(&change->key->key_id, fingerprint);
    key_protectors_words(section, &words);
    output_line(&change->cli->output,
                json_pack("{s:s, s:s, s:o, s:O}", "key", change->key->label, "fingerprint", fingerprint,
                          "protectors", key_protectors_json(section), "repositories", repositories),
                "%s is protected by: %s", change->key->label, buf_cstr(&words));
    for (size_t i = 0; i < json_array_size(repositories); i++)
        output_note(&change->cli->output, "kept beside the points in '%s', for those that are there",
                    json_string_value(json_array_get(repositories, i)));
}

/* Of points that were there before. */
static void tell_of_old(const struct change *change)
{
    AUTO(points) struct points points = {0};
    struct err ignored = {0};
    if (!key_points(change->cli, change->key, KEY_POINTS_OF_ALL, &points, &ignored) || points.count == 0)
        return;
    output_note(&change->cli->output,
                "%zu %s it yet, of those that are there already: the same command with --existing keeps it "
                "beside them",
                points.count, plural(points.count, "point does not carry", "points do not carry"));
}

static bool finish(struct change *change, struct err *err)
{
    AUTO(stored_unlock) Sealift__UnlockSection *section = NULL;
    AUTO(json) json_t *repositories = json_array();
    AUTO(json) json_t *earlier = json_array();
    bool existing = args_flag(change->args, "existing");
    if (!stored_unlock_decode(newest(change), &section, err)) return false;
    bool kept = !existing ||
                (key_protect_existing(change->cli, &change->key->key_id, newest(change), repositories, err) &&
                 protect_all_earlier(change, earlier, err));
    say_protected(change, section, repositories);
    if (!existing && change->section.len) tell_of_old(change);
    return kept;
}

static bool wants_password(const struct args *args)
{
    return args_flag(args, "password") || args_value(args, "password-file") ||
           args_value(args, "password-fd");
}

bool key_protect(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(change) struct change change = {.cli = cli, .args = args};
    bool kms = args_value(args, "kms") != NULL;
    if (kms == wants_password(args))
        return err_set(err, ERR_USAGE, "say by what: --kms ENTRY, or --password --description TEXT");
    if (!kms && args_value(args, "at")) return err_set(err, ERR_USAGE, "--at goes with --kms");
    return begin(&change, err) && add(&change, err) && apply(&change, err) && finish(&change, err);
}

const struct option_spec key_protect_options[] = {
    {"kms", "ENTRY", "a KMS entry of a trusted transporter, also as ENTRY@TRANSPORTER; as often as wanted"},
    {"at", "TRANSPORTER", "who has the entries; not needed where only one has"},
    {"password", NULL, "a further password, which you are asked for"},
    {"description", "TEXT", "of the password: whose it is and where it lies"},
    {"existing", NULL, "also for the points that are there: it is kept beside them in their repositories"},
    NEW_PASSWORD_OPTIONS,
    UNWITNESSED_OPTION,
    {0},
};

/* --- removing --- */

static bool without(struct change *change, bool *found, struct err *err)
{
    const char *entry = args_value(change->args, "kms"), *description = args_value(change->args, "password");
    Sealift__UnlockSection next = *change->key->section;
    AUTO(free) Sealift__KmsWrap **kms = xcalloc(next.n_kms + 1, sizeof(*kms));
    AUTO(free) Sealift__PasswordWrap **passwords = xcalloc(next.n_passwords + 1, sizeof(*passwords));
    size_t kms_count = 0, password_count = 0;
    for (size_t i = 0; i < next.n_kms; i++)
        if (!entry || strcmp(next.kms[i]->entry, entry) != 0) kms[kms_count++] = next.kms[i];
    for (size_t i = 0; i < next.n_passwords; i++)
        if (!description || strcmp(next.passwords[i]->description, description) != 0)
            passwords[password_count++] = next.passwords[i];
    *found = kms_count < next.n_kms || password_count < next.n_passwords;
    if (!*found) return true;
    next.kms = kms;
    next.n_kms = kms_count;
    next.passwords = passwords;
    next.n_passwords = password_count;
    struct key_entry then = *change->key;
    then.section = &next;
    if (!key_has_outside_protector(change->cli->state, &then))
        return err_set(
            err, ERR_POLICY,
            "that is the last way to the key '%s' but for the operators' own copies, which are lost with "
            "their machines and the director: add another one first with 'sealift key protect'",
            change->key->label);
    return stored_unlock_encode(&next, &change->section, err);
}

static bool not_there(const struct change *change, struct err *err)
{
    AUTO(buf) struct buf words = {0};
    const char *entry = args_value(change->args, "kms");
    key_protectors_words(change->key->section, &words);
    return err_set(err, ERR_NOT_FOUND, "the key '%s' has no %s '%s'; it has: %s", change->key->label,
                   entry ? "KMS" : "password", entry ? entry : args_value(change->args, "password"),
                   buf_cstr(&words));
}

/* Points of a job that is kept to a subset carry the KMS entries in it, and no further password. */
static bool carries_it(const struct change *change, const Sealift__JobBody *job,
                       const struct statements *repositories)
{
    const char *entry = args_value(change->args, "kms");
    AUTO(json) json_t *subset = job_keys_subset_json(&change->keys, job, repositories);
    if (!json_is_array(subset)) return true;
    for (size_t i = 0; entry && i < json_array_size(subset); i++)
        if (strcmp(json_string_value(json_array_get(subset, i)), entry) == 0) return true;
    return false;
}

static json_t *jobs_with(const struct change *change, struct err *err)
{
    const struct hash *key_id = &change->key->key_id;
    AUTO(statements) struct statements jobs = {0};
    AUTO(statements) struct statements repositories = {0};
    if (!statements_get(change->cli, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &jobs, err) ||
        !statements_get(change->cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &repositories, err))
        return NULL;
    json_t *names = json_array();
    for (size_t i = 0; i < jobs.count; i++) {
        const Sealift__JobBody *job = jobs.items[i]->body.job;
        if (!job->deleted && job->key_id.len == HASH_LEN &&
            memcmp(job->key_id.data, key_id->bytes, HASH_LEN) == 0 && carries_it(change, job, &repositories))
            (void)json_array_append_new(names, json_string(job->name));
    }
    return names;
}

static json_t *points_with(const struct change *change, struct err *err)
{
    AUTO(points) struct points points = {0};
    if (!key_points(change->cli, change->key, KEY_POINTS_OF_ALL, &points, err)) return NULL;
    json_t *ids = json_array();
    for (size_t i = 0; i < points.count; i++)
        if (has_wrap(points.items[i], change->args))
            (void)json_array_append_new(ids, json_hex(points.items[i]->id.bytes, ID_LEN));
    return ids;
}

/* What it hits: jobs whose next points come without it, and points that keep it. */
static void say_hit(const struct change *change, json_t *jobs, json_t *points)
{
    const struct output *output = &change->cli->output;
    const char *entry = args_value(change->args, "kms");
    bool dry = args_flag(change->args, "dry-run");
    output_line(output,
                json_pack("{s:s, s:s?, s:s?, s:b, s:O, s:O}", "key", change->key->label, "kms", entry,
                          "password", args_value(change->args, "password"), "dry_run", dry, "jobs", jobs,
                          "points_with_it", points),
                "%s: new points %s without %s '%s'", change->key->label, dry ? "would be" : "are",
                entry ? "the KMS" : "the password", entry ? entry : args_value(change->args, "password"));
    if (output->form == OUTPUT_JSON) return;
    for (size_t i = 0; i < json_array_size(jobs); i++)
        output_line(output, NULL, "  job %s", json_string_value(json_array_get(jobs, i)));
    for (size_t i = 0; dry && i < json_array_size(points); i++)
        output_line(output, NULL, "  point %s keeps it", json_string_value(json_array_get(points, i)));
}

static void tell_what_stays(const struct change *change, json_t *points)
{
    if (json_array_size(points) == 0) return;
    const char *entry = args_value(change->args, "kms");
    output_note(&change->cli->output,
                "%zu %s it, and so does what was kept beside points: %s until they are "
                "encrypted again with another key",
                json_array_size(points),
                plural(json_array_size(points), "point that is there keeps", "points that are there keep"),
                entry ? "until its master key is disabled in the KMS, or"
                      : "whoever has the password can open them");
}

bool key_unprotect(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(change) struct change change = {.cli = cli, .args = args};
    char question[320];
    bool found = false;
    size_t settled = 0;
    if ((args_value(args, "kms") != NULL) == (args_value(args, "password") != NULL))
        return err_set(err, ERR_USAGE, "say which: --kms ENTRY or --password DESCRIPTION");
    if (!begin(&change, err) || !without(&change, &found, err)) return false;
    if (!found && !args_flag(args, "dry-run") && !settle(&change, &settled, err)) return false;
    if (!found && settled == 0) return not_there(&change, err);
    AUTO(json) json_t *jobs = jobs_with(&change, err);
    AUTO(json) json_t *points = jobs ? points_with(&change, err) : NULL;
    if (!points) return false;
    (void)snprintf(question, sizeof(question), "let new points of the key '%s' come without it",
                   change.key->label);
    bool dry = args_flag(args, "dry-run");
    if (!dry && ((found && !confirm(args, question, err)) || !apply(&change, err))) return false;
    say_hit(&change, jobs, points);
    tell_what_stays(&change, points);
    return true;
}

const struct option_spec key_unprotect_options[] = {
    {"kms", "ENTRY", "the KMS entry"},
    {"password", "DESCRIPTION", "the further password that has this description"},
    {"dry-run", NULL, "only say which jobs and points it is about"},
    UNWITNESSED_OPTION,
    CONFIRM_OPTION,
    {0},
};
