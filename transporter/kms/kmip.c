#include "transporter/kms/kmip.h"

#include <string.h>

enum { MAJOR = 1, MINOR = 4 };

/* section 9.1.3.1 */
enum tag {
    TAG_BATCH_COUNT = 0x42000d,
    TAG_BATCH_ITEM = 0x42000f,
    TAG_BLOCK_CIPHER_MODE = 0x420011,
    TAG_CRYPTOGRAPHIC_ALGORITHM = 0x420028,
    TAG_CRYPTOGRAPHIC_PARAMETERS = 0x42002b,
    TAG_IV_COUNTER_NONCE = 0x42003d,
    TAG_KEY_BLOCK = 0x420040,
    TAG_KEY_FORMAT_TYPE = 0x420042,
    TAG_KEY_MATERIAL = 0x420043,
    TAG_KEY_VALUE = 0x420045,
    TAG_OBJECT_TYPE = 0x420057,
    TAG_OPERATION = 0x42005c,
    TAG_PROTOCOL_VERSION = 0x420069,
    TAG_PROTOCOL_VERSION_MAJOR = 0x42006a,
    TAG_PROTOCOL_VERSION_MINOR = 0x42006b,
    TAG_QUERY_FUNCTION = 0x420074,
    TAG_REQUEST_HEADER = 0x420077,
    TAG_REQUEST_MESSAGE = 0x420078,
    TAG_REQUEST_PAYLOAD = 0x420079,
    TAG_RESPONSE_HEADER = 0x42007a,
    TAG_RESPONSE_PAYLOAD = 0x42007c,
    TAG_RESULT_MESSAGE = 0x42007d,
    TAG_RESULT_REASON = 0x42007e,
    TAG_RESULT_STATUS = 0x42007f,
    TAG_SYMMETRIC_KEY = 0x42008f,
    TAG_UNIQUE_IDENTIFIER = 0x420094,
    TAG_DATA = 0x4200c2,
    TAG_TAG_LENGTH = 0x4200ce,
    TAG_ADDITIONAL_DATA = 0x4200fe,
    TAG_AUTHENTICATION_TAG = 0x4200ff,
};

/* section 9.1.3.2 */
enum operation {
    OPERATION_GET = 0x0a,
    OPERATION_QUERY = 0x18,
    OPERATION_DISCOVER_VERSIONS = 0x1e,
    OPERATION_ENCRYPT = 0x1f,
    OPERATION_DECRYPT = 0x20,
};

enum {
    STATUS_SUCCESS = 0,
    MODE_GCM = 9,
    ALGORITHM_AES = 3,
    OBJECT_SYMMETRIC_KEY = 2,
    FORMAT_RAW = 1,
    QUERY_OPERATIONS = 1,
};

static const char *operation_name(enum operation operation)
{
    switch (operation) {
    case OPERATION_GET:
        return "Get";
    case OPERATION_QUERY:
        return "Query";
    case OPERATION_DISCOVER_VERSIONS:
        return "Discover Versions";
    case OPERATION_ENCRYPT:
        return "Encrypt";
    case OPERATION_DECRYPT:
        return "Decrypt";
    }
    return "?";
}

/* --- requests --- */

struct request {
    struct buf *out;
    size_t message, item, payload;
};

static void put_version(struct buf *out)
{
    size_t version = ttlv_begin(out, TAG_PROTOCOL_VERSION);
    ttlv_put_integer(out, TAG_PROTOCOL_VERSION_MAJOR, MAJOR);
    ttlv_put_integer(out, TAG_PROTOCOL_VERSION_MINOR, MINOR);
    ttlv_end(out, version);
}

static struct request begin(enum operation operation, struct buf *out)
{
    struct request request = {.out = out, .message = ttlv_begin(out, TAG_REQUEST_MESSAGE)};
    size_t header = ttlv_begin(out, TAG_REQUEST_HEADER);
    put_version(out);
    ttlv_put_integer(out, TAG_BATCH_COUNT, 1);
    ttlv_end(out, header);
    request.item = ttlv_begin(out, TAG_BATCH_ITEM);
    ttlv_put_enumeration(out, TAG_OPERATION, operation);
    request.payload = ttlv_begin(out, TAG_REQUEST_PAYLOAD);
    return request;
}

