/* bench-limit: how fast a tree can be backed up on this machine when nothing but the data counts.
 *
 *   bench-limit TREE OUT      walk, read, cut, hash, compress, seal, write, fsync
 *   bench-limit --read TREE   walk, read and hash only (the least that a changed tree costs)
 *   bench-limit --stat TREE   walk and statx only (the least that an unchanged tree costs)
 *   bench-limit --image FILE OUT   the same as the first of a disk image, without its holes
 *   bench-limit --wire ...    the first or the image, written by a second process (limit/wire.h)
 *
 * Two threads share a stack of directories. Files up to 200 KiB are bundled into chunks of about
 * that size, larger ones are cut every 1 MiB. Each file and each chunk is hashed with BLAKE3, each
 * chunk compressed with LZ4 and sealed with AES-256-GCM; the result is hashed again and written to
 * files of about 32 MiB, each fsynced once. Of an image the threads take regions of 64 MiB in turn, and
 * in them what SEEK_DATA finds; its zeros are data like any other. There is no protocol, no index, no
 * metadata and no way back: it is a yardstick, not a format.
 *
 * Prints one JSON line: times in seconds, sizes in bytes. Any failure ends the program. */
#include "limit/die.h"
#include "limit/packs.h"
#include "limit/wire.h"

#include <blake3.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lz4.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    WORKERS = 2,
    BUNDLE = 200 * 1024,
    CHUNK = 1024 * 1024,
    REGION = 64 * 1024 * 1024,
    WRITE = 1024 * 1024, /* sealed bytes gathered before they are hashed and written */
    KEY_LEN = 32,
    NONCE_LEN = 12,
    TAG_LEN = 16,
    HEAD_LEN = BLAKE3_OUT_LEN + 2 * sizeof(uint32_t),
    FRAME_MAX = HEAD_LEN + LZ4_COMPRESSBOUND(CHUNK) + TAG_LEN,
};

enum mode { MODE_FULL, MODE_READ, MODE_STAT, MODE_IMAGE };

/* Directories that are still to be read. `unfinished` counts those taken as well: while it is not
 * zero, more may come. */
struct dirs {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char **paths;
    size_t count, cap, unfinished;
};

/* A disk image: its regions are taken one after the other. */
struct image {
    const char *path;
    off_t size;
    _Atomic off_t next;
};

struct counts {
    uint64_t files, bytes_read, bytes_written;
};

struct worker {
    pthread_t thread;
    enum mode mode;
    uint32_t index;
    struct dirs *dirs;
    struct image *image;
    struct counts counts;

    uint8_t *bundle; /* small files, one after the other */
    size_t bundle_len;
    uint8_t *piece; /* of a large file */
    uint8_t *packed;
    void *lz4;
    EVP_CIPHER_CTX *aead;
    uint64_t sealed; /* chunks so far, and so the nonce */

    struct packs packs;
    struct wire_sender *wire; /* NULL: the packs are written here */
    uint8_t *frames;
    size_t frames_len;
};

/* ---- the stack of directories ---- */

/* takes the path over */
static void dirs_put(struct dirs *dirs, char *path)
{
    pthread_mutex_lock(&dirs->lock);
    if (dirs->count == dirs->cap) {
        dirs->cap = dirs->cap ? dirs->cap * 2 : 64;
        dirs->paths = realloc(dirs->paths, dirs->cap * sizeof(*dirs->paths));
        if (!dirs->paths) die("out of memory");
    }
    dirs->paths[dirs->count++] = path;
    dirs->unfinished++;
    pthread_cond_signal(&dirs->changed);
    pthread_mutex_unlock(&dirs->lock);
}

/* the caller's, or NULL when all are finished */
static char *dirs_take(struct dirs *dirs)
{
    char *path = NULL;
    pthread_mutex_lock(&dirs->lock);
    while (dirs->count == 0 && dirs->unfinished > 0)
        pthread_cond_wait(&dirs->changed, &dirs->lock);
    if (dirs->count > 0) path = dirs->paths[--dirs->count];
    pthread_mutex_unlock(&dirs->lock);
    return path;
}

static void dirs_finish(struct dirs *dirs)
{
    pthread_mutex_lock(&dirs->lock);
    if (--dirs->unfinished == 0) pthread_cond_broadcast(&dirs->changed);
    pthread_mutex_unlock(&dirs->lock);
}

/* ---- from chunks to packs ---- */

static void frames_flush(struct worker *worker)
{
    worker->counts.bytes_written += worker->frames_len;
    if (worker->wire && worker->frames_len > 0) {
        wire_send(worker->wire, worker->frames, worker->frames_len);
        worker->frames = wire_take(worker->wire);
    } else if (worker->frames_len > 0) {
        packs_write(&worker->packs, worker->frames, worker->frames_len);
    }
    worker->frames_len = 0;
}

