#include "chunks.h"
#include "local_site.h"
#include "transporter/core/manifest.h"
#include "transporter/pipeline/outlet_reseal.h"

#include <criterion/criterion.h>
#include <string.h>

enum { CHUNKS = 40, CHUNK_LEN = 150000 };

/* Data chunks and a manifest of one file that uses them all. */
struct packing {
    struct sealing *sealing;
    struct chunk_pool *pool;
    struct packer *data, *nodes;
    struct err err;
};

static void packing_open(struct packing *packing, const struct sealing_options *options)
{
    packing->pool = chunk_pool_new(4 << 20);
    cr_assert(sealing_new(options, &packing->sealing, &packing->err), "%s", packing->err.text);
    cr_assert(packer_new(packing->sealing, packing->pool, PACK_DATA, &packing->data, &packing->err));
    cr_assert(packer_new(packing->sealing, packing->pool, PACK_META, &packing->nodes, &packing->err));
}

static void packing_close(struct packing *packing)
{
    packer_free(packing->data);
    packer_free(packing->nodes);
    sealing_free(packing->sealing);
    chunk_pool_free(packing->pool);
}
DEFINE_AUTO_IN_PLACE(packing, struct packing, packing_close)

static bool pack_node(void *arg, struct span node, struct hash *content, struct err *err)
{
    struct packing *packing = arg;
    AUTO(buf) struct buf bytes = {0};
    buf_put_span(&bytes, node);
    *content = hash_of(node);
    return packer_put(packing->nodes, &bytes, content, err);
}

static struct hash pack_manifest(struct packing *packing)
{
    struct err *err = &packing->err;
    AUTO(buf) struct buf refs = {0};
    for (uint64_t i = 0; i < CHUNKS; i++) {
        struct ref ref = {.content = chunk_content(i, CHUNK_LEN), .length = CHUNK_LEN};
        ref_encode(&ref, &refs);
    }
    struct entry entry = {.type = ENTRY_FILE,
                          .depth = 1,
                          .size = CHUNKS * CHUNK_LEN,
                          .name = span_str("file"),
                          .file_hash = {{1}},
                          .ref_count = CHUNKS,
                          .refs = buf_span(&refs)};
    AUTO(buf) struct buf encoded = {0};
    cr_assert(entry_encode(&entry, &encoded, err), "%s", err->text);
    AUTO(manifest_writer) struct manifest_writer *writer = manifest_writer_new(pack_node, packing);
    cr_assert(manifest_add(writer, (struct span){0}, buf_span(&encoded), err), "%s", err->text);
    struct manifest_root root = {.kind = OBJECT_TREE,
                                 .chunk_min = 256 << 10,
                                 .chunk_average = 1 << 20,
                                 .chunk_max = 4 << 20,
                                 .host = span_str("host")};
    struct hash content;
    cr_assert(manifest_finish(writer, &root, &content, err), "%s", err->text);
    return content;
}

static struct hash pack_all(struct packing *packing)
{
    for (uint64_t i = 0; i < CHUNKS; i++)
        cr_assert(chunk_put(packing->data, i, CHUNK_LEN, &packing->err), "%s", packing->err.text);
    struct hash root = pack_manifest(packing);
    cr_assert(packer_flush(packing->data, NULL, &packing->err), "%s", packing->err.text);
    cr_assert(packer_flush(packing->nodes, NULL, &packing->err), "%s", packing->err.text);
    return root;
}

static struct commit_receipt commit(struct local_site *site, struct packing *packing,
                                    const struct outlet *outlet, const struct hash *root, uint8_t point)
{
    AUTO(buf) struct buf file = {0};
    AUTO(buf) struct buf missing = {0};
    struct err *err = &packing->err;
    struct backup_identity identity = keys_identity(&site->keys);
    identity.point = (struct id){{point}};
    struct commit_request request = {.point = identity.point, .root = *root};
    if (sealing_options(packing->sealing)->place == SEAL_HERE) {
        request.root = sealing_id(packing->sealing, FRAME_NODE, root);
        struct point_draft draft = {.root = request.root, .object = OBJECT_TREE};
        cr_assert(point_encode(&identity, packing->sealing, &draft, &file, err), "%s", err->text);
        request.point_file = buf_span(&file);
    }
    struct commit_receipt receipt = {0};
    cr_assert(outlet->ops->commit(outlet->self, &request, &receipt, &missing, err), "%s", err->text);
    return receipt;
}

static void assert_stored(struct local_site *site, const struct packing *packing, const struct hash *root)
{
    for (uint64_t i = 0; i < CHUNKS; i++) {
        struct hash content = chunk_content(i, CHUNK_LEN);
        struct hash id = sealing_id(packing->sealing, FRAME_DATA, &content);
        cr_assert(local_site_holds(site, &id));
    }
    struct hash id = sealing_id(packing->sealing, FRAME_NODE, root);
    cr_assert(local_site_holds(site, &id));
}

