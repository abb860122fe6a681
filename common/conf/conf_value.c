/* The values of settings: strings, paths, whole numbers, sizes, durations, words, lists of strings. */
#include "common/base/alloc.h"
#include "common/base/text.h"
#include "common/conf/conf.h"
#include "common/conf/conf_tree.h"

#include <inttypes.h>
#include <limits.h>
#include <string.h>

static bool string_value(struct conf_group at, const char *key, const char *due, const char **out,
                         struct err *err)
{
    config_setting_t *setting = NULL;

    if (!conf_demand(at, key, CONFIG_TYPE_STRING, due, &setting, err)) return false;
    const char *text = config_setting_get_string(setting);
    if (!text || !*text) return conf_reject(at, key, err, "must not be empty");
    *out = text;
    return true;
}

bool conf_get_string(struct conf_group at, const char *key, const char **out, struct err *err)
{
    return string_value(at, key, "a string", out, err);
}

bool conf_get_string_or(struct conf_group at, const char *key, const char *fallback, const char **out,
                        struct err *err)
{
    if (conf_has(at, key)) return conf_get_string(at, key, out, err);
    *out = fallback;
    return true;
}

bool conf_get_path(struct conf_group at, const char *key, const char **out, struct err *err)
{
    const char *path = "";

    if (!conf_get_string(at, key, &path, err)) return false;
    if (*path != '/') return conf_reject(at, key, err, "must be an absolute path");
    if (strlen(path) >= PATH_MAX) return conf_reject(at, key, err, "must be shorter than %d bytes", PATH_MAX);
    *out = path;
    return true;
}

bool conf_get_path_or(struct conf_group at, const char *key, const char *fallback, const char **out,
                      struct err *err)
{
    if (conf_has(at, key)) return conf_get_path(at, key, out, err);
    *out = fallback;
    return true;
}

bool conf_get_bool(struct conf_group at, const char *key, bool *out, struct err *err)
{
    config_setting_t *setting = NULL;

    if (!conf_demand(at, key, CONFIG_TYPE_BOOL, "true or false", &setting, err)) return false;
    *out = config_setting_get_bool(setting) != 0;
    return true;
}

bool conf_get_bool_or(struct conf_group at, const char *key, bool fallback, bool *out, struct err *err)
{
    if (conf_has(at, key)) return conf_get_bool(at, key, out, err);
    *out = fallback;
    return true;
}

bool conf_get_integer(struct conf_group at, const char *key, int least, int most, int *out, struct err *err)
{
    config_setting_t *setting = NULL;

    if (!conf_demand(at, key, CONFIG_TYPE_INT, "a number", &setting, err)) return false;
    int value = config_setting_get_int(setting);
    if (value < least) return conf_reject(at, key, err, "%d is less than %d", value, least);
    if (value > most) return conf_reject(at, key, err, "%d is more than %d", value, most);
    *out = value;
    return true;
}

bool conf_get_integer_or(struct conf_group at, const char *key, int least, int most, int fallback, int *out,
                         struct err *err)
{
    if (conf_has(at, key)) return conf_get_integer(at, key, least, most, out, err);
    *out = fallback;
    return true;
}

/* A quantity is a string with a unit. */
struct unit {
    const char *name;
    uint64_t factor;
};

struct quantity {
    const char *due;
    bool (*parse)(const char *text, uint64_t *out, struct err *err);
    const struct unit *units; /* by falling factor, the last is 1 */
};

static const struct quantity size_quantity = {
    .due = "a string with a unit, such as \"64MiB\"",
    .parse = size_parse,
    .units = (const struct unit[]){{"TiB", UINT64_C(1) << 40},
                                   {"GiB", UINT64_C(1) << 30},
                                   {"MiB", UINT64_C(1) << 20},
                                   {"KiB", UINT64_C(1) << 10},
                                   {"", 1}},
};

static const struct quantity duration_quantity = {
    .due = "a string with a unit, such as \"30s\"",
    .parse = duration_parse,
    .units = (const struct unit[]){{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}},
};

/* The bound as one would write it: in the largest unit that it is a multiple of. */
static bool reject_bound(struct conf_group at, const char *key, const struct quantity *quantity,
                         const char *text, const char *relation, uint64_t bound, struct err *err)
{
    const struct unit *unit = quantity->units;

    while (unit->factor > 1 && (bound < unit->factor || bound % unit->factor != 0))
        unit++;
    return conf_reject(at, key, err, "'%.60s' is %s than %" PRIu64 "%s", text, relation, bound / unit->factor,
                       unit->name);
}

