#include "transporter/pipeline/reencrypt.h"

#include "common/base/alloc.h"
#include "common/base/secret.h"
#include "common/crypto/hash_list.h"
#include "transporter/core/node.h"
#include "transporter/pipeline/reencrypt_pool.h"
#include "transporter/pipeline/sent_ids.h"

#include <string.h>

enum {
    NODES_AT_ONCE = 16,    /* held in memory, on each level */
    HELD_MOST = 64 << 20,  /* bytes of nodes, above which levels go one node at a time */
    DEPTH_MOST = 40,       /* root, trees, a leaf, refs nodes: more is no manifest */
    ASK_MOST = 4096,       /* ids in one question */
    CHUNKS_BYTES = 8 << 20 /* of spare buffers */
};

struct reencrypt {
    struct reencrypt_options options;
    struct sealing *sealing;
    struct chunk_pool *chunks;
    struct reencrypt_pool *pool;
    struct packer *nodes;
    struct sent_ids *sent; /* new ids that were sent, or are being sent, in this run */

    /* the point at hand */
    const struct reencrypt_from *from;
    struct opener *opener; /* that `opening` belongs to */
    struct opener_thread *opening;
    struct buf missing;       /* new ids, ascending; empty: answers are relied on */
    struct sent_ids *visited; /* with `missing`: new ids that were looked at */
    size_t held;
    bool lost;
};

/* One thing that is to be looked at. */
struct want {
    struct hash content;
    bool lacking; /* at the other side; else it is only walked through */
};

/* --- what is wanted --- */

/* A node that the other side has is gone through all the same where a commit has found something missing. */
static void judge(struct reencrypt *reencrypt, enum frame_type type, const struct hash *content,
                  const struct hash *id, uint8_t have, struct buf *wants)
{
    struct want want = {.content = *content, .lacking = !have || hash_list_has(&reencrypt->missing, id)};
    bool doubting = reencrypt->missing.len > 0;
    bool wanted = want.lacking || (doubting && type == FRAME_NODE);
    if (!wanted || !sent_ids_claim(doubting ? reencrypt->visited : reencrypt->sent, id)) return;
    buf_put(wants, &want, sizeof(want));
}

/* Appends struct want each. */
static bool find_wanted(struct reencrypt *reencrypt, enum frame_type type, struct buf *contents,
                        struct buf *wants, struct err *err)
{
    struct hash ids[ASK_MOST];
    enum frame_type types[ASK_MOST];
    uint8_t have[ASK_MOST];
    hash_list_make_set(contents);
    for (size_t at = 0; at < hash_list_count(contents); at += ASK_MOST) {
        const struct hash *some = hash_list_items(contents) + at;
        size_t count = hash_list_count(contents) - at < ASK_MOST ? hash_list_count(contents) - at : ASK_MOST;
        for (size_t i = 0; i < count; i++) {
            ids[i] = sealing_id(reencrypt->sealing, type, &some[i]);
            types[i] = type;
        }
        if (!sealing_ask(reencrypt->sealing, types, ids, count, have, err)) return false;
        for (size_t i = 0; i < count; i++)
            judge(reencrypt, type, &some[i], &ids[i], have[i], wants);
    }
    return true;
}

/* --- nodes in memory --- */

struct held_node {
    struct want want;
    struct hash id; /* where it comes from */
    bool here;
    struct buf plain;
    struct buf stored; /* as it was compressed */
    uint8_t compression;
};

struct held_nodes {
    struct reencrypt *reencrypt;
    struct held_node nodes[NODES_AT_ONCE];
    size_t count;
    size_t bytes;
};

static void held_nodes_deinit(struct held_nodes *held)
{
    held->reencrypt->held -= held->bytes;
    for (size_t i = 0; i < held->count; i++) {
        wipe(held->nodes[i].plain.data, held->nodes[i].plain.cap);
        buf_deinit(&held->nodes[i].plain);
        wipe(held->nodes[i].stored.data, held->nodes[i].stored.cap);
        buf_deinit(&held->nodes[i].stored);
    }
}
DEFINE_AUTO_IN_PLACE(held_nodes, struct held_nodes, held_nodes_deinit)

static bool on_envelope(void *arg, struct span envelope, struct err *err)
{
    struct held_nodes *held = arg;
    return opener_take_envelope(held->reencrypt->from->opener, envelope, err);
}

static bool on_node(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    struct held_nodes *held = arg;
    struct frame_content content;
    struct err why = {0};
    struct held_node *node = held->nodes;
    while (node < held->nodes + held->count && !hash_eq(&node->id, id))
        node++;
    if (node == held->nodes + held->count) return err_set(err, ERR_PROTOCOL, "a node that was not asked for");
    atomic_fetch_add(held->reencrypt->options.opened_bytes, frame.len);
    node->here = opener_frame_content(held->reencrypt->opening, id, frame, &node->plain, &content, &why);
    if (!node->here) return true; /* another copy is asked for behind this fetch */
    node->compression = content.compression;
    buf_put_span(&node->stored, content.stored);
    return true;
}

static bool on_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    struct held_nodes *held = arg;
    held->reencrypt->lost = true;
    return opener_missing(why, err);
}

