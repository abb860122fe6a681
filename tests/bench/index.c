/* bench-index: how long a repository of many chunks takes to be opened, by its owner.
 *
 *   bench-index DIR [CHUNKS [cold]]     default 10,000,000
 *
 * Makes a plaintext repository in DIR/repo of packs with header, table of contents and footer, and a hole
 * where their frames would be: 160 chunks of 200 KiB each. Opens it without an index (which makes one), and
 * again with it, each time in a process of its own; with `cold` (root alone can) once more with an empty page
 * cache. What is in DIR already is opened as it is. Prints a JSON line for each: seconds, anonymous memory in
 * bytes, bytes of the index. */
#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/secret.h"
#include "transporter/repository/inside.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define CHUNKS 10000000u
#define CHUNK_LEN (200u * 1024)
#define CHUNKS_A_PACK 160u
#define CHUNKS_A_LIST 40u
#define SAMPLE_NS 5000000

static const struct id site_id = {{1}}, repository_id = {{2}};

static void check(bool done, const struct err *err)
{
    if (done) return;
    fprintf(stderr, "bench-index: %s\n", err->text);
    exit(err_exit_code(err->code));
}

static void check_call(bool done, const char *what)
{
    if (done) return;
    perror(what);
    exit(3);
}

/* --- memory --- */

struct meter {
    pthread_t thread;
    _Atomic bool over;
    uint64_t peak_anon;
};

static uint64_t anon_bytes(void)
{
    AUTO(buf) struct buf text = {0};
    struct err ignored;
    if (!file_read(AT_FDCWD, "/proc/self/status", 1 << 16, &text, &ignored)) return 0;
    const char *at = strstr(buf_cstr(&text), "RssAnon:");
    return at ? strtoull(at + strlen("RssAnon:"), NULL, 10) * 1024 : 0;
}

