#include "transporter/kms/aws_answer.h"

#include "common/base/alloc.h"
#include "common/base/text.h"
#include "transporter/kms/json_read.h"

#include <string.h>

enum { WORDS_MAX = 200, TYPE_MAX = 64 };

bool aws_key_ok(struct span key)
{
    for (size_t i = 0; i < key.len; i++) {
        uint8_t c = key.data[i], letter = c | 0x20;
        bool plain = (c >= '0' && c <= '9') || (letter >= 'a' && letter <= 'z');
        if (!plain && (c == 0 || !strchr(":/_-", c))) return false;
    }
    return key.len > 0 && key.len <= AWS_KEY_MAX;
}

/* arn:PARTITION:kms:REGION:ACCOUNT:key/mrk-… (AWS KMS Developer Guide, "Multi-Region keys") */
char *aws_key_in_region(const char *key, const char *region)
{
    const char *part = key;
    for (size_t i = 0; part && i < 3; i++) {
        part = strchr(part, ':');
        if (part) part++;
    }
    const char *after = part ? strchr(part, ':') : NULL;
    if (!after || strncmp(key, "arn:", 4) != 0 || !strstr(after, ":key/mrk-")) return xstrdup(key);
    return xasprintf("%.*s%s%s", (int)(part - key), key, region, after);
}

/* --- requests: nothing in them needs an escape --- */

static void put_base64(struct buf *out, const char *name, struct span bytes)
{
    buf_printf(out, ",\"%s\":\"", name);
    base64_encode(bytes, out);
    buf_put_str(out, "\"");
}

/* The context is what AWS authenticates beside the wrapped bytes, writes into its own log, and lets policies
 * ask for. */
static void put_context(struct buf *out, struct span context)
{
    static const char digits[] = "0123456789abcdef";
    buf_put_str(out, ",\"EncryptionContext\":{\"sealift-key-id\":\"");
    for (size_t i = 0; i < context.len; i++) {
        buf_put_u8(out, (uint8_t)digits[context.data[i] >> 4]);
        buf_put_u8(out, (uint8_t)digits[context.data[i] & 15]);
    }
    buf_put_str(out, "\"}");
}

void aws_ask_encrypt(const char *key, struct span plain, struct span context, struct buf *out)
{
    buf_printf(out, "{\"KeyId\":\"%s\"", key);
    put_base64(out, "Plaintext", plain);
    put_context(out, context);
    buf_put_str(out, "}");
}

void aws_ask_decrypt(const char *key, struct span blob, struct span context, struct buf *out)
{
    buf_printf(out, "{\"KeyId\":\"%s\"", key);
    put_base64(out, "CiphertextBlob", blob);
    put_context(out, context);
    buf_put_str(out, "}");
}

void aws_ask_describe(const char *key, struct buf *out)
{
    buf_printf(out, "{\"KeyId\":\"%s\"}", key);
}

/* --- answers --- */

static bool read_key(const json_t *object, const char *name, const char **out, struct err *err)
{
    const char *key = NULL;
    if (!json_read_text(object, name, AWS_KEY_MAX, &key, err)) return false;
    if (!aws_key_ok(span_of(key, json_string_length(json_object_get(object, name)))))
        return err_set(err, ERR_PROTOCOL, "'%s' is not the name of a key", name);
    *out = key;
    return true;
}

/* Bytes that may be a secret: what was decoded is wiped here. */
static bool read_base64(const json_t *object, const char *name, size_t most, struct secret **out,
                        struct err *err)
{
    const char *text = NULL;
    size_t digits = (most + 2) / 3 * 4;
    if (!json_read_text(object, name, digits, &text, err)) return false;
    if (strlen(text) != json_string_length(json_object_get(object, name)))
        return err_set(err, ERR_PROTOCOL, "'%s' is not base64", name);
    AUTO(buf) struct buf bytes = {0};
    buf_reserve(&bytes, digits);
    bool ok = base64_decode(text, &bytes, err) || err_wrap(err, "'%s'", name);
    if (ok) *out = secret_copy(bytes.data, bytes.len);
    wipe(bytes.data, bytes.cap);
    return ok;
}

