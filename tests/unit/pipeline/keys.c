#include "keys.h"

#include "common/wire/stored.h"

#include <string.h>

static void make_unlock(const struct read_half *half, struct buf *out)
{
    AUTO(buf) struct buf keyring = {0};
    keyring_seal(half, &keyring);
    Sealift__UnlockSection unlock;
    sealift__unlock_section__init(&unlock);
    unlock.version = 1;
    unlock.key_id = stored_bytes(span_of(&half->key_id, HASH_LEN));
    unlock.origin = SEALIFT__KEY_ORIGIN__KEY_GENERATED;
    unlock.keyring = stored_bytes(buf_span(&keyring));
    unlock.unlock_pk = stored_bytes(span_of(half->unlock_pk, sizeof(half->unlock_pk)));
    struct err err = {0};
    if (!stored_unlock_encode(&unlock, out, &err)) abort();
}

struct keys keys_make(void)
{
    static const uint8_t s[KEY_SECRET_LEN] = {7, 7, 7};
    static const uint8_t seed[32] = {1, 2, 3};
    struct keys keys = {.read = read_half_new(s), .writer = sign_pair_new(seed), .run = run_key_new()};
    keys.write = write_half_of(keys.read, KEYS_DOMAIN);
    make_unlock(keys.read, &keys.unlock);
    return keys;
}

void keys_drop(struct keys *keys)
{
    read_half_free(keys->read);
    write_half_free(keys->write);
    sign_pair_free(keys->writer);
    run_key_free(keys->run);
    buf_deinit(&keys->unlock);
}

struct sealing_options keys_sealing(const struct keys *keys, struct outlet outlet)
{
    return (struct sealing_options){
        .place = SEAL_HERE,
        .writer = keys->writer,
        .run = keys->run,
        .half = keys->write,
        .cipher = cipher_default(),
        .padding = PADDING_PADME,
        .compress = {.method = COMPRESS_LZ4},
        .outlet = outlet,
    };
}

struct sealing_options keys_plain(const struct keys *keys, struct outlet outlet)
{
    struct sealing_options options = keys_sealing(keys, outlet);
    options.half = NULL;
    options.cipher = CIPHER_NONE;
    options.padding = PADDING_NONE;
    return options;
}

struct sealing_options keys_raw(struct outlet outlet)
{
    return (struct sealing_options){
        .place = SEAL_THERE, .compress = {.method = COMPRESS_LZ4}, .outlet = outlet};
}

struct backup_identity keys_identity(const struct keys *keys)
{
    return (struct backup_identity){
        .site = {{1}},
        .run = {{2}},
        .point = {{3}},
        .repository = {{4}},
        .attempt = 1,
        .job = "home",
        .writer_name = "alpha",
        .key_label = "main",
        .domain = KEYS_DOMAIN,
        .unlock_section = buf_span(&keys->unlock),
    };
}

static bool decompress(const struct frame_content *content, struct buf *plain)
{
    AUTO(decompressor) struct decompressor *decompressor = NULL;
    struct err err = {0};
    if (!decompressor_new(&decompressor, &err)) return false;
    buf_clear(plain);
    uint8_t *out = buf_grow(plain, content->raw_len);
    return decompress_chunk(decompressor, content->compression, content->stored, out, content->raw_len, &err);
}

static bool is_named_by(const struct keys *keys, const struct frame_view *frame, struct span plain)
{
    uint8_t plain_key[HASH_LEN];
    plaintext_dedup_key(plain_key);
    const uint8_t *dedup = frame->cipher == CIPHER_NONE ? plain_key : keys->write->dedup_key->data;
    struct hash content = hash_of(plain);
    struct hash id = chunk_id(dedup, frame->type, &content);
    return hash_eq(&id, &frame->chunk);
}

bool keys_open(const struct keys *keys, struct span envelope, struct span frame, struct buf *plain)
{
    struct err err = {0};
    struct frame_view view;
    AUTO(run_key) struct run_key *run = NULL;
    AUTO(frame_opener) struct frame_opener *opener = frame_opener_new();
    AUTO(buf) struct buf scratch = {0};
    struct frame_content content;
    if (!frame_parse(frame, &view, &err)) return false;
    if (view.cipher != CIPHER_NONE && !envelope_open(envelope, keys->read, &run, &err)) return false;
    if (!frame_open(opener, run, &view, &scratch, &content, &err)) return false;
    return decompress(&content, plain) && is_named_by(keys, &view, buf_span(plain));
}
