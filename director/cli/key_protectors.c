#include "director/cli/key_protectors.h"

#include "common/base/alloc.h"

#include <string.h>

static bool opens_from_outside(const Sealift__UnlockSection *section)
{
    return section && (section->origin == SEALIFT__KEY_ORIGIN__KEY_FROM_PASSWORD || section->n_kms > 0 ||
                       section->n_passwords > 0);
}

bool key_has_outside_protector(const struct state *state, const struct key_entry *key)
{
    return opens_from_outside(key->section) || state_has_kit(state, &key->key_id);
}

struct search {
    const struct hash *key_id;
    bool found;
};

static bool look_at(void *arg, struct span bytes, struct err *err)
{
    struct search *search = arg;
    struct err ignored = {0};
    AUTO(statement) struct statement *grant = NULL;
    (void)err;
    if (statement_decode(bytes, &grant, &ignored) &&
        grant->type == SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT &&
        span_eq(stored_span(&grant->body.grant->key_id), span_of(search->key_id->bytes, HASH_LEN)))
        search->found = true;
    return !search->found;
}

/* The director's word, or what is kept here, as of a key that has just been made. */
static bool has_copy(const struct state *state, const struct key_entry *key)
{
    struct search search = {.key_id = &key->key_id, .found = !id_is_zero(&key->read_grant)};
    struct err ignored = {0};
    if (!search.found) (void)!state_each_grant(state, look_at, &search, &ignored);
    return search.found;
}

/* What is exported elsewhere, or kept from us, does not show here: more than this machine knows is not said.
 */
void key_warn_unprotected(const struct cli *cli, const struct key_entry *key)
{
    if (key_has_outside_protector(cli->state, key) || state_risk_accepted(cli->state, &key->key_id)) return;
    if (key->own)
        output_warning(
            &cli->output,
            "the key '%s' is on its source only: keep a copy of its file elsewhere, or what it seals "
            "is lost with that host ('sealift key dismiss-warning %s' once you have one)",
            key->label, key->label);
    else if (!has_copy(cli->state, key))
        output_warning(
            &cli->output,
            "the key '%s' has no password and no KMS, and this machine has no copy of it: whether anything "
            "outside the director brings it back cannot be seen from here ('sealift key dismiss-warning %s' "
            "once you know)",
            key->label, key->label);
    else
        output_warning(
            &cli->output,
            "the key '%s' exists in the operators' copies only, as far as this machine knows: 'sealift key "
            "protect %s' adds a KMS or a password, 'sealift key dismiss-warning %s' takes the risk",
            key->label, key->label, key->label);
}

static bool has_warned(const struct statements *jobs, size_t before, const ProtobufCBinaryData *key_id)
{
    for (size_t i = 0; i < before; i++) {
        const Sealift__JobBody *job = jobs->items[i]->body.job;
        if (!job->deleted && job->key_id.len == HASH_LEN &&
            memcmp(job->key_id.data, key_id->data, HASH_LEN) == 0)
            return true;
    }
    return false;
}

void keys_warn_of_jobs(struct cli *cli, const struct statements *jobs)
{
    AUTO(keys) struct keys keys = {0};
    struct err ignored = {0};
    bool got = false;
    for (size_t i = 0; i < jobs->count; i++) {
        const Sealift__JobBody *job = jobs->items[i]->body.job;
        if (job->deleted || job->key_id.len != HASH_LEN || has_warned(jobs, i, &job->key_id)) continue;
        if (!got && !keys_get(cli, &keys, &ignored)) return;
        got = true;
        struct hash key_id = stored_hash(&job->key_id);
        const struct key_entry *key = keys_with_id(&keys, &key_id);
        if (key) key_warn_unprotected(cli, key);
    }
}

/* --- for people and programs --- */

json_t *key_protectors_json(const Sealift__UnlockSection *section)
{
    json_t *list = json_array();
    for (size_t i = 0; section && i < section->n_kms; i++)
        (void)json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "kind", section->kms[i]->kind, "entry",
                                                    section->kms[i]->entry, "master_key",
                                                    section->kms[i]->master_key));
    for (size_t i = 0; section && i < section->n_passwords; i++)
        (void)json_array_append_new(list, json_pack("{s:s, s:s}", "kind", "password", "description",
                                                    section->passwords[i]->description));
    return list;
}

/* In each point there is the salt, so the password that a key comes from is a way back like the others. */
static bool comes_from_a_password(const Sealift__UnlockSection *section)
{
    return section && section->origin == SEALIFT__KEY_ORIGIN__KEY_FROM_PASSWORD && section->kdf;
}

json_t *key_protectors_lines(const Sealift__UnlockSection *section)
{
    json_t *lines = json_array();
    if (comes_from_a_password(section))
        (void)json_array_append_new(lines, json_string("the password that it comes from"));
    for (size_t i = 0; section && i < section->n_kms; i++)
        (void)json_array_append_new(lines,
                                    json_sprintf("KMS '%s' (%s), master key %s", section->kms[i]->entry,
                                                 section->kms[i]->kind, section->kms[i]->master_key));
    for (size_t i = 0; section && i < section->n_passwords; i++)
        (void)json_array_append_new(lines, json_sprintf("password '%s'", section->passwords[i]->description));
    return lines;
}

void key_protectors_words(const Sealift__UnlockSection *section, struct buf *out)
{
    size_t before = out->len;
    if (comes_from_a_password(section)) buf_put_str(out, "its password");
    for (size_t i = 0; section && i < section->n_kms; i++)
        buf_printf(out, "%sKMS %s", out->len > before ? ", " : "", section->kms[i]->entry);
    for (size_t i = 0; section && i < section->n_passwords; i++)
        buf_printf(out, "%spassword %s", out->len > before ? ", " : "", section->passwords[i]->description);
    if (out->len == before) buf_put_str(out, "-");
}

const Sealift__KmsWrap *section_kms(const Sealift__UnlockSection *section, const char *entry)
{
    for (size_t i = 0; i < section->n_kms; i++)
        if (strcmp(section->kms[i]->entry, entry) == 0) return section->kms[i];
    return NULL;
}

const Sealift__PasswordWrap *section_password(const Sealift__UnlockSection *section, const char *description)
{
    for (size_t i = 0; i < section->n_passwords; i++)
        if (strcmp(section->passwords[i]->description, description) == 0) return section->passwords[i];
    return NULL;
}
