#include "common/crypto/bundle.h"

#include "common/base/alloc.h"

#include <assert.h>
#include <string.h>

#define MAGIC "SLBUNDLE"
#define CONTEXT "sealift bundle v1"

enum {
    MAGIC_LEN = 8,
    VERSION = 1,
    SEALED_KEY_AT = 128, /* the bytes before it are what the key is bound to */
    SEALED_KEY_LEN = 32 + BOX_OVERHEAD,
    CHECK_AT = BUNDLE_HEADER_LEN - HASH_LEN,
    RESERVED_FRONT = 7,
    RESERVED_BACK = CHECK_AT - SEALED_KEY_AT - SEALED_KEY_LEN,
};

struct bundle_stream {
    struct secret *key;
    struct hash header;
    uint64_t left;   /* bytes of content that no piece has held yet */
    uint64_t number; /* of the next piece */
    bool over;       /* the last piece is done: of empty content it is a piece, too */
};

void bundle_stream_free(struct bundle_stream *stream)
{
    if (!stream) return;
    secret_free(stream->key);
    free(stream);
}

/* ---- the lock */

static bool derive_pair(const struct bundle_lock *lock, const struct secret *password, struct box_pair **out,
                        struct err *err)
{
    AUTO(secret) struct secret *hash = NULL;
    AUTO(wipe32) uint8_t sk[BOX_SK_LEN];
    if (!password_hash(password, lock->salt, &lock->limits, &hash, err)) return false;
    const struct span part = {hash->data, hash->len};
    hash_derive("sealift v1 bundle pair", &part, 1, sk);
    *out = box_pair_new(sk);
    return true;
}

bool bundle_lock_make(const struct secret *password, const struct pwhash_limits *limits,
                      struct bundle_lock *out, struct err *err)
{
    AUTO(box_pair) struct box_pair *pair = NULL;
    struct bundle_lock lock = {.limits = *limits};
    random_bytes(lock.salt, sizeof(lock.salt));
    if (!derive_pair(&lock, password, &pair, err)) return false;
    memcpy(lock.pk, pair->pk, BOX_PK_LEN);
    *out = lock;
    return true;
}

bool bundle_lock_check(const struct bundle_lock *lock, struct err *err)
{
    const struct pwhash_limits *limits = &lock->limits;
    AUTO(buf) struct buf probe = {0};
    if (limits->passes < PWHASH_INTERACTIVE.passes || limits->passes > PWHASH_MAX_PASSES ||
        limits->memory_bytes < PWHASH_INTERACTIVE.memory_bytes || limits->memory_bytes > PWHASH_MAX_MEMORY)
        return err_set(err, ERR_LIMIT, "a bundle's password limits are out of range");
    return box_seal(lock->pk, span_str(CONTEXT), span_of(NULL, 0), &probe, err);
}

bool bundle_unlock(const struct bundle_lock *lock, const struct secret *password, struct box_pair **out,
                   struct err *err)
{
    AUTO(box_pair) struct box_pair *pair = NULL;
    if (!derive_pair(lock, password, &pair, err)) return false;
    if (memcmp(pair->pk, lock->pk, BOX_PK_LEN) != 0)
        return err_set(err, ERR_WRONG_KEY, "the password is not that of this bundle");
    *out = pair;
    pair = NULL;
    return true;
}

/* ---- the header */

uint64_t bundle_file_len(uint64_t content_len)
{
    uint64_t pieces = content_len / BUNDLE_PIECE_LEN + (content_len % BUNDLE_PIECE_LEN != 0);
    if (pieces == 0) pieces = 1;
    return BUNDLE_HEADER_LEN + content_len + pieces * SMALL_OVERHEAD;
}

static void put_zeros(struct buf *out, size_t len)
{
    memset(buf_grow(out, len), 0, len);
}