static void end(const struct request *request)
{
    ttlv_end(request->out, request->payload);
    ttlv_end(request->out, request->item);
    ttlv_end(request->out, request->message);
}

static void put_parameters(struct buf *out)
{
    size_t parameters = ttlv_begin(out, TAG_CRYPTOGRAPHIC_PARAMETERS);
    ttlv_put_enumeration(out, TAG_BLOCK_CIPHER_MODE, MODE_GCM);
    ttlv_put_enumeration(out, TAG_CRYPTOGRAPHIC_ALGORITHM, ALGORITHM_AES);
    ttlv_put_integer(out, TAG_TAG_LENGTH, KMIP_TAG_LEN);
    ttlv_end(out, parameters);
}

void kmip_encrypt(const char *key, struct span iv, struct span associated, struct span plain, struct buf *out)
{
    struct request request = begin(OPERATION_ENCRYPT, out);
    ttlv_put_text(out, TAG_UNIQUE_IDENTIFIER, span_str(key));
    put_parameters(out);
    ttlv_put_bytes(out, TAG_DATA, plain);
    ttlv_put_bytes(out, TAG_IV_COUNTER_NONCE, iv);
    ttlv_put_bytes(out, TAG_ADDITIONAL_DATA, associated);
    end(&request);
}

void kmip_decrypt(const char *key, const struct kmip_sealed *sealed, struct span associated, struct buf *out)
{
    struct request request = begin(OPERATION_DECRYPT, out);
    ttlv_put_text(out, TAG_UNIQUE_IDENTIFIER, span_str(key));
    put_parameters(out);
    ttlv_put_bytes(out, TAG_DATA, sealed->data);
    ttlv_put_bytes(out, TAG_IV_COUNTER_NONCE, sealed->iv);
    ttlv_put_bytes(out, TAG_ADDITIONAL_DATA, associated);
    ttlv_put_bytes(out, TAG_AUTHENTICATION_TAG, sealed->tag);
    end(&request);
}

void kmip_get(const char *key, struct buf *out)
{
    struct request request = begin(OPERATION_GET, out);
    ttlv_put_text(out, TAG_UNIQUE_IDENTIFIER, span_str(key));
    ttlv_put_enumeration(out, TAG_KEY_FORMAT_TYPE, FORMAT_RAW);
    end(&request);
}

void kmip_query(struct buf *out)
{
    struct request request = begin(OPERATION_QUERY, out);
    ttlv_put_enumeration(out, TAG_QUERY_FUNCTION, QUERY_OPERATIONS);
    end(&request);
}

void kmip_discover_versions(struct buf *out)
{
    struct request request = begin(OPERATION_DISCOVER_VERSIONS, out);
    put_version(out);
    end(&request);
}

/* --- answers --- */

/* section 9.1.3.2.29: what the server's reason means to us */
static enum err_code code_of(uint32_t reason)
{
    switch (reason) {
    case 0x01: /* Item Not Found */
    case 0x36: /* Object Destroyed */
    case 0x37: /* Object Not Found */
        return ERR_NOT_FOUND;
    case 0x03: /* Authentication Not Successful */
    case 0x0b: /* Illegal Operation */
    case 0x0c: /* Permission Denied */
    case 0x0d: /* Object Archived */
    case 0x16: /* Sensitive */
    case 0x17: /* Not Extractable */
    case 0x1a: /* Usage Limit Exceeded */
    case 0x29: /* Incompatible Cryptographic Usage Mask */
    case 0x39: /* Not Authorised */
    case 0x43: /* Wrong Key Lifecycle State */
        return ERR_POLICY;
    default:
        return ERR_FAILED;
    }
}

/* The server's words, as far as they can be shown. */
static void printable(struct span text, char out[static 128])
{
    size_t len = text.len < 127 ? text.len : 127;
    for (size_t i = 0; i < len; i++)
        out[i] = (char)(text.data[i] >= 0x20 && text.data[i] < 0x7f ? text.data[i] : '?');
    out[len] = '\0';
}

