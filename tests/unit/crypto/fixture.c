#include "fixture.h"

#include "common/base/alloc.h"
#include "golden.h"

#include <criterion/criterion.h>
#include <string.h>

void fill_run(uint8_t *out, uint8_t first, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(first + i);
}

struct span fixture_content(void)
{
    static char content[FIXTURE_CONTENT_LEN + 1];
    content[0] = '\0';
    for (int i = 0; i < 5; i++)
        memcpy(content + 45 * i, "The quick brown fox jumps over the lazy dog. ", 45);
    return span_of(content, FIXTURE_CONTENT_LEN);
}

const uint8_t *fixture_s(void)
{
    static uint8_t s[32];
    fill_run(s, 0x00, sizeof(s));
    return s;
}

const uint8_t *fixture_s_earlier(void)
{
    static uint8_t s[32];
    fill_run(s, 0x10, sizeof(s));
    return s;
}

struct sign_pair *fixture_writer(void)
{
    uint8_t seed[32];
    fill_run(seed, 0x60, sizeof(seed));
    return sign_pair_new(seed);
}

static void exchange(struct secret **secret, uint8_t first)
{
    secret_free(*secret);
    *secret = secret_new(32);
    fill_run((*secret)->data, first, 32);
}

struct read_half *fixture_read_half(void)
{
    struct read_half *half = read_half_new(fixture_s());
    exchange(&half->dedup_secret, 0x20);
    exchange(&half->psk, 0x40);
    half->earlier = secret_copy(fixture_s_earlier(), 32);
    return half;
}

struct run_key *fixture_run(void)
{
    AUTO(buf) struct buf subkey = golden("derive", "frame_subkey");
    struct run_key *run = run_key_new();
    fill_run(run->seal.bytes, 0xa0, ID_LEN);
    exchange(&run->key, 0x80);
    memcpy(run->frames->data, subkey.data, 32);
    return run;
}

static int by_bytes(const void *a, const void *b)
{
    return hash_cmp(a, b);
}

void fixture_ids(struct hash nodes[3], struct hash datas[2])
{
    AUTO(buf) struct buf key = golden("derive", "dedup_key");
    for (uint8_t i = 0; i < 3; i++) {
        struct hash content = hash_of(span_of(&i, 1));
        nodes[i] = chunk_id(key.data, FRAME_NODE, &content);
        if (i < 2) datas[i] = chunk_id(key.data, FRAME_DATA, &content);
    }
    qsort(nodes, 3, sizeof(nodes[0]), by_bytes);
    qsort(datas, 2, sizeof(datas[0]), by_bytes);
}

struct frame_input fixture_input(enum frame_type type, const struct hash *nodes, const struct hash *datas)
{
    AUTO(buf) struct buf key = golden("derive", "dedup_key");
    struct hash content = hash_of(fixture_content());
    struct frame_input input = {.type = type, .raw_len = FIXTURE_CONTENT_LEN, .stored = fixture_content()};
    input.chunk = chunk_id(key.data, type, &content);
    if (type == FRAME_DATA) return input;
    input.nodes = nodes;
    input.node_count = 3;
    input.datas = datas;
    input.data_count = 2;
    return input;
}

bool subject_accepts(const struct subject *subject, struct span bytes, struct err *err)
{
    AUTO(free) uint8_t *exact = xmalloc(bytes.len ? bytes.len : 1);
    if (bytes.len) memcpy(exact, bytes.data, bytes.len);
    err_clear(err);
    return subject->accepts(span_of(exact, bytes.len), subject->context, err);
}

void check_every_prefix(const struct subject *subject, struct span whole, enum err_code code)
{
    struct err err;
    for (size_t len = 0; len < whole.len; len++) {
        cr_assert(!subject_accepts(subject, span_of(whole.data, len), &err), "accepts %zu bytes", len);
        cr_assert_eq(err.code, code, "of %zu bytes: code %d, %s", len, err.code, err.text);
    }
    cr_assert(subject_accepts(subject, whole, &err), "%s", err.text);
}

static bool is_one_of(enum err_code code, const enum err_code *codes)
{
    for (; *codes != ERR_NONE; codes++)
        if (*codes == code) return true;
    return false;
}

void check_every_bit(const struct subject *subject, struct span whole, const enum err_code *codes)
{
    struct err err;
    AUTO(buf) struct buf broken = {0};
    buf_put_span(&broken, whole);
    for (size_t bit = 0; bit < 8 * whole.len; bit++) {
        broken.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert(!subject_accepts(subject, buf_span(&broken), &err), "accepts bit %zu of byte %zu", bit % 8,
                  bit / 8);
        cr_assert(is_one_of(err.code, codes), "byte %zu: code %d, %s", bit / 8, err.code, err.text);
        broken.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    cr_assert(subject_accepts(subject, buf_span(&broken), &err), "%s", err.text);
}

void check_trailing_byte(const struct subject *subject, struct span whole)
{
    struct err err;
    AUTO(buf) struct buf longer = {0};
    buf_put_span(&longer, whole);
    buf_put_u8(&longer, 0);
    cr_assert(!subject_accepts(subject, buf_span(&longer), &err));
    cr_assert_eq(err.code, ERR_DAMAGED, "%s", err.text);
}
