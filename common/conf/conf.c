#include "common/conf/conf.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/secret.h"
#include "common/conf/conf_gate.h"
#include "common/conf/conf_tree.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

static char asked; /* a setting's hook points here once a getter has asked for it */

/* Loading */

/* Text that may hold secrets. */
static void wiped_deinit(struct buf *text)
{
    wipe(text->data, text->cap);
    buf_deinit(text);
}
DEFINE_AUTO_IN_PLACE(wiped, struct buf, wiped_deinit)

/* *readers: who may read it, in, and who can, out. */
static bool check_file(int fd, const char *path, enum conf_readers *readers, size_t *size, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0) return err_sys(err, errno, "cannot look at '%s'", path);
    if (!S_ISREG(st.st_mode)) return err_set(err, ERR_CONFIG, "'%s' is not a regular file", path);
    if (st.st_mode & S_IWOTH)
        return err_set(err, ERR_CONFIG, "'%s' can be written by everybody (chmod o-w)", path);
    if (*readers == CONF_READ_BY_OWNER_AND_GROUP && (st.st_mode & S_IROTH))
        return err_set(err, ERR_CONFIG, "'%s' holds secrets and can be read by everybody (chmod o-r)", path);
    if (st.st_size > CONF_FILE_MOST)
        return err_set(err, ERR_CONFIG, "'%s' is larger than %d bytes", path, CONF_FILE_MOST);
    *size = (size_t)st.st_size;
    *readers = st.st_mode & S_IROTH ? CONF_READ_BY_ALL : CONF_READ_BY_OWNER_AND_GROUP;
    return true;
}

static bool read_file(const char *path, enum conf_readers *readers, struct buf *out, struct err *err)
{
    /* O_NONBLOCK: opening a fifo does not wait */
    AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    size_t size = 0;

    if (fd < 0) return err_sys(err, errno, "cannot open '%s'", path);
    if (!check_file(fd, path, readers, &size, err)) return false;
    buf_reserve(out, size + 2); /* with what build_tree adds: text that moves would not be wiped */
    return fd_pread_all(fd, buf_grow(out, size), size, 0, path, err);
}

static bool build_tree(struct conf *conf, struct buf *text, struct err *err)
{
    if (!conf_gate_check(conf->name, buf_span(text), err)) return false;
    buf_put_u8(text, '\n'); /* or else libconfig does not see the end of a comment */
    if (config_read_string(&conf->config, buf_cstr(text))) return true;
    return err_set(err, ERR_CONFIG, "%s:%d: libconfig reads this otherwise: %s", conf->name,
                   config_error_line(&conf->config), config_error_text(&conf->config));
}

static struct conf *conf_new(const char *name)
{
    struct conf *conf = xcalloc(1, sizeof(*conf));

    config_init(&conf->config);
    conf->name = xstrdup(name);
    conf->readers = CONF_READ_BY_OWNER_AND_GROUP;
    return conf;
}

bool conf_load(const char *path, enum conf_readers readers, struct conf **out, struct err *err)
{
    AUTO(conf) struct conf *conf = conf_new(path);
    AUTO(wiped) struct buf text = {0};

    if (!read_file(path, &readers, &text, err)) {
        err->code = ERR_CONFIG; /* err->sys still tells why */
        return false;
    }
    conf->readers = readers;
    if (!build_tree(conf, &text, err)) return false;
    *out = conf;
    conf = NULL;
    return true;
}

bool conf_parse(const char *name, struct span text, struct conf **out, struct err *err)
{
    AUTO(conf) struct conf *conf = conf_new(name);
    AUTO(wiped) struct buf copy = {0};

    if (text.len > CONF_FILE_MOST)
        return err_set(err, ERR_CONFIG, "'%s' is larger than %d bytes", name, CONF_FILE_MOST);
    buf_reserve(&copy, text.len + 2);
    buf_put_span(&copy, text);
    if (!build_tree(conf, &copy, err)) return false;
    *out = conf;
    conf = NULL;
    return true;
}

