#include "transporter/repository/index_marker.h"

#include "common/base/alloc.h"
#include "common/base/file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define CLEAN "clean\n"
#define LIMIT 256
#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"

/* Ends in a line feed. */
static void this_boot(struct buf *out)
{
    struct err ignored;
    if (!file_read(AT_FDCWD, BOOT_ID_FILE, LIMIT, out, &ignored)) buf_clear(out);
}

static char *path_in(const char *dir, const char *name)
{
    return xasprintf("%s/%s", dir, name);
}

/* What data.mdb is now; caller frees, NULL: it is not there. */
static char *describe(const char *dir)
{
    struct stat st;
    AUTO(free) char *data = path_in(dir, "data.mdb");
    if (stat(data, &st) != 0) return NULL;
    return xasprintf("%" PRIu64 " %" PRId64 ".%09ld\n", (uint64_t)st.st_size, (int64_t)st.st_mtim.tv_sec,
                     st.st_mtim.tv_nsec);
}

/* `text` begins with `prefix`: what follows, else NULL. */
static const char *after(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);
    return len > 0 && strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

static void judge(const char *said, const char *now, struct index_marker *out)
{
    AUTO(buf) struct buf boot = {0};
    this_boot(&boot);
    const char *described = after(said, CLEAN);
    const char *deaths = after(said, buf_cstr(&boot));
    if (described) {
        if (strcmp(described, now) != 0) out->distrust = "it is not what it was when it was closed";
    } else if (!deaths) {
        out->distrust = "whether all of it came to the disk is not known";
    } else {
        unsigned count = *deaths >= '0' && *deaths <= '9' ? (unsigned)(*deaths - '0') : 0;
        out->deaths = count + 1;
        if (out->deaths >= INDEX_MOST_DEATHS)
            out->distrust = "three times in a row it was not closed by who used it";
    }
}

void index_marker_read(const char *dir, struct index_marker *out)
{
    struct err ignored;
    AUTO(free) char *path = path_in(dir, "marker");
    AUTO(free) char *now = describe(dir);
    AUTO(buf) struct buf said = {0};
    *out = (struct index_marker){0};
    if (!now)
        out->distrust = "there was none";
    else if (!file_read(AT_FDCWD, path, LIMIT, &said, &ignored))
        out->distrust = "how it was left is not known";
    else
        judge(buf_cstr(&said), now, out);
}

static bool put(const char *dir, struct span text, struct err *err)
{
    AUTO(free) char *path = path_in(dir, "marker");
    return file_replace(AT_FDCWD, path, text, 0600, err);
}

bool index_marker_begin(const char *dir, unsigned deaths, struct err *err)
{
    AUTO(buf) struct buf text = {0};
    this_boot(&text);
    if (text.len == 0) buf_put_str(&text, "unknown\n");
    AUTO(free) char *count = xasprintf("%u\n", deaths);
    buf_put_str(&text, count);
    return put(dir, buf_span(&text), err);
}

bool index_marker_end(const char *dir, struct err *err)
{
    AUTO(buf) struct buf text = {0};
    AUTO(free) char *now = describe(dir);
    if (!now) return err_set(err, ERR_NOT_FOUND, "the index's file is gone");
    buf_put_str(&text, CLEAN);
    buf_put_str(&text, now);
    return put(dir, buf_span(&text), err);
}
