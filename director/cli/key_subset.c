#include "director/cli/key_subset.h"

#include "common/base/alloc.h"
#include "director/cli/key_protectors.h"

#include <string.h>

void key_subset_deinit(struct key_subset *subset)
{
    free(subset->entries);
    *subset = (struct key_subset){0};
}

static bool has_entry(const struct key_subset *subset, const char *entry)
{
    for (size_t i = 0; i < subset->count; i++)
        if (strcmp(subset->entries[i], entry) == 0) return true;
    return false;
}

static void add_entry(struct key_subset *subset, char *entry)
{
    subset->entries = xreallocarray(subset->entries, subset->count + 1, sizeof(*subset->entries));
    subset->entries[subset->count++] = entry;
    subset->chosen = true;
}

static bool no_protector(const struct key_entry *key, const char *entry, struct err *err)
{
    AUTO(buf) struct buf words = {0};
    if (key->own)
        return err_set(err, ERR_POLICY,
                       "--kms %s: the own key '%s' is protected by nothing but the file of its source", entry,
                       key->label);
    key_protectors_words(key->section, &words);
    return err_set(err, ERR_POLICY,
                   "--kms %s: no KMS entry of this name protects the key '%s'; it has: %s ('sealift key "
                   "protect %s --kms %s' adds one)",
                   entry, key->label, buf_cstr(&words), key->label, entry);
}

bool key_subset_read(const struct args *args, const struct key_entry *key, struct key_subset *out,
                     struct err *err)
{
    AUTO(key_subset) struct key_subset subset = {0};
    const char *entry;
    for (size_t i = 0; (entry = args_nth(args, "kms", i)); i++) {
        const Sealift__KmsWrap *wrap = key->section && !key->own ? section_kms(key->section, entry) : NULL;
        if (!wrap) return no_protector(key, entry, err);
        if (has_entry(&subset, entry)) return err_set(err, ERR_USAGE, "--kms %s is there twice", entry);
        add_entry(&subset, wrap->entry);
    }
    *out = subset;
    subset = (struct key_subset){0};
    return true;
}

void key_subset_of(const Sealift__GrantBody *grant, struct key_subset *out)
{
    *out = (struct key_subset){0};
    if (!grant || !grant->subset) return;
    out->chosen = true;
    for (size_t i = 0; i < grant->n_kms; i++)
        add_entry(out, grant->kms[i]);
}

const Sealift__GrantBody *key_subset_grant(const struct keys *keys, const struct hash *key_id,
                                           const uint8_t writer[SIGN_PK_LEN], const char *domain)
{
    for (size_t i = 0; i < keys->grants.count; i++) {
        const Sealift__GrantBody *body = keys->grants.items[i]->body.grant;
        if (body->half == SEALIFT__HALF__HALF_WRITE && strcmp(body->domain, domain) == 0 &&
            memcmp(body->key_id.data, key_id->bytes, HASH_LEN) == 0 &&
            memcmp(body->recipient.data, writer, SIGN_PK_LEN) == 0)
            return body;
    }
    return NULL;
}

bool key_subset_eq(const struct key_subset *a, const struct key_subset *b)
{
    if (a->chosen != b->chosen || a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++)
        if (!has_entry(b, a->entries[i]) || !has_entry(a, b->entries[i])) return false;
    return true;
}

bool key_subset_section(const Sealift__UnlockSection *whole, const struct key_subset *subset,
                        struct key_subset *left, struct buf *section, struct err *err)
{
    AUTO(key_subset) struct key_subset kept = {.chosen = true};
    AUTO(free) Sealift__KmsWrap **wraps = xcalloc(whole->n_kms + 1, sizeof(*wraps));
    Sealift__UnlockSection part = *whole;
    part.kms = wraps;
    part.n_kms = 0;
    part.passwords = NULL;
    part.n_passwords = 0;
    for (size_t i = 0; i < whole->n_kms; i++)
        if (has_entry(subset, whole->kms[i]->entry)) wraps[part.n_kms++] = whole->kms[i];
    for (size_t i = 0; i < subset->count; i++)
        if (section_kms(&part, subset->entries[i])) add_entry(&kept, subset->entries[i]);
    if (!stored_unlock_encode(&part, section, err)) return false;
    *left = kept;
    kept = (struct key_subset){0};
    return true;
}

void key_subset_warn(const struct cli *cli, const char *label, const char *writer,
                     const struct key_subset *before, const struct key_subset *left)
{
    if (!left->chosen || left->count > 0 || before->count == 0) return;
    output_warning(
        &cli->output,
        "nothing is left of the KMS entries that jobs of '%s' are kept to: their next points under "
        "the key '%s' carry none ('sealift job show' names the subset of a job, and a new job in "
        "place of the old ones chooses another)",
        writer, label);
}

json_t *key_subset_json(const struct key_subset *subset)
{
    if (!subset->chosen) return json_null();
    json_t *list = json_array();
    for (size_t i = 0; i < subset->count; i++)
        (void)json_array_append_new(list, json_string(subset->entries[i]));
    return list;
}

void key_subset_words(json_t *kms, struct buf *out)
{
    if (!json_is_array(kms) || json_array_size(kms) == 0) {
        buf_put_str(out, json_is_array(kms) ? "no protector" : "all protectors of the key");
        return;
    }
    for (size_t i = 0; i < json_array_size(kms); i++)
        buf_printf(out, "%s%s", i ? ", " : "KMS ", json_string_value(json_array_get(kms, i)));
    buf_put_str(out, " alone");
}