static void put_facts(const struct bundle_facts *facts, struct buf *out)
{
    uint8_t program[BUNDLE_PROGRAM_LEN] = {0};
    memcpy(program, facts->program, strnlen(facts->program, BUNDLE_PROGRAM_LEN));
    buf_put(out, MAGIC, MAGIC_LEN);
    buf_put_u8(out, VERSION);
    put_zeros(out, RESERVED_FRONT);
    buf_put(out, facts->site.bytes, ID_LEN);
    buf_put_u64(out, facts->time_ns);
    buf_put_u64(out, facts->content_len);
    buf_put(out, program, sizeof(program));
    buf_put(out, facts->lock.salt, PASSWORD_SALT_LEN);
    buf_put_u64(out, facts->lock.limits.passes);
    buf_put_u64(out, facts->lock.limits.memory_bytes);
    buf_put(out, facts->lock.pk, BOX_PK_LEN);
}

/* What the key of the pieces is bound to: the use, and all that stands before it. */
static void put_context(struct span front, struct buf *out)
{
    struct hash hash = hash_of(front);
    buf_put_str(out, CONTEXT);
    buf_put_u8(out, 0);
    buf_put(out, hash.bytes, HASH_LEN);
}

static struct bundle_stream *stream_new(struct span header, uint64_t content_len)
{
    struct bundle_stream *stream = xcalloc(1, sizeof(*stream));
    stream->header = hash_of(header);
    stream->left = content_len;
    return stream;
}

bool bundle_seal_begin(const struct bundle_facts *facts, struct buf *header, struct bundle_stream **out,
                       struct err *err)
{
    assert(facts->content_len <= BUNDLE_CONTENT_MAX);
    AUTO(buf) struct buf bytes = {0};
    AUTO(buf) struct buf context = {0};
    AUTO(secret) struct secret *key = secret_new(32);
    random_bytes(key->data, key->len);
    put_facts(facts, &bytes);
    assert(bytes.len == SEALED_KEY_AT);
    put_context(buf_span(&bytes), &context);
    if (!box_seal(facts->lock.pk, buf_span(&context), span_of(key->data, key->len), &bytes, err))
        return false;
    put_zeros(&bytes, RESERVED_BACK);
    struct hash check = hash_of(buf_span(&bytes));
    buf_put(&bytes, check.bytes, HASH_LEN);
    buf_put_span(header, buf_span(&bytes));
    *out = stream_new(buf_span(&bytes), facts->content_len);
    (*out)->key = key;
    key = NULL;
    return true;
}

static bool check_shape(struct span header, struct err *err)
{
    size_t known = header.len < MAGIC_LEN ? header.len : MAGIC_LEN;
    if (known > 0 && memcmp(header.data, MAGIC, known) != 0)
        return err_set(err, ERR_DAMAGED, "it is no bundle of a director's state");
    if (header.len > MAGIC_LEN && header.data[MAGIC_LEN] != VERSION)
        return err_set(err, ERR_VERSION, "the bundle has version %u, this program reads version %u%s",
                       header.data[MAGIC_LEN], VERSION,
                       header.data[MAGIC_LEN] > VERSION ? ": a newer Sealift wrote it" : "");
    if (header.len < BUNDLE_HEADER_LEN)
        return err_set(err, ERR_TRUNCATED, "the bundle ends after %zu bytes, inside its header", header.len);
    return true;
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i]) return false;
    return true;
}