static void frame_seal(struct worker *worker, const uint8_t head[HEAD_LEN], const uint8_t *stored, int len)
{
    uint8_t nonce[NONCE_LEN] = {0}; /* the key is new, the worker's index and count never repeat */
    memcpy(nonce, &worker->index, sizeof(worker->index));
    memcpy(nonce + sizeof(worker->index), &worker->sealed, sizeof(worker->sealed));
    worker->sealed++;

    uint8_t *out = worker->frames + worker->frames_len;
    memcpy(out, head, HEAD_LEN);
    int sealed = 0, rest = 0;
    if (!EVP_EncryptInit_ex(worker->aead, NULL, NULL, NULL, nonce) ||
        !EVP_EncryptUpdate(worker->aead, NULL, &sealed, head, HEAD_LEN) ||
        !EVP_EncryptUpdate(worker->aead, out + HEAD_LEN, &sealed, stored, len) ||
        !EVP_EncryptFinal_ex(worker->aead, out + HEAD_LEN + sealed, &rest) ||
        !EVP_CIPHER_CTX_ctrl(worker->aead, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, out + HEAD_LEN + sealed))
        die("cannot seal a chunk");
    worker->frames_len += HEAD_LEN + (size_t)sealed + TAG_LEN;
}

static void chunk_store(struct worker *worker, const uint8_t *data, size_t len)
{
    if (worker->frames_len >= WRITE) frames_flush(worker);

    uint8_t head[HEAD_LEN];
    blake3_hasher hasher;
    blake3_hasher_init(&hasher);
    blake3_hasher_update(&hasher, data, len);
    blake3_hasher_finalize(&hasher, head, BLAKE3_OUT_LEN);

    int packed = LZ4_compress_fast_extState(worker->lz4, (const char *)data, (char *)worker->packed, (int)len,
                                            LZ4_COMPRESSBOUND(CHUNK), 1);
    if (packed <= 0) die("cannot compress a chunk");
    const uint8_t *stored = (size_t)packed < len ? worker->packed : data;
    uint32_t lens[2] = {(uint32_t)len, stored == data ? (uint32_t)len : (uint32_t)packed};
    memcpy(head + BLAKE3_OUT_LEN, lens, sizeof(lens));
    frame_seal(worker, head, stored, (int)lens[1]);
}

static void bundle_store(struct worker *worker)
{
    if (worker->bundle_len > 0) chunk_store(worker, worker->bundle, worker->bundle_len);
    worker->bundle_len = 0;
}

/* ---- from the tree to chunks ---- */

/* up to `cap` bytes, fewer only at the end of the file */
static size_t read_full(int fd, uint8_t *out, size_t cap, const char *name)
{
    size_t len = 0;
    while (len < cap) {
        ssize_t got = read(fd, out + len, cap - len);
        if (got < 0) die("cannot read '%s': %s", name, strerror(errno));
        if (got == 0) break;
        len += (size_t)got;
    }
    return len;
}

static void file_read_small(struct worker *worker, int fd, size_t size, const char *name,
                            blake3_hasher *hasher)
{
    uint8_t *at = worker->bundle + worker->bundle_len;
    size_t len = read_full(fd, at, size, name);
    blake3_hasher_update(hasher, at, len);
    worker->counts.bytes_read += len;
    if (worker->mode != MODE_FULL) return;
    worker->bundle_len += len;
    if (worker->bundle_len >= BUNDLE) bundle_store(worker);
}

static void file_read_large(struct worker *worker, int fd, const char *name, blake3_hasher *hasher)
{
    size_t len;
    while ((len = read_full(fd, worker->piece, CHUNK, name)) > 0) {
        blake3_hasher_update(hasher, worker->piece, len);
        worker->counts.bytes_read += len;
        if (worker->mode == MODE_FULL) chunk_store(worker, worker->piece, len);
    }
}

static void file_visit(struct worker *worker, int dirfd, const char *name)
{
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) die("cannot open '%s': %s", name, strerror(errno));
    blake3_hasher hasher;
    blake3_hasher_init(&hasher);
    if (st.st_size <= BUNDLE)
        file_read_small(worker, fd, (size_t)st.st_size, name, &hasher);
    else
        file_read_large(worker, fd, name, &hasher);
    uint8_t digest[BLAKE3_OUT_LEN];
    blake3_hasher_finalize(&hasher, digest, sizeof(digest));
    close(fd);
    worker->counts.files++;
}

