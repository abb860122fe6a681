#include "transporter/repository/unlocks.h"

#include "common/base/alloc.h"
#include "common/base/text.h"
#include "transporter/repository/inside.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIRECTORY "unlock"

/* --- names --- */

void unlock_name(const struct hash *key_id, uint32_t number, char out[static UNLOCK_NAME_LEN])
{
    char hex[2 * HASH_LEN + 1];
    hex_encode(key_id->bytes, HASH_LEN, hex);
    (void)snprintf(out, UNLOCK_NAME_LEN, DIRECTORY "/%s/%" PRIu32, hex, number);
}

bool unlock_parse_name(const char *name, struct hash *key_id, uint32_t *number)
{
    static const size_t hex_at = sizeof(DIRECTORY), number_at = sizeof(DIRECTORY) + 2 * HASH_LEN + 1;
    char hex[2 * HASH_LEN + 1] = {0}, again[UNLOCK_NAME_LEN];
    struct hash key;
    struct err ignored;
    if (strlen(name) <= number_at || strlen(name) > number_at + 4) return false;
    memcpy(hex, name + hex_at, 2 * HASH_LEN);
    if (!hex_decode(hex, key.bytes, HASH_LEN, &ignored)) return false;
    uint32_t found = 0;
    for (const char *digit = name + number_at; *digit; digit++) {
        if (*digit < '0' || *digit > '9') return false;
        found = 10 * found + (uint32_t)(*digit - '0');
    }
    unlock_name(&key, found, again);
    if (found == 0 || found > UNLOCKS_MOST || strcmp(again, name) != 0) return false;
    *key_id = key;
    *number = found;
    return true;
}

/* --- listing --- */

struct found {
    struct hash key_id;
    uint32_t number;
};

struct listing {
    const struct hash *key_id; /* NULL: of all */
    struct found *items;
    size_t count, cap;
};
static void listing_deinit(struct listing *listing)
{
    free(listing->items);
}
DEFINE_AUTO_IN_PLACE(listing, struct listing, listing_deinit)

static bool note(void *arg, const char *name, uint64_t size)
{
    struct listing *listing = arg;
    struct found found;
    (void)size;
    if (!unlock_parse_name(name, &found.key_id, &found.number)) return true;
    if (listing->key_id && !hash_eq(listing->key_id, &found.key_id)) return true;
    if (listing->count == listing->cap) {
        listing->cap = listing->cap ? 2 * listing->cap : 8;
        listing->items = xreallocarray(listing->items, listing->cap, sizeof(*listing->items));
    }
    listing->items[listing->count++] = found;
    return true;
}

static int by_key_and_number(const void *a, const void *b)
{
    const struct found *one = a, *other = b;
    int order = hash_cmp(&one->key_id, &other->key_id);
    return order ? order : (one->number > other->number) - (one->number < other->number);
}

static bool list(struct repository *repository, const struct hash *key_id, struct listing *out,
                 struct err *err)
{
    const struct storage *storage = &repository->storage;
    out->key_id = key_id;
    if (!storage->ops->list(storage->self, DIRECTORY, note, out, err)) return false;
    if (out->count) qsort(out->items, out->count, sizeof(*out->items), by_key_and_number);
    return true;
}

bool repository_unlock_keys(struct repository *repository, unlocks_key_fn *each, void *arg, struct err *err)
{
    AUTO(listing) struct listing listing = {0};
    if (!list(repository, NULL, &listing, err)) return false;
    for (size_t i = 0; i < listing.count; i++) {
        bool again = i > 0 && hash_eq(&listing.items[i - 1].key_id, &listing.items[i].key_id);
        if (!again && !each(arg, &listing.items[i].key_id)) break;
    }
    return true;
}

/* --- reading --- */

static bool get(struct repository *repository, const struct hash *key_id, uint32_t number, struct buf *out,
                struct err *err)
{
    const struct storage *storage = &repository->storage;
    char name[UNLOCK_NAME_LEN];
    unlock_name(key_id, number, name);
    return storage->ops->get(storage->self, name, STATEMENT_MAX, out, err);
}

bool unlock_object_check(struct span bytes, struct statement **order, struct err *err)
{
    AUTO(statement) struct statement *statement = NULL;
    if (!statement_decode(bytes, &statement, err)) {
        if (err->code == ERR_PROTOCOL) err->code = ERR_DAMAGED; /* nobody sent it: it was stored */
        return false;
    }
    if (statement->type != SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER ||
        statement->body.order->kind != SEALIFT__ORDER_KIND__ORDER_PROTECT)
        return err_set(err, ERR_NOT_AUTHENTIC, "it is no order to protect a key");
    *order = statement;
    statement = NULL;
    return true;
}