bool bundle_header_decode(struct span header, struct bundle_facts *out, struct err *err)
{
    struct bundle_facts facts = {0};
    if (!check_shape(header, err)) return false;
    struct hash check = hash_of(span_of(header.data, CHECK_AT));
    if (memcmp(check.bytes, header.data + CHECK_AT, HASH_LEN) != 0)
        return err_set(err, ERR_DAMAGED, "the bundle's header is damaged");
    struct reader reader = reader_of(header);
    struct span front = reader_bytes(&reader, MAGIC_LEN + 1 + RESERVED_FRONT);
    reader_copy(&reader, facts.site.bytes, ID_LEN);
    facts.time_ns = reader_u64(&reader);
    facts.content_len = reader_u64(&reader);
    reader_copy(&reader, facts.program, BUNDLE_PROGRAM_LEN);
    reader_copy(&reader, facts.lock.salt, PASSWORD_SALT_LEN);
    facts.lock.limits.passes = reader_u64(&reader);
    facts.lock.limits.memory_bytes = reader_u64(&reader);
    reader_copy(&reader, facts.lock.pk, BOX_PK_LEN);
    (void)reader_bytes(&reader, SEALED_KEY_LEN);
    struct span back = reader_bytes(&reader, RESERVED_BACK);
    if (!all_zero(front.data + MAGIC_LEN + 1, RESERVED_FRONT) || !all_zero(back.data, RESERVED_BACK) ||
        facts.content_len > BUNDLE_CONTENT_MAX)
        return err_set(err, ERR_DAMAGED, "the bundle's header holds what no program writes");
    for (size_t i = 0; facts.program[i]; i++)
        if (facts.program[i] < ' ' || facts.program[i] > '~') facts.program[i] = '?';
    *out = facts;
    return true;
}

/* ---- pieces */

bool bundle_over(const struct bundle_stream *stream)
{
    return stream->over;
}

size_t bundle_piece_len(const struct bundle_stream *stream)
{
    return stream->left < BUNDLE_PIECE_LEN ? (size_t)stream->left : BUNDLE_PIECE_LEN;
}

enum { BINDING_LEN = HASH_LEN + 8 + 1 };

static void bind(const struct bundle_stream *stream, uint8_t out[static BINDING_LEN])
{
    memcpy(out, stream->header.bytes, HASH_LEN);
    le64_put(out + HASH_LEN, stream->number);
    out[HASH_LEN + 8] = stream->left <= BUNDLE_PIECE_LEN;
}

static void advance(struct bundle_stream *stream)
{
    stream->over = stream->left <= BUNDLE_PIECE_LEN;
    stream->left -= bundle_piece_len(stream);
    stream->number++;
}

void bundle_seal_piece(struct bundle_stream *stream, struct span content, struct buf *out)
{
    assert(content.len == bundle_piece_len(stream) && !stream->over);
    uint8_t binding[BINDING_LEN];
    bind(stream, binding);
    small_seal(stream->key->data, span_of(binding, sizeof(binding)), content, out);
    advance(stream);
}

bool bundle_open_begin(struct span header, const struct box_pair *pair, struct bundle_stream **out,
                       struct err *err)
{
    struct bundle_facts facts;
    AUTO(buf) struct buf context = {0};
    AUTO(secret) struct secret *key = NULL;
    if (!bundle_header_decode(header, &facts, err)) return false;
    put_context(span_of(header.data, SEALED_KEY_AT), &context);
    if (!box_open(pair, buf_span(&context), span_of(header.data + SEALED_KEY_AT, SEALED_KEY_LEN), &key, err))
        return err_set(err, ERR_DAMAGED, "the bundle's header is damaged: its key does not open");
    *out = stream_new(span_of(header.data, BUNDLE_HEADER_LEN), facts.content_len);
    (*out)->key = key;
    key = NULL;
    return true;
}

bool bundle_open_piece(struct bundle_stream *stream, struct span sealed, struct secret **out, struct err *err)
{
    uint8_t binding[BINDING_LEN];
    size_t len = bundle_piece_len(stream) + SMALL_OVERHEAD;
    if (stream->over) return err_set(err, ERR_DAMAGED, "bytes follow the bundle's end");
    if (sealed.len < len) return err_set(err, ERR_TRUNCATED, "the bundle is cut");
    bind(stream, binding);
    if (sealed.len > len ||
        !small_open(stream->key->data, span_of(binding, sizeof(binding)), sealed, out, err))
        return err_set(err, ERR_DAMAGED, "piece %llu of the bundle is damaged",
                       (unsigned long long)stream->number + 1);
    advance(stream);
    return true;
}
