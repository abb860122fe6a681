/* How long it takes to walk a tree: bare, and with a stat cache that knows everything.
 *
 * usage: bench-walk TREE CACHE_DIR [THREADS [ROUNDS]]
 *
 * Metadata is read and the cache filled once, which is timed too; then each round walks bare, and walks
 * with the cache and stages the records again, as a run does that finds nothing changed. Times are in ms,
 * wall. */
#include "transporter/source/metadata.h"
#include "transporter/source/stat_cache.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { DEPTH_MOST = 256 };

static uint64_t now_ns(clockid_t clock)
{
    struct timespec time;
    (void)clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static double ms_since(uint64_t start)
{
    return (double)(now_ns(CLOCK_MONOTONIC) - start) / 1e6;
}

static void fail(const struct err *err)
{
    (void)fprintf(stderr, "%s\n", err->text);
    exit(1);
}

struct totals {
    uint64_t entries, cached, told;
};

struct run {
    struct walk *walk;
    struct stat_cache *cache;
    struct metadata_names *names;
    struct stat_cache_record *records[DEPTH_MOST];
    struct buf encoded;
    struct totals totals;
};

/* As if a file's content were one small chunk. */
static void encode(struct run *run, const struct walk_entry *entry)
{
    AUTO(buf) struct buf refs = {0};
    struct metadata_content content = {.size = entry->key.size};
    struct err warning, err;
    const struct ref ref = {.kind = entry->key.size < 65536 ? REF_DATA : REF_HOLE, .length = entry->key.size};
    if (entry->type == ENTRY_FILE && ref.length > 0) {
        content.file_hash = hash_of(span_of(&entry->key, sizeof(entry->key)));
        if (ref.kind == REF_DATA && !stat_cache_stage_content(run->cache, &content.file_hash, &ref, &err))
            fail(&err);
        ref_encode(&ref, &refs);
        content.ref_count = 1;
        content.refs = buf_span(&refs);
    }
    buf_clear(&run->encoded);
    if (!metadata_encode(run->names, -1, entry, entry->type == ENTRY_FILE ? &content : NULL, &run->encoded,
                         &warning, &err))
        fail(&err);
}

static void stage(struct run *run, const struct walk_entry *entry)
{
    struct span encoded = entry->cached;
    struct err err;
    if (encoded.len == 0) {
        encode(run, entry);
        encoded = buf_span(&run->encoded);
    }
    struct stat_cache_record *record = run->records[entry->depth - 1];
    if (entry->cacheable)
        if (!stat_cache_record_add(record, entry->name, &entry->key, encoded, &err)) fail(&err);
    if (entry->type == ENTRY_DIRECTORY)
        run->records[entry->depth] = stat_cache_record_new(run->cache, entry->path);
}

static void leave(struct run *run, const struct walk_entry *entry)
{
    unsigned depth = path_depth(entry->path);
    struct err err;
    if (!stat_cache_record_end(run->records[depth], &err)) fail(&err);
    stat_cache_record_free(run->records[depth]);
}

static struct totals walk_all(struct walk_options options, struct stat_cache *cache)
{
    struct run run = {.cache = cache};
    struct walk_entry entry;
    enum walk_event event;
    struct err note, err;
    options.cache = cache;
    options.now_ns = now_ns(CLOCK_REALTIME);
    if (!walk_new(&options, &run.walk, &err)) fail(&err);
    if (cache) {
        run.names = metadata_names_new();
        run.records[0] = stat_cache_record_new(cache, span_of(NULL, 0));
    }
    do {
        if (!walk_next(run.walk, &event, &entry, &note, &err)) fail(&err);
        run.totals.entries += event == WALK_ENTRY;
        run.totals.cached += event == WALK_ENTRY && entry.cached.len > 0;
        run.totals.told += event == WALK_WARNING || event == WALK_SKIPPED;
        if (cache && event == WALK_ENTRY) stage(&run, &entry);
        if (cache && event == WALK_LEAVE) leave(&run, &entry);
    } while (event != WALK_END);
    walk_free(run.walk);
    metadata_names_free(run.names);
    buf_deinit(&run.encoded);
    return run.totals;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        (void)fprintf(stderr, "usage: bench-walk TREE CACHE_DIR [THREADS [ROUNDS]]\n");
        return 2;
    }
    const char *paths[] = {argv[1]};
    const struct walk_options options = {
        .paths = paths, .path_count = 1, .threads = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0};
    unsigned long rounds = argc > 4 ? strtoul(argv[4], NULL, 10) : 5;
    struct hash binding = {{1}};
    struct stat_cache *cache;
    struct err err;
    enum cache_found found;
    if (!stat_cache_open(argv[2], &binding, &cache, &found, &err)) fail(&err);

    uint64_t start = now_ns(CLOCK_MONOTONIC);
    struct totals totals = walk_all(options, cache);
    double filled = ms_since(start);
    start = now_ns(CLOCK_MONOTONIC);
    uint64_t apply_cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    if (!stat_cache_apply(cache, &err)) fail(&err);
    apply_cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) - apply_cpu;
    printf("entries %" PRIu64 " told %" PRIu64 " metadata+stage %.1f apply %.1f (cpu %.1f)\n", totals.entries,
           totals.told, filled, ms_since(start), (double)apply_cpu / 1e6);

    for (unsigned long i = 0; i < rounds; i++) {
        start = now_ns(CLOCK_MONOTONIC);
        uint64_t cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
        (void)walk_all(options, NULL);
        double bare = ms_since(start), bare_cpu = (double)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu) / 1e6;
        start = now_ns(CLOCK_MONOTONIC);
        cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
        totals = walk_all(options, cache);
        printf("bare %.1f (cpu %.1f) cached %.1f (cpu %.1f) hits %" PRIu64 "\n", bare, bare_cpu,
               ms_since(start), (double)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu) / 1e6, totals.cached);
    }
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    printf("peak rss %ld KiB\n", usage.ru_maxrss);
    stat_cache_close(cache);
    return 0;
}
