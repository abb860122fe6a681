/* Calls a protector outside, for tests/system/kms.py: one operation on the secret 00 01 02 … 1f. Prints what
 * comes of it, or the error to standard error; the exit code is the error's.
 *
 * usage: kms_call wrap|describe URI TIMEOUT_MS
 *        kms_call unwrap URI TIMEOUT_MS WRAP */
#include "common/base/alloc.h"
#include "common/base/text.h"
#include "transporter/kms/kms.h"

#include <string.h>

static void print_hex(struct span bytes)
{
    AUTO(free) char *hex = xcalloc(1, 2 * bytes.len + 1);
    hex_encode(bytes.data, bytes.len, hex);
    (void)puts(hex);
}

static bool wrap(const struct kms_entry *entry, const uint8_t *s, const struct hash *key_id, struct err *err)
{
    AUTO(buf) struct buf out = {0};
    if (!kms_wrap(entry, s, key_id, &out, err)) return false;
    print_hex(buf_span(&out));
    return true;
}

static bool unwrap(const struct kms_entry *entry, const char *hex, const struct hash *key_id, struct err *err)
{
    AUTO(buf) struct buf bytes = {0};
    AUTO(secret) struct secret *s = NULL;
    size_t len = strlen(hex) / 2;
    if (!hex_decode(hex, buf_grow(&bytes, len), len, err) ||
        !kms_unwrap(entry, buf_span(&bytes), key_id, &s, err))
        return false;
    print_hex(span_of(s->data, s->len));
    return true;
}

static bool call(char **argv, struct err *err)
{
    AUTO(kms_uri) struct kms_uri uri = {0};
    struct hash key_id;
    uint8_t s[KEY_SECRET_LEN], unlock_pk[32];
    char master[KMS_MASTER_MAX];
    for (uint8_t i = 0; i < sizeof(s); i++)
        s[i] = i;
    key_identity(s, unlock_pk, &key_id);
    if (!kms_uri_parse(argv[2], &uri, err)) return false;
    const struct kms_entry entry = {
        .name = "test", .uri = &uri, .timeout_ms = (uint32_t)strtoul(argv[3], NULL, 10)};
    if (strcmp(argv[1], "wrap") == 0) return wrap(&entry, s, &key_id, err);
    if (strcmp(argv[1], "unwrap") == 0 && argv[4]) return unwrap(&entry, argv[4], &key_id, err);
    if (strcmp(argv[1], "describe") != 0) return err_set(err, ERR_USAGE, "wrap, unwrap or describe");
    return kms_describe(&entry, master, err) && puts(master) >= 0;
}

int main(int argc, char **argv)
{
    struct err err = {.code = ERR_USAGE, .text = "see the head of the source"};
    if (argc >= 4 && secret_process_init(&err) && call(argv, &err)) return 0;
    (void)fprintf(stderr, "%s\n", err.text);
    return (int)err.code;
}