static bool other_copy(struct reencrypt *reencrypt, struct held_node *node, struct err *err)
{
    if (!opener_other_copy(reencrypt->opening, &reencrypt->from->inlet, &node->id, &node->plain, &node->here,
                           err))
        return false;
    node->compression = COMPRESS_NONE;
    buf_clear(&node->stored);
    buf_put_span(&node->stored, buf_span(&node->plain));
    if (node->here) return true;
    reencrypt->lost = true;
    return err_set(err, ERR_DAMAGED, "a node does not open, in any of its copies");
}

static bool hold(struct held_nodes *held, const struct want *wants, size_t count, struct err *err)
{
    struct reencrypt *reencrypt = held->reencrypt;
    const struct inlet *inlet = &reencrypt->from->inlet;
    struct hash ids[NODES_AT_ONCE] = {0};
    struct inlet_sink sink = {.envelope = on_envelope,
                              .frame = on_node,
                              .missing = on_missing,
                              .arg = held,
                              .opener = held->reencrypt->from->opener};
    if (atomic_load(reencrypt->options.cancelled)) return err_set(err, ERR_CANCELLED, "cancelled");
    held->count = count;
    for (size_t i = 0; i < count; i++) {
        held->nodes[i].want = wants[i];
        ids[i] = held->nodes[i].id = opener_chunk_id(reencrypt->from->opener, FRAME_NODE, &wants[i].content);
    }
    if (!inlet->ops->fetch(inlet->self, ids, count, &sink, err)) return false;
    for (size_t i = 0; i < count; i++) {
        if (!held->nodes[i].here && !other_copy(reencrypt, &held->nodes[i], err)) return false;
        held->bytes += held->nodes[i].plain.len + held->nodes[i].stored.len;
    }
    reencrypt->held += held->bytes;
    return true;
}

/* --- walking --- */

/* What a few nodes refer to, by content hash. */
struct below {
    struct buf nodes, datas;
};

static void below_deinit(struct below *below)
{
    buf_deinit(&below->nodes);
    buf_deinit(&below->datas);
}
DEFINE_AUTO_IN_PLACE(below, struct below, below_deinit)

static bool note_child(void *arg, enum frame_type type, const struct hash *content, struct err *err)
{
    struct below *below = arg;
    buf_put(type == FRAME_NODE ? &below->nodes : &below->datas, content->bytes, HASH_LEN);
    return true;
}

static bool note_below(struct reencrypt *reencrypt, const struct held_nodes *held, unsigned depth,
                       struct below *below, struct err *err)
{
    for (size_t i = 0; i < held->count; i++) {
        enum node_kind kind;
        reencrypt->lost = true;
        if (!node_children(buf_span(&held->nodes[i].plain), &kind, note_child, below, err)) return false;
        if ((kind == NODE_ROOT) != (depth == 0))
            return err_set(err, ERR_DAMAGED,
                           "a manifest's root stands where none belongs, or none at its top");
        reencrypt->lost = false;
    }
    return true;
}

static bool send_datas(struct reencrypt *reencrypt, struct buf *contents, struct err *err)
{
    AUTO(buf) struct buf wants = {0};
    AUTO(buf) struct buf wanted = {0};
    if (!find_wanted(reencrypt, FRAME_DATA, contents, &wants, err)) return false;
    for (size_t at = 0; at < wants.len; at += sizeof(struct want))
        buf_put(&wanted, wants.data + at, HASH_LEN);
    return reencrypt_pool_give(reencrypt->pool, reencrypt->from, hash_list_items(&wanted),
                               hash_list_count(&wanted), err);
}

static bool send_held(struct reencrypt *reencrypt, const struct held_nodes *held, struct err *err)
{
    for (size_t i = 0; i < held->count; i++) {
        const struct held_node *node = &held->nodes[i];
        struct raw_chunk chunk = {.type = FRAME_NODE,
                                  .compression = node->compression,
                                  .raw_len = (uint32_t)node->plain.len,
                                  .content = node->want.content,
                                  .stored = buf_span(&node->stored)};
        if (node->want.lacking && !packer_put_stored(reencrypt->nodes, &chunk, buf_span(&node->plain), err))
            return false;
    }
    return true;
}

static bool send_nodes(struct reencrypt *reencrypt, struct buf *contents, unsigned depth, struct err *err);

/* First what they refer to, then they themselves. */
static bool send_some(struct reencrypt *reencrypt, const struct want *wants, size_t count, unsigned depth,
                      struct err *err)
{
    AUTO(below) struct below below = {0};
    AUTO(held_nodes) struct held_nodes held = {.reencrypt = reencrypt};
    return hold(&held, wants, count, err) && note_below(reencrypt, &held, depth, &below, err) &&
           send_nodes(reencrypt, &below.nodes, depth + 1, err) && send_datas(reencrypt, &below.datas, err) &&
           reencrypt_pool_drain(reencrypt->pool, err) && send_held(reencrypt, &held, err);
}

