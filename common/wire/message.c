#include "common/wire/message.h"

#include <string.h>

/* Memory of one message: taken from a budget, never returned to it. */
struct budget {
    size_t left;
};

static void *budget_alloc(void *data, size_t size)
{
    struct budget *budget = data;
    if (size > budget->left) return NULL;
    budget->left -= size;
    return malloc(size ? size : 1);
}

static void budget_free(void *data, void *pointer)
{
    free(pointer);
}

/* What message_free hands to the library: it takes no budget back. */
static ProtobufCAllocator plain_allocator = {.alloc = budget_alloc, .free = budget_free};

/* Length of the UTF-8 sequence at `s` (RFC 3629), 0 if there is none. Overlong forms, surrogates and
 * numbers over U+10FFFF are no sequences. A NUL ends every check. */
static size_t utf8_sequence(const uint8_t *s)
{
    if (s[0] < 0x80) return 1;
    size_t len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4) return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f)) return 0;
    if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)) return 0;
    return len;
}

static bool control_at(const uint8_t *s)
{
    if (s[0] == '\n' || s[0] == '\t') return false;
    return s[0] < 0x20 || s[0] == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0);
}

static bool text_check(const char *text, const char *field, size_t limit, const char *what, struct err *err)
{
    const uint8_t *s = (const uint8_t *)text;
    const uint8_t *start = s;
    while (*s) {
        size_t len = utf8_sequence(s);
        if (len == 0) return err_set(err, ERR_DAMAGED, "%s: '%s' is not UTF-8", what, field);
        if (control_at(s)) return err_set(err, ERR_DAMAGED, "%s: '%s' has a control character", what, field);
        s += len;
    }
    if ((size_t)(s - start) > limit)
        return err_set(err, ERR_LIMIT, "%s: '%s' has %zu bytes, at most %zu are allowed", what, field,
                       (size_t)(s - start), limit);
    return true;
}

static bool enum_known(const ProtobufCEnumDescriptor *type, int value)
{
    for (unsigned i = 0; i < type->n_values; i++)
        if (type->values[i].value == value) return true;
    return false;
}

static bool value_check(const ProtobufCFieldDescriptor *field, const void *value, size_t text_limit,
                        const char *what, struct err *err)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *text = *(char *const *)value;
        return !text || text_check(text, field->name, text_limit, what, err);
    }
    case PROTOBUF_C_TYPE_ENUM:
        if (enum_known(field->descriptor, *(const int *)value)) return true;
        return err_set(err, ERR_VERSION, "%s: '%s' has the unknown value %d", what, field->name,
                       *(const int *)value);
    case PROTOBUF_C_TYPE_MESSAGE: {
        const void *inner = *(ProtobufCMessage *const *)value;
        return !inner || message_check(inner, text_limit, what, err);
    }
    default:
        return true;
    }
}

static size_t element_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_ENUM:
        return sizeof(int);
    default:
        return 0; /* nothing to check in it */
    }
}

static bool field_check(const uint8_t *message, const ProtobufCFieldDescriptor *field, size_t text_limit,
                        const char *what, struct err *err)
{
    const uint8_t *at = message + field->offset;
    size_t size = element_size(field->type);
    if (size == 0) return true;
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        /* the members share their memory: only the chosen one is there */
        if (*(const uint32_t *)(const void *)(message + field->quantifier_offset) != field->id) return true;
    }
    if (field->label != PROTOBUF_C_LABEL_REPEATED) return value_check(field, at, text_limit, what, err);
    size_t count = *(const size_t *)(const void *)(message + field->quantifier_offset);
    const uint8_t *items = *(uint8_t *const *)(const void *)at;
    for (size_t i = 0; i < count; i++)
        if (!value_check(field, items + i * size, text_limit, what, err)) return false;
    return true;
}

bool message_check(const void *message, size_t text_limit, const char *what, struct err *err)
{
    const ProtobufCMessage *base = message;
    if (base->n_unknown_fields > 0)
        return err_set(err, ERR_VERSION, "%s has a field that this version does not know (number %u)", what,
                       base->unknown_fields[0].tag);
    for (unsigned i = 0; i < base->descriptor->n_fields; i++)
        if (!field_check(message, &base->descriptor->fields[i], text_limit, what, err)) return false;
    return true;
}

static bool encodes_to(const ProtobufCMessage *message, struct span bytes)
{
    if (protobuf_c_message_get_packed_size(message) != bytes.len) return false;
    AUTO(buf) struct buf again = {0};
    message_encode(message, &again);
    return span_eq(buf_span(&again), bytes);
}

DEFINE_AUTO(message, ProtobufCMessage *, message_free)

ProtobufCMessage *message_decode(const ProtobufCMessageDescriptor *type, struct span bytes, size_t limit,
                                 size_t text_limit, const char *what, struct err *err)
{
    if (bytes.len > limit) {
        (void)err_set(err, ERR_LIMIT, "%s has %zu bytes, at most %zu are allowed", what, bytes.len, limit);
        return NULL;
    }
    struct budget budget = {.left = MESSAGE_MEMORY(bytes.len)};
    ProtobufCAllocator allocator = {.alloc = budget_alloc, .free = budget_free, .allocator_data = &budget};
    AUTO(message)
    ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, bytes.len, bytes.data);
    if (!message) {
        (void)err_set(err, ERR_DAMAGED, "%s does not parse", what);
        return NULL;
    }
    if (!message_check(message, text_limit, what, err)) return NULL;
    if (!encodes_to(message, bytes)) {
        (void)err_set(err, ERR_DAMAGED, "%s is not in the one encoding that is accepted", what);
        return NULL;
    }
    ProtobufCMessage *out = message;
    message = NULL;
    return out;
}

uint8_t message_version(struct span bytes)
{
    enum { FIELD_1_NUMBER = 1 << 3 };
    return bytes.len >= 2 && bytes.data[0] == FIELD_1_NUMBER && bytes.data[1] < 128 ? bytes.data[1] : 0;
}

void message_free(void *message)
{
    if (message) protobuf_c_message_free_unpacked(message, &plain_allocator);
}

void message_encode(const void *message, struct buf *out)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    (void)protobuf_c_message_pack(message, buf_grow(out, len));
}
