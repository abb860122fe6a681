#include "common/crypto/hash_each.h"

#include "common/base/alloc.h"
#include "tests/unit/crypto/fixture.h"

#include <criterion/criterion.h>

enum { CHUNK = 1024, MOST = 64 };

static const size_t lengths[] = {0, 1, 63, 64, 65, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 64};

/* Contents of these lengths, no two alike, one behind the other in `bytes`. */
static void check(const uint8_t *bytes, const size_t *lens, size_t count)
{
    struct span contents[MOST] = {{0}};
    struct hash each[MOST];
    for (size_t i = 0, at = 0; i < count; at += lens[i++])
        contents[i] = span_of(bytes + at, lens[i]);
    hash_each(contents, count, each);
    for (size_t i = 0; i < count; i++) {
        struct hash expected = hash_of(contents[i]);
        cr_assert(hash_eq(&each[i], &expected), "content %zu of %zu, %zu bytes", i, count, lens[i]);
    }
}

static uint8_t *varied_bytes(size_t len)
{
    uint8_t *bytes = xmalloc(len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)((i * 2654435761u) >> 13);
    return bytes;
}

Test(hash_each, is_hash_of_at_every_length)
{
    AUTO(free) uint8_t *bytes = varied_bytes(40 * CHUNK);
    for (size_t len = 0; len <= 3 * CHUNK; len++)
        check(bytes, &len, 1);
    for (size_t chunks = 3; chunks < 40; chunks++) {
        const size_t around[] = {chunks * CHUNK - 1, chunks * CHUNK, chunks * CHUNK + 1};
        for (size_t i = 0; i < 3; i++)
            check(bytes, &around[i], 1);
    }
}

Test(hash_each, keeps_contents_apart_whatever_their_number)
{
    AUTO(free) uint8_t *bytes = varied_bytes((size_t)MOST * 3 * CHUNK);
    size_t lens[MOST];
    for (size_t i = 0; i < MOST; i++)
        lens[i] = lengths[i % (sizeof(lengths) / sizeof(lengths[0]))];
    for (size_t count = 0; count <= MOST; count++)
        check(bytes, lens, count);
}

Test(hash_each, hashes_long_and_short_contents_together)
{
    size_t lens[MOST], total = 0;
    for (size_t i = 0; i < MOST; i++)
        total += lens[i] = (i * 7919) % (35 * CHUNK);
    AUTO(free) uint8_t *bytes = varied_bytes(total);
    for (size_t count = 1; count <= MOST; count += 9)
        check(bytes, lens, count);
}
