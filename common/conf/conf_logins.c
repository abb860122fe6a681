#include "common/conf/conf_logins.h"

#include "common/base/alloc.h"
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool read_password(const char *path, struct secret **out, struct err *err)
{
    struct stat st;
    AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) return err_sys(err, errno, "cannot open '%s'", path);
    if (!S_ISREG(st.st_mode)) return err_set(err, ERR_CONFIG, "'%s' is not a regular file", path);
    if ((st.st_mode & 077) != 0)
        return err_set(err, ERR_CONFIG, "'%s' may be read by others than its owner: chmod 600 it", path);
    size_t len = st.st_size <= CONF_LOGIN_TEXT_MAX + 1 ? (size_t)st.st_size : 0;
    AUTO(secret) struct secret *text = secret_new(len);
    if (!fd_pread_all(fd, text->data, len, 0, path, err)) return false;
    if (len > 0 && text->data[len - 1] == '\n') len--;
    if (len < 1 || len > CONF_LOGIN_TEXT_MAX || memchr(text->data, '\n', len))
        return err_set(err, ERR_CONFIG, "'%s' is not one line of 1 to %d bytes", path, CONF_LOGIN_TEXT_MAX);
    *out = secret_copy(text->data, len);
    return true;
}

bool conf_get_password_file(struct conf_group at, const char *key, struct secret **out, struct err *err)
{
    const char *path = NULL;
    struct err why;
    if (!conf_get_path(at, key, &path, err)) return false;
    return read_password(path, out, &why) || conf_reject(at, key, err, "%s", why.text);
}

void conf_logins_deinit(struct conf_logins *logins)
{
    for (size_t i = 0; i < logins->count; i++) {
        free(logins->items[i].address);
        free(logins->items[i].user);
        secret_free(logins->items[i].password);
    }
    free(logins->items);
    *logins = (struct conf_logins){0};
}

static bool get_login(struct conf_group at, const char *address, struct login *out, struct err *err)
{
    const char *user = NULL;
    if (!conf_get_string(at, "user", &user, err)) return false;
    if (!conf_is_host_port(address))
        return conf_reject(at, "address", err, "must be HOST:PORT, with a port from 1 to 65535");
    if (strlen(user) > CONF_LOGIN_TEXT_MAX)
        return conf_reject(at, "user", err, "must have at most %d bytes", CONF_LOGIN_TEXT_MAX);
    out->address = xstrdup(address);
    out->user = xstrdup(user);
    return conf_get_password_file(at, "password_file", &out->password, err);
}

static bool is_there(const struct conf_logins *logins, const char *address)
{
    for (size_t i = 0; i < logins->count; i++)
        if (strcmp(logins->items[i].address, address) == 0) return true;
    return false;
}

bool conf_get_logins(struct conf_group at, const char *key, struct conf_logins *out, struct err *err)
{
    struct conf_list groups;
    AUTO(conf_logins) struct conf_logins logins = {0};
    if (!conf_get_list(at, key, &groups, err)) return false;
    logins.items = xcalloc(groups.count + 1, sizeof(*logins.items));
    for (size_t i = 0; i < groups.count; i++) {
        struct conf_group group = conf_list_at(&groups, i);
        struct login *login = &logins.items[i];
        const char *address = NULL;
        if (!conf_get_string(group, "address", &address, err)) return false;
        if (is_there(&logins, address))
            return conf_reject(group, "address", err, "'%s' is there twice", address);
        logins.count++;
        if (!get_login(group, address, login, err)) return false;
    }
    *out = logins;
    logins = (struct conf_logins){0};
    return true;
}
