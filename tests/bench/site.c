/* bench-site: a throw-away site in one process, for measuring the engines without daemons and network.
 *
 *   bench-site init DIR               makes DIR/repo, DIR/state and a generated key in DIR
 *   bench-site backup DIR TREE        one recovery point of TREE
 *   bench-site restore DIR OUT [PATH] the newest point into OUT, or only what is at PATH and below
 *   bench-site list DIR               the recovery points, one a line
 *   bench-site size DIR               bytes that the repository takes
 *
 * Options, after the verb: --threads N, --compress lz4|zstd[:LEVEL]|none, --cipher NAME,
 * --place here|there|none (none at init makes a plaintext repository), --no-cache, --warnings,
 * --image (TREE is a device or a disk image),
 * --password-file FILE (at init: the key is derived from the first line of FILE, with the least limits).
 *
 * backup prints one JSON line: times in seconds, sizes in bytes; peak_anon is sampled. The key lies
 * beside what it protects, so this is for measuring only. */
#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/text.h"
#include "common/crypto/password.h"
#include "common/wire/stored.h"
#include "transporter/pipeline/backup_image.h"
#include "transporter/pipeline/inlet_repository.h"
#include "transporter/pipeline/outlet_repository.h"
#include "transporter/pipeline/outlet_reseal.h"
#include "transporter/pipeline/restore.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#define DOMAIN "t:bench"

static const uint8_t no_salt[PASSWORD_SALT_LEN];

enum { SECRETS_LEN = 96 }; /* S, the writer's and the owner's seed */

struct options {
    unsigned threads;
    struct compress_spec compress;
    enum cipher cipher;
    const char *place;
    const char *password_file;
    bool no_cache;
    bool warnings;
    bool image;
    const char *words[4];
    size_t word_count;
};

static void check(bool done, const struct err *err)
{
    if (done) return;
    fprintf(stderr, "bench-site: %s\n", err->text);
    exit(err_exit_code(err->code));
}

static const char *value_of(int argc, char **argv, int *at)
{
    if (++*at < argc) return argv[*at];
    fprintf(stderr, "bench-site: '%s' wants a value\n", argv[*at - 1]);
    exit(2);
}

static struct options parse(int argc, char **argv)
{
    struct options options = {
        .compress = {.method = COMPRESS_LZ4}, .cipher = cipher_default(), .place = "here"};
    struct err err = {0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--threads") == 0)
            options.threads = (unsigned)strtoul(value_of(argc, argv, &i), NULL, 10);
        else if (strcmp(argv[i], "--compress") == 0)
            check(compress_spec_parse(value_of(argc, argv, &i), &options.compress, &err), &err);
        else if (strcmp(argv[i], "--cipher") == 0)
            check(cipher_parse(value_of(argc, argv, &i), &options.cipher, &err), &err);
        else if (strcmp(argv[i], "--place") == 0)
            options.place = value_of(argc, argv, &i);
        else if (strcmp(argv[i], "--password-file") == 0)
            options.password_file = value_of(argc, argv, &i);
        else if (strcmp(argv[i], "--no-cache") == 0)
            options.no_cache = true;
        else if (strcmp(argv[i], "--warnings") == 0)
            options.warnings = true;
        else if (strcmp(argv[i], "--image") == 0)
            options.image = true;
        else if (options.word_count < 4)
            options.words[options.word_count++] = argv[i];
    }
    return options;
}

/* --- the site --- */

struct site {
    char *repository_path, *state, *cache, *secrets, *unlock_path;
    struct id site_id, repository_id;
    struct sign_pair *writer, *owner;
    struct read_half *key;
    struct buf unlock;
    struct repository *repository;
};

static void site_close(struct site *site)
{
    repository_close(site->repository);
    sign_pair_free(site->writer);
    sign_pair_free(site->owner);
    read_half_free(site->key);
    buf_deinit(&site->unlock);
    free(site->repository_path);
    free(site->state);
    free(site->cache);
    free(site->secrets);
    free(site->unlock_path);
}
DEFINE_AUTO_IN_PLACE(site, struct site, site_close)

