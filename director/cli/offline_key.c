#include "director/cli/offline_key.h"

#include "common/base/alloc.h"
#include "common/base/text.h"
#include "common/crypto/identity.h"
#include "director/cli/key_file.h"
#include "director/cli/keys.h"
#include "director/cli/offline_more.h"
#include "transporter/kms/unlock.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool offline_key_take(struct cli *cli, const struct args *args, struct offline_key *out, struct err *err)
{
    const char *file = args_value(args, "key-file");
    out->cli = cli;
    if (!secret_source_of(args, "password-file", "password-fd", &out->source, err)) return false;
    out->wants_password = args_flag(args, "password") || out->source.file || out->source.fd >= 0;
    const char *kms = args_value(args, "kms-file");
    out->given = file || kms || out->wants_password || args_value(args, "kit");
    return (!kms || kms_set_load(kms, &out->kms, err)) && (!file || key_file_read(file, &out->s, err)) &&
           kit_take(args, &out->kit, err);
}

void offline_key_deinit(struct offline_key *key)
{
    secret_free(key->s);
    secret_free(key->password);
    kms_set_free(key->kms);
    kit_free(key->kit);
}

/* --- the steps of the unlock order --- */

/* A state directory is not made just to find that it is empty. */
static bool has_identity(const struct cli *cli)
{
    AUTO(free) char *path = xasprintf("%s/identity", cli->state_dir);
    return access(path, F_OK) == 0;
}

/* A key file, else this operator's own copy, when no other key was asked for. */
static bool give_known(void *arg, const struct hash *key_id, struct secret **s, struct err *err)
{
    const struct offline_key *key = arg;
    if (key->s) {
        *s = secret_copy(key->s->data, key->s->len);
        return true;
    }
    if (key->given || !has_identity(key->cli)) return err_set(err, ERR_NO_KEY, "no key file was given");
    return keys_local_secret(key->cli, key_id, s, err);
}

static bool give_password(void *arg, const char *label, struct secret **password, struct err *err)
{
    struct offline_key *key = arg;
    char prompt[IDENTITY_NAME_MAX + 32];
    enum password_strength strength;
    if (!key->wants_password || key->no_password) return err_set(err, ERR_NO_KEY, "no password was given");
    (void)snprintf(prompt, sizeof(prompt), "password of the key '%s'", label);
    if (!key->password) {
        struct secret *typed = NULL;
        if (!secret_password(&key->source, prompt, SECRET_ONCE, &typed, &strength, err)) return false;
        key->password = typed;
    }
    *password = secret_copy(key->password->data, key->password->len);
    return true;
}

static bool give_kit(void *arg, const struct hash *key_id, struct secret **s, struct err *err)
{
    const struct offline_key *key = arg;
    if (!key->kit) return err_set(err, ERR_NO_KEY, "no recovery kit was given");
    return kit_secret(key->kit, key_id, s, err);
}

static void tell_step(void *arg, const struct unlock_result *result)
{
    const struct offline_key *key = arg;
    const char *entry = result->step == UNLOCK_KMS ? result->name : NULL;
    if (!key->told && !key->quiet)
        output_note(&key->cli->output, "unlocking by %s%s%s%s: %s", unlock_step_name(result->step),
                    entry ? " '" : "", entry ? entry : "", entry ? "'" : "",
                    result->why ? result->why->text : "done");
}

static bool no_key(struct err *err)
{
    const struct err why = *err;
    return err_set(err, ERR_NO_KEY,
                   "%s: --password, --kit FILE, --key-file FILE, --kms-file FILE, or --state DIR of an "
                   "operator who has a "
                   "copy",
                   why.text);
}

static bool open_section(struct span section, const struct unlock_more *more, struct offline_key *key,
                         struct read_half **out, struct err *err)
{
    static const struct unlock_known known[] = {{"key file or own copy", give_known}};
    const struct unlock_sources sources = {.known = known,
                                           .known_count = 1,
                                           .kms = key->kms,
                                           .password = give_password,
                                           .kit = give_kit,
                                           .report = tell_step,
                                           .arg = key};
    return unlock_section(section, more, &sources, out, err);
}

