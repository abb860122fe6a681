#include "transporter/loop/run_ends.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/lock.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/wire/stored.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { NAME_LEN = 64, FILE_MAX = 1024 * 1024 };

/* One end, as its file holds it: length of the Head (4), a Head with kind RunEnd, the payload. */
struct run_end_file {
    uint64_t serial;
    char name[NAME_LEN];
    struct buf bytes;
    struct run_end_file *next;
};

struct run_ends {
    int dir;
    pthread_mutex_t lock;
    struct run_end_file *first;
    uint64_t serials;
    size_t count, bytes;
};

static void end_free(struct run_end_file *end)
{
    if (!end) return;
    buf_deinit(&end->bytes);
    free(end);
}
DEFINE_AUTO(run_end_file, struct run_end_file *, end_free)

static void link_end(struct run_ends *ends, struct run_end_file *end)
{
    end->serial = ++ends->serials;
    end->next = ends->first;
    ends->first = end;
    ends->count++;
    ends->bytes += end->bytes.len;
}

static bool has_room(struct run_ends *ends, size_t len)
{
    LOCK_HERE(&ends->lock);
    return ends->count < RUN_ENDS_MOST && ends->bytes + len <= RUN_ENDS_MOST_BYTES;
}

static bool decode(const struct run_end_file *end, Sealift__Head **head, struct span *warnings,
                   struct err *err)
{
    struct reader reader = reader_of(buf_span(&end->bytes));
    struct span bytes = reader_bytes(&reader, reader_u32(&reader));
    if (!reader_ok(&reader)) return err_set(err, ERR_TRUNCATED, "the end of a run is cut short");
    *warnings = reader_bytes(&reader, reader_left(&reader));
    if (!head_decode(CHANNEL_TRANSPORTER_TO_DIRECTOR, bytes, warnings->len, head, err)) return false;
    return (*head)->kind_case == SEALIFT__HEAD__KIND_RUN_END ||
           err_set(err, ERR_PROTOCOL, "not the end of a run");
}

/* What does not decode is removed: the run's outcome is in the repository's log. What cannot be read now can
 * perhaps be read at the next start. */
static void load_one(struct run_ends *ends, const char *name)
{
    struct err err = {0};
    AUTO(run_end_file) struct run_end_file *end = xcalloc(1, sizeof(*end));
    AUTO(head) Sealift__Head *head = NULL;
    struct span warnings;
    (void)snprintf(end->name, sizeof(end->name), "%s", name);
    bool read = file_read(ends->dir, name, FILE_MAX, &end->bytes, &err) || err.code == ERR_LIMIT;
    if (!read || !decode(end, &head, &warnings, &err)) {
        log_event(LOG_WARN, "run_end_lost", "file", name, "reason", err.text, "next",
                  "the director learns from the repository's log what became of the run", NULL);
        if (read) (void)unlinkat(ends->dir, name, 0);
        return;
    }
    link_end(ends, end);
    end = NULL;
}

static bool load(struct run_ends *ends, struct err *err)
{
    int fd = openat(ends->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        auto_close_fd(fd);
        return err_sys(err, errno, "cannot list the ends of runs");
    }
    for (struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.' && strlen(entry->d_name) < NAME_LEN) load_one(ends, entry->d_name);
    (void)closedir(dir);
    return true;
}

bool run_ends_open(const char *state_dir, struct run_ends **out, struct err *err)
{
    AUTO(free) char *path = xasprintf("%s/ends", state_dir);
    if (!dir_make(path, 0700, err)) return false;
    AUTO(run_ends) struct run_ends *ends = xcalloc(1, sizeof(*ends));
    (void)pthread_mutex_init(&ends->lock, NULL);
    ends->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (ends->dir < 0) return err_sys(err, errno, "cannot open '%s'", path);
    if (!load(ends, err)) return false;
    *out = ends;
    ends = NULL;
    return true;
}

void run_ends_close(struct run_ends *ends)
{
    if (!ends) return;
    while (ends->first) {
        struct run_end_file *end = ends->first;
        ends->first = end->next;
        end_free(end);
    }
    auto_close_fd(ends->dir);
    (void)pthread_mutex_destroy(&ends->lock);
    free(ends);
}

bool run_ends_add(struct run_ends *ends, const Sealift__RunEnd *run_end, struct span warnings,
                  struct err *err)
{
    AUTO(buf) struct buf encoded = {0};
    AUTO(run_end_file) struct run_end_file *end = xcalloc(1, sizeof(*end));
    Sealift__Head head = SEALIFT__HEAD__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_RUN_END;
    head.run_end = stored_lent(run_end);
    head_encode(&head, &encoded);
    buf_put_u32(&end->bytes, (uint32_t)encoded.len);
    buf_put_span(&end->bytes, buf_span(&encoded));
    buf_put_span(&end->bytes, warnings);
    if (!has_room(ends, end->bytes.len))
        return err_set(
            err, ERR_LIMIT,
            "the director has not acknowledged the ends of %d runs, or of fewer with many warnings",
            RUN_ENDS_MOST);
    char run[2 * 16 + 1];
    hex_encode(run_end->run.data, run_end->run.len, run);
    (void)snprintf(end->name, sizeof(end->name), "%s-%u-%d", run, run_end->attempt, (int)run_end->side);
    bool ok = file_replace(ends->dir, end->name, buf_span(&end->bytes), 0600, err);
    (void)pthread_mutex_lock(&ends->lock);
    link_end(ends, end); /* told even if it could not be kept */
    end = NULL;
    (void)pthread_mutex_unlock(&ends->lock);
    return ok;
}

void run_ends_each(struct run_ends *ends, run_ends_fn *each, void *arg)
{
    (void)pthread_mutex_lock(&ends->lock);
    for (const struct run_end_file *end = ends->first; end; end = end->next) {
        struct err err = {0};
        AUTO(head) Sealift__Head *head = NULL;
        struct span warnings;
        if (decode(end, &head, &warnings, &err)) each(arg, end->serial, head->run_end, warnings);
    }
    (void)pthread_mutex_unlock(&ends->lock);
}

bool run_ends_acknowledge(struct run_ends *ends, uint64_t serial)
{
    (void)pthread_mutex_lock(&ends->lock);
    struct run_end_file **at = &ends->first;
    while (*at && (*at)->serial != serial)
        at = &(*at)->next;
    struct run_end_file *end = *at;
    if (end) {
        *at = end->next;
        ends->count--;
        ends->bytes -= end->bytes.len;
        (void)unlinkat(ends->dir, end->name, 0);
    }
    (void)pthread_mutex_unlock(&ends->lock);
    bool known = end != NULL;
    end_free(end);
    return known;
}