static struct site site_in(const char *dir)
{
    return (struct site){
        .repository_path = xasprintf("%s/repo", dir),
        .state = xasprintf("%s/state", dir),
        .cache = xasprintf("%s/cache", dir),
        .secrets = xasprintf("%s/secrets", dir),
        .unlock_path = xasprintf("%s/unlock", dir),
        .site_id = {{1}},
        .repository_id = {{2}},
    };
}

/* S from the password; the salt is good enough to be zeros in a throw-away site. */
static void derive_key(const char *file, uint8_t s[static KEY_SECRET_LEN])
{
    AUTO(buf) struct buf typed = {0};
    AUTO(secret) struct secret *password = NULL;
    AUTO(secret) struct secret *derived = NULL;
    struct pwhash_limits limits = PWHASH_INTERACTIVE;
    enum password_strength strength;
    struct err err = {0};
    check(file_read(AT_FDCWD, file, PASSWORD_MAX_LEN, &typed, &err), &err);
    check(password_normalise(buf_span(&typed), &password, &strength, &err), &err);
    check(password_hash(password, no_salt, &limits, &derived, &err), &err);
    memcpy(s, derived->data, KEY_SECRET_LEN);
}

static void encode_unlock(const struct read_half *key, bool from_password, struct buf *out)
{
    AUTO(buf) struct buf keyring = {0};
    keyring_seal(key, &keyring);
    Sealift__UnlockSection unlock;
    sealift__unlock_section__init(&unlock);
    unlock.version = 1;
    unlock.label = (char *)(uintptr_t) "bench";
    unlock.key_id = stored_bytes(span_of(&key->key_id, HASH_LEN));
    unlock.origin = SEALIFT__KEY_ORIGIN__KEY_GENERATED;
    unlock.keyring = stored_bytes(buf_span(&keyring));
    unlock.unlock_pk = stored_bytes(span_of(key->unlock_pk, sizeof(key->unlock_pk)));
    Sealift__Kdf kdf = SEALIFT__KDF__INIT;
    kdf.name = (char *)(uintptr_t) "argon2id13";
    kdf.passes = PWHASH_INTERACTIVE.passes;
    kdf.memory_bytes = PWHASH_INTERACTIVE.memory_bytes;
    kdf.salt = stored_bytes(span_of(no_salt, sizeof(no_salt)));
    if (from_password) {
        unlock.origin = SEALIFT__KEY_ORIGIN__KEY_FROM_PASSWORD;
        unlock.kdf = &kdf;
    }
    struct err err = {0};
    check(stored_unlock_encode(&unlock, out, &err), &err);
}

static void site_init(const char *dir, const struct options *options)
{
    AUTO(site) struct site site = site_in(dir);
    struct err err = {0};
    uint8_t secrets[SECRETS_LEN];
    random_bytes(secrets, sizeof(secrets));
    if (options->password_file) derive_key(options->password_file, secrets);
    check(dir_make(dir, 0700, &err) && dir_make(site.state, 0700, &err), &err);
    check(file_create(AT_FDCWD, site.secrets, span_of(secrets, sizeof(secrets)), 0600, &err), &err);
    site.key = read_half_new(secrets);
    encode_unlock(site.key, options->password_file != NULL, &site.unlock);
    check(file_create(AT_FDCWD, site.unlock_path, buf_span(&site.unlock), 0600, &err), &err);
    site.owner = sign_pair_new(secrets + 64);
    enum repository_kind kind =
        strcmp(options->place, "none") == 0 ? REPOSITORY_PLAINTEXT : REPOSITORY_ENCRYPTED;
    check(repository_create(site.repository_path, &site.site_id, &site.repository_id, kind, (struct span){0},
                            site.owner, &err),
          &err);
}

static void read_key(struct site *site, const uint8_t *s, struct err *err)
{
    AUTO(stored_unlock) Sealift__UnlockSection *unlock = NULL;
    check(file_read(AT_FDCWD, site->unlock_path, STORED_MAX_UNLOCK, &site->unlock, err), err);
    check(stored_unlock_decode(buf_span(&site->unlock), &unlock, err), err);
    struct hash key_id = stored_hash(&unlock->key_id);
    check(read_half_open(s, &key_id, stored_span(&unlock->keyring), &site->key, err), err);
}

