#include "transporter/main/bench.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/text.h"
#include "common/chunk/chunker.h"
#include "common/chunk/compress.h"
#include "common/crypto/seal/frame_key.h"
#include "transporter/main/bench_sample.h"
#include "transporter/main/bench_scratch.h"
#include "transporter/main/bench_send.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    STAGE_MS = 400, /* how long a stage is repeated, at least */
    CHUNKS_MOST = BENCH_SAMPLE_MOST / (128 << 10),
};

/* One chunk on its way: each stage fills in its part. */
struct chunk {
    struct span raw;
    struct hash hash;
    enum compress_method method;
    size_t packed_at, packed_len; /* in bench.packed */
    struct span frame;            /* in bench.frames */
};

struct bench {
    const struct bench_options *options;
    struct bench_sample sample;
    struct chunk chunks[CHUNKS_MOST];
    size_t count;
    struct compressor *compressor;
    struct buf scratch, packed, frames;
    struct run_key *run;
    struct frame_sealer *sealer;
};

static void bench_free(struct bench *bench)
{
    if (!bench) return;
    bench_sample_deinit(&bench->sample);
    compressor_free(bench->compressor);
    buf_deinit(&bench->scratch);
    buf_deinit(&bench->packed);
    buf_deinit(&bench->frames);
    frame_sealer_free(bench->sealer);
    run_key_free(bench->run);
    free(bench);
}
DEFINE_AUTO(bench, struct bench *, bench_free)

/* --- the stages: each goes once over the sample and tells how many bytes it took --- */

static bool pass_cut(struct bench *bench, uint64_t *bytes, struct err *err)
{
    struct chunker chunker;
    if (!chunker_init(&chunker, &chunker_files, err)) return false;
    struct span rest = buf_span(&bench->sample.bytes);
    *bytes = rest.len;
    for (bench->count = 0; rest.len > 0; bench->count++) {
        size_t len = chunker_next(&chunker, rest.data, rest.len);
        if (len == 0) len = rest.len;
        bench->chunks[bench->count].raw = span_of(rest.data, len);
        rest = span_of(rest.data + len, rest.len - len);
    }
    return true;
}

static bool pass_hash(struct bench *bench, uint64_t *bytes, struct err *err)
{
    *bytes = bench->sample.bytes.len;
    for (size_t i = 0; i < bench->count; i++)
        bench->chunks[i].hash = hash_of(bench->chunks[i].raw);
    return true;
}

static bool pass_compress(struct bench *bench, uint64_t *bytes, struct err *err)
{
    *bytes = bench->sample.bytes.len;
    buf_clear(&bench->packed);
    for (size_t i = 0; i < bench->count; i++) {
        struct chunk *chunk = &bench->chunks[i];
        struct compressed made;
        if (!compress_chunk(bench->compressor, chunk->raw, bench->scratch.data, bench->scratch.len, &made,
                            err))
            return false;
        chunk->method = made.method;
        chunk->packed_at = bench->packed.len;
        chunk->packed_len = made.bytes.len;
        buf_put_span(&bench->packed, made.bytes);
    }
    return true;
}

static struct frame_input input_of(const struct bench *bench, const struct chunk *chunk)
{
    return (struct frame_input){.type = FRAME_DATA,
                                .chunk = chunk->hash,
                                .raw_len = (uint32_t)chunk->raw.len,
                                .compression = (uint8_t)chunk->method,
                                .stored = span_of(bench->packed.data + chunk->packed_at, chunk->packed_len)};
}

/* `frames` has room for all of them already: the spans stay good. */
static bool pass_seal(struct bench *bench, uint64_t *bytes, struct err *err)
{
    *bytes = bench->packed.len;
    buf_clear(&bench->frames);
    for (size_t i = 0; i < bench->count; i++) {
        struct frame_input input = input_of(bench, &bench->chunks[i]);
        size_t len = frame_sealed_len(bench->sealer, &input);
        uint8_t *frame = buf_grow(&bench->frames, len);
        if (!frame_seal(bench->sealer, &input, frame, err)) return false;
        bench->chunks[i].frame = span_of(frame, len);
    }
    return true;
}

/* As a pack: written, and then made durable. */
static bool pass_store(struct bench *bench, uint64_t *bytes, struct err *err)
{
    AUTO(fd) int fd = -1;
    *bytes = bench->frames.len;
    if (!bench_scratch_open(bench->options->store, &fd, err)) return false;
    for (size_t i = 0; i < bench->count; i++)
        if (!fd_write_all(fd, bench->chunks[i].frame, bench->options->store, err)) return false;
    if (fsync(fd) != 0) return err_sys(err, errno, "cannot sync a file in '%s'", bench->options->store);
    return true;
}

/* --- measuring --- */

struct figure {
    const char *stage;
    uint64_t bytes, ms;
};

static bool measure(struct bench *bench, bool (*pass)(struct bench *, uint64_t *, struct err *),
                    struct figure *figure, struct err *err)
{
    uint64_t began_ms = clock_steady_ms();
    do {
        uint64_t bytes = 0;
        if (!pass(bench, &bytes, err)) return err_wrap(err, "%s", figure->stage);
        figure->bytes += bytes;
        figure->ms = clock_steady_ms() - began_ms;
    } while (figure->ms < STAGE_MS);
    return true;
}