static size_t child_count(const config_setting_t *setting)
{
    return config_setting_is_aggregate(setting) ? (size_t)config_setting_length(setting) : 0;
}

static config_setting_t *child_at(const config_setting_t *setting, size_t index)
{
    return config_setting_get_elem(setting, (unsigned)index);
}

static void wipe_strings(config_setting_t *setting)
{
    if (setting->type == CONFIG_TYPE_STRING && setting->value.sval)
        wipe(setting->value.sval, strlen(setting->value.sval));
    for (size_t i = 0; i < child_count(setting); i++)
        wipe_strings(child_at(setting, i));
}

void conf_free(struct conf *conf)
{
    if (!conf) return;
    wipe_strings(config_root_setting(&conf->config));
    config_destroy(&conf->config);
    for (size_t i = 0; i < conf->owned_count; i++)
        free(conf->owned[i]);
    free(conf->owned);
    free(conf->name);
    free(conf);
}

void *conf_own(struct conf *conf, void *memory)
{
    conf->owned = xreallocarray(conf->owned, conf->owned_count + 1, sizeof(*conf->owned));
    conf->owned[conf->owned_count++] = memory;
    return memory;
}

/* Places and errors */

static void put_path(struct buf *out, const config_setting_t *setting)
{
    if (config_setting_is_root(setting)) return;
    put_path(out, setting->parent);
    if (!setting->name) {
        buf_printf(out, "[%d]", config_setting_index(setting));
        return;
    }
    if (out->len > 0) buf_put_str(out, ".");
    buf_put_str(out, setting->name);
}

static void put_group_path(struct buf *out, struct conf_group group)
{
    if (group.setting)
        put_path(out, group.setting);
    else
        buf_put_str(out, group.path);
}

static void put_member_path(struct buf *out, struct conf_group at, const char *key)
{
    put_group_path(out, at);
    if (out->len > 0) buf_put_str(out, ".");
    buf_put_str(out, key);
}

/* line 0: only the file is known */
static bool fail_at(const struct conf *conf, unsigned line, struct buf *path, struct err *err,
                    const char *text)
{
    (void)err_set(err, ERR_CONFIG, "%s", text);
    (void)err_wrap(err, "%s", buf_cstr(path));
    return line > 0 ? err_wrap(err, "%s:%u", conf->name, line) : err_wrap(err, "%s", conf->name);
}

static config_setting_t *member(struct conf_group at, const char *key)
{
    return at.setting ? config_setting_get_member(at.setting, key) : NULL;
}

/* of the setting, or of the group that it would be in */
static unsigned line_of(struct conf_group at, const char *key)
{
    const config_setting_t *setting = member(at, key);

    if (!setting) setting = at.setting;
    return setting ? config_setting_source_line(setting) : 0;
}

void conf_place(struct conf_group at, const char *key, struct buf *out)
{
    AUTO(buf) struct buf path = {0};
    unsigned line = line_of(at, key);

    put_member_path(&path, at, key);
    buf_put_str(out, at.conf->name);
    if (line > 0) buf_printf(out, ":%u", line);
    buf_printf(out, ": %s", buf_cstr(&path));
}

bool(conf_reject)(struct conf_group at, const char *key, struct err *err, const char *fmt, ...)
{
    AUTO(buf) struct buf path = {0};
    char text[sizeof(err->text)];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    put_member_path(&path, at, key);
    return fail_at(at.conf, line_of(at, key), &path, err, text);
}

bool(conf_reject_item)(struct conf_group at, const char *key, size_t index, struct err *err, const char *fmt,
                       ...)
{
    AUTO(buf) struct buf path = {0};
    const config_setting_t *list = member(at, key);
    const config_setting_t *item = list && index < child_count(list) ? child_at(list, index) : NULL;
    char text[sizeof(err->text)];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    put_member_path(&path, at, key);
    buf_printf(&path, "[%zu]", index);
    return fail_at(at.conf, item ? config_setting_source_line(item) : line_of(at, key), &path, err, text);
}

