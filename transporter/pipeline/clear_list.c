#include "transporter/pipeline/clear_list.h"

#include "transporter/core/manifest.h"

#include <stdlib.h>

/* Ids are kept as raw bytes in a buffer: a hash has no alignment. */
_Static_assert(sizeof(struct hash) == HASH_LEN && _Alignof(struct hash) == 1, "hashes are packed");

void clear_list_deinit(struct clear_list *list)
{
    buf_deinit(&list->nodes);
    buf_deinit(&list->datas);
    *list = (struct clear_list){0};
}

void clear_list_reset(struct clear_list *list)
{
    buf_clear(&list->nodes);
    buf_clear(&list->datas);
    list->node_count = 0;
    list->data_count = 0;
}

struct deriving {
    struct clear_list *list;
    const struct sealing *sealing;
    enum frame_type type; /* of the child before */
    struct hash content;
    bool any;
};

/* Small files that follow each other mostly lie in the same chunk: its id is derived once. */
static bool is_repeat(struct deriving *deriving, enum frame_type type, const struct hash *content)
{
    if (deriving->any && deriving->type == type && hash_eq(&deriving->content, content)) return true;
    deriving->type = type;
    deriving->content = *content;
    deriving->any = true;
    return false;
}

static bool add_child(void *arg, enum frame_type type, const struct hash *content, struct err *err)
{
    struct deriving *deriving = arg;
    if (is_repeat(deriving, type, content)) return true;
    struct hash id = sealing_id(deriving->sealing, type, content);
    struct buf *ids = type == FRAME_NODE ? &deriving->list->nodes : &deriving->list->datas;
    buf_put(ids, id.bytes, HASH_LEN);
    return true;
}

static int by_bytes(const void *a, const void *b)
{
    return hash_cmp(a, b);
}

/* Sorts, drops repeats, and returns how many ids are left. */
static size_t make_unique(struct buf *ids)
{
    size_t count = ids->len / HASH_LEN;
    if (count == 0) return 0;
    struct hash *hashes = (struct hash *)ids->data;
    qsort(hashes, count, sizeof(*hashes), by_bytes);
    size_t kept = 1;
    for (size_t i = 1; i < count; i++)
        if (!hash_eq(&hashes[i], &hashes[kept - 1])) hashes[kept++] = hashes[i];
    ids->len = kept * HASH_LEN;
    return kept;
}

bool clear_list_derive(struct clear_list *list, const struct sealing *sealing, struct span node,
                       struct err *err)
{
    clear_list_reset(list);
    struct deriving deriving = {.list = list, .sealing = sealing};
    enum node_kind kind;
    if (!node_children(node, &kind, add_child, &deriving, err)) {
        clear_list_reset(list);
        return false;
    }
    list->node_count = make_unique(&list->nodes);
    list->data_count = make_unique(&list->datas);
    if (list->node_count + list->data_count <= FRAME_MAX_CLEAR) return true;
    size_t count = list->node_count + list->data_count;
    clear_list_reset(list);
    return err_set(err, ERR_LIMIT, "a manifest node uses %zu ids, at most %u are allowed", count,
                   FRAME_MAX_CLEAR);
}

const struct hash *clear_list_nodes(const struct clear_list *list)
{
    return (const struct hash *)list->nodes.data;
}

const struct hash *clear_list_datas(const struct clear_list *list)
{
    return (const struct hash *)list->datas.data;
}