static void *sample(void *arg)
{
    const struct timespec pause = {.tv_nsec = SAMPLE_NS};
    struct meter *meter = arg;
    while (!atomic_load(&meter->over)) {
        uint64_t now = anon_bytes();
        if (now > meter->peak_anon) meter->peak_anon = now;
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

static double cpu_seconds(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* --- the repository --- */

/* Ids as even as those of real chunks (Marsaglia, Xorshift RNGs, 2003). */
static uint64_t next_random(void)
{
    static uint64_t state = 0x9e3779b97f4a7c15u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void random_hash(struct hash *out)
{
    for (size_t i = 0; i < HASH_LEN; i += 8)
        le64_put(out->bytes + i, next_random());
}

/* The list of the frames before it, all of one seal. */
static void add_list(struct pack_toc *toc)
{
    static uint64_t number;
    static const struct id seal = {{3}};
    struct pack_entry entry = {.kind = RECORD_LIST, .len = SEAL_LIST_FIXED_LEN + CHUNKS_A_LIST * HASH_LEN};
    le64_put(entry.id.bytes, ++number);
    memcpy(entry.id.bytes + 8, seal.bytes, ID_LEN);
    pack_toc_add(toc, &entry);
}

/* A pack without its frames. */
static void write_pack(const char *repo, uint32_t chunks)
{
    const struct pack_header header = {.class_ = PACK_DATA, .site = site_id, .repository = repository_id};
    struct hash hash;
    struct err err = {0};
    char name[PACK_NAME_LEN];
    uint8_t start[PACK_HEADER_LEN];
    AUTO(buf) struct buf end = {0};
    AUTO(pack_toc) struct pack_toc toc;
    pack_toc_init(&toc);
    for (uint32_t i = 0; i < chunks; i++) {
        struct pack_entry entry = {.kind = RECORD_FRAME, .type = FRAME_DATA, .len = CHUNK_LEN};
        random_hash(&entry.id);
        pack_toc_add(&toc, &entry);
        if ((i + 1) % CHUNKS_A_LIST == 0 || i + 1 == chunks) add_list(&toc);
    }
    pack_toc_encode(&toc, &end);
    pack_header_encode(&header, start);
    random_hash(&hash);
    pack_name(&hash, name);
    AUTO(free) char *path = xasprintf("%s/%s", repo, name);
    AUTO(fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    check_call(fd >= 0, path);
    check(fd_pwrite_all(fd, span_of(start, sizeof(start)), 0, path, &err) &&
              fd_pwrite_all(fd, buf_span(&end), toc.end, path, &err),
          &err);
}

static void write_packs(const char *repo, uint32_t chunks)
{
    struct err err = {0};
    for (unsigned i = 0; i < 256; i++) {
        AUTO(free) char *path = xasprintf("%s/packs/%02x", repo, i);
        if (i == 0) {
            AUTO(free) char *above = xasprintf("%s/packs", repo);
            check(dir_make(above, 0700, &err), &err);
        }
        check(dir_make(path, 0700, &err), &err);
    }
    for (; chunks > CHUNKS_A_PACK; chunks -= CHUNKS_A_PACK)
        write_pack(repo, CHUNKS_A_PACK);
    write_pack(repo, chunks);
}

/* --- opening --- */

static uint64_t file_bytes(const char *dir, const char *name)
{
    AUTO(free) char *path = xasprintf("%s/%s", dir, name);
    struct stat st;
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void open_it(const struct repository_options *options, const char *how, uint32_t chunks)
{
    struct meter meter = {0};
    struct repository *repository = NULL;
    struct repository_info info;
    struct err err = {0};
    uint64_t before = anon_bytes();
    check_call(pthread_create(&meter.thread, NULL, sample, &meter) == 0, "a thread");
    uint64_t began_ms = clock_steady_ms();
    check(repository_open(options, &repository, &err), &err);
    uint64_t took_ms = clock_steady_ms() - began_ms;
    double cpu = cpu_seconds();
    atomic_store(&meter.over, true);
    (void)pthread_join(meter.thread, NULL);
    repository_info(repository, &info);
    repository_close(repository);
    if (chunks && info.chunks != chunks) {
        fprintf(stderr, "bench-index: %llu chunks instead of %u\n", (unsigned long long)info.chunks, chunks);
        exit(3);
    }
    uint64_t index_bytes = file_bytes(options->state_dir, "index/data.mdb");
    printf("{\"open\":\"%s\",\"seconds\":%.3f,\"cpu_seconds\":%.3f,\"chunks\":%llu,\"anon_before\":%llu,"
           "\"peak_anon\":%llu,\"index_bytes\":%llu,\"bytes_a_chunk\":%.1f}\n",
           how, (double)took_ms / 1000, cpu, (unsigned long long)info.chunks, (unsigned long long)before,
           (unsigned long long)meter.peak_anon, (unsigned long long)index_bytes,
           (double)index_bytes / (double)(info.chunks ? info.chunks : 1));
    (void)fflush(stdout);
}

static void in_a_child(const struct repository_options *options, const char *how, uint32_t chunks)
{
    pid_t pid = fork();
    check_call(pid >= 0, "fork");
    if (pid == 0) {
        open_it(options, how, chunks);
        exit(0);
    }
    int status;
    check_call(waitpid(pid, &status, 0) == pid, "waitpid");
    if (status != 0) exit(3);
}

/* Also of inodes and names. Only root may. */
static bool drop_page_cache(void)
{
    struct err ignored;
    AUTO(fd) int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
    sync();
    return fd >= 0 && fd_pwrite_all(fd, span_str("3\n"), 0, "drop_caches", &ignored);
}

int main(int argc, char **argv)
{
    struct err err = {0};
    uint32_t chunks = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : CHUNKS;
    if (argc < 2 || argc > 4 || chunks == 0 || (argc == 4 && strcmp(argv[3], "cold") != 0)) {
        fprintf(stderr, "usage: bench-index DIR [CHUNKS [cold]]\n");
        return 2;
    }
    static const uint8_t seed[SIGN_SEED_LEN] = {1};
    check(secret_process_init(&err), &err);
    AUTO(sign_pair) struct sign_pair *owner = sign_pair_new(seed);
    AUTO(free) char *repo = xasprintf("%s/repo", argv[1]);
    AUTO(free) char *state = xasprintf("%s/state", argv[1]);
    const struct repository_options options = {.path = repo, .state_dir = state, .owner = owner};
    if (access(repo, F_OK) == 0) {
        chunks = 0; /* as many as there are */
    } else {
        check(dir_make(argv[1], 0700, &err) && dir_make(state, 0700, &err) &&
                  repository_create(repo, &site_id, &repository_id, REPOSITORY_PLAINTEXT, span_of(NULL, 0),
                                    owner, &err),
              &err);
        write_packs(repo, chunks);
        in_a_child(&options, "without an index", chunks);
    }
    for (int i = 0; i < 3; i++)
        in_a_child(&options, "with its index", chunks);
    if (argc == 4 && drop_page_cache()) in_a_child(&options, "with its index, page cache empty", chunks);
    return 0;
}
