#include "director/core/orphans.h"

#include "common/base/alloc.h"

#include <string.h>

struct orphan {
    struct statement *statement;
    uint8_t giver[SIGN_PK_LEN];
};

struct orphans {
    struct orphan *items;
    size_t count, cap, bytes;
};

struct orphans *orphans_new(void)
{
    return xcalloc(1, sizeof(struct orphans));
}

void orphans_clear(struct orphans *orphans)
{
    for (size_t i = 0; i < orphans->count; i++)
        statement_free(orphans->items[i].statement);
    free(orphans->items);
    *orphans = (struct orphans){0};
}

void orphans_free(struct orphans *orphans)
{
    if (!orphans) return;
    orphans_clear(orphans);
    free(orphans);
}

size_t orphans_count(const struct orphans *orphans)
{
    return orphans->count;
}

const struct statement *orphans_at(const struct orphans *orphans, size_t index)
{
    return orphans->items[index].statement;
}

/* ---- room */

/* NULL: none of this subject */
static struct orphan *find(struct orphans *orphans, const struct statement *statement)
{
    for (size_t i = 0; i < orphans->count; i++) {
        const struct statement *one = orphans->items[i].statement;
        if (one->type == statement->type && id_eq(&one->id, &statement->id)) return &orphans->items[i];
    }
    return NULL;
}

/* `replaced` (or NULL) will be gone. */
static bool has_room(const struct orphans *orphans, const uint8_t giver[SIGN_PK_LEN],
                     const struct orphan *replaced, size_t len, struct err *err)
{
    size_t own = 0, own_bytes = 0, all = orphans->count, all_bytes = orphans->bytes;
    for (size_t i = 0; i < orphans->count; i++) {
        const struct orphan *one = &orphans->items[i];
        if (one == replaced || memcmp(one->giver, giver, SIGN_PK_LEN) != 0) continue;
        own++;
        own_bytes += one->statement->bytes.len;
    }
    if (replaced) {
        all--;
        all_bytes -= replaced->statement->bytes.len;
    }
    if (own >= ORPHANS_OF_ONE_MAX || own_bytes + len > ORPHAN_BYTES_OF_ONE_MAX)
        return err_set(
            err, ERR_LIMIT,
            "of what one transporter gives back, %d statements of %u bytes that refer to unknown ones "
            "are kept, and no more",
            ORPHANS_OF_ONE_MAX, ORPHAN_BYTES_OF_ONE_MAX);
    if (all >= ORPHANS_MAX || all_bytes + len > ORPHAN_BYTES_MAX)
        return err_set(
            err, ERR_LIMIT,
            "of what transporters give back, %d statements of %u bytes that refer to unknown ones are "
            "kept, and no more",
            ORPHANS_MAX, ORPHAN_BYTES_MAX);
    return true;
}

static struct orphan *append(struct orphans *orphans)
{
    if (orphans->count == orphans->cap) {
        orphans->cap = orphans->cap ? orphans->cap * 2 : 16;
        orphans->items = xreallocarray(orphans->items, orphans->cap, sizeof(*orphans->items));
    }
    struct orphan *orphan = &orphans->items[orphans->count++];
    *orphan = (struct orphan){0};
    return orphan;
}

bool orphans_put(struct orphans *orphans, const uint8_t giver[SIGN_PK_LEN], struct statement **statement,
                 struct err *err)
{
    struct orphan *orphan = find(orphans, *statement);
    if (orphan && orphan->statement->version >= (*statement)->version) return true;
    if (!has_room(orphans, giver, orphan, (*statement)->bytes.len, err)) return false;
    if (!orphan) orphan = append(orphans);
    if (orphan->statement) orphans->bytes -= orphan->statement->bytes.len;
    statement_free(orphan->statement);
    orphan->statement = *statement;
    memcpy(orphan->giver, giver, SIGN_PK_LEN);
    orphans->bytes += orphan->statement->bytes.len;
    *statement = NULL;
    return true;
}

/* ---- when something may have come for which they wait */

static bool offer_each(struct orphans *orphans, bool (*take)(void *arg, struct statement **statement),
                       void *arg)
{
    bool moved = false;
    for (size_t i = 0; i < orphans->count;) {
        struct statement **statement = &orphans->items[i].statement;
        size_t len = (*statement)->bytes.len;
        if (!take(arg, statement)) {
            i++;
            continue;
        }
        statement_free(*statement);
        orphans->items[i] = orphans->items[--orphans->count];
        orphans->bytes -= len;
        moved = true;
    }
    return moved;
}

void orphans_offer(struct orphans *orphans, bool (*take)(void *arg, struct statement **statement), void *arg)
{
    while (offer_each(orphans, take, arg)) {
    }
}
