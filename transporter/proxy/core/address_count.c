#include "transporter/proxy/core/address_count.h"

#include "common/base/alloc.h"

#include <assert.h>
#include <string.h>

enum { BUCKETS = 4096 };

struct row {
    uint8_t address[ADDRESS_LEN];
    size_t count; /* at least 1 */
    struct row *next;
};

struct address_count {
    uint8_t key[SIPHASH_KEY_LEN];
    struct row *buckets[BUCKETS];
};

struct address_count *address_count_new(const uint8_t key[static SIPHASH_KEY_LEN])
{
    struct address_count *table = xcalloc(1, sizeof(*table));
    memcpy(table->key, key, SIPHASH_KEY_LEN);
    return table;
}

void address_count_free(struct address_count *table)
{
    if (!table) return;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct row *row = table->buckets[i]; row;) {
            struct row *next = row->next;
            free(row);
            row = next;
        }
    }
    free(table);
}

bool address_is_ipv4(const uint8_t address[static ADDRESS_LEN])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(address, mapped, sizeof(mapped)) == 0;
}

/* One client's own, of what it can choose from. */
static void client_of(const uint8_t address[static ADDRESS_LEN], uint8_t out[static ADDRESS_LEN])
{
    memset(out, 0, ADDRESS_LEN);
    memcpy(out, address, address_is_ipv4(address) ? ADDRESS_LEN : 8);
}

static struct row **find(struct address_count *table, const uint8_t client[static ADDRESS_LEN])
{
    struct row **at = &table->buckets[siphash(table->key, span_of(client, ADDRESS_LEN)) % BUCKETS];
    while (*at && memcmp((*at)->address, client, ADDRESS_LEN) != 0)
        at = &(*at)->next;
    return at;
}

bool address_count_enter(struct address_count *table, const uint8_t address[static ADDRESS_LEN], size_t most)
{
    uint8_t client[ADDRESS_LEN];
    client_of(address, client);
    struct row **at = find(table, client);
    size_t count = *at ? (*at)->count : 0;
    if (count >= most) return false;
    if (!*at) {
        *at = xcalloc(1, sizeof(**at));
        memcpy((*at)->address, client, ADDRESS_LEN);
    }
    (*at)->count++;
    return true;
}

void address_count_leave(struct address_count *table, const uint8_t address[static ADDRESS_LEN])
{
    uint8_t client[ADDRESS_LEN];
    client_of(address, client);
    struct row **at = find(table, client);
    struct row *row = *at;
    assert(row);
    if (--row->count > 0) return;
    *at = row->next;
    free(row);
}
