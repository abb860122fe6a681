#include "director/cli/offline_more.h"

#include "common/base/alloc.h"
#include "director/cli/generations.h"
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
    if (!offline_is_vouched(offline, &offline->points[index]) || !same_bytes(&other->key_id, &body->key_id) ||
        same_bytes(&other->unlock_hash, &body->unlock_hash))
        return false;
    for (size_t i = 0; i < index; i++)
        if (offline->points[i].body && same_bytes(&offline->points[i].body->unlock_hash, &other->unlock_hash))
            return false;
    return true;
}

/* --- that were added --- */

static void doubt(struct offline_more *more, const struct err *why)
{
    if (more->doubt.code == ERR_NONE) more->doubt = *why;
}

struct kept {
    const struct offline *offline;
    struct offline_more *more;
};

/* An operator of a roster that one of the points carries, be it a former one. */
static bool believe(void *arg, const struct statement *order)
{
    const struct offline *offline = ((const struct kept *)arg)->offline;
    return id_eq(&order->site, &offline->info.site) && offline_is_operator(offline, order->signer);
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
    struct err why = {0};
    struct kept kept = {offline, out};
    struct hash key_id = stored_hash(&point->body->key_id);
    for (size_t i = 0; i < offline->count; i++)
        if (adds_something(offline, i, point->body))
            offline_more_add(out, stored_span(&offline->points[i].file->unlock));
    if (!repository_unlock_sections(offline->repository, &key_id, believe, take, &kept, &why))
        doubt(out, &why);
}

/* --- of later generations --- */

static bool is_later(const Sealift__UnlockSection *section, const struct hash *key_id)
{
    return memcmp(section->key_id.data, key_id->bytes, HASH_LEN) != 0 &&
           stored_unlock_covers(section, key_id);
}

struct later {
    struct kept kept;
    const struct hash *key_id;
};

static bool take_later(void *arg, uint32_t number, const Sealift__UnlockSection *section,
                       const struct err *why)
{
    struct later *later = arg;
    return !section || !is_later(section, later->key_id) || take(&later->kept, number, section, why);
}

static bool read_key(void *arg, const struct hash *key_id)
{
    struct later *later = arg;
    const struct offline *offline = later->kept.offline;
    struct err why = {0};
    if (!hash_eq(key_id, later->key_id) &&
        !repository_unlock_sections(offline->repository, key_id, believe, take_later, later, &why))
        doubt(later->kept.more, &why);
    return true;
}

/* Not one of the points before it has the same section. */
static bool is_first(const struct offline *offline, size_t index)
{
    const struct offline_point *point = &offline->points[index];
    for (size_t i = 0; i < index; i++)
        if (offline->points[i].file &&
            same_bytes(&offline->points[i].body->unlock_hash, &point->body->unlock_hash))
            return false;
    return true;
}

static void add_of_points(const struct offline *offline, const struct hash *key_id, struct offline_more *out)
{
    for (size_t i = 0; i < offline->count; i++) {
        struct err ignored;
        AUTO(stored_unlock) Sealift__UnlockSection *section = NULL;
        const struct offline_point *point = &offline->points[i];
        if (offline_is_vouched(offline, point) && offline_is_sealed(point) && is_first(offline, i) &&
            stored_unlock_decode(stored_span(&point->file->unlock), &section, &ignored) &&
            is_later(section, key_id))
            offline_more_add(out, stored_span(&point->file->unlock));
    }
}

void offline_more_later(const struct offline *offline, const struct hash *key_id, struct offline_more *out)
{
    struct err why = {0};
    struct later later = {{offline, out}, key_id};
    add_of_points(offline, key_id, out);
    if (!repository_unlock_keys(offline->repository, read_key, &later, &why)) doubt(out, &why);
}

/* Of one generation the last: what was kept comes after the points. */
const Sealift__UnlockSection *offline_more_next(const struct offline_more *more,
                                                const Sealift__UnlockSection *before)
{
    const Sealift__UnlockSection *best = NULL;
    size_t at = before ? 0 : more->count;
    while (at < more->count && more->sections[at] != before)
        at++;
    for (size_t i = 0; i < more->count; i++) {
        const Sealift__UnlockSection *section = more->sections[i];
        bool is_left = !before || section->n_earlier < before->n_earlier ||
                       (section->n_earlier == before->n_earlier && i < at);
        if (!is_left || (before && same_bytes(&section->key_id, &before->key_id))) continue;
        if (!best || section->n_earlier >= best->n_earlier) best = section;
    }
    return best;
}

struct hash offline_more_hash(const struct offline_more *more)
{
    AUTO(buf) struct buf bytes = {0};
    struct err ignored;
    for (size_t i = 0; i < more->count; i++)
        if (!stored_unlock_encode(more->sections[i], &bytes, &ignored)) break;
    return hash_of(buf_span(&bytes));
}
