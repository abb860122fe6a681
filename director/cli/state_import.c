#include "director/cli/state_import.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/conf/conf.h"
#include "director/core/bundle_table.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define TEMP_PREFIX ".tmp-import-" /* an import that was interrupted leaves no other names */

struct import {
    struct bundle_reader *reader;
    const char *dir;
    int dirfd;
    struct bundle_table table;
    struct secret *piece; /* what is left of it: from `taken` */
    size_t taken;
    bool written; /* the temporary files are ours to remove */
};

static void temp_name(const char *name, char out[static 64])
{
    (void)snprintf(out, 64, TEMP_PREFIX "%s", name);
}

static void import_deinit(struct import *import)
{
    char temp[64];
    for (int i = 0; import->written && i < BUNDLE_MEMBERS; i++) {
        temp_name(bundle_member_name((enum bundle_member)i), temp);
        (void)unlinkat(import->dirfd, temp, 0);
    }
    secret_free(import->piece);
    auto_close_fd(import->dirfd);
}
DEFINE_AUTO_IN_PLACE(import, struct import, import_deinit)

/* ---- the directory */

static bool check_empty(const char *dir, struct err *err)
{
    DIR *listing = opendir(dir);
    const struct dirent *entry = NULL;
    if (!listing) return err_sys(err, errno, "cannot open '%s'", dir);
    while ((entry = readdir(listing)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            strncmp(entry->d_name, TEMP_PREFIX, sizeof(TEMP_PREFIX) - 1) != 0)
            break;
    bool ok = !entry || err_set(err, ERR_EXISTS,
                                "'%s' is not empty (there is '%s'): a director's state goes into a directory "
                                "of its own",
                                dir, entry->d_name);
    (void)closedir(listing);
    return ok;
}

static bool open_dir(struct import *import, struct err *err)
{
    struct stat there;
    if (!dir_make(import->dir, 0700, err)) return false;
    import->dirfd = open(import->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (import->dirfd < 0 || fstat(import->dirfd, &there) != 0)
        return err_sys(err, errno, "cannot open '%s'", import->dir);
    if (there.st_mode & 077)
        return err_set(err, ERR_POLICY,
                       "'%s' is open to others: the director needs a directory of its own, mode 0700",
                       import->dir);
    return check_empty(import->dir, err);
}

/* ---- content */

static bool next_piece(struct import *import, struct err *err)
{
    secret_free(import->piece);
    import->piece = NULL;
    import->taken = 0;
    if (!bundle_reader_next(import->reader, &import->piece, err)) return false;
    return import->piece ||
           err_set(err, ERR_DAMAGED, "'%s': it holds less than it says", import->reader->path);
}

static bool take_table(struct import *import, struct err *err)
{
    if (!next_piece(import, err)) return false;
    size_t len = import->piece->len < BUNDLE_TABLE_MAX ? import->piece->len : BUNDLE_TABLE_MAX;
    return bundle_table_decode(span_of(import->piece->data, len), import->reader->facts.content_len,
                               &import->table, &import->taken, err) ||
           err_wrap(err, "'%s'", import->reader->path);
}

static bool write_member(struct import *import, enum bundle_member member, struct err *err)
{
    char temp[64];
    temp_name(bundle_member_name(member), temp);
    (void)unlinkat(import->dirfd, temp, 0);
    AUTO(fd) int fd = openat(import->dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return err_sys(err, errno, "cannot create '%s/%s'", import->dir, temp);
    for (uint64_t left = import->table.sizes[member]; left > 0;) {
        if (import->taken == import->piece->len && !next_piece(import, err)) return false;
        size_t len = import->piece->len - import->taken;
        if (len > left) len = (size_t)left;
        if (!fd_write_all(fd, span_of(import->piece->data + import->taken, len), temp, err)) return false;
        import->taken += len;
        left -= len;
    }
    return fsync(fd) == 0 || err_sys(err, errno, "cannot sync '%s/%s'", import->dir, temp);
}

static bool write_members(struct import *import, struct err *err)
{
    import->written = true;
    for (int i = 0; i < BUNDLE_MEMBERS; i++)
        if (import->table.sizes[i] > 0 && !write_member(import, (enum bundle_member)i, err)) return false;
    return true;
}

/* ---- the configuration: its state_dir is where the state is now */

/* The line that begins with the setting, in a copy of the text; the rest stays as it was written. */
static void point_at(struct span text, const char *dir, struct buf *out)
{
    static const char setting[] = "state_dir";
    for (size_t at = 0; at < text.len;) {
        const uint8_t *line = text.data + at;
        const uint8_t *end = memchr(line, '\n', text.len - at);
        size_t len = end ? (size_t)(end - line) + 1 : text.len - at, lead = 0;
        while (lead < len && (line[lead] == ' ' || line[lead] == '\t'))
            lead++;
        if (len - lead >= sizeof(setting) && memcmp(line + lead, setting, sizeof(setting) - 1) == 0)
            buf_printf(out, "state_dir = \"%s\";\n", dir);
        else
            buf_put(out, line, len);
        at += len;
    }
}

static bool names_dir(const char *name, struct span text, const char *dir)
{
    AUTO(conf) struct conf *conf = NULL;
    const char *path = NULL;
    struct err ignored;
    return conf_parse(name, text, &conf, &ignored) &&
           conf_get_path(conf_root(conf), "state_dir", &path, &ignored) && strcmp(path, dir) == 0;
}

static bool place_conf(struct import *import, bool *names, struct err *err)
{
    const char *name = bundle_member_name(BUNDLE_CONF);
    char temp[64];
    AUTO(buf) struct buf before = {0};
    AUTO(buf) struct buf after = {0};
    if (import->table.sizes[BUNDLE_CONF] == 0) return true;
    temp_name(name, temp);
    if (!file_read(import->dirfd, temp, CONF_FILE_MOST, &before, err)) return false;
    point_at(buf_span(&before), import->dir, &after);
    *names = names_dir(name, buf_span(&after), import->dir);
    return file_replace(import->dirfd, name, *names ? buf_span(&after) : buf_span(&before), 0600, err);
}

/* ---- names */

static bool place(struct import *import, enum bundle_member member, struct err *err)
{
    char temp[64];
    temp_name(bundle_member_name(member), temp);
    return renameat(import->dirfd, temp, import->dirfd, bundle_member_name(member)) == 0 ||
           err_sys(err, errno, "cannot rename '%s/%s'", import->dir, temp);
}

static bool place_all(struct import *import, bool *conf, struct err *err)
{
    AUTO(buf) struct buf when = {0};
    buf_printf(&when, "%llu\n", (unsigned long long)import->reader->facts.time_ns);
    return file_replace(import->dirfd, RESTORED_FILE, buf_span(&when), 0600, err) &&
           place_conf(import, conf, err) && place(import, BUNDLE_KEY, err) &&
           dir_sync(import->dirfd, import->dir, err) && place(import, BUNDLE_CATALOG, err) &&
           dir_sync(import->dirfd, import->dir, err);
}

bool state_import(struct bundle_reader *reader, const char *dir, bool *conf, struct err *err)
{
    AUTO(import) struct import import = {.reader = reader, .dir = dir, .dirfd = -1};
    bool names = false;
    if (!take_table(&import, err) || !open_dir(&import, err) || !write_members(&import, err) ||
        !place_all(&import, &names, err))
        return false;
    *conf = names;
    return true;
}
