/* Gives a key another unlock section, also one that no verb would make: for tests/system/unlock.py. The
 * operator's state is that of SEALIFT_STATE.
 *
 * usage: key_section KEY [without-salt] [without-kms] [wrap ENTRY URI]...
 *
 * `wrap` adds a wrap that this program makes, by the entry's URI. */
#include "common/base/alloc.h"
#include "common/wire/lent.h"
#include "director/cli/keys.h"
#include "transporter/kms/kms.h"

#include <stdio.h>
#include <string.h>

enum { WRAPS_MOST = 8, TIMEOUT_MS = 10000 };

struct made {
    Sealift__KmsWrap wraps[WRAPS_MOST];
    Sealift__KmsWrap *list[WRAPS_MOST];
    struct buf bytes[WRAPS_MOST];
    char masters[WRAPS_MOST][KMS_MASTER_MAX];
    size_t count;
};

static bool add_wrap(struct made *made, const char *entry, const char *text, const struct read_half *half,
                     struct err *err)
{
    AUTO(kms_uri) struct kms_uri uri = {0};
    size_t at = made->count;
    if (at == WRAPS_MOST) return err_set(err, ERR_USAGE, "too many wraps");
    if (!kms_uri_parse(text, &uri, err)) return false;
    const struct kms_entry kms = {.name = entry, .uri = &uri, .timeout_ms = TIMEOUT_MS};
    if (!kms_wrap(&kms, half->s->data, &half->key_id, &made->bytes[at], err) ||
        !kms_describe(&kms, made->masters[at], err))
        return false;
    Sealift__KmsWrap *wrap = &made->wraps[at];
    sealift__kms_wrap__init(wrap);
    wrap->entry = lent_text(entry);
    wrap->kind = lent_text(kms_kind_name(uri.kind));
    wrap->master_key = made->masters[at];
    wrap->wrapped = stored_bytes(buf_span(&made->bytes[at]));
    made->list[made->count++] = wrap;
    return true;
}

/* What the words change, in a copy of the key's section. */
static bool change(char **words, const struct read_half *half, Sealift__UnlockSection *section,
                   Sealift__Kdf *kdf, struct made *made, struct err *err)
{
    bool without_kms = false;
    for (; *words; words++) {
        if (strcmp(*words, "without-salt") == 0) {
            *kdf = *section->kdf;
            kdf->salt = lent_bytes(NULL, 0);
            section->kdf = kdf;
        } else if (strcmp(*words, "without-kms") == 0) {
            without_kms = true;
        } else if (strcmp(*words, "wrap") == 0 && words[1] && words[2]) {
            if (!add_wrap(made, words[1], words[2], half, err)) return false;
            words += 2;
        } else {
            return err_set(err, ERR_USAGE, "'%s'?", *words);
        }
    }
    if (!without_kms && made->count == 0) return true;
    section->n_kms = made->count;
    section->kms = made->list;
    return true;
}

static bool replace(struct cli *cli, char **argv, struct made *made, struct err *err)
{
    AUTO(keys) struct keys keys = {0};
    AUTO(read_half) struct read_half *half = NULL;
    AUTO(buf) struct buf bytes = {0};
    Sealift__Kdf kdf;
    const struct key_entry *key = NULL;
    if (!keys_get(cli, &keys, err) || !keys_named(&keys, argv[0], &key, err) ||
        !keys_open(cli, key, &half, err))
        return false;
    Sealift__UnlockSection section = *key->section;
    return change(argv + 1, half, &section, &kdf, made, err) && stored_unlock_encode(&section, &bytes, err) &&
           keys_replace_section(cli, key, half, buf_span(&bytes), err);
}

int main(int argc, char **argv)
{
    struct err err = {0};
    struct made made = {0};
    struct cli cli = {.identity_password = SECRET_FROM_TERMINAL, .state_dir = getenv("SEALIFT_STATE")};
    bool done =
        argc > 1 && cli.state_dir && secret_process_init(&err) && replace(&cli, argv + 1, &made, &err);
    if (!done) (void)fprintf(stderr, "%s\n", err.text);
    for (size_t i = 0; i < WRAPS_MOST; i++)
        buf_deinit(&made.bytes[i]);
    access_close(&cli);
    return done ? 0 : 1;
}
