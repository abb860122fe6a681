#include "cargo.h"

#include "tests/support/one_frame.h"
#include "tests/unit/pipeline/chunks.h"
#include "transporter/core/manifest.h"
#include "transporter/pipeline/point.h"
#include "transporter/repository/fetch.h"

#include <criterion/criterion.h>
#include <string.h>

void cargo_open(struct cargo *cargo, const struct sealing_options *options)
{
    *cargo = (struct cargo){.skip = UINT64_MAX};
    cargo->pool = chunk_pool_new(4 << 20);
    cr_assert(sealing_new(options, &cargo->sealing, &cargo->err), "%s", cargo->err.text);
    cr_assert(packer_new(cargo->sealing, cargo->pool, PACK_DATA, &cargo->data, &cargo->err));
    cr_assert(packer_new(cargo->sealing, cargo->pool, PACK_META, &cargo->nodes, &cargo->err));
}

void cargo_close(struct cargo *cargo)
{
    packer_free(cargo->data);
    packer_free(cargo->nodes);
    sealing_free(cargo->sealing);
    if (cargo->pool) chunk_pool_free(cargo->pool);
}

static bool pack_node(void *arg, struct span node, struct hash *content, struct err *err)
{
    struct cargo *cargo = arg;
    AUTO(buf) struct buf bytes = {0};
    buf_put_span(&bytes, node);
    *content = hash_of(node);
    return packer_put(cargo->nodes, &bytes, content, err);
}

static struct hash file_hash(void)
{
    struct hasher hasher;
    AUTO(buf) struct buf bytes = {0};
    hasher_init(&hasher);
    for (uint64_t i = 0; i < CARGO_CHUNKS; i++) {
        chunk_fill(&bytes, i, CARGO_CHUNK_LEN);
        hasher_add(&hasher, bytes.data, bytes.len);
    }
    return hasher_result(&hasher);
}

static bool pack_manifest(struct cargo *cargo, struct hash *content)
{
    struct err *err = &cargo->err;
    AUTO(buf) struct buf refs = {0};
    for (uint64_t i = 0; i < CARGO_CHUNKS; i++) {
        struct ref ref = {.content = chunk_content(i, CARGO_CHUNK_LEN), .length = CARGO_CHUNK_LEN};
        ref_encode(&ref, &refs);
    }
    struct entry entry = {.type = ENTRY_FILE,
                          .depth = 1,
                          .mode = 0600,
                          .size = (uint64_t)CARGO_CHUNKS * CARGO_CHUNK_LEN,
                          .name = span_str("file"),
                          .file_hash = file_hash(),
                          .ref_count = CARGO_CHUNKS,
                          .refs = buf_span(&refs)};
    AUTO(buf) struct buf encoded = {0};
    AUTO(manifest_writer) struct manifest_writer *writer = manifest_writer_new(pack_node, cargo);
    struct manifest_root root = {.kind = OBJECT_TREE,
                                 .chunk_min = 256 << 10,
                                 .chunk_average = 1 << 20,
                                 .chunk_max = 4 << 20,
                                 .host = span_str("host")};
    return entry_encode(&entry, &encoded, err) &&
           manifest_add(writer, (struct span){0}, buf_span(&encoded), err) &&
           manifest_finish(writer, &root, content, err);
}

bool cargo_pack(struct cargo *cargo, struct hash *root)
{
    for (uint64_t i = 0; i < CARGO_CHUNKS; i++)
        if (i != cargo->skip && !chunk_put(cargo->data, i, CARGO_CHUNK_LEN, &cargo->err)) return false;
    return pack_manifest(cargo, root) && packer_flush(cargo->data, NULL, &cargo->err) &&
           packer_flush(cargo->nodes, NULL, &cargo->err);
}

bool cargo_commit(struct cargo *cargo, const struct keys *keys, const struct id *point,
                  const struct hash *root, struct commit_receipt *receipt, struct buf *missing)
{
    AUTO(buf) struct buf file = {0};
    const struct sealing_options *options = sealing_options(cargo->sealing);
    struct backup_identity identity = keys_identity(keys);
    identity.point = *point;
    struct commit_request request = {.point = *point, .root = *root};
    if (options->place == SEAL_HERE) {
        request.root = sealing_id(cargo->sealing, FRAME_NODE, root);
        struct point_draft draft = {.root = request.root, .object = OBJECT_TREE};
        cr_assert(point_encode(&identity, cargo->sealing, &draft, &file, &cargo->err), "%s", cargo->err.text);
        request.point_file = buf_span(&file);
    }
    return options->outlet.ops->commit(options->outlet.self, &request, receipt, missing, &cargo->err);
}

static void assert_opens(const struct keys *keys, struct repository *repository, enum frame_type type,
                         const struct hash *content)
{
    AUTO(buf) struct buf frame = {0};
    AUTO(buf) struct buf envelope = {0};
    AUTO(buf) struct buf plain = {0};
    struct err err = {0};
    struct repository_info info;
    repository_info(repository, &info);
    uint8_t dedup_key[HASH_LEN];
    if (info.kind == REPOSITORY_PLAINTEXT)
        plaintext_dedup_key(dedup_key);
    else
        memcpy(dedup_key, keys->write->dedup_key->data, HASH_LEN);
    struct hash id = chunk_id(dedup_key, type, content);
    cr_assert(one_frame(repository, &id, &frame, &envelope, &err), "%s", err.text);
    cr_assert(keys_open(keys, buf_span(&envelope), buf_span(&frame), &plain));
}

void cargo_assert_stored(const struct cargo *cargo, const struct keys *keys, struct repository *repository,
                         const struct hash *root)
{
    for (uint64_t i = 0; i < CARGO_CHUNKS; i++) {
        struct hash content = chunk_content(i, CARGO_CHUNK_LEN);
        assert_opens(keys, repository, FRAME_DATA, &content);
    }
    assert_opens(keys, repository, FRAME_NODE, root);
    struct repository_info info;
    repository_info(repository, &info);
    cr_assert_eq(info.chunks, CARGO_CHUNKS + 2, "%llu frames", (unsigned long long)info.chunks);
}
