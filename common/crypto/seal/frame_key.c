#include "common/crypto/seal/frame_key.h"

#include "common/base/alloc.h"
#include "common/crypto/padme.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_VERSION 1
#define COMPRESSION_LAST 2 /* none, LZ4, zstd */

/* Looking a cipher up costs more than sealing a small frame: once per process. */
static EVP_CIPHER *ciphers[CIPHER_CHACHA20_POLY1305 + 1];
static pthread_once_t ciphers_once = PTHREAD_ONCE_INIT;

static void fetch_ciphers(void)
{
    ciphers[CIPHER_AES_256_GCM] = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    ciphers[CIPHER_CHACHA20_POLY1305] = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    ERR_clear_error();
}

/* Leaves nothing in libcrypto's queue of this thread, which others might mistake for theirs. */
static bool cipher_failed(enum cipher cipher, struct err *err)
{
    ERR_clear_error();
    return err_set(err, ERR_FAILED, "libcrypto cannot use the cipher %s", cipher_name(cipher));
}

static bool cipher_start(EVP_CIPHER_CTX *ctx, enum cipher cipher, int encrypts, struct err *err)
{
    (void)pthread_once(&ciphers_once, fetch_ciphers);
    if (!ctx || !ciphers[cipher] || EVP_CipherInit_ex2(ctx, ciphers[cipher], NULL, NULL, encrypts, NULL) != 1)
        return cipher_failed(cipher, err);
    return true;
}

/* DERIVE("sealift v1 frame key", frame subkey || type || cipher || chunk id) */
static void frame_key(const struct run_key *run, enum frame_type type, enum cipher cipher,
                      const struct hash *chunk, uint8_t key[static 32])
{
    const uint8_t tags[] = {(uint8_t)type, (uint8_t)cipher};
    const struct span parts[] = {
        {run->frames->data, run->frames->len}, {tags, sizeof(tags)}, {chunk->bytes, HASH_LEN}};
    hash_derive("sealift v1 frame key", parts, 3, key);
}

/* Key, nonce and associated data; the direction stays. */
static bool cipher_begin(EVP_CIPHER_CTX *ctx, const uint8_t key[static 32], const uint8_t *nonce,
                         const uint8_t *header, struct span clear)
{
    int done;
    if (EVP_CipherInit_ex2(ctx, NULL, key, nonce, -1, NULL) != 1) return false;
    if (EVP_CipherUpdate(ctx, NULL, &done, header, FRAME_AT_NONCE) != 1) return false;
    return clear.len == 0 || EVP_CipherUpdate(ctx, NULL, &done, clear.data, (int)clear.len) == 1;
}

static bool cipher_update(EVP_CIPHER_CTX *ctx, uint8_t *out, const uint8_t *in, size_t len)
{
    int done;
    return len == 0 || (EVP_CipherUpdate(ctx, out, &done, in, (int)len) == 1 && (size_t)done == len);
}

struct frame_sealer {
    const struct run_key *run;
    enum cipher cipher;
    enum padding padding;
    EVP_CIPHER_CTX *ctx; /* NULL with cipher none */
};

bool frame_sealer_new(const struct run_key *run, enum cipher cipher, enum padding padding,
                      struct frame_sealer **out, struct err *err)
{
    if (cipher > CIPHER_CHACHA20_POLY1305) return err_set(err, ERR_FAILED, "cipher %u is not known", cipher);
    if ((run == NULL) != (cipher == CIPHER_NONE))
        return err_set(err, ERR_FAILED, "a run key and a cipher go together, or neither");
    AUTO(frame_sealer) struct frame_sealer *sealer = xcalloc(1, sizeof(*sealer));
    *sealer = (struct frame_sealer){.run = run, .cipher = cipher, .padding = padding};
    if (cipher != CIPHER_NONE) {
        sealer->ctx = EVP_CIPHER_CTX_new();
        if (!cipher_start(sealer->ctx, cipher, 1, err)) return false;
    }
    *out = sealer;
    sealer = NULL;
    return true;
}

void frame_sealer_free(struct frame_sealer *sealer)
{
    if (!sealer) return;
    EVP_CIPHER_CTX_free(sealer->ctx); /* wipes the last frame's key */
    free(sealer);
}

static size_t body_len(const struct frame_sealer *sealer, size_t stored_len)
{
    size_t len = FRAME_INNER_LEN + stored_len;
    return sealer->padding == PADDING_PADME ? padme(len) : len;
}

static size_t clear_len(const struct frame_input *input)
{
    return HASH_LEN * (input->node_count + input->data_count);
}

size_t frame_sealed_len(const struct frame_sealer *sealer, const struct frame_input *input)
{
    return FRAME_HEADER_LEN + clear_len(input) + body_len(sealer, input->stored.len) + FRAME_TAG_LEN;
}

