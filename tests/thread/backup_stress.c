/* Backups of a tree that others change all the while, with many threads, some cancelled at any moment: for
 * ThreadSanitizer, under which the unit tests' framework does not run.
 *
 *   thread-backup_stress [ROUNDS]     default 12; exits 1 with a sentence when something is wrong
 *
 * Each run must end: committed, or with the error that fits. The last one is of a tree that stands still,
 * and every entry of it must be there. */
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/wire/stored.h"
#include "tests/support/remove_tree.h"
#include "transporter/pipeline/backup.h"
#include "transporter/pipeline/outlet_repository.h"
#include "transporter/pipeline/outlet_reseal.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#define DOMAIN "t:stress"

enum { DIRS = 12, FILES = 40, LARGE_LEN = 20 << 20, THREADS = 6, CHANGERS = 2 };

static void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

static void die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vfprintf(stderr, fmt, args);
    va_end(args);
    (void)fputc('\n', stderr);
    exit(1);
}

static void check(bool done, const struct err *err)
{
    if (!done) die("%s", err->text);
}

/* --- the tree --- */

static void write_file(int dir, const char *path, uint64_t seed, size_t len)
{
    AUTO(buf) struct buf bytes = {0};
    uint8_t *out = buf_grow(&bytes, len + 1);
    for (size_t i = 0; i < len; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        out[i] = (i / 64) % 2 ? 0 : (uint8_t)(seed >> 56);
    }
    AUTO(fd) int fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    struct err err = {0};
    if (fd >= 0 && !fd_write_all(fd, span_of(bytes.data, len), path, &err)) die("%s", err.text);
}

static void make_tree(int dir)
{
    for (unsigned d = 0; d < DIRS; d++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "d%02u", d);
        if (mkdirat(dir, path, 0755) != 0) die("cannot make '%s'", path);
        for (unsigned f = 0; f < FILES; f++) {
            (void)snprintf(path, sizeof(path), "d%02u/f%02u", d, f);
            write_file(dir, path, d * FILES + f, (d * 7919 + f * 104729) % 30000);
        }
        (void)snprintf(path, sizeof(path), "d%02u/x", d);
        if (linkat(dir, "d00/f00", dir, path, 0) != 0 && errno != EEXIST && errno != ENOENT)
            die("cannot link: %m");
    }
    write_file(dir, "large", 1, LARGE_LEN);
}

struct changer {
    int dir;
    uint64_t seed;
    _Atomic bool *over;
    pthread_t thread;
};

/* Writes, removes, renames and links, anywhere. */
static void change_once(struct changer *changer)
{
    char path[64];
    char other[64];
    changer->seed = changer->seed * 6364136223846793005u + 1442695040888963407u;
    unsigned value = (unsigned)(changer->seed >> 40);
    (void)snprintf(path, sizeof(path), "d%02u/f%02u", value % DIRS, value / DIRS % FILES);
    (void)snprintf(other, sizeof(other), "d%02u/f%02u", value / 7 % DIRS, value / 11 % FILES);
    switch (value % 6) {
    case 0:
        (void)unlinkat(changer->dir, path, 0);
        break;
    case 1:
        (void)renameat(changer->dir, path, changer->dir, other);
        break;
    case 2:
        if (linkat(changer->dir, path, changer->dir, other, 0) != 0 && errno != EEXIST && errno != ENOENT)
            die("cannot link: %m");
        break;
    case 3:
        write_file(changer->dir, "large", value, LARGE_LEN / 2 + value % 1000000);
        break;
    default:
        write_file(changer->dir, path, value, value % 50000);
    }
}

static void *change(void *arg)
{
    struct changer *changer = arg;
    while (!*changer->over)
        change_once(changer);
    return NULL;
}

/* --- the site --- */

struct stress {
    char root[64];
    char *tree, *repository_path, *state, *cache_path;
    int dir;
    struct sign_pair *pair;
    struct read_half *key;
    struct write_half *half;
    struct buf unlock;
    struct repository *repository;
    struct stat_cache *cache;
    uint64_t warnings; /* unguarded: the engine calls one at a time */
    _Atomic bool cancelled;
    uint64_t cancel_at; /* entries; 0: never */
    struct backup_progress progress;
    _Atomic bool ended;
};

