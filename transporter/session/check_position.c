#include "transporter/session/check_position.h"

#include "common/base/bytes.h"
#include "common/base/file.h"

#include <fcntl.h>
#include <string.h>

enum { FILE_LEN = 8 + HASH_LEN + 4 + 5 * 8 + HASH_LEN, MODE = 0600, ALL_PPM = 1000000 };
static const char magic[9] = "slcheck1";

static void encode(const struct check_position *position, struct buf *out)
{
    buf_put(out, magic, 8);
    buf_put(out, position->next.bytes, HASH_LEN);
    buf_put_u32(out, position->sample_ppm);
    buf_put_u64(out, position->left);
    buf_put_u64(out, position->done);
    buf_put_u64(out, position->begun_ns);
    buf_put_u64(out, position->round_ns);
    buf_put_u64(out, position->whole_ns);
    struct hash hash = hash_of(buf_span(out));
    buf_put(out, hash.bytes, HASH_LEN);
}

static bool decode(struct span bytes, struct check_position *out)
{
    if (bytes.len != FILE_LEN || memcmp(bytes.data, magic, 8) != 0) return false;
    struct hash hash = hash_of(span_of(bytes.data, FILE_LEN - HASH_LEN));
    if (memcmp(hash.bytes, bytes.data + FILE_LEN - HASH_LEN, HASH_LEN) != 0) return false;
    struct reader reader = reader_of(span_of(bytes.data + 8, FILE_LEN - HASH_LEN - 8));
    reader_copy(&reader, out->next.bytes, HASH_LEN);
    out->sample_ppm = reader_u32(&reader);
    out->left = reader_u64(&reader);
    out->done = reader_u64(&reader);
    out->begun_ns = reader_u64(&reader);
    out->round_ns = reader_u64(&reader);
    out->whole_ns = reader_u64(&reader);
    return reader_done(&reader);
}

void check_position_load(const char *path, struct check_position *out)
{
    AUTO(buf) struct buf bytes = {0};
    struct err ignored;
    struct check_position position = {0};
    if (!file_read(AT_FDCWD, path, FILE_LEN, &bytes, &ignored) || !decode(buf_span(&bytes), &position))
        position = (struct check_position){0};
    *out = position;
}

bool check_position_save(const char *path, const struct check_position *position, struct err *err)
{
    AUTO(buf) struct buf bytes = {0};
    encode(position, &bytes);
    return file_replace(AT_FDCWD, path, buf_span(&bytes), MODE, err) ||
           err_wrap(err, "cannot keep how far the check is");
}

/* Rounded up, so that so many samples as make a whole see everything. */
static uint64_t share(uint64_t packs, uint32_t sample_ppm)
{
    if (sample_ppm == 0 || sample_ppm >= ALL_PPM) return packs;
    return packs / ALL_PPM * sample_ppm + (packs % ALL_PPM * sample_ppm + ALL_PPM - 1) / ALL_PPM;
}

void check_position_begin(struct check_position *position, uint32_t sample_ppm, uint64_t packs,
                          uint64_t now_ns)
{
    uint32_t sample = sample_ppm >= ALL_PPM ? 0 : sample_ppm;
    static const struct hash lowest = {{0}};
    if (position->left == 0 || position->sample_ppm != sample) {
        position->sample_ppm = sample;
        position->done = 0;
        position->begun_ns = now_ns;
        position->left = share(packs, sample);
    }
    if (position->left > packs) position->left = packs;
    if (hash_eq(&position->next, &lowest)) position->round_ns = now_ns;
}

/* The names have been gone through. */
static void end_round(struct check_position *position, uint64_t round_ns)
{
    if (position->round_ns > position->whole_ns) position->whole_ns = position->round_ns;
    position->round_ns = round_ns;
}

static struct hash next_name(const struct hash *name)
{
    struct hash next = *name;
    for (size_t at = HASH_LEN; at > 0 && ++next.bytes[at - 1] == 0; at--)
        ;
    return next;
}

void check_position_pass(struct check_position *position, const struct hash *name)
{
    /* it went on with the first names after the last ones: as early as it can have */
    if (hash_cmp(name, &position->next) < 0) end_round(position, position->begun_ns);
    position->next = next_name(name);
    position->done++;
    if (position->left > 0) position->left--;
}

void check_position_end(struct check_position *position, enum check_rest rest)
{
    bool all = position->sample_ppm == 0;
    if (all && position->begun_ns > position->whole_ns) position->whole_ns = position->begun_ns;
    position->left = 0;
    if (rest == CHECK_REST_MORE) return;
    end_round(position, 0);
    position->next = (struct hash){{0}};
}