static void entry_visit(struct worker *worker, const char *dir, int dirfd, const struct dirent *entry)
{
    struct statx stx = {0};
    if (worker->mode == MODE_STAT) {
        if (statx(dirfd, entry->d_name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &stx))
            die("cannot stat '%s/%s': %s", dir, entry->d_name, strerror(errno));
        worker->counts.files++;
    } else if (entry->d_type == DT_REG) {
        file_visit(worker, dirfd, entry->d_name);
    }
    if (entry->d_type == DT_DIR) {
        char *path = NULL;
        if (asprintf(&path, "%s/%s", dir, entry->d_name) < 0) die("out of memory");
        dirs_put(worker->dirs, path);
    }
}

static void dir_visit(struct worker *worker, const char *path)
{
    DIR *dir = opendir(path);
    if (!dir) die("cannot open '%s': %s", path, strerror(errno));
    const struct dirent *entry;
    while (errno = 0, (entry = readdir(dir))) {
        if (entry->d_type == DT_UNKNOWN) die("'%s': the file system does not tell types of entries", path);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            entry_visit(worker, path, dirfd(dir), entry);
    }
    if (errno) die("cannot read '%s': %s", path, strerror(errno));
    closedir(dir);
}

static void tree_visit(struct worker *worker)
{
    char *path;
    while ((path = dirs_take(worker->dirs))) {
        dir_visit(worker, path);
        dirs_finish(worker->dirs);
        free(path);
    }
}

/* ---- from an image to chunks ---- */

static void extent_store(struct worker *worker, int fd, off_t from, off_t to)
{
    while (from < to) {
        size_t want = to - from < CHUNK ? (size_t)(to - from) : CHUNK;
        ssize_t got = pread(fd, worker->piece, want, from);
        if (got <= 0)
            die("cannot read '%s': %s", worker->image->path, got < 0 ? strerror(errno) : "it shrinks");
        worker->counts.bytes_read += (uint64_t)got;
        chunk_store(worker, worker->piece, (size_t)got);
        from += got;
    }
}

static void region_store(struct worker *worker, int fd, off_t from, off_t to)
{
    for (;;) {
        off_t data = lseek(fd, from, SEEK_DATA);
        if (data < 0 && errno != ENXIO) die("cannot seek in '%s': %s", worker->image->path, strerror(errno));
        if (data < 0 || data >= to) return;
        off_t hole = lseek(fd, data, SEEK_HOLE);
        if (hole < 0) die("cannot seek in '%s': %s", worker->image->path, strerror(errno));
        from = hole < to ? hole : to;
        extent_store(worker, fd, data, from);
    }
}

static void image_visit(struct worker *worker)
{
    struct image *image = worker->image;
    int fd = open(image->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) die("cannot open '%s': %s", image->path, strerror(errno));
    off_t from;
    while ((from = atomic_fetch_add(&image->next, REGION)) < image->size)
        region_store(worker, fd, from, from + REGION < image->size ? from + REGION : image->size);
    close(fd);
}

static void *worker_main(void *arg)
{
    struct worker *worker = arg;
    if (worker->mode == MODE_IMAGE)
        image_visit(worker);
    else
        tree_visit(worker);
    if (worker->mode == MODE_FULL || worker->mode == MODE_IMAGE) {
        bundle_store(worker);
        frames_flush(worker);
        if (worker->wire)
            wire_finish(worker->wire, worker->frames);
        else
            packs_finish(&worker->packs);
    }
    return NULL;
}

/* What all workers share. */
struct job {
    enum mode mode;
    struct dirs dirs;
    struct image image;
    int out_fd;
    struct wire *wire; /* NULL: none */
    struct wire_sender senders[WIRE_SENDERS];
    uint8_t key[KEY_LEN];
};

static void worker_init(struct worker *worker, uint32_t index, struct job *job)
{
    enum mode mode = job->mode;
    *worker = (struct worker){.mode = mode, .index = index, .dirs = &job->dirs, .image = &job->image};
    if (mode == MODE_STAT) return;
    worker->bundle = must_alloc(2 * BUNDLE);
    worker->piece = must_alloc(CHUNK);
    if (mode == MODE_READ) return;
    worker->packed = must_alloc(LZ4_COMPRESSBOUND(CHUNK));
    if (job->wire) {
        worker->wire = &job->senders[index];
        wire_connect(worker->wire, job->wire, index, WRITE + FRAME_MAX);
        worker->frames = wire_take(worker->wire);
    } else {
        packs_init(&worker->packs, job->out_fd, index);
        worker->frames = must_alloc(WRITE + FRAME_MAX);
    }
    worker->lz4 = must_alloc((size_t)LZ4_sizeofState());
    worker->aead = EVP_CIPHER_CTX_new();
    if (!worker->aead || !EVP_EncryptInit_ex(worker->aead, EVP_aes_256_gcm(), NULL, job->key, NULL))
        die("cannot set up AES-256-GCM");
}

static void worker_deinit(struct worker *worker)
{
    EVP_CIPHER_CTX_free(worker->aead);
    free(worker->lz4);
    if (!worker->wire) free(worker->frames);
    free(worker->packed);
    free(worker->piece);
    free(worker->bundle);
}