Test(outlet_repository, what_is_packed_is_stored_and_committed)
{
    static const enum repository_kind kinds[] = {REPOSITORY_ENCRYPTED, REPOSITORY_PLAINTEXT};
    for (size_t i = 0; i < 2; i++) {
        AUTO(local_site) struct local_site *site = local_site_make(kinds[i]);
        struct outlet outlet = local_site_begin(site, 1);
        AUTO(packing) struct packing packing = {0};
        struct sealing_options options =
            i == 0 ? keys_sealing(&site->keys, outlet) : keys_plain(&site->keys, outlet);
        packing_open(&packing, &options);
        struct hash root = pack_all(&packing);
        struct commit_receipt receipt = commit(site, &packing, &outlet, &root, 3);
        cr_assert(receipt.number == 2 && receipt.stored_bytes > CHUNKS * CHUNK_LEN / 2);
        assert_stored(site, &packing, &root);
    }
}

Test(outlet_repository, a_second_run_finds_everything_there)
{
    AUTO(local_site) struct local_site *site = local_site_make(REPOSITORY_ENCRYPTED);
    for (uint8_t run = 1; run <= 2; run++) {
        struct outlet outlet = local_site_begin(site, run);
        AUTO(packing) struct packing packing = {0};
        struct sealing_options options = keys_sealing(&site->keys, outlet);
        packing_open(&packing, &options);
        struct hash root = pack_all(&packing);
        (void)commit(site, &packing, &outlet, &root, run);
        cr_assert_eq(sealing_sent_bytes(packing.sealing) == 0, run == 2);
    }
}

Test(outlet_repository, sealing_there_stores_what_sealing_here_would_find)
{
    AUTO(local_site) struct local_site *site = local_site_make(REPOSITORY_ENCRYPTED);
    struct outlet behind = local_site_begin(site, 1);
    struct outlet_reseal_options options = {
        .sealing = keys_sealing(&site->keys, behind),
        .identity = keys_identity(&site->keys),
        .threads = 2,
        .queue_bytes = 4 << 20,
    };
    struct err err = {0};
    {
        AUTO(outlet_reseal) struct outlet_reseal *reseal = NULL;
        cr_assert(outlet_reseal_new(&options, &reseal, &err), "%s", err.text);
        struct outlet outlet = outlet_reseal_outlet(reseal);
        AUTO(packing) struct packing packing = {0};
        struct sealing_options raw = keys_raw(outlet);
        packing_open(&packing, &raw);
        struct hash root = pack_all(&packing);
        (void)commit(site, &packing, &outlet, &root, 3);
    }
    struct outlet outlet = local_site_begin(site, 2);
    AUTO(packing) struct packing packing = {0};
    struct sealing_options sealed = keys_sealing(&site->keys, outlet);
    packing_open(&packing, &sealed);
    struct hash root = pack_all(&packing);
    cr_assert_eq(sealing_sent_bytes(packing.sealing), 0);
    assert_stored(site, &packing, &root);
}

Test(outlet_repository, a_commit_that_lacks_a_chunk_names_it)
{
    AUTO(local_site) struct local_site *site = local_site_make(REPOSITORY_ENCRYPTED);
    struct outlet outlet = local_site_begin(site, 1);
    AUTO(packing) struct packing packing = {0};
    struct sealing_options options = keys_sealing(&site->keys, outlet);
    packing_open(&packing, &options);
    for (uint64_t i = 1; i < CHUNKS; i++)
        cr_assert(chunk_put(packing.data, i, CHUNK_LEN, &packing.err));
    struct hash root = pack_manifest(&packing);
    cr_assert(packer_flush(packing.data, NULL, &packing.err) &&
              packer_flush(packing.nodes, NULL, &packing.err));
    AUTO(buf) struct buf file = {0};
    AUTO(buf) struct buf missing = {0};
    struct point_draft draft = {.root = sealing_id(packing.sealing, FRAME_NODE, &root),
                                .object = OBJECT_TREE};
    struct backup_identity identity = keys_identity(&site->keys);
    cr_assert(point_encode(&identity, packing.sealing, &draft, &file, &packing.err));
    struct commit_request request = {
        .point = identity.point, .root = draft.root, .point_file = buf_span(&file)};
    struct commit_receipt receipt;
    cr_assert_not(outlet.ops->commit(outlet.self, &request, &receipt, &missing, &packing.err));
    cr_assert_eq(packing.err.code, ERR_NOT_FOUND);
    struct hash content = chunk_content(0, CHUNK_LEN);
    struct hash id = sealing_id(packing.sealing, FRAME_DATA, &content);
    cr_assert(missing.len == HASH_LEN && memcmp(missing.data, id.bytes, HASH_LEN) == 0);
}

Test(outlet_repository, what_the_repository_refuses_fails_the_outlet)
{
    AUTO(local_site) struct local_site *site = local_site_make(REPOSITORY_ENCRYPTED);
    struct outlet outlet = local_site_begin(site, 1);
    AUTO(packing) struct packing packing = {0};
    struct sealing_options options = keys_plain(&site->keys, outlet);
    packing_open(&packing, &options);
    cr_assert(chunk_put(packing.data, 1, 1000, &packing.err));
    cr_assert(packer_flush(packing.data, NULL, &packing.err));
    struct commit_request request = {0};
    struct commit_receipt receipt;
    AUTO(buf) struct buf missing = {0};
    struct err err = {0};
    cr_assert_not(outlet.ops->commit(outlet.self, &request, &receipt, &missing, &err));
    cr_assert_eq(err.code, ERR_POLICY, "%d %s", err.code, err.text);
}