/* The rules of what is inside a frame, the same for both directions. */
static bool lengths_fit(enum frame_type type, size_t raw_len, size_t stored_len, unsigned compression)
{
    if (raw_len > frame_max_raw(type) || stored_len > raw_len || compression > COMPRESSION_LAST) return false;
    return compression != 0 || stored_len == raw_len;
}

static bool input_is_valid(const struct frame_sealer *sealer, const struct frame_input *input,
                           struct err *err)
{
    size_t ids = input->node_count + input->data_count;
    if (input->type != FRAME_DATA && input->type != FRAME_NODE)
        return err_set(err, ERR_FAILED, "frame: unknown type %u", input->type);
    if (input->raw_len > frame_max_raw(input->type) || input->stored.len > frame_max_raw(input->type))
        return err_set(err, ERR_LIMIT, "frame: %u bytes are more than a frame holds", input->raw_len);
    if (ids > FRAME_MAX_CLEAR) return err_set(err, ERR_LIMIT, "frame: %zu ids in the clear list", ids);
    if (!lengths_fit(input->type, input->raw_len, input->stored.len, input->compression))
        return err_set(err, ERR_FAILED, "frame: %zu stored bytes of %u with compression %u",
                       input->stored.len, input->raw_len, input->compression);
    if (input->type == FRAME_DATA && ids > 0)
        return err_set(err, ERR_FAILED, "frame: a data frame has no clear list");
    if (!frame_ids_ascend((const uint8_t *)input->nodes, input->node_count) ||
        !frame_ids_ascend((const uint8_t *)input->datas, input->data_count))
        return err_set(err, ERR_FAILED, "frame: clear list is out of order");
    return true;
}

/* Header and clear list. With cipher none seal id and nonce stay zero. */
static void put_clear_part(const struct frame_sealer *sealer, const struct frame_input *input, uint8_t *out)
{
    memset(out, 0, FRAME_HEADER_LEN);
    out[FRAME_AT_VERSION] = FRAME_VERSION;
    out[FRAME_AT_TYPE] = (uint8_t)input->type;
    out[FRAME_AT_CIPHER] = (uint8_t)sealer->cipher;
    le32_put(out + FRAME_AT_BODY_LEN, (uint32_t)body_len(sealer, input->stored.len));
    memcpy(out + FRAME_AT_CHUNK, input->chunk.bytes, HASH_LEN);
    le16_put(out + FRAME_AT_NODE_IDS, (uint16_t)input->node_count);
    le16_put(out + FRAME_AT_DATA_IDS, (uint16_t)input->data_count);
    if (sealer->cipher != CIPHER_NONE) {
        memcpy(out + FRAME_AT_SEAL, sealer->run->seal.bytes, ID_LEN);
        random_bytes(out + FRAME_AT_NONCE, FRAME_NONCE_LEN);
    }
    uint8_t *clear = out + FRAME_HEADER_LEN;
    size_t nodes_len = HASH_LEN * input->node_count;
    if (input->node_count) memcpy(clear, input->nodes, nodes_len);
    if (input->data_count) memcpy(clear + nodes_len, input->datas, HASH_LEN * input->data_count);
}

static void put_inner(const struct frame_input *input, uint8_t out[static FRAME_INNER_LEN])
{
    memset(out, 0, FRAME_INNER_LEN);
    le32_put(out, input->raw_len);
    le32_put(out + 4, (uint32_t)input->stored.len);
    out[8] = input->compression;
}

static void put_plain_body(const struct frame_input *input, uint8_t *body, size_t len)
{
    put_inner(input, body);
    if (input->stored.len) memcpy(body + FRAME_INNER_LEN, input->stored.data, input->stored.len);
    size_t used = FRAME_INNER_LEN + input->stored.len;
    memset(body + used, 0, len - used + FRAME_TAG_LEN);
}

/* Straight from `stored` into the frame; the padding is made in its place. */
static bool put_sealed_body(struct frame_sealer *sealer, const struct frame_input *input, uint8_t *frame,
                            uint8_t *body, size_t len)
{
    EVP_CIPHER_CTX *ctx = sealer->ctx;
    AUTO(wipe32) uint8_t key[32];
    uint8_t inner[FRAME_INNER_LEN];
    size_t used = FRAME_INNER_LEN + input->stored.len;
    uint8_t *padding = body + used;
    int done;
    frame_key(sealer->run, input->type, sealer->cipher, &input->chunk, key);
    put_inner(input, inner);
    memset(padding, 0, len - used);
    return cipher_begin(ctx, key, frame + FRAME_AT_NONCE, frame,
                        span_of(frame + FRAME_HEADER_LEN, clear_len(input))) &&
           cipher_update(ctx, body, inner, sizeof(inner)) &&
           cipher_update(ctx, body + FRAME_INNER_LEN, input->stored.data, input->stored.len) &&
           cipher_update(ctx, padding, padding, len - used) &&
           EVP_CipherFinal_ex(ctx, body + len, &done) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, FRAME_TAG_LEN, body + len) == 1;
}

