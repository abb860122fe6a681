#include "transporter/repository/seal_table.h"

#include "common/base/alloc.h"
#include "common/base/secret.h"

enum { FIRST_SLOTS = 16 };

void seal_table_deinit(struct seal_table *table)
{
    free(table->seals);
    free(table->slots);
    id_set_deinit(&table->domains);
    *table = (struct seal_table){0};
}

/* The slot that names the seal, or the empty one where it would go. */
static uint32_t *slot_of(const struct seal_table *table, const struct id *seal)
{
    size_t mask = table->slot_count - 1;
    size_t at = id_place(seal, table->secret) & mask;
    while (table->slots[at] && !id_eq(&table->seals[table->slots[at] - 1].seal, seal))
        at = (at + 1) & mask;
    return &table->slots[at];
}

const struct known_seal *seal_table_find(const struct seal_table *table, const struct id *seal)
{
    if (table->slot_count == 0) return NULL;
    uint32_t number = *slot_of(table, seal);
    return number ? &table->seals[number - 1] : NULL;
}

bool seal_table_admit(struct seal_table *table, const struct hash *domain, struct err *err)
{
    if (table->count >= SEAL_TABLE_MAX)
        return err_set(err, ERR_LIMIT, "more than %d seals in one session", SEAL_TABLE_MAX);
    if (id_set_has(&table->domains, domain->bytes)) return true;
    if (table->domains.count >= SEAL_TABLE_DOMAINS_MAX)
        return err_set(err, ERR_LIMIT, "more than %d dedup domains in one session", SEAL_TABLE_DOMAINS_MAX);
    (void)id_set_add(&table->domains, domain->bytes);
    return true;
}

static void grow(struct seal_table *table)
{
    if (table->slot_count == 0) random_bytes(table->secret, sizeof(table->secret));
    table->slot_count = table->slot_count ? 2 * table->slot_count : FIRST_SLOTS;
    free(table->slots);
    table->slots = xcalloc(table->slot_count, sizeof(*table->slots));
    for (size_t i = 0; i < table->count; i++)
        *slot_of(table, &table->seals[i].seal) = (uint32_t)i + 1;
}

void seal_table_add(struct seal_table *table, const struct known_seal *seal)
{
    if (table->count == table->cap) {
        table->cap = table->cap ? 2 * table->cap : 1;
        table->seals = xreallocarray(table->seals, table->cap, sizeof(*table->seals));
    }
    if (2 * (table->count + 1) > table->slot_count) grow(table);
    table->seals[table->count++] = *seal;
    *slot_of(table, &seal->seal) = (uint32_t)table->count;
}
