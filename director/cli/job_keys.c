#include "director/cli/job_keys.h"

#include "common/wire/lent.h"
#include "director/cli/catalog_ask.h"
#include "director/cli/key_protectors.h"
#include "director/cli/key_witness.h"
#include "director/cli/put.h"

#include <string.h>

void job_keys_deinit(struct job_keys *keys)
{
    keys_deinit(&keys->keys);
    read_half_free(keys->half);
    key_subset_deinit(&keys->subset);
}

/* --- the own key of the source --- */

/* *found: it has one, and this is its id. */
static bool own_key_of(struct cli *cli, const Sealift__Member *source, struct hash *key_id, bool *found,
                       struct err *err)
{
    AUTO(payload_status) Sealift__StatusAnswer *status = NULL;
    if (!ask_status(cli, &status, err)) return false;
    const Sealift__TransporterStatus *host = status_of_transporter(status, source->sign_pk.data);
    *found = host && host->own_key && host->own_key->key_id.len == HASH_LEN;
    if (*found) *key_id = stored_hash(&host->own_key->key_id);
    return true;
}

static bool use_own(struct job_keys *out, const Sealift__Member *source, const struct hash *key_id,
                    struct err *err)
{
    const struct key_entry *entry = keys_with_id(&out->keys, key_id);
    /* it is the director who says which one it is: no other key is taken unasked */
    if (entry && !(entry->own && memcmp(entry->source, source->sign_pk.data, SIGN_PK_LEN) == 0))
        return err_set(err, ERR_NOT_AUTHENTIC,
                       "the director says that the key '%s' is the own key of '%s', which it is not: name a "
                       "key with --key",
                       entry->label, source->name);
    out->entry = entry;
    if (entry) return true;
    return err_set(err, ERR_NO_KEY,
                   "the own key of '%s' has no name here: sealift key create NAME --description TEXT "
                   "--own %s",
                   source->name, source->name);
}

/* --- placement --- */

static bool parse_where(const char *text, Sealift__Placement *out, struct err *err)
{
    if (strcmp(text, "source") == 0)
        *out = SEALIFT__PLACEMENT__PLACE_SOURCE;
    else if (strcmp(text, "target") == 0)
        *out = SEALIFT__PLACEMENT__PLACE_TARGET;
    else if (strcmp(text, "none") == 0)
        *out = SEALIFT__PLACEMENT__PLACE_PLAIN;
    else
        return err_set(err, ERR_USAGE, "--encrypt takes source, target or none, not '%s'", text);
    return true;
}

static bool choose_key(const struct args *args, const Sealift__Member *source, const struct hash *own,
                       bool has_own, Sealift__Placement placement, struct job_keys *out, struct err *err)
{
    const char *name = args_value(args, "key");
    if (name) {
        if (!keys_named(&out->keys, name, &out->entry, err)) return false;
    } else {
        if (!has_own || placement != SEALIFT__PLACEMENT__PLACE_SOURCE)
            return err_set(err, ERR_USAGE, "--key KEY is needed: what shall it be encrypted with?");
        if (!use_own(out, source, own, err)) return false;
    }
    if (!out->entry->own) return true;
    if (placement != SEALIFT__PLACEMENT__PLACE_SOURCE ||
        memcmp(out->entry->source, source->sign_pk.data, SIGN_PK_LEN) != 0)
        return err_set(err, ERR_POLICY,
                       "the own key '%s' never leaves its host: it encrypts backups of that host on the "
                       "source",
                       out->entry->label);
    return true;
}

/* The domain's id: told by a source for its own key, found in a grant of the same domain, or derived. */
static bool find_domain(struct cli *cli, const Sealift__Member *source, struct job_keys *out, struct err *err)
{
    keys_domain_of(out->entry, source->name, out->domain);
    if (out->entry->own) {
        out->domain_id = out->entry->domain;
        return true;
    }
    for (size_t i = 0; i < out->keys.grants.count; i++) {
        const Sealift__GrantBody *body = out->keys.grants.items[i]->body.grant;
        if (memcmp(body->key_id.data, out->entry->key_id.bytes, HASH_LEN) != 0 ||
            strcmp(body->domain, out->domain) != 0)
            continue;
        out->domain_id = stored_hash(&body->domain_id);
        return true;
    }
    if (!keys_open(cli, out->entry, &out->half, err)) return false;
    AUTO(write_half) struct write_half *write = write_half_of(out->half, out->domain);
    out->domain_id = domain_id(write->dedup_key->data);
    return true;
}

static void fill(struct job_keys *keys, Sealift__JobBody *body)
{
    body->key_id = lent_bytes(keys->entry->key_id.bytes, HASH_LEN);
    body->key_label = lent_text(keys->entry->label);
    body->domain = keys->domain;
    body->domain_id = lent_bytes(keys->domain_id.bytes, HASH_LEN);
}

