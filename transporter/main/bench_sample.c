#include "transporter/main/bench_sample.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "transporter/main/bench_scratch.h"
#include "transporter/source/file_reader.h"

#include <errno.h>

enum {
    PIECE = 1 << 20, /* bytes of one read */
    WORD_LEN = 16,   /* made-up data: a word that is noise, then one out of a few */
    WORDS = 64,
};

void bench_sample_deinit(struct bench_sample *sample)
{
    buf_deinit(&sample->bytes);
}

/* --- files --- */

struct reading {
    struct bench_sample *sample;
    uint8_t *piece; /* PIECE bytes */
    uint64_t end_ms;
};

static bool is_over(const struct reading *reading)
{
    return clock_steady_ms() >= reading->end_ms;
}

static void keep(struct bench_sample *sample, const void *bytes, size_t len)
{
    size_t room = BENCH_SAMPLE_MOST - sample->bytes.len;
    buf_put(&sample->bytes, bytes, len < room ? len : room);
    sample->read_bytes += len;
}

/* False where the file is over, or cannot be read on. */
static bool read_piece(struct reading *reading, const struct file_reader *file, uint64_t offset, size_t *got)
{
    struct extent extent;
    bool found = false;
    struct err err;
    if (!file_reader_extent(file, offset, &extent, &found, &err) || !found) return false;
    if (extent.kind == EXTENT_HOLE) {
        *got = extent.length;
        return true;
    }
    size_t len = extent.length < PIECE ? extent.length : PIECE;
    if (!file_reader_read(file, offset, reading->piece, len, got, &err) || *got == 0) return false;
    keep(reading->sample, reading->piece, *got);
    return true;
}

static void read_file(struct reading *reading, const struct walk_entry *entry)
{
    AUTO(file_reader) struct file_reader file = {.fd = -1};
    struct err err;
    if (!file_reader_open(entry, READER_ASKS, &file, &err)) return;
    reading->sample->files++;
    uint64_t offset = 0;
    size_t got = 0;
    while (!is_over(reading) && read_piece(reading, &file, offset, &got))
        offset += got;
}

static bool read_tree(struct reading *reading, const char *root, struct err *err)
{
    struct walk_options options = {.paths = &root, .path_count = 1, .now_ns = clock_real_ns()};
    AUTO(walk) struct walk *walk = NULL;
    if (!walk_new(&options, &walk, err)) return false;
    enum walk_event event = WALK_ENTRY;
    while (event != WALK_END && !is_over(reading)) {
        struct walk_entry entry;
        struct err note;
        if (!walk_next(walk, &event, &entry, &note, err)) return false;
        if (event == WALK_ENTRY && entry.type == ENTRY_FILE) read_file(reading, &entry);
    }
    return true;
}

bool bench_sample_read(const char *path, struct bench_sample *out, struct err *err)
{
    AUTO(free) char *root = realpath(path, NULL);
    if (!root) return err_sys(err, errno, "cannot open '%s'", path);
    AUTO(bench_sample) struct bench_sample sample = {0};
    AUTO(free) uint8_t *piece = xmalloc(PIECE);
    uint64_t began_ms = clock_steady_ms();
    struct reading reading = {.sample = &sample, .piece = piece, .end_ms = began_ms + BENCH_READ_MS};
    if (!read_tree(&reading, root, err)) return false;
    if (sample.bytes.len == 0) return err_set(err, ERR_NOT_FOUND, "'%s' has no data that can be read", path);
    sample.read_ms = clock_steady_ms() - began_ms;
    *out = sample;
    sample = (struct bench_sample){0};
    return true;
}

/* --- made up --- */

/* splitmix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014) */
static uint64_t noise(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void make_up(struct buf *out)
{
    uint64_t state = 0;
    uint64_t words[WORDS][WORD_LEN / sizeof(uint64_t)];
    for (size_t i = 0; i < WORDS; i++)
        for (size_t k = 0; k < WORD_LEN / sizeof(uint64_t); k++)
            words[i][k] = noise(&state);
    while (out->len < BENCH_SAMPLE_MOST) {
        uint64_t fresh[WORD_LEN / sizeof(uint64_t)] = {noise(&state), noise(&state)};
        buf_put(out, fresh, WORD_LEN);
        buf_put(out, words[noise(&state) % WORDS], WORD_LEN);
    }
}

bool bench_sample_make(const char *store, struct bench_sample *out, struct err *err)
{
    AUTO(bench_sample) struct bench_sample sample = {0};
    AUTO(fd) int fd = -1;
    make_up(&sample.bytes);
    if (!bench_scratch_open(store, &fd, err) || !fd_write_all(fd, buf_span(&sample.bytes), store, err))
        return false;
    uint64_t began_ms = clock_steady_ms();
    do {
        if (!fd_pread_all(fd, sample.bytes.data, sample.bytes.len, 0, store, err)) return false;
        sample.read_bytes += sample.bytes.len;
        sample.read_ms = clock_steady_ms() - began_ms;
    } while (sample.read_ms < BENCH_READ_MS / 2);
    *out = sample;
    sample = (struct bench_sample){0};
    return true;
}