static const config_setting_t *first_not_asked(const config_setting_t *setting)
{
    for (size_t i = 0; i < child_count(setting); i++) {
        const config_setting_t *child = child_at(setting, i);
        if (config_setting_get_hook(child) != &asked) return child;
        const config_setting_t *below = first_not_asked(child);
        if (below) return below;
    }
    return NULL;
}

bool conf_finish(const struct conf *conf, struct err *err)
{
    AUTO(buf) struct buf path = {0};
    const config_setting_t *unknown = first_not_asked(config_root_setting(&conf->config));

    if (!unknown) return true;
    put_path(&path, unknown);
    return fail_at(conf, config_setting_source_line(unknown), &path, err, "unknown setting");
}

/* Finding settings */

void conf_mark(config_setting_t *setting)
{
    config_setting_set_hook(setting, &asked);
}

config_setting_t *conf_ask(struct conf_group at, const char *key)
{
    config_setting_t *setting = member(at, key);

    if (setting) conf_mark(setting);
    return setting;
}

const char *conf_type_name(const config_setting_t *setting)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_GROUP:
        return "a group";
    case CONFIG_TYPE_STRING:
        return "a string";
    case CONFIG_TYPE_BOOL:
        return "true or false";
    case CONFIG_TYPE_ARRAY:
        return "an array";
    case CONFIG_TYPE_LIST:
        return "a list";
    default:
        return "a number";
    }
}

bool conf_demand(struct conf_group at, const char *key, int type, const char *due, config_setting_t **out,
                 struct err *err)
{
    config_setting_t *setting = conf_ask(at, key);

    if (!setting) return conf_reject(at, key, err, "missing");
    if (config_setting_type(setting) != type)
        return conf_reject(at, key, err, "must be %s, not %s", due, conf_type_name(setting));
    *out = setting;
    return true;
}

struct conf_group conf_root(struct conf *conf)
{
    return (struct conf_group){.conf = conf, .setting = config_root_setting(&conf->config)};
}

enum conf_readers conf_readers_of(struct conf_group group)
{
    return group.conf->readers;
}

bool conf_has(struct conf_group at, const char *key)
{
    return member(at, key) != NULL;
}

bool conf_has_group(struct conf_group at, const char *key)
{
    const config_setting_t *setting = member(at, key);
    return setting && config_setting_is_group(setting);
}

bool conf_get_group(struct conf_group at, const char *key, struct conf_group *out, struct err *err)
{
    config_setting_t *setting;

    if (!conf_demand(at, key, CONFIG_TYPE_GROUP, "a group", &setting, err)) return false;
    *out = (struct conf_group){.conf = at.conf, .setting = setting};
    return true;
}

bool conf_get_group_or_empty(struct conf_group at, const char *key, struct conf_group *out, struct err *err)
{
    AUTO(buf) struct buf path = {0};

    if (conf_has(at, key)) return conf_get_group(at, key, out, err);
    put_member_path(&path, at, key);
    *out = (struct conf_group){.conf = at.conf, .path = conf_own(at.conf, xstrdup(buf_cstr(&path)))};
    return true;
}

/* Every element must be a group, and is asked for. */
bool conf_get_list(struct conf_group at, const char *key, struct conf_list *out, struct err *err)
{
    config_setting_t *setting = NULL;

    if (conf_has(at, key) && !conf_demand(at, key, CONFIG_TYPE_LIST, "a list of groups", &setting, err))
        return false;
    size_t count = setting ? child_count(setting) : 0;
    for (size_t i = 0; i < count; i++) {
        config_setting_t *child = child_at(setting, i);
        if (!config_setting_is_group(child)) {
            AUTO(buf) struct buf path = {0};
            put_path(&path, child);
            AUTO(free) char *text = xasprintf("must be a group, not %s", conf_type_name(child));
            return fail_at(at.conf, config_setting_source_line(child), &path, err, text);
        }
        conf_mark(child);
    }
    *out = (struct conf_list){.conf = at.conf, .setting = setting, .count = count};
    return true;
}

struct conf_group conf_list_at(const struct conf_list *list, size_t index)
{
    assert(index < list->count);
    return (struct conf_group){.conf = list->conf, .setting = child_at(list->setting, index)};
}