bool frame_seal(struct frame_sealer *sealer, const struct frame_input *input, uint8_t *out, struct err *err)
{
    if (!input_is_valid(sealer, input, err)) return false;
    size_t len = body_len(sealer, input->stored.len);
    uint8_t *body = out + FRAME_HEADER_LEN + clear_len(input);
    put_clear_part(sealer, input, out);
    if (sealer->cipher == CIPHER_NONE) {
        put_plain_body(input, body, len);
        return true;
    }
    return put_sealed_body(sealer, input, out, body, len) || cipher_failed(sealer->cipher, err);
}

struct frame_opener {
    EVP_CIPHER_CTX *ctx;
    enum cipher cipher; /* that ctx is set up for; CIPHER_NONE: not yet */
};

struct frame_opener *frame_opener_new(void)
{
    struct frame_opener *opener = xcalloc(1, sizeof(*opener));
    opener->ctx = EVP_CIPHER_CTX_new();
    return opener;
}

void frame_opener_free(struct frame_opener *opener)
{
    if (!opener) return;
    EVP_CIPHER_CTX_free(opener->ctx);
    free(opener);
}

/* Only accidents get here with `false`: a frame's own bytes cannot make libcrypto fail before the tag. */
static bool decrypt(struct frame_opener *opener, const struct run_key *run, const struct frame_view *frame,
                    uint8_t *plain, bool *genuine)
{
    EVP_CIPHER_CTX *ctx = opener->ctx;
    AUTO(wipe32) uint8_t key[32];
    uint8_t tag[FRAME_TAG_LEN];
    int done;
    frame_key(run, frame->type, frame->cipher, &frame->chunk, key);
    memcpy(tag, frame->tag, sizeof(tag));
    if (!cipher_begin(ctx, key, frame->nonce, frame->bytes.data, frame->clear) ||
        !cipher_update(ctx, plain, frame->body.data, frame->body.len) ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) != 1)
        return false;
    *genuine = EVP_CipherFinal_ex(ctx, plain + frame->body.len, &done) == 1;
    return true;
}

static bool open_sealed(struct frame_opener *opener, const struct run_key *run,
                        const struct frame_view *frame, struct buf *scratch, struct err *err)
{
    if (!run) return err_set(err, ERR_NO_KEY, "frame: it is sealed, and there is no key");
    if (!id_eq(&run->seal, &frame->seal)) return err_set(err, ERR_WRONG_KEY, "frame: it is of another seal");
    if (opener->cipher != frame->cipher) {
        opener->cipher = CIPHER_NONE;
        if (!cipher_start(opener->ctx, frame->cipher, 0, err)) return false;
        opener->cipher = frame->cipher;
    }
    bool genuine = false;
    if (!decrypt(opener, run, frame, buf_grow(scratch, frame->body.len), &genuine)) {
        buf_clear(scratch);
        return cipher_failed(frame->cipher, err);
    }
    if (genuine) return true;
    ERR_clear_error();
    wipe(scratch->data, scratch->len); /* not to be used by anybody */
    buf_clear(scratch);
    return err_set(err, ERR_DAMAGED, "frame: the tag does not fit");
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
    return len == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0);
}

static bool unpack_body(enum frame_type type, struct span body, struct frame_content *out)
{
    if (body.len < FRAME_INNER_LEN) return false;
    struct frame_content content = {.raw_len = le32_get(body.data), .compression = body.data[8]};
    size_t stored_len = le32_get(body.data + 4);
    if (!all_zero(body.data + 9, 3) || stored_len > body.len - FRAME_INNER_LEN) return false;
    if (!lengths_fit(type, content.raw_len, stored_len, content.compression)) return false;
    size_t used = FRAME_INNER_LEN + stored_len;
    if (body.len != used && body.len != padme(used)) return false;
    if (!all_zero(body.data + used, body.len - used)) return false;
    content.stored = span_of(body.data + FRAME_INNER_LEN, stored_len);
    *out = content;
    return true;
}

bool frame_open(struct frame_opener *opener, const struct run_key *run, const struct frame_view *frame,
                struct buf *scratch, struct frame_content *out, struct err *err)
{
    struct span body = frame->body;
    buf_clear(scratch);
    if (frame->cipher == CIPHER_NONE) {
        if (run) return err_set(err, ERR_NOT_ENCRYPTED, "frame: it is plain where a sealed one is expected");
    } else {
        if (!open_sealed(opener, run, frame, scratch, err)) return false;
        body = buf_span(scratch);
    }
    if (unpack_body(frame->type, body, out)) return true;
    buf_clear(scratch);
    return err_set(err, ERR_DAMAGED, "frame: what is inside breaks the format");
}