bool unlock_object_decode(struct span bytes, const struct hash *key_id, struct statement **order,
                          Sealift__UnlockSection **section, struct err *err)
{
    AUTO(statement) struct statement *statement = NULL;
    if (!unlock_object_check(bytes, &statement, err)) return false;
    const Sealift__OrderBody *body = statement->body.order;
    if (memcmp(body->key_id.data, key_id->bytes, HASH_LEN) != 0)
        return err_set(err, ERR_NOT_AUTHENTIC, "it is of another key");
    if (!stored_unlock_decode(stored_span(&body->section), section, err)) return false;
    *order = statement;
    statement = NULL;
    return true;
}

struct reading {
    struct repository *repository;
    const struct hash *key_id;
    unlocks_believe_fn *believe;
    unlocks_fn *each;
    void *arg;
};

static bool open_one(const struct reading *reading, uint32_t number, Sealift__UnlockSection **section,
                     struct err *err)
{
    AUTO(buf) struct buf bytes = {0};
    AUTO(statement) struct statement *order = NULL;
    AUTO(stored_unlock) Sealift__UnlockSection *found = NULL;
    if (!get(reading->repository, reading->key_id, number, &bytes, err) ||
        !unlock_object_decode(buf_span(&bytes), reading->key_id, &order, &found, err))
        return false;
    if (!reading->believe(reading->arg, order))
        return err_set(err, ERR_NOT_AUTHENTIC, "no operator that is known here signed it");
    *section = found;
    found = NULL;
    return true;
}

bool repository_unlock_sections(struct repository *repository, const struct hash *key_id,
                                unlocks_believe_fn *believe, unlocks_fn *each, void *arg, struct err *err)
{
    const struct reading reading = {repository, key_id, believe, each, arg};
    AUTO(listing) struct listing listing = {0};
    if (!list(repository, key_id, &listing, err)) return false;
    for (size_t i = 0; i < listing.count; i++) {
        AUTO(stored_unlock) Sealift__UnlockSection *section = NULL;
        struct err why = {0};
        bool good = open_one(&reading, listing.items[i].number, &section, &why);
        if (!each(arg, listing.items[i].number, section, good ? NULL : &why)) break;
    }
    return true;
}

bool repository_unlock_read(struct repository *repository, const struct hash *key_id, unlocks_bytes_fn *each,
                            void *arg, struct err *err)
{
    AUTO(listing) struct listing listing = {0};
    if (!list(repository, key_id, &listing, err)) return false;
    for (size_t i = 0; i < listing.count; i++) {
        AUTO(buf) struct buf bytes = {0};
        struct err unreadable;
        if (!get(repository, key_id, listing.items[i].number, &bytes, &unreadable)) continue;
        if (!each(arg, buf_span(&bytes), err)) return false;
    }
    return true;
}

/* --- writing --- */

/* Whether the object under this number has these bytes. One that cannot be read is another. */
static bool is_there(struct repository *repository, const struct hash *key_id, uint32_t number,
                     struct span bytes)
{
    struct err ignored;
    AUTO(buf) struct buf there = {0};
    return get(repository, key_id, number, &there, &ignored) && span_eq(buf_span(&there), bytes);
}

bool repository_unlock_add(struct repository *repository, const struct statement *order, struct err *err)
{
    const struct storage *storage = &repository->storage;
    struct hash key_id = stored_hash(&order->body.order->key_id);
    AUTO(listing) struct listing listing = {0};
    if (!repository->owner) return err_set(err, ERR_POLICY, "the repository is open for reading only");
    if (!list(repository, &key_id, &listing, err)) return false;
    for (size_t i = 0; i < listing.count; i++)
        if (is_there(repository, &key_id, listing.items[i].number, buf_span(&order->bytes))) return true;
    uint32_t number = listing.count ? listing.items[listing.count - 1].number : 0;
    while (++number <= UNLOCKS_MOST) {
        char name[UNLOCK_NAME_LEN];
        unlock_name(&key_id, number, name);
        if (storage->ops->put_if_absent(storage->self, name, buf_span(&order->bytes), err)) return true;
        if (err->code != ERR_EXISTS) return false;
        if (is_there(repository, &key_id, number, buf_span(&order->bytes))) return true;
    }
    return err_set(err, ERR_LIMIT,
                   "the repository keeps %d unlock sections of this key, and no room for more", UNLOCKS_MOST);
}