/* Once: it is of the repository, and the same for every point. */
static void say_doubt(struct offline_key *key, const struct offline_more *more)
{
    if (more->doubt.code == ERR_NONE || key->told_doubt) return;
    output_warning(&key->cli->output, "some ways to keys that were added later are left out: %s",
                   more->doubt.text);
    key->told_doubt = true;
}

/* Whoever has a password from before a rotation is told that there was one. */
static void hint_generations(const struct offline_point *point, struct err *err)
{
    enum { NAMED_MOST = 3 };
    struct err ignored, why = *err;
    AUTO(buf) struct buf earlier = {0};
    AUTO(stored_unlock) Sealift__UnlockSection *section = NULL;
    char fingerprint[KEY_FINGERPRINT_LEN];
    if (err->code != ERR_WRONG_KEY ||
        !stored_unlock_decode(stored_span(&point->file->unlock), &section, &ignored) ||
        section->n_earlier == 0)
        return;
    size_t first = section->n_earlier > NAMED_MOST ? section->n_earlier - NAMED_MOST : 0;
    if (first > 0) buf_printf(&earlier, "%zu older %s, ", first, plural(first, "one", "ones"));
    for (size_t i = first; i < section->n_earlier; i++) {
        struct hash key_id = stored_hash(&section->earlier[i]);
        key_fingerprint(&key_id, fingerprint);
        buf_printf(&earlier, "%s%.9s…", i > first ? ", " : "", fingerprint);
    }
    struct hash key_id = stored_hash(&section->key_id);
    key_fingerprint(&key_id, fingerprint);
    (void)err_set(err, ERR_WRONG_KEY,
                  "%.200s; the key was rotated: this recovery point needs generation %zu (%.9s…), and the "
                  "password may be that of an earlier one (%s)",
                  why.text, section->n_earlier + 1, fingerprint, buf_cstr(&earlier));
}

/* By the point's own section, and what else the repository knows of its key. */
static bool unlock(const struct offline *offline, const struct offline_point *point, struct offline_key *key,
                   struct read_half **out, struct err *err)
{
    AUTO(offline_more) struct offline_more others = {0};
    AUTO(read_half) struct read_half *half = NULL;
    offline_more_gather(offline, point, &others);
    say_doubt(key, &others);
    if (key->kit) offline_more_add(&others, buf_span(&key->kit->section_bytes));
    const struct unlock_more more = offline_more_of(&others);
    bool opened = open_section(stored_span(&point->file->unlock), &more, key, &half, err);
    key->told = true;
    if (!opened && err->code == ERR_NO_KEY && !key->given) return no_key(err);
    if (!opened && key->wants_password) hint_generations(point, err);
    if (!opened) return false;
    if (memcmp(half->key_id.bytes, point->body->key_id.data, HASH_LEN) != 0)
        return err_set(err, ERR_DAMAGED, "the unlock section is that of another key than the point's");
    *out = half;
    half = NULL;
    return true;
}

/* --- later generations --- */

/* Whether a password is derived for it: that costs time, and whoever can write into the repository can add
 * salts. So it comes last, and for a few only. */
enum later_by { LATER_WITHOUT_PASSWORD, LATER_BY_PASSWORD };
enum { LATER_TRIED_MOST = 64, LATER_DERIVED_MOST = 4 };

static bool try_later(const Sealift__UnlockSection *section, const struct offline_more *others,
                      const struct hash *key_id, struct offline_key *key, struct read_half **out)
{
    struct err ignored;
    AUTO(buf) struct buf bytes = {0};
    AUTO(read_half) struct read_half *half = NULL;
    struct unlock_more more = offline_more_of(others);
    more.found = true;
    if (!stored_unlock_encode(section, &bytes, &ignored) ||
        !open_section(buf_span(&bytes), &more, key, &half, &ignored) || !read_half_secret_of(half, key_id))
        return false;
    *out = half;
    half = NULL;
    return true;
}

