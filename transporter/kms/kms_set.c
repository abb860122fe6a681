#include "transporter/kms/kms_set.h"

#include "common/base/alloc.h"
#include "common/crypto/identity.h"
#include "transporter/kms/secret_file.h"

#include <assert.h>
#include <string.h>

enum {
    TIMEOUT_DEFAULT_MS = 10 * 1000,
    TIMEOUT_LEAST_MS = 100,
    TIMEOUT_MOST_MS = 5 * 60 * 1000,
};

struct item {
    struct kms_entry entry; /* borrows from what follows */
    struct kms_uri uri;
    char *name;
    char *place; /* where it stands: FILE:LINE: KEY */
};

struct kms_set {
    size_t count;
    struct item items[]; /* they stay where they are */
};

void kms_set_free(struct kms_set *set)
{
    if (!set) return;
    for (size_t i = 0; i < set->count; i++) {
        kms_uri_deinit(&set->items[i].uri);
        free(set->items[i].name);
        free(set->items[i].place);
    }
    free(set);
}

/* --- reading --- */

/* One line, which is taken without its end. */
static bool read_uri_file(const char *path, struct secret **out, struct err *err)
{
    AUTO(secret) struct secret *text = NULL;
    if (!secret_file_read(path, KMS_URI_MAX + 1, SECRET_FILE_NO_LINK, &text, err)) return false;
    size_t len = text->len;
    if (len > 0 && text->data[len - 1] == '\n') text->data[--len] = '\0';
    if (memchr(text->data, '\0', len) || memchr(text->data, '\n', len))
        return err_set(err, ERR_CONFIG, "'%s' must hold one line, the URI", path);
    *out = text;
    text = NULL;
    return true;
}

static bool uri_of_file(struct conf_group at, const char *name, struct kms_uri *out, struct err *err)
{
    const char *path = NULL;
    struct err why;
    AUTO(secret) struct secret *text = NULL;
    if (!conf_get_path(at, "uri_file", &path, err)) return false;
    if (!read_uri_file(path, &text, &why))
        return conf_reject(at, "uri_file", err, "KMS '%s': %s", name, why.text);
    if (!kms_uri_parse((const char *)text->data, out, &why))
        return conf_reject(at, "uri_file", err, "KMS '%s': '%s': %s", name, path, why.text);
    return true;
}

static bool uri_of_setting(struct conf_group at, const char *name, struct kms_uri *out, struct err *err)
{
    const char *text = NULL;
    struct err why;
    AUTO(kms_uri) struct kms_uri uri = {0};
    if (!conf_get_string(at, "uri", &text, err)) return false;
    if (!kms_uri_parse(text, &uri, &why)) return conf_reject(at, "uri", err, "KMS '%s': %s", name, why.text);
    if (uri.secret_key && conf_readers_of(at) == CONF_READ_BY_ALL)
        return conf_reject(
            at, "uri", err,
            "KMS '%s': it holds a secret, and everybody can read this file: chmod o-r it, or put "
            "the URI into a file of its own, mode 0600, and name that by uri_file",
            name);
    *out = uri;
    uri = (struct kms_uri){0};
    return true;
}

static bool get_name(struct conf_group at, const struct kms_set *set, char **out, struct err *err)
{
    const char *name = NULL;
    struct err why;
    if (!conf_get_string(at, "name", &name, err)) return false;
    if (!identity_name_check(name, &why)) return conf_reject(at, "name", err, "%s", why.text);
    if (kms_set_find(set, name)) return conf_reject(at, "name", err, "'%s' is there twice", name);
    *out = xstrdup(name);
    return true;
}

/* What was read stays the set's to free, in case of failure too. */
static bool get_item(struct conf_group at, struct item *out, struct err *err)
{
    AUTO(buf) struct buf place = {0};
    uint64_t timeout_ms = 0;
    bool in_file = conf_has(at, "uri_file");
    if (in_file && conf_has(at, "uri")) return conf_reject(at, "uri", err, "either this or uri_file");
    if (!(in_file ? uri_of_file : uri_of_setting)(at, out->name, &out->uri, err) ||
        !conf_get_duration_or(at, "timeout", TIMEOUT_LEAST_MS, TIMEOUT_MOST_MS, TIMEOUT_DEFAULT_MS,
                              &timeout_ms, err))
        return false;
    conf_place(at, in_file ? "uri_file" : "uri", &place);
    out->place = xstrdup(buf_cstr(&place));
    out->entry = (struct kms_entry){.name = out->name, .uri = &out->uri, .timeout_ms = (uint32_t)timeout_ms};
    return true;
}

bool kms_set_read(struct conf_group at, struct kms_set **out, struct err *err)
{
    struct conf_list groups;
    if (!conf_get_list(at, "kms", &groups, err)) return false;
    if (groups.count > KMS_SET_MOST)
        return conf_reject(at, "kms", err, "%zu entries are more than %d", groups.count, KMS_SET_MOST);
    AUTO(kms_set) struct kms_set *set = xcalloc(1, sizeof(*set) + groups.count * sizeof(set->items[0]));
    for (size_t i = 0; i < groups.count; i++) {
        struct conf_group group = conf_list_at(&groups, i);
        char *name = NULL;
        if (!get_name(group, set, &name, err)) return false;
        set->items[set->count++].name = name;
        if (!get_item(group, &set->items[i], err)) return false;
    }
    *out = set;
    set = NULL;
    return true;
}

bool kms_set_load(const char *path, struct kms_set **out, struct err *err)
{
    AUTO(conf) struct conf *conf = NULL;
    AUTO(kms_set) struct kms_set *set = NULL;
    if (!conf_load(path, CONF_READ_BY_ALL, &conf, err) || !kms_set_read(conf_root(conf), &set, err) ||
        !conf_finish(conf, err))
        return false;
    if (set->count == 0) return err_set(err, ERR_CONFIG, "%s: kms: it names no entry", path);
    *out = set;
    set = NULL;
    return true;
}

/* --- entries --- */

size_t kms_set_count(const struct kms_set *set)
{
    return set ? set->count : 0;
}

const struct kms_entry *kms_set_at(const struct kms_set *set, size_t index)
{
    assert(index < kms_set_count(set));
    return &set->items[index].entry;
}

const struct kms_entry *kms_set_find(const struct kms_set *set, const char *name)
{
    for (size_t i = 0; i < kms_set_count(set); i++)
        if (strcmp(set->items[i].name, name) == 0) return &set->items[i].entry;
    return NULL;
}

bool kms_set_check(const struct kms_set *set, struct err *err)
{
    for (size_t i = 0; i < kms_set_count(set); i++)
        if (!kms_check(&set->items[i].entry, err)) {
            err->code = ERR_CONFIG; /* whatever is the matter with the file */
            return err_wrap(err, "%s", set->items[i].place);
        }
    return true;
}
