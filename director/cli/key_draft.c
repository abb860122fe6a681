#include "director/cli/key_draft.h"

#include "common/base/alloc.h"
#include "common/wire/lent.h"
#include "director/cli/key_file.h"

#include <stdio.h>

void key_draft_deinit(struct key_draft *draft)
{
    secret_free(draft->s);
    draft->s = NULL;
}

static bool from_password(const struct args *args, struct key_draft *draft, struct err *err)
{
    struct secret_source source;
    char prompt[IDENTITY_NAME_MAX + 32];
    AUTO(secret) struct secret *password = NULL;
    (void)snprintf(prompt, sizeof(prompt), "password of the key '%s'", draft->label);
    if (!secret_source_of(args, "password-file", "password-fd", &source, err) ||
        !new_password(args, &source, prompt, &password, err))
        return false;
    random_bytes(draft->salt, sizeof(draft->salt));
    draft->origin = SEALIFT__KEY_ORIGIN__KEY_FROM_PASSWORD;
    return password_hash(password, draft->salt, &PWHASH_MODERATE, &draft->s, err);
}

/* Where the password is read from says that there is one. */
static bool from_a_password(const struct args *args)
{
    return args_flag(args, "password") || args_value(args, "password-file") ||
           args_value(args, "password-fd");
}

int key_draft_ways(const struct args *args)
{
    return (from_a_password(args) ? 1 : 0) + (args_value(args, "from-file") ? 1 : 0) +
           (args_flag(args, "generate") ? 1 : 0);
}

bool key_draft_secret(const struct args *args, struct key_draft *draft, struct err *err)
{
    if (from_a_password(args)) return from_password(args, draft, err);
    if (args_value(args, "from-file")) {
        draft->origin = SEALIFT__KEY_ORIGIN__KEY_FROM_FILE;
        return key_file_read(args_value(args, "from-file"), &draft->s, err);
    }
    draft->origin = SEALIFT__KEY_ORIGIN__KEY_GENERATED;
    draft->s = secret_new(KEY_SECRET_LEN);
    random_bytes(draft->s->data, KEY_SECRET_LEN);
    return true;
}

/* --- the section --- */

static void fill_kdf(const struct key_draft *draft, Sealift__Kdf *kdf)
{
    kdf->name = lent_text("argon2id13");
    kdf->passes = PWHASH_MODERATE.passes;
    kdf->memory_bytes = PWHASH_MODERATE.memory_bytes;
    kdf->salt = lent_bytes(draft->salt, sizeof(draft->salt));
}

bool key_draft_section(const struct key_draft *draft, const struct read_half *half, struct key_entry *key,
                       struct err *err)
{
    Sealift__UnlockSection section = SEALIFT__UNLOCK_SECTION__INIT;
    Sealift__Kdf kdf = SEALIFT__KDF__INIT;
    AUTO(buf) struct buf keyring = {0};
    AUTO(free)
    ProtobufCBinaryData *earlier = xcalloc(draft->earlier_count + 1, sizeof(*earlier));
    for (size_t i = 0; i < draft->earlier_count; i++)
        earlier[i] = lent_bytes(draft->earlier[i].bytes, HASH_LEN);
    keyring_seal(half, &keyring);
    section.version = 1;
    section.key_id = lent_bytes(half->key_id.bytes, HASH_LEN);
    section.unlock_pk = lent_bytes(half->unlock_pk, sizeof(half->unlock_pk));
    section.label = lent_text(draft->label);
    section.description = lent_text(draft->description);
    section.origin = draft->origin;
    section.keyring = lent_bytes(keyring.data, keyring.len);
    section.shared_domain = lent_text(draft->shared_domain ? draft->shared_domain : "");
    section.earlier = earlier;
    section.n_earlier = draft->earlier_count;
    section.kms = draft->kms;
    section.n_kms = draft->kms_count;
    if (draft->origin == SEALIFT__KEY_ORIGIN__KEY_FROM_PASSWORD) {
        fill_kdf(draft, &kdf);
        section.kdf = &kdf;
    }
    if (!stored_unlock_encode(&section, &key->section_bytes, err) ||
        !stored_unlock_decode(buf_span(&key->section_bytes), &key->section, err))
        return false;
    key->unlock_hash = hash_of(buf_span(&key->section_bytes));
    return true;
}