/* What does not help here is no reason to give up: the next generation, or the point's own section, is next.
 */
static bool unlock_later(const struct offline *offline, const struct offline_point *point,
                         struct offline_key *key, enum later_by by, struct read_half **out)
{
    struct hash key_id = stored_hash(&point->body->key_id);
    AUTO(offline_more) struct offline_more others = {0};
    const Sealift__UnlockSection *section = NULL;
    size_t left = by == LATER_BY_PASSWORD ? LATER_DERIVED_MOST : LATER_TRIED_MOST;
    bool opened = false;
    offline_more_later(offline, &key_id, &others);
    say_doubt(key, &others);
    struct hash hash = offline_more_hash(&others);
    if (others.count == 0 || hash_eq(&hash, &key->in_vain[by])) return false;
    key->quiet = true;
    key->no_password = by == LATER_WITHOUT_PASSWORD;
    while (!opened && left-- > 0 && (section = offline_more_next(&others, section)))
        opened = try_later(section, &others, &key_id, key, out);
    key->quiet = key->no_password = false;
    if (!opened) key->in_vain[by] = hash;
    if (opened && !key->told_later)
        output_note(&key->cli->output, "a later generation of the key '%s' opens its earlier points too",
                    point->body->key_label);
    key->told_later = key->told_later || opened;
    return opened;
}

/* By a later generation where that takes no password, by what the point has, and then by the password of a
 * later one. */
static bool unlock_any(const struct offline *offline, const struct offline_point *point,
                       struct offline_key *key, struct read_half **out, struct err *err)
{
    if (unlock_later(offline, point, key, LATER_WITHOUT_PASSWORD, out) ||
        unlock(offline, point, key, out, err))
        return true;
    if (!key->wants_password || !unlock_later(offline, point, key, LATER_BY_PASSWORD, out)) return false;
    err_clear(err);
    return true;
}

/* --- what reads --- */

static bool open_sealed(const struct offline *offline, const struct offline_point *point,
                        struct offline_key *key, struct read_half **out, struct err *err)
{
    AUTO(read_half) struct read_half *half = NULL;
    struct hash domain = stored_hash(&point->body->domain_id);
    if (!unlock_any(offline, point, key, &half, err)) return false;
    if (!key->s) key->s = secret_copy(half->s->data, half->s->len); /* a password is derived once */
    if (!read_half_use_domain(half, point->body->domain, &domain, err)) return false;
    *out = half;
    half = NULL;
    return true;
}

static bool open_half(const struct offline *offline, const struct offline_point *point,
                      struct offline_key *key, struct read_half **out, struct err *err)
{
    if (offline_is_sealed(point)) return open_sealed(offline, point, key, out, err);
    if (key->given)
        return err_set(err, ERR_NOT_ENCRYPTED, "the recovery point is not encrypted, but a key was given");
    return true;
}

bool offline_read(const struct offline *offline, const struct offline_point *point, struct offline_key *key,
                  struct offline_reading *out, struct err *err)
{
    const Sealift__PointBody *body = point->body;
    if (!open_half(offline, point, key, &out->half, err)) return false;
    out->root = stored_hash(&body->root);
    out->opener = opener_new(out->half, body->domain);
    out->inlet = inlet_repository_new(offline->repository);
    struct hash domain = stored_hash(&body->domain_id);
    if (out->half) inlet_repository_restrict(out->inlet, &domain);
    return true;
}

void offline_reading_deinit(struct offline_reading *reading)
{
    opener_free(reading->opener);
    inlet_repository_free(reading->inlet);
    read_half_free(reading->half);
    *reading = (struct offline_reading){0};
}
