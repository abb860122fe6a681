#include "director/cli/offline_more.h"

#include "common/base/alloc.h"
#include "transporter/repository/unlocks.h"

#include <string.h>

void offline_more_deinit(struct offline_more *more)
{
    for (size_t i = 0; i < more->count; i++)
        stored_unlock_free(more->owned[i]);
    free(more->owned);
    free(more->sections);
    *more = (struct offline_more){0};
}

void offline_more_add(struct offline_more *more, struct span bytes)
{
    struct err ignored;
    Sealift__UnlockSection *section = NULL;
    if (!stored_unlock_decode(bytes, &section, &ignored)) return;
    size_t count = more->count + 1;
    more->owned = xreallocarray(more->owned, count, sizeof(*more->owned));
    more->sections = xreallocarray(more->sections, count, sizeof(*more->sections));
    more->owned[more->count] = section;
    more->sections[more->count] = section;
    more->count = count;
}

/* --- of other points --- */

static bool same_bytes(const ProtobufCBinaryData *a, const ProtobufCBinaryData *b)
{
    return span_eq(stored_span(a), stored_span(b));
}

/* Its section is of this key, and another one than those of the points before it. */
static bool adds_something(const struct offline *offline, size_t index, const Sealift__PointBody *body)
{
    const Sealift__PointBody *other = offline->points[index].body;
    if (!other || !same_bytes(&other->key_id, &body->key_id) ||
        same_bytes(&other->unlock_hash, &body->unlock_hash))
        return false;
    for (size_t i = 0; i < index; i++)
        if (offline->points[i].body && same_bytes(&offline->points[i].body->unlock_hash, &other->unlock_hash))
            return false;
    return true;
}

/* --- that were added --- */

struct kept {
    const struct offline *offline;
    struct offline_more *more;
};

/* An operator of a roster that one of the points carries, be it a former one. */
static bool believe(void *arg, const struct statement *order)
{
    const struct offline *offline = ((const struct kept *)arg)->offline;
    if (!id_eq(&order->site, &offline->info.site)) return false;
    for (size_t i = 0; i < offline->count; i++) {
        const struct statement *roster = offline->points[i].roster;
        const Sealift__RosterBody *body = roster ? roster->body.roster : NULL;
        for (size_t k = 0; body && k < body->n_operators; k++)
            if (memcmp(body->operators[k]->sign_pk.data, order->signer, SIGN_PK_LEN) == 0) return true;
    }
    return false;
}

static bool take(void *arg, uint32_t number, const Sealift__UnlockSection *section, const struct err *why)
{
    struct kept *kept = arg;
    struct err ignored;
    AUTO(buf) struct buf bytes = {0};
    (void)number;
    (void)why;
    if (section && stored_unlock_encode(section, &bytes, &ignored))
        offline_more_add(kept->more, buf_span(&bytes));
    return true;
}

void offline_more_gather(const struct offline *offline, const struct offline_point *point,
                         struct offline_more *out)
{
    struct err ignored;
    struct kept kept = {offline, out};
    struct hash key_id = stored_hash(&point->body->key_id);
    for (size_t i = 0; i < offline->count; i++)
        if (adds_something(offline, i, point->body))
            offline_more_add(out, stored_span(&offline->points[i].file->unlock));
    if (!repository_unlock_sections(offline->repository, &key_id, believe, take, &kept, &ignored))
        output_warning(&offline->cli->output, "the ways to the key that were added later: %s", ignored.text);
}