static bool get_quantity(struct conf_group at, const char *key, const struct quantity *quantity,
                         uint64_t least, uint64_t most, uint64_t *out, struct err *err)
{
    const char *text = "";
    uint64_t value = 0;
    struct err cause = {0};

    if (!string_value(at, key, quantity->due, &text, err)) return false;
    if (!quantity->parse(text, &value, &cause)) return conf_reject(at, key, err, "%s", cause.text);
    if (value < least) return reject_bound(at, key, quantity, text, "less", least, err);
    if (value > most) return reject_bound(at, key, quantity, text, "more", most, err);
    *out = value;
    return true;
}

bool conf_get_size(struct conf_group at, const char *key, uint64_t least, uint64_t most, uint64_t *out,
                   struct err *err)
{
    return get_quantity(at, key, &size_quantity, least, most, out, err);
}

bool conf_get_size_or(struct conf_group at, const char *key, uint64_t least, uint64_t most, uint64_t fallback,
                      uint64_t *out, struct err *err)
{
    if (conf_has(at, key)) return conf_get_size(at, key, least, most, out, err);
    *out = fallback;
    return true;
}

bool conf_get_duration(struct conf_group at, const char *key, uint64_t least_ms, uint64_t most_ms,
                       uint64_t *out_ms, struct err *err)
{
    return get_quantity(at, key, &duration_quantity, least_ms, most_ms, out_ms, err);
}

bool conf_get_duration_or(struct conf_group at, const char *key, uint64_t least_ms, uint64_t most_ms,
                          uint64_t fallback_ms, uint64_t *out_ms, struct err *err)
{
    if (conf_has(at, key)) return conf_get_duration(at, key, least_ms, most_ms, out_ms, err);
    *out_ms = fallback_ms;
    return true;
}

static bool reject_word(struct conf_group at, const char *key, const struct conf_word *words,
                        const char *text, struct err *err)
{
    AUTO(buf) struct buf list = {0};

    for (const struct conf_word *word = words; word->word; word++)
        buf_printf(&list, "%s%s", list.len > 0 ? ", " : "", word->word);
    return conf_reject(at, key, err, "'%.60s' is none of: %s", text, buf_cstr(&list));
}

bool conf_get_word(struct conf_group at, const char *key, const struct conf_word *words, int *out,
                   struct err *err)
{
    const char *text = "";

    if (!conf_get_string(at, key, &text, err)) return false;
    for (const struct conf_word *word = words; word->word; word++) {
        if (strcmp(word->word, text) != 0) continue;
        *out = word->value;
        return true;
    }
    return reject_word(at, key, words, text, err);
}

bool conf_get_word_or(struct conf_group at, const char *key, const struct conf_word *words, int fallback,
                      int *out, struct err *err)
{
    if (conf_has(at, key)) return conf_get_word(at, key, words, out, err);
    *out = fallback;
    return true;
}

static bool is_list_or_array(const config_setting_t *setting)
{
    return config_setting_is_list(setting) || config_setting_is_array(setting);
}

bool conf_get_strings(struct conf_group at, const char *key, struct conf_strings *out, struct err *err)
{
    config_setting_t *setting = conf_ask(at, key);
    AUTO(free) const char **items = NULL;

    if (setting && !is_list_or_array(setting))
        return conf_reject(at, key, err, "must be a list of strings, not %s", conf_type_name(setting));
    size_t count = setting ? (size_t)config_setting_length(setting) : 0;
    if (count > 0) items = xreallocarray(NULL, count, sizeof(*items));
    for (size_t i = 0; i < count; i++) {
        config_setting_t *item = config_setting_get_elem(setting, (unsigned)i);
        items[i] = config_setting_get_string(item);
        if (config_setting_type(item) != CONFIG_TYPE_STRING)
            return conf_reject_item(at, key, i, err, "must be a string, not %s", conf_type_name(item));
        if (!items[i] || !*items[i]) return conf_reject_item(at, key, i, err, "must not be empty");
        conf_mark(item);
    }
    *out = (struct conf_strings){.count = count, .items = items};
    if (items) (void)conf_own(at.conf, items);
    items = NULL;
    return true;
}
