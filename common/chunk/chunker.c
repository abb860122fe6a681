#include "common/chunk/chunker.h"

#include "common/chunk/gear.h"

const struct chunker_params chunker_files = {.min = 256 << 10, .average = 1 << 20, .max = 4 << 20};
const struct chunker_params chunker_images = {
    .min = 128 << 10, .average = 512 << 10, .max = 2 << 20, .step = 512};

enum { NORMALISATION = 2 }; /* bits more before `average`, and bits less after it */

static bool step_fits(const struct chunker_params *params)
{
    uint32_t step = params->step;
    if (step == 0) return true;
    return (step & (step - 1)) == 0 && step >= CHUNKER_WINDOW && params->min % step == 0 &&
           params->max % step == 0 && params->average / CHUNKER_STEPS_LEAST >= step;
}

bool chunker_init(struct chunker *chunker, const struct chunker_params *params, struct err *err)
{
    uint32_t average = params->average;
    bool power_of_two = (average & (average - 1)) == 0;

    if (params->min < CHUNKER_WINDOW || average < CHUNKER_AVERAGE_LEAST || !power_of_two ||
        params->min >= average || average >= params->max || params->max > CHUNKER_MAX_MOST ||
        !step_fits(params))
        return err_set(err, ERR_LIMIT, "no such chunk sizes: least %u, average %u, most %u", params->min,
                       average, params->max);

    int bits = __builtin_ctz(params->step > 0 ? average / params->step : average);
    *chunker = (struct chunker){
        .params = *params,
        .strict = UINT64_C(1) << (64 - (bits + NORMALISATION)),
        .loose = UINT64_C(1) << (64 - (bits - NORMALISATION)),
    };
    return true;
}

void chunker_restart(struct chunker *chunker)
{
    chunker->hash = 0;
    chunker->length = 0;
}

/* How many of the window's first `end` bytes lie before the chunk has `length` bytes. */
static size_t offset_of(const struct chunker *chunker, uint32_t length, size_t end)
{
    size_t left = chunker->length < length ? length - chunker->length : 0;

    return left < end ? left : end;
}

static uint64_t roll(uint64_t hash, const uint8_t *bytes, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        hash = (hash << 1) + gear_table[bytes[i]];
    return hash;
}

/* Rolls over bytes[from, to). The offset just after the first byte that brings the hash below
 * `limit`, or 0. Two bytes a step: both hashes are had from the one before them, which halves the
 * chain of dependent operations. */
static size_t find_cut(uint64_t *rolling, const uint8_t *bytes, size_t from, size_t to, uint64_t limit)
{
    uint64_t hash = *rolling;
    size_t i = from;

    for (; i + 2 <= to; i += 2) {
        uint64_t one = gear_table[bytes[i]];
        uint64_t two = (one << 1) + gear_table[bytes[i + 1]];
        uint64_t first = (hash << 1) + one;

        hash = (hash << 2) + two;
        if (__builtin_expect(first < limit, 0)) return i + 1;
        if (__builtin_expect(hash < limit, 0)) return i + 2;
    }
    if (i < to) {
        hash = (hash << 1) + gear_table[bytes[i]];
        if (hash < limit) return i + 1;
    }
    *rolling = hash;
    return 0;
}

/* The next length from this one on at which a chunk may end. */
static uint32_t next_length(const struct chunker_params *params, uint32_t length)
{
    uint32_t next = (length / params->step + 1) * params->step;

    return next < params->min ? params->min : next;
}

static bool ends_at(const struct chunker *chunker)
{
    const struct chunker_params *params = &chunker->params;

    if (chunker->length == params->max) return true;
    return chunker->hash < (chunker->length < params->average ? chunker->strict : chunker->loose);
}

/* Of what lies between two such lengths only the window before the second is read: older bytes are shifted
 * out of the hash. */
static size_t next_of_steps(struct chunker *chunker, const uint8_t *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        uint32_t next = next_length(&chunker->params, chunker->length);
        size_t end = at + offset_of(chunker, next, len - at);
        size_t window = at + offset_of(chunker, next - CHUNKER_WINDOW, end - at);

        chunker->hash = roll(chunker->hash, bytes, window, end);
        chunker->length += (uint32_t)(end - at);
        at = end;
        if (chunker->length == next && ends_at(chunker)) {
            chunker_restart(chunker);
            return at;
        }
    }
    return 0;
}

size_t chunker_next(struct chunker *chunker, const void *bytes, size_t len)
{
    if (chunker->params.step > 0) return next_of_steps(chunker, bytes, len);

    const struct chunker_params *params = &chunker->params;
    /* phases of the chunk, as offsets into these bytes; the byte that completes a length of n is
     * the one at n - 1, hence the ones */
    size_t end = offset_of(chunker, params->max, len);
    size_t warm = offset_of(chunker, params->min - CHUNKER_WINDOW, end);
    size_t strict = offset_of(chunker, params->min - 1, end);
    size_t loose = offset_of(chunker, params->average - 1, end);
    size_t last = offset_of(chunker, params->max - 1, end);

    chunker->hash = roll(chunker->hash, bytes, warm, strict);
    size_t cut = find_cut(&chunker->hash, bytes, strict, loose, chunker->strict);
    if (cut == 0) cut = find_cut(&chunker->hash, bytes, loose, last, chunker->loose);
    if (cut == 0 && chunker->length + end == params->max) cut = end;

    if (cut != 0)
        chunker_restart(chunker);
    else
        chunker->length += (uint32_t)end;
    return cut;
}