static bool copy_placement(struct cli *cli, const struct args *args, const Sealift__Member *source,
                           Sealift__JobBody *body, struct job_keys *out, struct err *err)
{
    const char *where = args_value(args, "encrypt");
    body->placement = SEALIFT__PLACEMENT__PLACE_AS_STORED;
    body->reencrypt = args_flag(args, "reencrypt");
    if (!where) {
        if (!body->reencrypt && !args_value(args, "key")) return true;
        return err_set(err, ERR_USAGE,
                       "say --encrypt source or --encrypt target too: which side of the copy encrypts");
    }
    if (!parse_where(where, &body->placement, err)) return false;
    if (body->placement == SEALIFT__PLACEMENT__PLACE_PLAIN)
        return err_set(err, ERR_USAGE,
                       "a copy is encrypted by its source or its target, or moves points as they are stored: "
                       "leave --encrypt out");
    if (!keys_get_newest(cli, args, &out->keys, err) ||
        !choose_key(args, source, NULL, false, body->placement, out, err) ||
        !find_domain(cli, source, out, err))
        return false;
    fill(out, body);
    return true;
}

bool job_keys_placement(struct cli *cli, const struct args *args, const Sealift__Member *source,
                        Sealift__JobBody *body, struct job_keys *out, struct err *err)
{
    struct hash own;
    bool has_own = false;
    const char *where = args_value(args, "encrypt");
    if (body->kind == SEALIFT__JOB_KIND__JOB_COPY) return copy_placement(cli, args, source, body, out, err);
    if (!own_key_of(cli, source, &own, &has_own, err)) return false;
    body->placement = SEALIFT__PLACEMENT__PLACE_SOURCE;
    if (where ? !parse_where(where, &body->placement, err)
              : !has_own &&
                    !err_set(err, ERR_USAGE, "say --encrypt source, --encrypt target or --encrypt none"))
        return false;
    if (body->placement == SEALIFT__PLACEMENT__PLACE_PLAIN)
        return !args_value(args, "key") || err_set(err, ERR_USAGE, "--key does not go with --encrypt none");
    if (!keys_get_newest(cli, args, &out->keys, err) ||
        !choose_key(args, source, &own, has_own, body->placement, out, err) ||
        !find_domain(cli, source, out, err))
        return false;
    fill(out, body);
    return true;
}

/* --- a subset of the protectors --- */

bool job_keys_subset(const struct args *args, struct job_keys *out, struct err *err)
{
    if (out->entry) return key_subset_read(args, out->entry, &out->subset, err);
    return !args_value(args, "kms") ||
           err_set(err, ERR_USAGE, "--kms goes with a key: this job does not encrypt");
}

/* Who seals the points of a job; NULL: nobody, or it is not known. */
static const uint8_t *writer_of(const Sealift__JobBody *job, const struct statements *repositories)
{
    struct id id;
    if (job->placement == SEALIFT__PLACEMENT__PLACE_SOURCE && job->source.len == SIGN_PK_LEN)
        return job->source.data;
    if (job->placement != SEALIFT__PLACEMENT__PLACE_TARGET || job->repository.len != ID_LEN) return NULL;
    memcpy(id.bytes, job->repository.data, ID_LEN);
    const struct statement *repository = statements_with_id(repositories, &id);
    return repository ? repository->body.repository->owner.data : NULL;
}

static const Sealift__JobBody *job_of_writer(const struct job_neighbours *others, const uint8_t *writer,
                                             const Sealift__JobBody *body)
{
    for (size_t i = 0; i < others->jobs->count; i++) {
        const Sealift__JobBody *job = others->jobs->items[i]->body.job;
        if (job->deleted || job->key_id.len != HASH_LEN || strcmp(job->domain, body->domain) != 0 ||
            memcmp(job->key_id.data, body->key_id.data, HASH_LEN) != 0)
            continue;
        const uint8_t *other = writer_of(job, others->repositories);
        if (other && memcmp(other, writer, SIGN_PK_LEN) == 0) return job;
    }
    return NULL;
}

json_t *job_keys_subset_json(const struct keys *keys, const Sealift__JobBody *job,
                             const struct statements *repositories)
{
    AUTO(key_subset) struct key_subset subset = {0};
    const uint8_t *writer = writer_of(job, repositories);
    if (job->key_id.len != HASH_LEN || !writer) return json_null();
    struct hash key_id = stored_hash(&job->key_id);
    key_subset_of(key_subset_grant(keys, &key_id, writer, job->domain), &subset);
    return key_subset_json(&subset);
}