static void make_unlock(struct stress *stress)
{
    AUTO(buf) struct buf keyring = {0};
    struct err err = {0};
    keyring_seal(stress->key, &keyring);
    Sealift__UnlockSection unlock;
    sealift__unlock_section__init(&unlock);
    unlock.version = 1;
    unlock.key_id = stored_bytes(span_of(&stress->key->key_id, HASH_LEN));
    unlock.origin = SEALIFT__KEY_ORIGIN__KEY_GENERATED;
    unlock.keyring = stored_bytes(buf_span(&keyring));
    unlock.unlock_pk = stored_bytes(span_of(stress->key->unlock_pk, 32));
    check(stored_unlock_encode(&unlock, &stress->unlock, &err), &err);
}

static void stress_open(struct stress *stress)
{
    static const uint8_t s[KEY_SECRET_LEN] = {1};
    static const struct hash binding = {{1}};
    struct err err = {0};
    enum cache_found found;
    (void)snprintf(stress->root, sizeof(stress->root), "/tmp/sealift-stress-XXXXXX");
    if (!mkdtemp(stress->root)) die("no temporary directory");
    stress->tree = xasprintf("%s/tree", stress->root);
    stress->repository_path = xasprintf("%s/repo", stress->root);
    stress->state = xasprintf("%s/state", stress->root);
    stress->cache_path = xasprintf("%s/cache", stress->root);
    check(dir_make(stress->tree, 0755, &err) && dir_make(stress->state, 0755, &err), &err);
    stress->dir = open(stress->tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    stress->pair = sign_pair_new(NULL);
    stress->key = read_half_new(s);
    stress->half = write_half_of(stress->key, DOMAIN);
    make_unlock(stress);
    struct id id = {{1}};
    check(repository_create(stress->repository_path, &id, &id, REPOSITORY_ENCRYPTED, (struct span){0},
                            stress->pair, &err),
          &err);
    struct repository_options options = {
        .path = stress->repository_path, .state_dir = stress->state, .owner = stress->pair};
    check(repository_open(&options, &stress->repository, &err), &err);
    check(stat_cache_open(stress->cache_path, &binding, &stress->cache, &found, &err), &err);
}

static void stress_close(struct stress *stress)
{
    stat_cache_close(stress->cache);
    repository_close(stress->repository);
    sign_pair_free(stress->pair);
    read_half_free(stress->key);
    write_half_free(stress->half);
    buf_deinit(&stress->unlock);
    (void)close(stress->dir);
    (void)remove_tree(stress->root);
    free(stress->tree);
    free(stress->repository_path);
    free(stress->state);
    free(stress->cache_path);
}

/* --- one run --- */

static void count_warning(void *arg, struct span path, const struct err *what)
{
    struct stress *stress = arg;
    stress->warnings++;
}

/* Sets the flag once so many entries were walked. */
static void *cancel(void *arg)
{
    struct stress *stress = arg;
    while (!stress->ended && stress->progress.entries < stress->cancel_at)
        sched_yield();
    stress->cancelled = true;
    return NULL;
}

static struct backup_options options_of(struct stress *stress, const char *const *paths,
                                        const struct run_key *run, struct outlet outlet,
                                        enum seal_place place)
{
    struct backup_options options = {
        .walk = {.paths = paths, .path_count = 1},
        .host = "stress",
        .place = place,
        .compress = {.method = COMPRESS_LZ4},
        .threads = THREADS,
        .cache = stress->cache,
        .outlet = outlet,
        .identity = {.site = {{1}},
                     .run = id_random(),
                     .point = id_random(),
                     .attempt = 1,
                     .job = "stress",
                     .writer_name = "stress",
                     .key_label = "stress",
                     .domain = DOMAIN,
                     .unlock_section = buf_span(&stress->unlock)},
        .progress = &stress->progress,
        .warning = count_warning,
        .arg = stress,
        .cancelled = &stress->cancelled,
    };
    if (place == SEAL_THERE) return options;
    options.writer = stress->pair;
    options.run = run;
    options.half = stress->half;
    options.cipher = cipher_default();
    options.padding = PADDING_PADME;
    return options;
}

static bool run_through(struct stress *stress, enum seal_place place, struct backup_result *result,
                        struct err *err)
{
    AUTO(run_key) struct run_key *run = run_key_new();
    struct ingest_options ingest_options = {.session = id_random(),
                                            .kind = INGEST_WRITER,
                                            .seal = run->seal,
                                            .domain = domain_id(stress->half->dedup_key->data),
                                            .min_free_bytes = 1};
    memcpy(ingest_options.writer, stress->pair->pk, SIGN_PK_LEN);
    AUTO(ingest) struct ingest *ingest = NULL;
    AUTO(outlet_repository) struct outlet_repository *store = NULL;
    AUTO(outlet_reseal) struct outlet_reseal *reseal = NULL;
    check(ingest_open(stress->repository, &ingest_options, &ingest, err), err);
    check(outlet_repository_new(ingest, OUTLET_REPOSITORY_QUEUE, &store, err), err);
    struct outlet outlet = outlet_repository_outlet(store);
    const char *const paths[] = {stress->tree};
    struct backup_options options = options_of(stress, paths, run, outlet, place);
    if (place == SEAL_THERE) {
        struct backup_options here = options_of(stress, paths, run, outlet, SEAL_HERE);
        struct outlet_reseal_options target = {
            .sealing = {.place = SEAL_HERE,
                        .writer = here.writer,
                        .run = run,
                        .half = here.half,
                        .cipher = here.cipher,
                        .padding = here.padding,
                        .compress = here.compress,
                        .outlet = outlet},
            .identity = here.identity,
            .threads = 3,
            .queue_bytes = 2 << 20,
        };
        check(outlet_reseal_new(&target, &reseal, err), err);
        options.outlet = outlet_reseal_outlet(reseal);
    }
    return backup_tree(&options, result, err) && backup_renew_cache(options.cache, err);
}

static void run_once(struct stress *stress, unsigned round)
{
    struct backup_result result = {0};
    struct err err = {0};
    memset(&stress->progress, 0, sizeof(stress->progress));
    stress->cancelled = false;
    stress->ended = false;
    stress->cancel_at = round % 3 == 2 ? 10 + round * 37 % (DIRS * FILES) : 0;
    pthread_t canceller;
    if (stress->cancel_at && pthread_create(&canceller, NULL, cancel, stress) != 0) die("no thread");
    bool done = run_through(stress, round % 4 == 1 ? SEAL_THERE : SEAL_HERE, &result, &err);
    stress->ended = true;
    if (stress->cancel_at) (void)pthread_join(canceller, NULL);
    if (!done && !(stress->cancel_at && err.code == ERR_CANCELLED)) die("round %u: %s", round, err.text);
}

static uint64_t entries_below;

static int count_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    entries_below++;
    return 0;
}

