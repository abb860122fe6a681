#include "transporter/repository/damage_marks.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/lock.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>

/* magic (8) ‖ repository id (16) ‖ names (32 each, ascending) ‖ HASH of all before (32) */
enum { MAGIC_LEN = 8, LEAST_LEN = MAGIC_LEN + ID_LEN + HASH_LEN };
#define FILE_MAX ((size_t)1 << 30) /* 33 million packs: a petabyte of damage */
static const char magic[MAGIC_LEN + 1] = "slmarks1";

struct damage_marks {
    pthread_mutex_t lock;
    char *path; /* NULL: in memory only */
    struct id repository;
    struct hash *names; /* ascending */
    size_t count, cap;
    bool changed;
};

/* How many are below the name. */
static size_t place_of(const struct damage_marks *marks, const struct hash *name)
{
    size_t from = 0;
    size_t to = marks->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (hash_cmp(&marks->names[middle], name) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static bool is_at(const struct damage_marks *marks, size_t at, const struct hash *name)
{
    return at < marks->count && hash_eq(&marks->names[at], name);
}

static void insert(struct damage_marks *marks, size_t at, const struct hash *name)
{
    if (marks->count == marks->cap) {
        marks->cap = marks->cap ? 2 * marks->cap : 16;
        marks->names = xreallocarray(marks->names, marks->cap, sizeof(*marks->names));
    }
    memmove(marks->names + at + 1, marks->names + at, (marks->count - at) * sizeof(*marks->names));
    marks->names[at] = *name;
    marks->count++;
}

static void decode(struct damage_marks *marks, struct span bytes)
{
    if (bytes.len < LEAST_LEN || (bytes.len - LEAST_LEN) % HASH_LEN != 0 ||
        memcmp(bytes.data, magic, MAGIC_LEN) != 0 ||
        memcmp(bytes.data + MAGIC_LEN, marks->repository.bytes, ID_LEN) != 0)
        return;
    size_t end = bytes.len - HASH_LEN;
    struct hash hash = hash_of(span_of(bytes.data, end));
    if (memcmp(hash.bytes, bytes.data + end, HASH_LEN) != 0) return;
    for (size_t at = MAGIC_LEN + ID_LEN; at < end; at += HASH_LEN) {
        struct hash name;
        memcpy(name.bytes, bytes.data + at, HASH_LEN);
        size_t place = place_of(marks, &name);
        if (!is_at(marks, place, &name)) insert(marks, place, &name);
    }
}

struct damage_marks *damage_marks_load(const char *state_dir, const struct id *repository)
{
    struct damage_marks *marks = xcalloc(1, sizeof(*marks));
    AUTO(buf) struct buf bytes = {0};
    struct err ignored;
    (void)pthread_mutex_init(&marks->lock, NULL);
    marks->repository = *repository;
    if (!state_dir) return marks;
    marks->path = xasprintf("%s/damaged", state_dir);
    if (file_read(AT_FDCWD, marks->path, FILE_MAX, &bytes, &ignored)) decode(marks, buf_span(&bytes));
    return marks;
}

void damage_marks_free(struct damage_marks *marks)
{
    if (!marks) return;
    (void)pthread_mutex_destroy(&marks->lock);
    free(marks->path);
    free(marks->names);
    free(marks);
}

bool damage_marks_has(struct damage_marks *marks, const struct hash *pack)
{
    LOCK_HERE(&marks->lock);
    return is_at(marks, place_of(marks, pack), pack);
}

void damage_marks_add(struct damage_marks *marks, const struct hash *pack)
{
    LOCK_HERE(&marks->lock);
    size_t at = place_of(marks, pack);
    if (is_at(marks, at, pack)) return;
    insert(marks, at, pack);
    marks->changed = true;
}

void damage_marks_remove(struct damage_marks *marks, const struct hash *pack)
{
    LOCK_HERE(&marks->lock);
    size_t at = place_of(marks, pack);
    if (!is_at(marks, at, pack)) return;
    marks->count--;
    memmove(marks->names + at, marks->names + at + 1, (marks->count - at) * sizeof(*marks->names));
    marks->changed = true;
}

bool damage_marks_save(struct damage_marks *marks, struct err *err)
{
    AUTO(buf) struct buf bytes = {0};
    LOCK_HERE(&marks->lock);
    if (!marks->changed || !marks->path) return true;
    buf_put(&bytes, magic, MAGIC_LEN);
    buf_put(&bytes, marks->repository.bytes, ID_LEN);
    if (marks->count) buf_put(&bytes, marks->names, marks->count * sizeof(*marks->names));
    struct hash hash = hash_of(buf_span(&bytes));
    buf_put(&bytes, hash.bytes, HASH_LEN);
    if (!file_replace(AT_FDCWD, marks->path, buf_span(&bytes), 0600, err)) return false;
    marks->changed = false;
    return true;
}
