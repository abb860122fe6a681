#include "transporter/session/head_memory.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_LEN = 8 + 8 + 8 + HASH_LEN + HASH_LEN, MODE = 0600, DIR_MODE = 0700 };
static const char magic[8] = {'S', 'L', 'S', 'E', 'E', 'N', '1', 0};

static char *path_of(const char *state_dir, const struct id *repository)
{
    char hex[2 * ID_LEN + 1];
    hex_encode(repository->bytes, ID_LEN, hex);
    return xasprintf("%s/heads/%s", state_dir, hex);
}

static bool decode(struct span bytes, struct head_memory *out)
{
    if (bytes.len != FILE_LEN || memcmp(bytes.data, magic, sizeof(magic)) != 0) return false;
    struct hash hash = hash_of(span_of(bytes.data, FILE_LEN - HASH_LEN));
    if (memcmp(hash.bytes, bytes.data + FILE_LEN - HASH_LEN, HASH_LEN) != 0) return false;
    struct reader reader = reader_of(span_of(bytes.data + 8, FILE_LEN - HASH_LEN - 8));
    out->statement = reader_u64(&reader);
    out->number = reader_u64(&reader);
    reader_copy(&reader, out->hash.bytes, HASH_LEN);
    return reader_done(&reader);
}

void head_memory_load(const char *state_dir, const struct id *repository, struct head_memory *out)
{
    AUTO(free) char *path = path_of(state_dir, repository);
    AUTO(buf) struct buf bytes = {0};
    struct err ignored;
    struct head_memory memory = {0};
    if (!file_read(AT_FDCWD, path, FILE_LEN, &bytes, &ignored) || !decode(buf_span(&bytes), &memory))
        memory = (struct head_memory){0};
    *out = memory;
}

bool head_memory_check(const struct head_memory *before, const struct head_memory *now, struct err *err)
{
    static const char anew[] = "if it was brought back from a copy on purpose, sign it anew: 'sealift "
                               "repository set NAME --accept-log'";
    if (before->number == 0 || now->statement > before->statement) return true;
    if (now->number < before->number)
        return err_set(err, ERR_NOT_AUTHENTIC,
                       "the repository's log was rolled back: it ends at entry %llu, and this host has seen "
                       "entry %llu; %s",
                       (unsigned long long)now->number, (unsigned long long)before->number, anew);
    if (now->number == before->number && !hash_eq(&now->hash, &before->hash))
        return err_set(
            err, ERR_NOT_AUTHENTIC,
            "the repository's log is another one: its entry %llu is not the one that this host has "
            "seen; %s",
            (unsigned long long)now->number, anew);
    return true;
}

static bool write_file(const char *state_dir, const struct id *repository, const struct head_memory *now,
                       struct err *err)
{
    AUTO(free) char *dir = xasprintf("%s/heads", state_dir), *path = path_of(state_dir, repository);
    AUTO(buf) struct buf bytes = {0};
    if (mkdir(dir, DIR_MODE) != 0 && errno != EEXIST) return err_sys(err, errno, "cannot make '%s'", dir);
    buf_put(&bytes, magic, sizeof(magic));
    buf_put_u64(&bytes, now->statement);
    buf_put_u64(&bytes, now->number);
    buf_put(&bytes, now->hash.bytes, HASH_LEN);
    struct hash hash = hash_of(buf_span(&bytes));
    buf_put(&bytes, hash.bytes, HASH_LEN);
    return file_replace(AT_FDCWD, path, buf_span(&bytes), MODE, err);
}

static bool is_newer(const struct head_memory *kept, const struct head_memory *now)
{
    return now->statement > kept->statement ||
           (now->statement == kept->statement && now->number > kept->number);
}

bool head_memory_keep(const char *state_dir, const struct id *repository, const struct head_memory *now,
                      struct err *err)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct head_memory kept;
    (void)pthread_mutex_lock(&lock);
    head_memory_load(state_dir, repository, &kept);
    bool ok = !is_newer(&kept, now) || write_file(state_dir, repository, now, err);
    (void)pthread_mutex_unlock(&lock);
    return ok || err_wrap(err, "cannot keep what was seen of the repository's log");
}
