#include "transporter/source/names.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "transporter/source/spill.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#define DIRENTS_LEN ((size_t)64 * 1024)
#define RUN_BUFFER ((size_t)16 * 1024)
#define NAME_LEN_MAX 4096u /* of one name; file systems give 255 */

/* A name in memory; `prefix` is its first bytes, so that most comparisons touch nothing else. */
struct key {
    uint64_t prefix;
    uint32_t offset; /* in `text` */
    uint32_t len;
};

/* One sorted run in the file: {length (2), name} each. */
struct run {
    uint64_t pos, end;
    struct buf bytes; /* read ahead */
    struct reader reader;
    struct span name; /* the current one */
};

struct names {
    struct buf text;
    struct key *keys;
    size_t key_count, key_cap;
    size_t next; /* of the keys, when all are in memory */

    size_t total;
    bool tagged;

    int fd; /* -1: all are in memory */
    uint64_t file_len;
    struct run *runs;
    size_t run_count;
    size_t *heap; /* of runs, the smallest name first */
    size_t heap_count;
    struct buf last; /* the name given out last */
    bool given;
};

void names_free(struct names *names)
{
    if (!names) return;
    for (size_t i = 0; i < names->run_count; i++)
        buf_deinit(&names->runs[i].bytes);
    free(names->runs);
    free(names->heap);
    free(names->keys);
    buf_deinit(&names->text);
    buf_deinit(&names->last);
    if (names->fd >= 0) (void)close(names->fd);
    free(names);
}

size_t names_count(const struct names *names)
{
    return names->total;
}

size_t names_bytes(const struct names *names)
{
    return sizeof(*names) + names->text.cap + names->key_cap * sizeof(*names->keys) +
           names->run_count * (sizeof(*names->runs) + RUN_BUFFER);
}

bool names_tagged(const struct names *names)
{
    return names->tagged;
}

static uint64_t prefix_of(const char *name, size_t len)
{
    uint64_t prefix = 0;
    for (size_t i = 0; i < 8; i++)
        prefix = prefix << 8 | (i < len ? (uint8_t)name[i] : 0);
    return prefix;
}

static void add_name(struct names *names, const char *name, size_t len)
{
    if (names->key_count == names->key_cap) {
        names->key_cap = names->key_cap ? names->key_cap * 2 : 32;
        names->keys = xreallocarray(names->keys, names->key_cap, sizeof(*names->keys));
    }
    names->keys[names->key_count++] = (struct key){
        .prefix = prefix_of(name, len), .offset = (uint32_t)names->text.len, .len = (uint32_t)len};
    buf_put(&names->text, name, len);
    names->total++;
    if (len == strlen("CACHEDIR.TAG") && memcmp(name, "CACHEDIR.TAG", len) == 0) names->tagged = true;
}

static struct span key_name(const struct names *names, const struct key *key)
{
    return span_of(names->text.data + key->offset, key->len);
}

static int by_name(const void *a, const void *b, void *arg)
{
    const struct key *left = a, *right = b;
    if (left->prefix != right->prefix) return left->prefix < right->prefix ? -1 : 1;
    return span_cmp(key_name(arg, left), key_name(arg, right));
}

static void sort_keys(struct names *names)
{
    if (names->key_count > 1) qsort_r(names->keys, names->key_count, sizeof(*names->keys), by_name, names);
}

/* Writes what is in memory as one sorted run. */
static bool write_run(struct names *names, const struct names_limits *limits, struct err *err)
{
    if (names->key_count == 0) return true;
    if (names->fd < 0 && !spill_open(limits->spill_dir, &names->fd, err)) return false;
    sort_keys(names);
    AUTO(buf) struct buf out = {0};
    buf_reserve(&out, names->text.len + names->key_count * 2);
    for (size_t i = 0; i < names->key_count; i++) {
        buf_put_u16(&out, (uint16_t)names->keys[i].len);
        buf_put_span(&out, key_name(names, &names->keys[i]));
    }
    if (!fd_pwrite_all(names->fd, buf_span(&out), names->file_len, "temporary file", err)) return false;
    names->runs = xreallocarray(names->runs, names->run_count + 1, sizeof(*names->runs));
    names->runs[names->run_count++] = (struct run){.pos = names->file_len, .end = names->file_len + out.len};
    names->file_len += out.len;
    names->key_count = 0;
    buf_clear(&names->text);
    return true;
}

static bool is_dot(const char *name)
{
    return name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0));
}

