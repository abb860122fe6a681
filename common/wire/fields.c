#include "common/wire/fields.h"

#include <protobuf-c/protobuf-c.h>
#include <stdint.h>
#include <string.h>

enum empty { NEVER_EMPTY, MAY_BE_EMPTY };

struct rule {
    const char *field;
    uint32_t min, max; /* bytes, when not empty */
    enum empty empty;
};

static const struct rule rules[] = {
    {"run", 16, 16, MAY_BE_EMPTY},
    {"runs", 16, 16, NEVER_EMPTY},
    {"job", 16, 16, MAY_BE_EMPTY},
    {"id", 16, 16, MAY_BE_EMPTY},
    {"site", 16, 16, NEVER_EMPTY},
    {"point", 16, 16, MAY_BE_EMPTY},
    {"points", 16, 16, NEVER_EMPTY},
    {"about", 16, 16, MAY_BE_EMPTY},
    {"seal", 16, 16, MAY_BE_EMPTY},
    {"repository", 16, 16, MAY_BE_EMPTY},
    {"from_repository", 16, 16, MAY_BE_EMPTY},
    {"subject_id", 16, 16, NEVER_EMPTY},
    {"incarnation", 16, 16, NEVER_EMPTY},
    {"ticket", 32, 32, NEVER_EMPTY},
    {"rendezvous", 32, 32, MAY_BE_EMPTY},
    {"peer", 32, 32, MAY_BE_EMPTY},
    {"audience", 32, 32, MAY_BE_EMPTY},
    {"signer", 32, 32, NEVER_EMPTY},
    {"signature", 64, 64, NEVER_EMPTY},
    {"statement", 1, 1024 * 1024, NEVER_EMPTY},
    {"grants", 1, 1024 * 1024, NEVER_EMPTY},
    {"body", 0, 1024 * 1024, MAY_BE_EMPTY},
    {"sign_pk", 32, 32, NEVER_EMPTY},
    {"box_pk", 32, 32, NEVER_EMPTY},
    {"curve_pk", 32, 32, NEVER_EMPTY},
    {"director_curve_pk", 32, 32, NEVER_EMPTY},
    {"previous", 32, 32, MAY_BE_EMPTY},
    {"recipient", 32, 32, NEVER_EMPTY},
    {"sealed", 1, 256 * 1024, MAY_BE_EMPTY},
    {"key_id", 32, 32, MAY_BE_EMPTY},
    {"domain_id", 32, 32, MAY_BE_EMPTY},
    {"unlock_hash", 32, 32, MAY_BE_EMPTY},
    {"owner", 32, 32, NEVER_EMPTY},
    {"source", 32, 32, NEVER_EMPTY},
    {"target", 32, 32, NEVER_EMPTY},
    {"point_hash", 32, 32, NEVER_EMPTY},
    {"secret", 1, 256, MAY_BE_EMPTY},
    {"wrapped", 1, 16 * 1024, NEVER_EMPTY},
    {"generation", 1, 64 * 1024, MAY_BE_EMPTY},
    {"section", 1, 64 * 1024, MAY_BE_EMPTY},
    {"answer_to", 32, 32, MAY_BE_EMPTY},
    {"paths", 1, 4096, NEVER_EMPTY},
    {"excludes", 1, 4096, NEVER_EMPTY},
    {"destination", 1, 4096, MAY_BE_EMPTY},
    {"path", 1, 65535, MAY_BE_EMPTY},
    {"pattern", 1, 4096, MAY_BE_EMPTY},
    {"blob", 0, 4 * 1024 * 1024, MAY_BE_EMPTY},
    {"point_file", 1, 1024 * 1024, NEVER_EMPTY},
    {"head_hash", 32, 32, MAY_BE_EMPTY},
    {"log_hash", 32, 32, NEVER_EMPTY},
    {"root", 32, 32, NEVER_EMPTY},
    {"salt", 16, 16, MAY_BE_EMPTY},
    {"waits_for", 32, 32, NEVER_EMPTY},
    {"goes_without", 32, 32, NEVER_EMPTY},
};

static const size_t repeated_max = 65536;

static const struct rule *rule_of(const char *field)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        if (strcmp(rules[i].field, field) == 0) return &rules[i];
    return NULL;
}

bool fields_has_rule(const char *field)
{
    return rule_of(field) != NULL;
}

static bool bytes_check(const ProtobufCBinaryData *bytes, const char *field, const char *what,
                        struct err *err)
{
    const struct rule *rule = rule_of(field);
    if (!rule) return err_set(err, ERR_FAILED, "%s: '%s' has no length rule", what, field);
    if (bytes->len == 0 && rule->empty == MAY_BE_EMPTY) return true;
    if (bytes->len > rule->max && rule->min != rule->max)
        return err_set(err, ERR_LIMIT, "%s: '%s' has %zu bytes, at most %u are allowed", what, field,
                       bytes->len, rule->max);
    if (bytes->len < rule->min || bytes->len > rule->max)
        return err_set(err, ERR_PROTOCOL, "%s: '%s' has %zu bytes instead of %u", what, field, bytes->len,
                       rule->min);
    return true;
}

static bool item_check(const ProtobufCFieldDescriptor *field, const void *item, const char *what,
                       struct err *err)
{
    if (field->type == PROTOBUF_C_TYPE_BYTES) return bytes_check(item, field->name, what, err);
    const void *inner = *(void *const *)item;
    return !inner || fields_check(inner, what, err);
}

static bool field_check(const uint8_t *message, const ProtobufCFieldDescriptor *field, const char *what,
                        struct err *err)
{
    if (field->type != PROTOBUF_C_TYPE_BYTES && field->type != PROTOBUF_C_TYPE_MESSAGE) return true;
    const uint8_t *at = message + field->offset;
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        /* the members share their memory: only the chosen one is there */
        if (*(const uint32_t *)(const void *)(message + field->quantifier_offset) != field->id) return true;
    }
    if (field->label != PROTOBUF_C_LABEL_REPEATED) return item_check(field, at, what, err);

    size_t count = *(const size_t *)(const void *)(message + field->quantifier_offset);
    if (count > repeated_max)
        return err_set(err, ERR_LIMIT, "%s: '%s' has %zu items, at most %zu are allowed", what, field->name,
                       count, repeated_max);
    size_t size = field->type == PROTOBUF_C_TYPE_BYTES ? sizeof(ProtobufCBinaryData) : sizeof(void *);
    const uint8_t *items = *(uint8_t *const *)(const void *)at;
    for (size_t i = 0; i < count; i++)
        if (!item_check(field, items + i * size, what, err)) return false;
    return true;
}

bool fields_check(const void *message, const char *what, struct err *err)
{
    const ProtobufCMessage *base = message;
    for (unsigned i = 0; i < base->descriptor->n_fields; i++)
        if (!field_check(message, &base->descriptor->fields[i], what, err)) return false;
    return true;
}
