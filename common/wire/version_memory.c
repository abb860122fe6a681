#include "common/wire/statement.h"

#include "common/base/alloc.h"

#include <string.h>

struct remembered {
    Sealift__StatementType type;
    struct id id;
    uint64_t version;
    struct hash hash;
};

/* Few thousand at most: a sorted array. */
struct version_memory {
    struct remembered *items;
    size_t count, cap;
};

struct version_memory *version_memory_new(void)
{
    return xcalloc(1, sizeof(struct version_memory));
}

void version_memory_free(struct version_memory *memory)
{
    if (!memory) return;
    free(memory->items);
    free(memory);
}

static int compare(const struct remembered *item, Sealift__StatementType type, const struct id *id)
{
    if (item->type != type) return item->type < type ? -1 : 1;
    return memcmp(item->id.bytes, id->bytes, ID_LEN);
}

/* index of the item, or of the place where it belongs */
static size_t place_of(const struct version_memory *memory, Sealift__StatementType type, const struct id *id,
                       bool *found)
{
    size_t low = 0, high = memory->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(&memory->items[middle], type, id);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = false;
    return low;
}

void version_memory_put(struct version_memory *memory, Sealift__StatementType type, const struct id *id,
                        uint64_t version, const struct hash *hash)
{
    bool found = false;
    size_t at = place_of(memory, type, id, &found);
    if (!found) {
        if (memory->count == memory->cap) {
            memory->cap = memory->cap ? memory->cap * 2 : 16;
            memory->items = xreallocarray(memory->items, memory->cap, sizeof(*memory->items));
        }
        memmove(&memory->items[at + 1], &memory->items[at], (memory->count - at) * sizeof(*memory->items));
        memory->count++;
    }
    memory->items[at] = (struct remembered){.type = type, .id = *id, .version = version, .hash = *hash};
}

void version_memory_each(const struct version_memory *memory, version_memory_fn *each, void *arg)
{
    for (size_t i = 0; i < memory->count; i++)
        each(arg, memory->items[i].type, &memory->items[i].id, memory->items[i].version,
             &memory->items[i].hash);
}

static bool newer_than_known(const struct version_memory *memory, const struct statement *statement,
                             struct err *err)
{
    bool found = false;
    size_t at = place_of(memory, statement->type, &statement->id, &found);
    if (!found) return true;
    const struct remembered *known = &memory->items[at];
    const char *name = statement_type_name(statement->type);
    if (statement->version < known->version)
        return err_set(err, ERR_NOT_AUTHENTIC,
                       "%s statement version %llu is older than the known version %llu", name,
                       (unsigned long long)statement->version, (unsigned long long)known->version);
    if (statement->version > known->version) return true;
    if (!hash_eq(&statement->hash, &known->hash))
        return err_set(err, ERR_NOT_AUTHENTIC, "two different %s statements have version %llu", name,
                       (unsigned long long)known->version);
    return err_set(err, ERR_EXISTS, "this %s statement is known already", name);
}

static bool expires(const struct statement *statement)
{
    return statement->expiry_s != 0 && (statement->type == SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT ||
                                        statement->type == SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER);
}

bool statement_check(const struct statement *statement, const struct roster *roster, const uint8_t *self,
                     uint64_t now_s, struct version_memory *memory, struct err *err)
{
    const char *name = statement_type_name(statement->type);
    if (statement->type == SEALIFT__STATEMENT_TYPE__STATEMENT_ROSTER)
        return err_set(err, ERR_PROTOCOL, "a roster is accepted as the next of its chain only");
    if (!id_eq(&statement->site, roster_site(roster)))
        return err_set(err, ERR_NOT_AUTHENTIC, "the %s statement is of another site", name);
    if (!roster_operator(roster, statement->signer))
        return err_set(err, ERR_NOT_AUTHENTIC, "the signer of the %s statement is no operator of the roster",
                       name);
    if (self && !statement->for_everybody && memcmp(self, statement->audience, SIGN_PK_LEN) != 0)
        return err_set(err, ERR_NOT_AUTHENTIC, "the %s statement is for somebody else", name);
    if (!newer_than_known(memory, statement, err)) return false;
    if (expires(statement) && now_s > statement->expiry_s)
        return err_set(err, ERR_NOT_AUTHENTIC, "the %s statement has expired", name);
    version_memory_put(memory, statement->type, &statement->id, statement->version, &statement->hash);
    return true;
}
