#include "common/crypto/hash_list.h"

#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
    return hash_cmp(a, b);
}

void hash_list_make_set(struct buf *hashes)
{
    struct hash *list = (struct hash *)(void *)hashes->data;
    size_t count = hash_list_count(hashes), kept = 0;
    if (count == 0) return;
    qsort(list, count, HASH_LEN, by_value);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || !hash_eq(&list[kept - 1], &list[i])) list[kept++] = list[i];
    hashes->len = kept * HASH_LEN;
}

bool hash_list_has(const struct buf *set, const struct hash *hash)
{
    return set->len > 0 && bsearch(hash, set->data, hash_list_count(set), HASH_LEN, by_value) != NULL;
}