static bool send_nodes(struct reencrypt *reencrypt, struct buf *contents, unsigned depth, struct err *err)
{
    AUTO(buf) struct buf found = {0};
    if (depth > DEPTH_MOST) {
        reencrypt->lost = true;
        return err_set(err, ERR_DAMAGED, "nodes lie more than %d deep", DEPTH_MOST);
    }
    if (!find_wanted(reencrypt, FRAME_NODE, contents, &found, err)) return false;
    const struct want *wants = (const struct want *)(const void *)found.data;
    size_t count = found.len / sizeof(*wants);
    for (size_t at = 0, some; at < count; at += some) {
        some = reencrypt->held > HELD_MOST ? 1 : NODES_AT_ONCE;
        if (some > count - at) some = count - at;
        if (!send_some(reencrypt, wants + at, some, depth, err)) return false;
    }
    return true;
}

/* --- a point --- */

static bool begin(struct reencrypt *reencrypt, const struct reencrypt_from *from, const struct buf *missing,
                  struct err *err)
{
    reencrypt->from = from;
    reencrypt->lost = false;
    buf_clear(&reencrypt->missing);
    if (missing) {
        buf_put_span(&reencrypt->missing, buf_span(missing));
        hash_list_make_set(&reencrypt->missing);
        sent_ids_free(reencrypt->visited);
        reencrypt->visited = sent_ids_new(SENT_IDS_DEFAULT);
    }
    if (reencrypt->opener == from->opener) return true;
    opener_thread_free(reencrypt->opening);
    reencrypt->opening = NULL;
    reencrypt->opener = NULL;
    if (!opener_thread_new(from->opener, &reencrypt->opening, err)) return false;
    reencrypt->opener = from->opener;
    return true;
}

/* Its content hash, which only the opened node tells. */
static bool find_root(struct reencrypt *reencrypt, struct hash *content, struct err *err)
{
    const struct reencrypt_from *from = reencrypt->from;
    AUTO(buf) struct buf root = {0};
    if (!opener_root(reencrypt->opening, &from->inlet, &from->root, &root, err)) {
        reencrypt->lost = err->code != ERR_CANCELLED && err->code != ERR_UNREACHABLE &&
                          err->code != ERR_PROTOCOL && err->code != ERR_SYSTEM;
        return false;
    }
    *content = hash_of(buf_span(&root));
    return true;
}

static bool send_point(struct reencrypt *reencrypt, struct hash *root, struct err *err)
{
    struct hash content;
    AUTO(buf) struct buf top = {0};
    if (!find_root(reencrypt, &content, err)) return false;
    buf_put(&top, content.bytes, HASH_LEN);
    if (!send_nodes(reencrypt, &top, 0, err) || !packer_flush(reencrypt->nodes, NULL, err)) return false;
    *root = content;
    return true;
}

/* What was counted as sent may not have been. */
static void give_up(struct reencrypt *reencrypt)
{
    bool lost = reencrypt_pool_give_up(reencrypt->pool);
    reencrypt->lost = reencrypt->lost || lost;
    sent_ids_free(reencrypt->sent);
    reencrypt->sent = sent_ids_new(SENT_IDS_DEFAULT);
}

bool reencrypt_point(struct reencrypt *reencrypt, const struct reencrypt_from *from,
                     const struct buf *missing, struct hash *root, struct err *err)
{
    if (begin(reencrypt, from, missing, err) && send_point(reencrypt, root, err)) return true;
    give_up(reencrypt);
    return false;
}

bool reencrypt_lost(const struct reencrypt *reencrypt)
{
    return reencrypt->lost;
}

/* --- making and ending --- */

bool reencrypt_new(const struct reencrypt_options *options, struct reencrypt **out, struct err *err)
{
    AUTO(reencrypt) struct reencrypt *reencrypt = xcalloc(1, sizeof(*reencrypt));
    reencrypt->options = *options;
    reencrypt->chunks = chunk_pool_new(CHUNKS_BYTES);
    reencrypt->sent = sent_ids_new(SENT_IDS_DEFAULT);
    if (!options->sealing.half)
        return err_set(err, ERR_POLICY, "a copy that encrypts needs the write half of a key");
    if (!sealing_new(&reencrypt->options.sealing, &reencrypt->sealing, err) ||
        !packer_new(reencrypt->sealing, reencrypt->chunks, PACK_META, &reencrypt->nodes, err) ||
        !reencrypt_pool_new(reencrypt->sealing, reencrypt->chunks, &reencrypt->options, &reencrypt->pool,
                            err))
        return false;
    *out = reencrypt;
    reencrypt = NULL;
    return true;
}

void reencrypt_free(struct reencrypt *reencrypt)
{
    if (!reencrypt) return;
    reencrypt_pool_free(reencrypt->pool);
    packer_free(reencrypt->nodes);
    opener_thread_free(reencrypt->opening);
    sealing_free(reencrypt->sealing);
    chunk_pool_free(reencrypt->chunks);
    sent_ids_free(reencrypt->sent);
    sent_ids_free(reencrypt->visited);
    buf_deinit(&reencrypt->missing);
    free(reencrypt);
}

const struct sealing *reencrypt_sealing(const struct reencrypt *reencrypt)
{
    return reencrypt->sealing;
}
