#include "transporter/kms/json_read.h"

#include "transporter/kms/wiping_heap.h"

#include <string.h>

/* Before main: no other thread is there, and nothing was allocated by another heap. */
static __attribute__((constructor)) void choose_heap(void)
{
    json_set_alloc_funcs(wiping_malloc, wiping_free);
}

bool json_read(struct span text, json_t **out, struct err *err)
{
    json_error_t where;
    const char *bytes = text.len ? (const char *)text.data : "";
    AUTO(json_read) json_t *value = json_loadb(bytes, text.len, JSON_REJECT_DUPLICATES, &where);
    if (!value) return err_set(err, ERR_PROTOCOL, "not JSON at byte %d", where.position);
    if (!json_is_object(value)) return err_set(err, ERR_PROTOCOL, "JSON, but no object");
    *out = value;
    value = NULL;
    return true;
}

bool json_read_text(const json_t *object, const char *name, size_t most, const char **out, struct err *err)
{
    const json_t *value = json_object_get(object, name);
    if (!value) return err_set(err, ERR_PROTOCOL, "there is no '%s'", name);
    if (!json_is_string(value)) return err_set(err, ERR_PROTOCOL, "'%s' is not a string", name);
    size_t len = json_string_length(value);
    if (len == 0 || len > most) return err_set(err, ERR_PROTOCOL, "'%s' has %zu bytes", name, len);
    *out = json_string_value(value);
    return true;
}