bool aws_encrypted(struct span answer, char key[static AWS_KEY_MAX + 1], struct buf *blob, struct err *err)
{
    const char *made_by = NULL;
    AUTO(json_read) json_t *object = NULL;
    AUTO(secret) struct secret *bytes = NULL;
    if (!json_read(answer, &object, err) || !read_key(object, "KeyId", &made_by, err) ||
        !read_base64(object, "CiphertextBlob", AWS_BLOB_MAX, &bytes, err))
        return err_wrap(err, "the answer to Encrypt");
    (void)snprintf(key, AWS_KEY_MAX + 1, "%s", made_by);
    buf_put(blob, bytes->data, bytes->len);
    return true;
}

bool aws_decrypted(struct span answer, const char *key, struct secret **plain, struct err *err)
{
    const char *opened_by = NULL;
    AUTO(json_read) json_t *object = NULL;
    AUTO(secret) struct secret *bytes = NULL;
    if (!json_read(answer, &object, err) || !read_key(object, "KeyId", &opened_by, err) ||
        !read_base64(object, "Plaintext", AWS_BLOB_MAX, &bytes, err))
        return err_wrap(err, "the answer to Decrypt");
    if (strcmp(opened_by, key) != 0)
        return err_set(err, ERR_PROTOCOL,
                       "the answer to Decrypt is of another master key than was asked for");
    *plain = bytes;
    bytes = NULL;
    return true;
}

/* For people: visible ASCII of it. */
static void put_words(const char *text, size_t len, size_t most, char *out)
{
    size_t put = 0;
    for (size_t i = 0; i < len && put < most; i++)
        out[put++] = (char)(text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?');
    out[put] = '\0';
}

static bool check_state(const char *state, const char *key, struct err *err)
{
    char words[TYPE_MAX + 1];
    if (strcmp(state, "Enabled") == 0) return true;
    if (strcmp(state, "Disabled") == 0) return err_set(err, ERR_POLICY, "the master key %s is disabled", key);
    if (strcmp(state, "PendingDeletion") == 0 || strcmp(state, "PendingReplicaDeletion") == 0)
        return err_set(err, ERR_POLICY, "the master key %s is about to be deleted", key);
    put_words(state, strlen(state), TYPE_MAX, words);
    return err_set(err, ERR_POLICY, "the master key %s cannot be used: its state is '%s'", key, words);
}

static bool read_metadata(const json_t *metadata, char key[static AWS_KEY_MAX + 1], struct err *err)
{
    const char *arn = NULL, *state = NULL, *use = NULL;
    if (!json_is_object(metadata)) return err_set(err, ERR_PROTOCOL, "there is no 'KeyMetadata'");
    if (!read_key(metadata, "Arn", &arn, err) ||
        !json_read_text(metadata, "KeyState", TYPE_MAX, &state, err) ||
        !json_read_text(metadata, "KeyUsage", TYPE_MAX, &use, err) || !check_state(state, arn, err))
        return false;
    if (strcmp(use, "ENCRYPT_DECRYPT") != 0)
        return err_set(err, ERR_CONFIG, "the master key %s is not one for encrypting", arn);
    (void)snprintf(key, AWS_KEY_MAX + 1, "%s", arn);
    return true;
}

bool aws_described(struct span answer, char key[static AWS_KEY_MAX + 1], struct err *err)
{
    AUTO(json_read) json_t *object = NULL;
    if (!json_read(answer, &object, err)) return err_wrap(err, "the answer to DescribeKey");
    return read_metadata(json_object_get(object, "KeyMetadata"), key, err) ||
           (err->code == ERR_PROTOCOL && err_wrap(err, "the answer to DescribeKey"));
}

/* --- refusals --- */

static const struct refusal {
    const char *type;
    enum err_code code;
    enum aws_again again;
    const char *means;
} refusals[] = {
    {"NotFoundException", ERR_NOT_FOUND, AWS_FINAL, "there is no such master key"},
    {"DisabledException", ERR_POLICY, AWS_FINAL, "the master key is disabled"},
    {"KMSInvalidStateException", ERR_POLICY, AWS_FINAL,
     "the master key is about to be deleted, or not in use for another reason"},
    {"AccessDeniedException", ERR_POLICY, AWS_FINAL, "its policies do not let us"},
    {"UnrecognizedClientException", ERR_POLICY, AWS_FINAL, "it does not know our credentials"},
    {"InvalidClientTokenId", ERR_POLICY, AWS_FINAL, "it does not know our credentials"},
    {"ExpiredTokenException", ERR_POLICY, AWS_FINAL, "our credentials have expired"},
    {"InvalidSignatureException", ERR_POLICY, AWS_FINAL,
     "it does not take our signature: is the secret key right, and this host's clock?"},
    {"IncorrectKeyException", ERR_WRONG_KEY, AWS_FINAL, "the wrap was made by another master key"},
    {"InvalidCiphertextException", ERR_DAMAGED, AWS_FINAL,
     "the wrap is not what the master key made, or was made for another key"},
    {"InvalidKeyUsageException", ERR_CONFIG, AWS_FINAL, "the master key is not one for encrypting"},
    {"InvalidArnException", ERR_CONFIG, AWS_FINAL, "the master key's name is not one"},
    {"ValidationException", ERR_CONFIG, AWS_FINAL, "the request is not valid"},
    {"ThrottlingException", ERR_UNREACHABLE, AWS_ASK_AGAIN, "it throttles"},
    {"RequestLimitExceeded", ERR_UNREACHABLE, AWS_ASK_AGAIN, "it throttles"},
    {"LimitExceededException", ERR_UNREACHABLE, AWS_ASK_AGAIN, "it throttles"},
    {"KeyUnavailableException", ERR_UNREACHABLE, AWS_ASK_AGAIN, "the master key cannot be used for now"},
    {"DependencyTimeoutException", ERR_UNREACHABLE, AWS_ASK_AGAIN, "it fails for now"},
    {"KMSInternalException", ERR_UNREACHABLE, AWS_ASK_AGAIN, "it fails for now"},
};

static const struct refusal *refusal_of(const char *type)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
        if (strcmp(refusals[i].type, type) == 0) return &refusals[i];
    return NULL;
}