static struct site site_open(const char *dir)
{
    struct site site = site_in(dir);
    struct err err = {0};
    AUTO(buf) struct buf secrets = {0};
    check(file_read(AT_FDCWD, site.secrets, SECRETS_LEN, &secrets, &err), &err);
    site.writer = sign_pair_new(secrets.data + 32);
    site.owner = sign_pair_new(secrets.data + 64);
    read_key(&site, secrets.data, &err);
    struct repository_options options = {
        .path = site.repository_path, .state_dir = site.state, .owner = site.owner};
    check(repository_open(&options, &site.repository, &err), &err);
    return site;
}

/* --- measuring --- */

struct meter {
    pthread_t thread;
    _Atomic bool over;
    uint64_t peak_anon;
    struct timespec began;
};

static uint64_t anon_bytes(void)
{
    unsigned long size = 0;
    unsigned long resident = 0;
    unsigned long shared = 0;
    AUTO(file) FILE *file = fopen("/proc/self/statm", "re");
    if (!file || fscanf(file, "%lu %lu %lu", &size, &resident, &shared) != 3) return 0;
    return (uint64_t)(resident - shared) * 4096;
}

static void *sample(void *arg)
{
    struct meter *meter = arg;
    const struct timespec pause = {.tv_nsec = 5000000};
    while (!meter->over) {
        uint64_t now = anon_bytes();
        if (now > meter->peak_anon) meter->peak_anon = now;
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

static void meter_start(struct meter *meter)
{
    (void)clock_gettime(CLOCK_MONOTONIC, &meter->began);
    if (pthread_create(&meter->thread, NULL, sample, meter) != 0) abort();
}

static double seconds(const struct timeval *time)
{
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static void meter_print(struct meter *meter)
{
    struct timespec now;
    struct rusage usage;
    meter->over = true;
    (void)pthread_join(meter->thread, NULL);
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    (void)getrusage(RUSAGE_SELF, &usage);
    double wall =
        (double)(now.tv_sec - meter->began.tv_sec) + (double)(now.tv_nsec - meter->began.tv_nsec) / 1e9;
    printf("\"wall\":%.3f,\"user\":%.3f,\"system\":%.3f,\"peak_anon\":%llu", wall, seconds(&usage.ru_utime),
           seconds(&usage.ru_stime), (unsigned long long)meter->peak_anon);
}

/* --- backup --- */

static void print_warning(void *arg, struct span path, const struct err *what)
{
    const struct options *options = arg;
    if (options->warnings) fprintf(stderr, "%.*s: %s\n", (int)path.len, (const char *)path.data, what->text);
}

static struct ingest *open_ingest(struct site *site, const struct run_key *run, const struct write_half *half)
{
    struct ingest_options options = {.session = id_random(), .kind = INGEST_WRITER, .seal = run->seal};
    struct err err = {0};
    struct ingest *ingest = NULL;
    if (half) options.domain = domain_id(half->dedup_key->data);
    memcpy(options.writer, site->writer->pk, SIGN_PK_LEN);
    check(ingest_open(site->repository, &options, &ingest, &err), &err);
    return ingest;
}

static struct backup_identity identity_of(struct site *site, const struct write_half *half)
{
    struct repository_info info;
    repository_info(site->repository, &info);
    return (struct backup_identity){
        .site = info.site,
        .repository = info.repository,
        .run = id_random(),
        .point = id_random(),
        .attempt = 1,
        .job = "bench",
        .writer_name = "bench",
        .key_label = "bench",
        .domain = DOMAIN,
        .unlock_section = half ? buf_span(&site->unlock) : (struct span){0},
        .head_number = info.head_number,
        .head_hash = info.head_hash,
    };
}

static struct stat_cache *open_cache(const struct site *site, const struct options *options)
{
    if (options->no_cache) return NULL;
    struct hash binding = hash_of(span_str(DOMAIN));
    struct stat_cache *cache = NULL;
    struct err err = {0};
    enum cache_found found;
    check(stat_cache_open(site->cache, &binding, &cache, &found, &err), &err);
    return cache;
}

static void print_result(const struct backup_result *result)
{
    printf("{\"entries\":%llu,\"files\":%llu,\"content_bytes\":%llu,\"read_bytes\":%llu,\"deduplicated_"
           "bytes\":%llu,"
           "\"sent_bytes\":%llu,\"stored_bytes\":%llu,\"warnings\":%llu,",
           (unsigned long long)result->counts.entries, (unsigned long long)result->counts.files,
           (unsigned long long)result->counts.content_bytes, (unsigned long long)result->read_bytes,
           (unsigned long long)result->deduplicated_bytes, (unsigned long long)result->sent_bytes,
           (unsigned long long)result->receipt.stored_bytes, (unsigned long long)result->counts.warnings);
}

static void back_up(const char *dir, const char *tree, const struct options *options)
{
    struct meter meter = {0};
    struct err err = {0};
    meter_start(&meter);
    AUTO(free) char *absolute = realpath(tree, NULL);
    AUTO(free) char *own = realpath(dir, NULL);
    if (!absolute || !own) check(err_set(&err, ERR_NOT_FOUND, "there is no '%s'", tree), &err);
    AUTO(site) struct site site = site_open(dir);
    struct repository_info info;
    repository_info(site.repository, &info);
    bool sealed = info.kind == REPOSITORY_ENCRYPTED;
    bool there = strcmp(options->place, "there") == 0;
    AUTO(write_half) struct write_half *half = sealed ? write_half_of(site.key, DOMAIN) : NULL;
    AUTO(run_key) struct run_key *run = run_key_new();
    AUTO(ingest) struct ingest *ingest = open_ingest(&site, run, half);
    AUTO(stat_cache) struct stat_cache *cache = open_cache(&site, options);
    AUTO(outlet_repository) struct outlet_repository *store = NULL;
    AUTO(outlet_reseal) struct outlet_reseal *reseal = NULL;
    check(outlet_repository_new(ingest, OUTLET_REPOSITORY_QUEUE, &store, &err), &err);

    const char *paths[] = {absolute};
    const char *excluded[] = {own};
    struct backup_options backup = {
        .walk = {.paths = paths, .path_count = 1, .always_excluded = excluded, .always_count = 1},
        .host = "bench",
        .place = there ? SEAL_THERE : SEAL_HERE,
        .compress = options->compress,
        .threads = options->threads,
        .cache = cache,
        .outlet = outlet_repository_outlet(store),
        .identity = identity_of(&site, half),
        .warning = print_warning,
    };
    union {
        const struct options *from;
        void *to;
    } arg = {.from = options};
    backup.arg = arg.to;
    struct sealing_options sealing = {
        .place = SEAL_HERE,
        .writer = site.writer,
        .run = run,
        .half = half,
        .cipher = sealed ? options->cipher : CIPHER_NONE,
        .padding = sealed ? PADDING_PADME : PADDING_NONE,
        .compress = options->compress,
        .outlet = backup.outlet,
    };
    if (there) {
        struct outlet_reseal_options target = {.sealing = sealing,
                                               .identity = backup.identity,
                                               .threads = options->threads,
                                               .queue_bytes = 4 << 20};
        check(outlet_reseal_new(&target, &reseal, &err), &err);
        backup.outlet = outlet_reseal_outlet(reseal);
    } else {
        backup.writer = sealing.writer;
        backup.run = sealing.run;
        backup.half = sealing.half;
        backup.cipher = sealing.cipher;
        backup.padding = sealing.padding;
    }
    struct backup_result result = {0};
    struct image_source image = {.path = absolute};
    bool done =
        options->image ? backup_image(&backup, &image, &result, &err) : backup_tree(&backup, &result, &err);
    check(done, &err);
    check(backup_renew_cache(backup.cache, &err), &err);
    print_result(&result);
    meter_print(&meter);
    printf("}\n");
}

/* --- list, size --- */

static bool print_point(void *arg, const struct repository_point *point)
{
    char id[2 * ID_LEN + 1];
    char time[21];
    hex_encode(point->point.bytes, ID_LEN, id);
    time_format(point->time_ns, time);
    printf("%s %llu %s\n", id, (unsigned long long)point->number, time);
    return true;
}

static void list(const char *dir)
{
    struct err err = {0};
    AUTO(site) struct site site = site_open(dir);
    check(repository_points(site.repository, print_point, NULL, &err), &err);
}

/* --- restore --- */

static bool newest_point(void *arg, const struct repository_point *point)
{
    *(struct id *)arg = point->point;
    return true;
}

static void restore(const char *dir, const char *to, const char *path, const struct options *options)
{
    struct err err = {0};
    struct meter meter = {0};
    meter_start(&meter);
    AUTO(site) struct site site = site_open(dir);
    struct id newest = {{0}};
    AUTO(buf) struct buf file = {0};
    AUTO(point) struct point *point = NULL;
    check(repository_points(site.repository, newest_point, &newest, &err), &err);
    check(repository_point_read(site.repository, &newest, &file, &err), &err);
    check(point_decode(buf_span(&file), &point, &err), &err);

    const struct read_half *key = point->cipher == CIPHER_NONE ? NULL : site.key;
    AUTO(opener) struct opener *opener = opener_new(key, point->domain);
    AUTO(inlet_repository)
    struct inlet_repository *inlet = inlet_repository_new(site.repository);
    if (key) inlet_repository_restrict(inlet, &point->domain_id);
    struct span chosen = path ? span_str(path + (path[0] == '/')) : (struct span){0};
    struct restore_options restore_options = {.opener = opener,
                                              .inlet = inlet_repository_inlet(inlet),
                                              .root = point->root,
                                              .destination = to,
                                              .paths = &chosen,
                                              .path_count = path ? 1 : 0,
                                              .overwrite = OVERWRITE_CHANGED,
                                              .threads = options->threads,
                                              .warning = print_warning,
                                              .arg = (void *)(uintptr_t)options};
    struct restore_result result = {0};
    bool done = point->object != OBJECT_TREE ? restore_object(&restore_options, &result, &err)
                                             : restore_tree(&restore_options, &result, &err);
    check(done, &err);
    printf("{\"entries\":%llu,\"files\":%llu,\"content_bytes\":%llu,\"skipped\":%llu,\"warnings\":%llu,",
           (unsigned long long)result.entries, (unsigned long long)result.files,
           (unsigned long long)result.content_bytes, (unsigned long long)result.skipped,
           (unsigned long long)result.warnings);
    meter_print(&meter);
    printf("}\n");
}

static uint64_t total;

static int add_size(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    if (kind == FTW_F && strcmp(path + at->base, "reserve") != 0) total += (uint64_t)st->st_size;
    return 0;
}

static void size(const char *dir)
{
    AUTO(free) char *path = xasprintf("%s/repo", dir);
    struct err err = {0};
    if (nftw(path, add_size, 16, FTW_PHYS) != 0)
        check(err_set(&err, ERR_NOT_FOUND, "no repository in '%s'", dir), &err);
    printf("%llu\n", (unsigned long long)total);
}

int main(int argc, char **argv)
{
    struct err err = {0};
    check(secret_process_init(&err), &err);
    struct options options = parse(argc, argv);
    const char *verb = options.word_count > 0 ? options.words[0] : "";
    if (strcmp(verb, "init") == 0 && options.word_count == 2)
        site_init(options.words[1], &options);
    else if (strcmp(verb, "backup") == 0 && options.word_count == 3)
        back_up(options.words[1], options.words[2], &options);
    else if (strcmp(verb, "restore") == 0 && options.word_count >= 3)
        restore(options.words[1], options.words[2], options.words[3], &options);
    else if (strcmp(verb, "list") == 0 && options.word_count == 2)
        list(options.words[1]);
    else if (strcmp(verb, "size") == 0 && options.word_count == 2)
        size(options.words[1]);
    else
        check(
            err_set(&err, ERR_USAGE, "usage: bench-site init|backup|restore|list|size DIR [TREE] [OPTION…]"),
            &err);
    return 0;
}