/* Points of the other job would carry something else than it was made with. */
static bool refuse_other(const Sealift__Member *sealing, const Sealift__JobBody *other,
                         const struct key_subset *had, struct err *err)
{
    AUTO(buf) struct buf words = {0};
    AUTO(json) json_t *kms = key_subset_json(had);
    key_subset_words(kms, &words);
    return err_set(
        err, ERR_POLICY,
        "'%s' seals with the key '%s' for the job '%s' too, whose points carry %s: jobs with one key "
        "that the same side seals carry the same protectors; say the same --kms, or take another key",
        sealing->name, other->key_label, other->name, buf_cstr(&words));
}

/* --- the grant --- */

static void say_granted(const struct cli *cli, const Sealift__Member *sealing, const struct job_keys *keys)
{
    AUTO(buf) struct buf words = {0};
    AUTO(json) json_t *kms = key_subset_json(&keys->subset);
    key_subset_words(kms, &words);
    output_note(&cli->output, "granted the write half of '%s' to '%s', for the deduplication domain %s%s%s",
                keys->entry->label, sealing->name, keys->domain, keys->subset.chosen ? "; points carry " : "",
                keys->subset.chosen ? buf_cstr(&words) : "");
}

bool job_keys_grant(struct cli *cli, const Sealift__Member *sealing, const Sealift__JobBody *body,
                    const struct job_neighbours *others, struct job_keys *keys, struct err *err)
{
    AUTO(key_subset) struct key_subset had = {0};
    const uint8_t *writer = sealing->sign_pk.data;
    if (!keys->entry || keys->entry->own) return true;
    const struct hash *key_id = &keys->entry->key_id;
    const Sealift__JobBody *other = job_of_writer(others, writer, body);
    key_subset_of(key_subset_grant(&keys->keys, key_id, writer, keys->domain), &had);
    bool same = key_subset_eq(&had, &keys->subset);
    if (other && !same) return refuse_other(sealing, other, &had, err);
    if (same && keys_grant_of(&keys->keys, key_id, writer, &keys->domain_id)) return true;
    if (!keys->half && !keys_open(cli, keys->entry, &keys->half, err)) return false;
    if (!keys_grant_writer(cli, keys->entry, keys->half, sealing, keys->domain, &keys->subset, err))
        return false;
    say_granted(cli, sealing, keys);
    return true;
}

void job_keys_warn(const struct cli *cli, const struct job_keys *keys)
{
    if (keys->entry) key_warn_unprotected(cli, keys->entry);
}

/* --- what a copy opens --- */

/* A read grant of this key, or of a generation of the same name. */
static bool can_open(const struct keys *keys, const Sealift__JobBody *job, const Sealift__Member *host)
{
    struct hash key_id = stored_hash(&job->key_id);
    const struct key_entry *entry = keys_with_id(keys, &key_id);
    if (entry && entry->own) return memcmp(entry->source, host->sign_pk.data, SIGN_PK_LEN) == 0;
    if (keys_grant_of(keys, &key_id, host->sign_pk.data, NULL)) return true;
    for (size_t i = 0; i < keys->grants.count; i++) {
        const Sealift__GrantBody *grant = keys->grants.items[i]->body.grant;
        struct hash other = stored_hash(&grant->key_id);
        if (strcmp(grant->key_label, job->key_label) == 0 &&
            keys_grant_of(keys, &other, host->sign_pk.data, NULL))
            return true;
    }
    return false;
}

static bool is_copied(const Sealift__JobBody *copy, const Sealift__JobBody *job)
{
    return job->key_id.len == HASH_LEN && job->repository.len == ID_LEN &&
           memcmp(job->repository.data, copy->from_repository.data, ID_LEN) == 0 &&
           (copy->from_job[0] == '\0' || strcmp(copy->from_job, job->name) == 0);
}

static bool was_named(const struct statements *jobs, size_t index, const Sealift__JobBody *copy)
{
    const char *label = jobs->items[index]->body.job->key_label;
    for (size_t i = 0; i < index; i++)
        if (is_copied(copy, jobs->items[i]->body.job) &&
            strcmp(jobs->items[i]->body.job->key_label, label) == 0)
            return true;
    return false;
}

void job_keys_warn_unreadable(const struct cli *cli, const Sealift__Member *sealing,
                              const Sealift__JobBody *copy, const struct statements *jobs,
                              const struct job_keys *keys)
{
    for (size_t i = 0; i < jobs->count; i++) {
        const Sealift__JobBody *job = jobs->items[i]->body.job;
        if (!is_copied(copy, job) || was_named(jobs, i, copy) || can_open(&keys->keys, job, sealing))
            continue;
        output_warning(&cli->output,
                       "'%s' cannot open points under the key '%s', and each run will fail until it can: "
                       "sealift key grant %s %s --half read",
                       sealing->name, job->key_label, job->key_label, sealing->name);
    }
}
