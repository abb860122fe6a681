#include "director/loop/bundle_file.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "director/catalog/catalog_copy.h"
#include "director/catalog/director_key.h"
#include "director/core/bundle_table.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define COPY_NAME ".tmp-bundle.sqlite"

enum { PIECES_A_STEP = 8, CONF_MAX = 1 << 20, KEY_MAX = 4096 };

struct bundle_file {
    struct bundle_source source;
    struct bundle_lock lock;
    char *path, *copy_path;
    struct catalog_copy *copy; /* NULL: the catalog's copy is complete */
    int out, in;               /* the file; the catalog's copy */
    struct secret *front;      /* of the content: its table, the key, the configuration */
    size_t front_taken;
    uint64_t copy_taken;
    struct secret *piece;
    struct bundle_stream *stream; /* NULL: the sealing has not begun */
    uint64_t size;
    bool complete;
};

uint64_t bundle_file_size(const struct bundle_file *file)
{
    return file->size;
}

void bundle_file_free(struct bundle_file *file)
{
    if (!file) return;
    catalog_copy_free(file->copy);
    if (file->copy_path) (void)unlink(file->copy_path);
    if (!file->complete && file->out >= 0) (void)unlink(file->path);
    auto_close_fd(file->in);
    auto_close_fd(file->out);
    bundle_stream_free(file->stream);
    secret_free(file->front);
    secret_free(file->piece);
    free(file->copy_path);
    free(file->path);
    free(file);
}

void bundle_file_clean(const char *state_dir)
{
    static const char *const names[] = {COPY_NAME, COPY_NAME "-journal", COPY_NAME "-wal", COPY_NAME "-shm"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        AUTO(free) char *path = xasprintf("%s/%s", state_dir, names[i]);
        (void)unlink(path);
    }
}

bool bundle_file_begin(const struct bundle_source *source, const struct bundle_lock *lock, const char *path,
                       struct bundle_file **out, struct err *err)
{
    AUTO(bundle_file) struct bundle_file *file = xcalloc(1, sizeof(*file));
    file->in = file->out = -1;
    file->source = *source;
    file->lock = *lock;
    file->path = xstrdup(path);
    bundle_file_clean(source->state_dir);
    file->out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file->out < 0) return err_sys(err, errno, "cannot create '%s'", path);
    file->copy_path = xasprintf("%s/%s", source->state_dir, COPY_NAME);
    if (!catalog_copy_begin(source->catalog, file->copy_path, &file->copy, err)) return false;
    *out = file;
    file = NULL;
    return true;
}

/* ---- when the catalog's copy is complete: the header, and what stands in front of the catalog */

/* It lies in guarded memory from the first byte on. NULL and err. */
static struct secret *read_key(const struct bundle_file *file, struct err *err)
{
    struct stat there;
    AUTO(free) char *path = xasprintf("%s/%s", file->source.state_dir, DIRECTOR_KEY_FILE);
    AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && fstat(fd, &there) == 0;
    if (!ok || there.st_size <= 0 || there.st_size > KEY_MAX) {
        (void)(ok ? err_set(err, ERR_DAMAGED, "'%s' is damaged", path)
                  : err_sys(err, errno, "cannot open '%s'", path));
        return NULL;
    }
    AUTO(secret) struct secret *key = secret_new((size_t)there.st_size);
    if (!fd_pread_all(fd, key->data, key->len, 0, path, err)) return NULL;
    struct secret *out = key;
    key = NULL;
    return out;
}

static void read_conf(const struct bundle_file *file, struct buf *out)
{
    struct err ignored;
    if (file->source.config_file && !file_read_regular(file->source.config_file, CONF_MAX, out, &ignored))
        buf_clear(out);
}

static bool open_copy(struct bundle_file *file, uint64_t *size, struct err *err)
{
    struct stat there;
    file->in = open(file->copy_path, O_RDONLY | O_CLOEXEC);
    if (file->in < 0 || fstat(file->in, &there) != 0)
        return err_sys(err, errno, "cannot open '%s'", file->copy_path);
    *size = (uint64_t)there.st_size;
    return true;
}

static void set_front(struct bundle_file *file, const struct bundle_table *table, struct span key,
                      struct span conf)
{
    AUTO(buf) struct buf head = {0};
    bundle_table_encode(table, &head);
    file->front = secret_new(head.len + key.len + conf.len);
    memcpy(file->front->data, head.data, head.len);
    memcpy(file->front->data + head.len, key.data, key.len);
    if (conf.len) memcpy(file->front->data + head.len + key.len, conf.data, conf.len);
}

static bool begin_sealing(struct bundle_file *file, struct err *err)
{
    struct bundle_table table = {0};
    AUTO(secret) struct secret *key = read_key(file, err);
    AUTO(buf) struct buf conf = {0};
    AUTO(buf) struct buf header = {0};
    if (!key || !open_copy(file, &table.sizes[BUNDLE_CATALOG], err)) return false;
    read_conf(file, &conf);
    table.sizes[BUNDLE_KEY] = key->len;
    table.sizes[BUNDLE_CONF] = conf.len;
    set_front(file, &table, span_of(key->data, key->len), buf_span(&conf));
    struct bundle_facts facts = {.site = file->source.site,
                                 .time_ns = file->source.time_ns,
                                 .content_len = file->front->len + table.sizes[BUNDLE_CATALOG],
                                 .lock = file->lock};
    (void)snprintf(facts.program, sizeof(facts.program), "%s", SEALIFT_VERSION);
    file->size = bundle_file_len(facts.content_len);
    file->piece = secret_new(BUNDLE_PIECE_LEN);
    return bundle_seal_begin(&facts, &header, &file->stream, err) &&
           fd_write_all(file->out, buf_span(&header), file->path, err);
}

/* ---- pieces */

static bool fill(struct bundle_file *file, size_t len, struct err *err)
{
    size_t front = file->front->len - file->front_taken;
    if (front > len) front = len;
    memcpy(file->piece->data, file->front->data + file->front_taken, front);
    file->front_taken += front;
    if (front == len) return true;
    if (!fd_pread_all(file->in, file->piece->data + front, len - front, file->copy_taken, file->copy_path,
                      err))
        return false;
    file->copy_taken += len - front;
    return true;
}

static bool seal_piece(struct bundle_file *file, struct err *err)
{
    AUTO(buf) struct buf sealed = {0};
    size_t len = bundle_piece_len(file->stream);
    if (!fill(file, len, err)) return false;
    bundle_seal_piece(file->stream, span_of(file->piece->data, len), &sealed);
    return fd_write_all(file->out, buf_span(&sealed), file->path, err);
}

static bool seal_some(struct bundle_file *file, struct err *err)
{
    for (int i = 0; i < PIECES_A_STEP && !bundle_over(file->stream); i++)
        if (!seal_piece(file, err)) return false;
    if (!bundle_over(file->stream)) return true;
    if (fsync(file->out) != 0) return err_sys(err, errno, "cannot sync '%s'", file->path);
    file->complete = true;
    return true;
}

bool bundle_file_step(struct bundle_file *file, bool *done, struct err *err)
{
    if (file->copy) {
        bool copied = false;
        if (!catalog_copy_step(file->copy, &copied, err)) return false;
        if (!copied) return true;
        catalog_copy_free(file->copy);
        file->copy = NULL;
    } else if (!file->stream) {
        if (!begin_sealing(file, err)) return false;
    } else if (!seal_some(file, err)) {
        return false;
    }
    *done = file->complete;
    return true;
}