static bool failed(const struct ttlv *item, enum operation operation, struct err *err)
{
    struct ttlv reason, message;
    struct err ignored;
    char words[128] = "it says no more";
    if (!ttlv_field(item, TAG_RESULT_REASON, TTLV_ENUMERATION, "the result reason", &reason, err))
        return false;
    if (ttlv_field(item, TAG_RESULT_MESSAGE, TTLV_TEXT, "", &message, &ignored))
        printable(message.value, words);
    return err_set(err, code_of(ttlv_number(&reason)), "the KMIP server refuses %s: %s (reason 0x%02x)",
                   operation_name(operation), words, ttlv_number(&reason));
}

static bool check_version(const struct ttlv *header, struct err *err)
{
    struct ttlv version, major, minor;
    if (!ttlv_field(header, TAG_PROTOCOL_VERSION, TTLV_STRUCTURE, "the protocol version", &version, err) ||
        !ttlv_field(&version, TAG_PROTOCOL_VERSION_MAJOR, TTLV_INTEGER, "the major version", &major, err) ||
        !ttlv_field(&version, TAG_PROTOCOL_VERSION_MINOR, TTLV_INTEGER, "the minor version", &minor, err))
        return false;
    if (ttlv_number(&major) == MAJOR && ttlv_number(&minor) == MINOR) return true;
    return err_set(err, ERR_VERSION, "the KMIP server answers in version %u.%u instead of %d.%d",
                   ttlv_number(&major), ttlv_number(&minor), MAJOR, MINOR);
}

/* A failed item need not say of which operation it is. */
static bool check_operation(const struct ttlv *item, enum operation operation, struct err *err)
{
    struct ttlv answered;
    if (!ttlv_field(item, TAG_OPERATION, TTLV_ENUMERATION, "the operation", &answered, err)) return false;
    return ttlv_number(&answered) == (uint32_t)operation ||
           err_set(err, ERR_PROTOCOL, "it answers operation 0x%02x", ttlv_number(&answered));
}

static bool open_item(const struct ttlv *message, enum operation operation, struct ttlv *payload,
                      struct err *err)
{
    struct ttlv header, count, item, status;
    if (!ttlv_field(message, TAG_RESPONSE_HEADER, TTLV_STRUCTURE, "the header", &header, err) ||
        !ttlv_field(&header, TAG_BATCH_COUNT, TTLV_INTEGER, "the batch count", &count, err) ||
        !ttlv_field(message, TAG_BATCH_ITEM, TTLV_STRUCTURE, "the batch item", &item, err) ||
        !ttlv_field(&item, TAG_RESULT_STATUS, TTLV_ENUMERATION, "the result status", &status, err))
        return false;
    if (ttlv_number(&count) != 1) return err_set(err, ERR_PROTOCOL, "it has %u items", ttlv_number(&count));
    if (ttlv_number(&status) != STATUS_SUCCESS) return failed(&item, operation, err);
    return check_version(&header, err) && check_operation(&item, operation, err) &&
           ttlv_field(&item, TAG_RESPONSE_PAYLOAD, TTLV_STRUCTURE, "the payload", payload, err);
}

static bool open_answer(struct span answer, enum operation operation, struct ttlv *payload, struct err *err)
{
    struct ttlv message;
    if (!ttlv_parse(answer, &message, err)) return false;
    if (message.tag != KMIP_RESPONSE_MESSAGE || message.type != TTLV_STRUCTURE)
        return err_set(err, ERR_PROTOCOL, "it is no response message");
    return open_item(&message, operation, payload, err);
}

/* Says whose fault it is; false. */
static bool blame(enum operation operation, struct err *err)
{
    if (err->code != ERR_PROTOCOL) return false;
    return err_wrap(err, "the KMIP server's answer to %s", operation_name(operation));
}

static bool check_key(const struct ttlv *payload, const char *key, struct err *err)
{
    struct ttlv named;
    if (!ttlv_field(payload, TAG_UNIQUE_IDENTIFIER, TTLV_TEXT, "the unique identifier", &named, err))
        return false;
    return span_eq(named.value, span_str(key)) || err_set(err, ERR_PROTOCOL, "it is about another key");
}

static bool bytes_of(const struct ttlv *payload, uint32_t tag, const char *what, size_t len, struct span *out,
                     struct err *err)
{
    struct ttlv item;
    if (!ttlv_field(payload, tag, TTLV_BYTES, what, &item, err)) return false;
    if (item.value.len != len)
        return err_set(err, ERR_PROTOCOL, "%s has %zu bytes instead of %zu", what, item.value.len, len);
    *out = item.value;
    return true;
}