static bool read_all(struct names *names, int fd, const struct names_limits *limits, int *fault,
                     struct err *err)
{
    AUTO(free) char *dirents = xmalloc(DIRENTS_LEN);
    for (;;) {
        long got = syscall(SYS_getdents64, fd, dirents, DIRENTS_LEN);
        if (got < 0) *fault = errno;
        if (got <= 0) return true;
        for (long at = 0; at < got;) {
            const struct dirent64 *dirent = (const struct dirent64 *)(const void *)(dirents + at);
            size_t len = strlen(dirent->d_name);
            at += dirent->d_reclen;
            if (is_dot(dirent->d_name) || len == 0 || len > NAME_LEN_MAX) continue;
            if (names->key_count == limits->memory_max && !write_run(names, limits, err)) return false;
            add_name(names, dirent->d_name, len);
        }
    }
}

/* --- merging --- */

/* Moves the run to its next name; *found = false at its end. */
static bool run_next(struct names *names, struct run *run, bool *found, struct err *err)
{
    if (reader_left(&run->reader) < 2 + NAME_LEN_MAX && run->pos < run->end) {
        AUTO(buf) struct buf fresh = {0};
        size_t kept = reader_left(&run->reader);
        buf_put(&fresh, run->reader.data + run->reader.pos, kept);
        size_t more = RUN_BUFFER < run->end - run->pos ? RUN_BUFFER : (size_t)(run->end - run->pos);
        if (!fd_pread_all(names->fd, buf_grow(&fresh, more), more, run->pos, "temporary file", err))
            return false;
        run->pos += more;
        struct buf old = run->bytes;
        run->bytes = fresh;
        fresh = old;
        run->reader = reader_of(buf_span(&run->bytes));
    }
    *found = reader_left(&run->reader) > 0;
    if (*found) run->name = reader_bytes(&run->reader, reader_u16(&run->reader));
    return true;
}

static bool heap_less(const struct names *names, size_t a, size_t b)
{
    return span_cmp(names->runs[names->heap[a]].name, names->runs[names->heap[b]].name) < 0;
}

static void heap_down(struct names *names, size_t at)
{
    for (;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2; child++)
            if (child < names->heap_count && heap_less(names, child, least)) least = child;
        if (least == at) return;
        size_t other = names->heap[at];
        names->heap[at] = names->heap[least];
        names->heap[least] = other;
        at = least;
    }
}

static bool merge_begin(struct names *names, struct err *err)
{
    names->heap = xreallocarray(NULL, names->run_count, sizeof(*names->heap));
    for (size_t i = 0; i < names->run_count; i++) {
        bool found = false;
        if (!run_next(names, &names->runs[i], &found, err)) return false;
        names->heap[names->heap_count++] = i;
    }
    for (size_t at = names->heap_count; at-- > 0;)
        heap_down(names, at);
    return true;
}

static bool merge_next(struct names *names, struct span *name, bool *found, struct err *err)
{
    *found = names->heap_count > 0;
    if (!*found) return true;
    struct run *run = &names->runs[names->heap[0]];
    buf_clear(&names->text);
    buf_put_span(&names->text, run->name);
    *name = buf_span(&names->text);
    bool more = false;
    if (!run_next(names, run, &more, err)) return false;
    if (!more) names->heap[0] = names->heap[--names->heap_count];
    heap_down(names, 0);
    return true;
}

bool names_read(int fd, const struct names_limits *limits, struct names **out, int *fault, struct err *err)
{
    AUTO(names) struct names *names = xcalloc(1, sizeof(*names));
    names->fd = -1;
    *fault = 0;
    if (!read_all(names, fd, limits, fault, err)) return false;
    if (names->fd >= 0) {
        if (!write_run(names, limits, err) || !merge_begin(names, err)) return false;
        free(names->keys);
        names->keys = NULL;
    } else {
        sort_keys(names);
    }
    *out = names;
    names = NULL;
    return true;
}

struct names *names_of(const struct span *list, size_t count)
{
    struct names *names = xcalloc(1, sizeof(*names));
    names->fd = -1;
    for (size_t i = 0; i < count; i++)
        add_name(names, (const char *)list[i].data, list[i].len);
    return names;
}

static bool any_next(struct names *names, struct span *name, bool *found, struct err *err)
{
    if (names->fd >= 0) return merge_next(names, name, found, err);
    *found = names->next < names->key_count;
    if (*found) *name = key_name(names, &names->keys[names->next++]);
    return true;
}

bool names_next(struct names *names, struct span *name, bool *found, struct err *err)
{
    do {
        if (!any_next(names, name, found, err)) return false;
        /* a directory that changes while it is read may list a name twice */
    } while (*found && names->given && span_eq(*name, buf_span(&names->last)));
    if (!*found) return true;
    buf_clear(&names->last);
    buf_put_span(&names->last, *name);
    names->given = true;
    return true;
}