/* ---- the whole ---- */

static double now_s(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double timeval_s(struct timeval tv)
{
    return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

/* Nothing large is freed before the end, so what there is now is the most there was. */
static uint64_t anonymous_bytes(void)
{
    static const char key[] = "RssAnon:";
    uint64_t kib = 0;
    char line[256];
    FILE *status = fopen("/proc/self/status", "re");
    while (status && fgets(line, sizeof(line), status))
        if (strncmp(line, key, strlen(key)) == 0) kib = strtoull(line + strlen(key), NULL, 10);
    if (status) (void)fclose(status);
    return kib * 1024;
}

static void report(double started_s, struct counts counts)
{
    struct rusage usage, receiver;
    double wall_s = now_s() - started_s;
    getrusage(RUSAGE_SELF, &usage);
    getrusage(RUSAGE_CHILDREN, &receiver);
    (void)printf("{\"wall_s\":%.3f,\"cpu_user_s\":%.3f,\"cpu_sys_s\":%.3f,\"files\":%llu,\"bytes_read\":%llu,"
                 "\"bytes_written\":%llu,\"peak_anon_bytes\":%llu}\n",
                 wall_s, timeval_s(usage.ru_utime) + timeval_s(receiver.ru_utime),
                 timeval_s(usage.ru_stime) + timeval_s(receiver.ru_stime), (unsigned long long)counts.files,
                 (unsigned long long)counts.bytes_read, (unsigned long long)counts.bytes_written,
                 (unsigned long long)anonymous_bytes());
}

static void find_work(struct job *job, const char *path)
{
    if (job->mode == MODE_IMAGE) {
        struct stat st;
        if (stat(path, &st)) die("cannot stat '%s': %s", path, strerror(errno));
        job->image.path = path;
        job->image.size = st.st_size;
        return;
    }
    char *root = strdup(path);
    if (!root) die("out of memory");
    dirs_put(&job->dirs, root);
}

enum way { WAY_HERE, WAY_WIRE };

static void run(enum mode mode, enum way way, const char *path, int out_fd)
{
    double started_s = now_s();
    struct wire wire;
    if (way == WAY_WIRE) wire_start(&wire, out_fd);
    struct job job = {.mode = mode,
                      .out_fd = out_fd,
                      .wire = way == WAY_WIRE ? &wire : NULL,
                      .dirs = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER}};
    if (RAND_bytes(job.key, sizeof(job.key)) != 1) die("no random bytes");
    find_work(&job, path);

    struct worker workers[WORKERS];
    for (uint32_t i = 0; i < WORKERS; i++) {
        worker_init(&workers[i], i, &job);
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i])) die("cannot start a thread");
    }
    struct counts sum = {0};
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(workers[i].thread, NULL);
        sum.files += workers[i].counts.files;
        sum.bytes_read += workers[i].counts.bytes_read;
        sum.bytes_written += workers[i].counts.bytes_written;
    }
    if (job.wire) wire_stop(job.wire);
    if (out_fd >= 0 && fsync(out_fd)) die("cannot sync the packs' directory: %s", strerror(errno));
    report(started_s, sum);
    for (int i = 0; i < WORKERS; i++)
        worker_deinit(&workers[i]);
    free(job.dirs.paths);
}

static void run_into(enum mode mode, enum way way, const char *path, const char *out)
{
    if (mkdir(out, 0700) && errno != EEXIST) die("cannot make '%s': %s", out, strerror(errno));
    int out_fd = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (out_fd < 0) die("cannot open '%s': %s", out, strerror(errno));
    run(mode, way, path, out_fd);
    close(out_fd);
}

static int usage(void)
{
    (void)fputs(
        "usage: bench-limit [--wire] TREE OUT | [--wire] --image FILE OUT | --read TREE | --stat TREE\n",
        stderr);
    return 2;
}

int main(int argc, char **argv)
{
    enum way way = argc > 1 && strcmp(argv[1], "--wire") == 0 ? WAY_WIRE : WAY_HERE;
    int words = argc - 1 - (way == WAY_WIRE);
    char **word = argv + argc - words;
    if (words == 2 && way == WAY_HERE && strcmp(word[0], "--read") == 0)
        run(MODE_READ, way, word[1], -1);
    else if (words == 2 && way == WAY_HERE && strcmp(word[0], "--stat") == 0)
        run(MODE_STAT, way, word[1], -1);
    else if (words == 3 && strcmp(word[0], "--image") == 0)
        run_into(MODE_IMAGE, way, word[1], word[2]);
    else if (words == 2 && word[0][0] != '-')
        run_into(MODE_FULL, way, word[0], word[1]);
    else
        return usage();
    return 0;
}
