/* Which packs a check looks at, in which order, and how closely. */
#include "common/base/alloc.h"
#include "transporter/repository/check_state.h"
#include "transporter/repository/mark.h"

#include <string.h>

static void add(struct check *check, uint32_t no, enum check_depth depth)
{
    if (check->item_count == check->item_cap) {
        check->item_cap = check->item_cap ? 2 * check->item_cap : 256;
        check->items = xreallocarray(check->items, check->item_cap, sizeof(*check->items));
    }
    check->items[check->item_count++] = (struct check_item){.no = no, .depth = depth};
}

static void add_pack(struct check *check, const struct index_pack *pack, uint64_t *left)
{
    bool again = pack->state == INDEX_DAMAGED && check->level == CHECK_HASH;
    check->result.packs_total++;
    check->result.bytes_total += pack->size;
    if (*left > 0 && pack->state != INDEX_LOST) { /* of which there is nothing to read */
        (*left)--;
        add(check, pack->no, DEPTH_HASH);
    } else {
        add(check, pack->no, again ? DEPTH_HASH_AGAIN : DEPTH_PRESENCE);
    }
}

/* By name, from `from` on: the numbers of packs change when an index is made anew. `until`: NULL, or where
 * to end. */
static bool add_named(struct check *check, const struct hash *from, const struct hash *until, uint64_t *left,
                      struct err *err)
{
    struct hash at = *from;
    struct index_pack pack;
    while (index_pack_by_name(check->repository->index, &at, &pack, err)) {
        if (until && hash_cmp(&pack.name, until) >= 0) return true;
        if (pack.state != INDEX_SWEPT) add_pack(check, &pack, left);
        at = pack.name;
        size_t last = HASH_LEN;
        while (last > 0 && ++at.bytes[last - 1] == 0)
            last--;
        if (last == 0) return true; /* the highest name there can be */
    }
    return err->code == ERR_NOT_FOUND;
}

/* --- of one point --- */

static bool drop_others(struct check *check, const bool *wanted, uint32_t packs, struct err *err)
{
    size_t kept = 0;
    check->result.packs_total = check->result.bytes_total = 0;
    for (size_t i = 0; i < check->item_count; i++) {
        struct check_item item = check->items[i];
        struct index_pack pack;
        if (item.no >= packs || !wanted[item.no]) continue;
        if (!index_pack_get(check->repository->index, item.no, &pack, err)) {
            if (err->code != ERR_NOT_FOUND) return false;
            continue;
        }
        check->result.packs_total++;
        check->result.bytes_total += pack.size;
        check->items[kept++] = item;
    }
    check->item_count = kept;
    return true;
}

/* Of a point whose nodes cannot be read it is not known what it needs: then all packs are looked at. */
static bool choose_point(struct check *check, struct err *err)
{
    struct repository *repository = check->repository;
    struct repository_point point;
    struct err why;
    uint32_t packs = 0;
    if (!repository_point_find(repository, check->options->point, &point, err) ||
        !index_next_pack(repository->index, &packs, err))
        return false;
    AUTO(free) bool *wanted = xcalloc((size_t)packs + 1, sizeof(*wanted));
    return !mark_point_packs(repository, &point, wanted, packs, &why) ||
           drop_others(check, wanted, packs, err);
}

bool check_choose(struct check *check, struct err *err)
{
    const struct check_options *options = check->options;
    static const struct hash lowest = {{0}};
    uint64_t left = options->packs > 0 ? options->packs : UINT64_MAX;
    if (check->level != CHECK_HASH) left = 0;
    return add_named(check, &options->from, NULL, &left, err) &&
           add_named(check, &lowest, &options->from, &left, err) &&
           (!options->point || choose_point(check, err));
}