static bool measure_send(struct bench *bench, struct figure *figure, struct err *err)
{
    AUTO(free) struct span *frames = xcalloc(bench->count, sizeof(*frames));
    for (size_t i = 0; i < bench->count; i++)
        frames[i] = bench->chunks[i].frame;
    if (bench_send(frames, bench->count, STAGE_MS, &figure->bytes, &figure->ms, err)) return true;
    return err_wrap(err, "%s", figure->stage);
}

static bool prepare(struct bench *bench, struct err *err)
{
    const struct compress_spec lz4 = {.method = COMPRESS_LZ4};
    const char *path = bench->options->path;
    if (!compressor_new(&lz4, &bench->compressor, err)) return false;
    bench->run = run_key_new();
    if (!frame_sealer_new(bench->run, cipher_default(), PADDING_PADME, &bench->sealer, err)) return false;
    (void)buf_grow(&bench->scratch, compress_bound(CHUNKER_MAX_MOST));
    return path ? bench_sample_read(path, &bench->sample, err)
                : bench_sample_make(bench->options->store, &bench->sample, err);
}

/* Room for what sealing adds, padding included, so that the frames do not move while they are made. */
static void reserve_frames(struct bench *bench)
{
    size_t len = 0;
    for (size_t i = 0; i < bench->count; i++) {
        struct frame_input input = input_of(bench, &bench->chunks[i]);
        len += frame_sealed_len(bench->sealer, &input);
    }
    buf_reserve(&bench->frames, len);
}

enum { READ, CUT, HASH, COMPRESS, SEAL, SEND, STORE, FIGURES };

static bool measure_all(struct bench *bench, struct figure figures[static FIGURES], struct err *err)
{
    if (!prepare(bench, err)) return false;
    figures[READ].bytes = bench->sample.read_bytes;
    figures[READ].ms = bench->sample.read_ms;
    if (!measure(bench, pass_cut, &figures[CUT], err) || !measure(bench, pass_hash, &figures[HASH], err) ||
        !measure(bench, pass_compress, &figures[COMPRESS], err))
        return false;
    reserve_frames(bench);
    return measure(bench, pass_seal, &figures[SEAL], err) && measure_send(bench, &figures[SEND], err) &&
           measure(bench, pass_store, &figures[STORE], err);
}

/* --- telling --- */

static double rate(const struct figure *figure)
{
    return (double)figure->bytes / 1e3 / (double)(figure->ms ? figure->ms : 1); /* MB/s */
}

static bool print_json(const struct bench *bench, const struct figure *figures)
{
    int done =
        printf("{\"data\":\"%s\",\"files\":%" PRIu64 ",\"sample_bytes\":%zu,\"compressed_bytes\":%zu,"
               "\"cipher\":\"%s\",\"processors\":%ld,\"mb_per_s\":{",
               bench->options->path ? "files" : "made up", bench->sample.files, bench->sample.bytes.len,
               bench->packed.len, cipher_name(cipher_default()), sysconf(_SC_NPROCESSORS_ONLN));
    for (int i = 0; done >= 0 && i < FIGURES; i++)
        done = printf("%s\"%s\":%.1f", i ? "," : "", figures[i].stage, rate(&figures[i]));
    return done >= 0 && puts("}}") >= 0;
}

static int print_data(const struct bench *bench)
{
    char size[16];
    size_format(bench->sample.bytes.len, size);
    if (!bench->options->path) return printf("data:  %s, made up\n", size);
    return printf("data:  %s of the files in '%s' (%" PRIu64 " were read)\n", size, bench->options->path,
                  bench->sample.files);
}

static bool print_table(const struct bench *bench, const struct figure *figures)
{
    static const char *const what[FIGURES] = {
        [READ] = "walk, open, read: from the page cache, if it is there",
        [CUT] = "chunks by content, 1 MiB on average",
        [HASH] = "BLAKE3",
        [COMPRESS] = "LZ4",
        [SEND] = "CURVE over loopback TCP, both ends on this machine",
        [STORE] = "written and fsynced, 32 MiB at a time at most",
    };
    double left = (double)bench->packed.len / (double)bench->sample.bytes.len;
    int done = print_data(bench);
    if (done >= 0)
        done = printf("store: '%s'\nLZ4 leaves %.0f %%; %ld processors, of which each stage has one\n\n"
                      "%-10s %8s\n",
                      bench->options->store, 100 * left, sysconf(_SC_NPROCESSORS_ONLN), "stage", "MB/s");
    for (int i = 0; done >= 0 && i < FIGURES; i++) {
        const char *how = what[i] ? what[i] : cipher_name(cipher_default());
        done = printf("%-10s %8.0f  %s\n", figures[i].stage, rate(&figures[i]), how);
    }
    return done >= 0;
}

bool bench_run(const struct bench_options *options, struct err *err)
{
    AUTO(bench) struct bench *bench = xcalloc(1, sizeof(*bench));
    bench->options = options;
    struct figure figures[FIGURES] = {
        [READ] = {.stage = "read"},         [CUT] = {.stage = "cut"},   [HASH] = {.stage = "hash"},
        [COMPRESS] = {.stage = "compress"}, [SEAL] = {.stage = "seal"}, [SEND] = {.stage = "send"},
        [STORE] = {.stage = "store"},
    };
    if (!measure_all(bench, figures, err)) return false;
    bool told = options->format == BENCH_JSON ? print_json(bench, figures) : print_table(bench, figures);
    return told || err_sys(err, errno, "cannot write to standard output");
}