static void run_last(struct stress *stress)
{
    struct backup_result result = {0};
    struct err err = {0};
    stress->cancelled = false;
    stress->warnings = 0;
    if (!run_through(stress, SEAL_HERE, &result, &err)) die("last run: %s", err.text);
    if (nftw(stress->tree, count_one, 16, FTW_PHYS) != 0) die("cannot count");
    entries_below += 2; /* the directories above */
    if (result.counts.entries != entries_below)
        die("last run: %llu entries instead of %llu", (unsigned long long)result.counts.entries,
            (unsigned long long)entries_below);
    if (stress->warnings != 0) die("last run: %llu warnings", (unsigned long long)stress->warnings);
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 12;
    struct stress stress = {.dir = -1};
    struct changer changers[CHANGERS];
    _Atomic bool over = false;
    stress_open(&stress);
    make_tree(stress.dir);
    for (unsigned i = 0; i < CHANGERS; i++) {
        changers[i] = (struct changer){.dir = stress.dir, .seed = i + 1, .over = &over};
        if (pthread_create(&changers[i].thread, NULL, change, &changers[i]) != 0) die("no thread");
    }
    for (unsigned round = 0; round < rounds; round++)
        run_once(&stress, round);
    over = true;
    for (unsigned i = 0; i < CHANGERS; i++)
        (void)pthread_join(changers[i].thread, NULL);
    run_last(&stress);
    stress_close(&stress);
    return 0;
}