/* A string of the answer, or "" in place of one that says what is hidden. */
static const char *told(const json_t *value, const char *hidden)
{
    const char *text = json_string_value(value);
    bool whole = text && strlen(text) == json_string_length(value);
    return whole && !(hidden && strstr(text, hidden)) ? text : "";
}

/* What follows a '#', and before a ':', is the name itself. */
static void read_type(const json_t *object, const char *hidden, char out[static TYPE_MAX + 1])
{
    const char *text = told(json_object_get(object, "__type"), hidden);
    const char *hash = strrchr(text, '#');
    if (hash) text = hash + 1;
    put_words(text, strcspn(text, ":"), TYPE_MAX, out);
}

static void read_words(const json_t *object, const char *hidden, char out[static WORDS_MAX + 1])
{
    const json_t *value = json_object_get(object, "message");
    const char *text = told(value ? value : json_object_get(object, "Message"), hidden);
    put_words(text, strlen(text), WORDS_MAX, out);
}

enum aws_again aws_refused(long status, struct span answer, const char *hidden, struct err *err)
{
    char type[TYPE_MAX + 1], words[WORDS_MAX + 1];
    struct err ignored;
    AUTO(json_read) json_t *object = NULL;
    if (!json_read(answer, &object, &ignored)) object = NULL;
    read_type(object, hidden, type);
    read_words(object, hidden, words);
    const struct refusal *refusal = refusal_of(type);
    const char *between = *words ? ": " : "";
    if (refusal) {
        (void)err_set(err, refusal->code, "%s%s%s", refusal->means, between, words);
        return refusal->again;
    }
    if (status >= 500 || status == 429) {
        (void)err_set(err, ERR_UNREACHABLE, "it fails for now, with the HTTP status %ld%s%s", status, between,
                      words);
        return AWS_ASK_AGAIN;
    }
    if (!*type)
        (void)err_set(err, ERR_PROTOCOL, "the answer has the HTTP status %ld and says nothing more", status);
    else
        (void)err_set(err, ERR_FAILED, "it refuses with '%s'%s%s", type, between, words);
    return AWS_FINAL;
}