/* The IV was ours: a server that gives one back gives the same, which the tag proves when it is opened. */
bool kmip_encrypted(struct span answer, const char *key, size_t plain_len, struct kmip_sealed *out,
                    struct err *err)
{
    struct ttlv payload;
    struct kmip_sealed sealed = {0};
    if (!open_answer(answer, OPERATION_ENCRYPT, &payload, err) || !check_key(&payload, key, err) ||
        !bytes_of(&payload, TAG_DATA, "the sealed data", plain_len, &sealed.data, err) ||
        !bytes_of(&payload, TAG_AUTHENTICATION_TAG, "the authentication tag", KMIP_TAG_LEN, &sealed.tag, err))
        return blame(OPERATION_ENCRYPT, err);
    *out = sealed;
    return true;
}

bool kmip_decrypted(struct span answer, const char *key, struct span *plain, struct err *err)
{
    struct ttlv payload, data;
    if (!open_answer(answer, OPERATION_DECRYPT, &payload, err) || !check_key(&payload, key, err) ||
        !ttlv_field(&payload, TAG_DATA, TTLV_BYTES, "the data", &data, err))
        return blame(OPERATION_DECRYPT, err);
    *plain = data.value;
    return true;
}

static bool number_is(const struct ttlv *structure, uint32_t tag, const char *what, uint32_t wanted,
                      struct err *err)
{
    struct ttlv item;
    if (!ttlv_field(structure, tag, TTLV_ENUMERATION, what, &item, err)) return false;
    return ttlv_number(&item) == wanted ||
           err_set(err, ERR_PROTOCOL, "%s is %u instead of %u", what, ttlv_number(&item), wanted);
}

bool kmip_got(struct span answer, const char *key, struct span *material, struct err *err)
{
    struct ttlv payload, symmetric, block, value, bytes;
    if (!open_answer(answer, OPERATION_GET, &payload, err) || !check_key(&payload, key, err) ||
        !number_is(&payload, TAG_OBJECT_TYPE, "the object's type", OBJECT_SYMMETRIC_KEY, err) ||
        !ttlv_field(&payload, TAG_SYMMETRIC_KEY, TTLV_STRUCTURE, "the symmetric key", &symmetric, err) ||
        !ttlv_field(&symmetric, TAG_KEY_BLOCK, TTLV_STRUCTURE, "the key block", &block, err) ||
        !number_is(&block, TAG_KEY_FORMAT_TYPE, "the key's format", FORMAT_RAW, err) ||
        !ttlv_field(&block, TAG_KEY_VALUE, TTLV_STRUCTURE, "the key value", &value, err) ||
        !ttlv_field(&value, TAG_KEY_MATERIAL, TTLV_BYTES, "the key material", &bytes, err))
        return blame(OPERATION_GET, err);
    *material = bytes.value;
    return true;
}

bool kmip_queried(struct span answer, struct kmip_abilities *out, struct err *err)
{
    struct ttlv payload, item;
    struct kmip_abilities able = {0};
    if (!open_answer(answer, OPERATION_QUERY, &payload, err)) return blame(OPERATION_QUERY, err);
    for (struct span rest = payload.value; ttlv_next(&rest, &item);) {
        if (item.tag != TAG_OPERATION || item.type != TTLV_ENUMERATION) continue;
        able.encrypt |= ttlv_number(&item) == OPERATION_ENCRYPT;
        able.decrypt |= ttlv_number(&item) == OPERATION_DECRYPT;
        able.get |= ttlv_number(&item) == OPERATION_GET;
    }
    *out = able;
    return true;
}

/* We asked for one version: it is told again if the server speaks it. */
bool kmip_versions(struct span answer, struct err *err)
{
    struct ttlv payload;
    if (!open_answer(answer, OPERATION_DISCOVER_VERSIONS, &payload, err))
        return blame(OPERATION_DISCOVER_VERSIONS, err);
    if (!ttlv_has(&payload, TAG_PROTOCOL_VERSION))
        return err_set(err, ERR_VERSION, "the KMIP server does not speak version %d.%d", MAJOR, MINOR);
    return check_version(&payload, err) || blame(OPERATION_DISCOVER_VERSIONS, err);
}
