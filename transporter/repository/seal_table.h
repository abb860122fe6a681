/* The envelopes that an ingest session may put into its packs, found by seal id. A copy session learns them
 * from its peer: their number has a limit. The place of each follows from secret numbers, so that nobody can
 * choose ids that collide. One thread, or the caller's lock. */
#ifndef SEALIFT_REPOSITORY_SEAL_TABLE_H
#define SEALIFT_REPOSITORY_SEAL_TABLE_H

#include "common/crypto/envelope.h"
#include "transporter/repository/id_set.h"

enum {
    SEAL_TABLE_MAX = 1 << 18,        /* attempts whose chunks one session copies: about 100 MB */
    SEAL_TABLE_DOMAINS_MAX = 1 << 12 /* each new one becomes a number in the index for good */
};

struct known_seal {
    struct id seal;
    uint32_t domain; /* its number in the index */
    uint8_t bytes[ENVELOPE_LEN];
};

/* {0} is empty. */
struct seal_table {
    struct known_seal *seals;
    size_t count, cap;
    uint32_t *slots; /* number of a seal, from 1; 0: empty */
    size_t slot_count;
    uint64_t secret[2];
    struct id_set domains;
};

void seal_table_deinit(struct seal_table *table);
/* NULL: it is not known. Borrowed until the next seal_table_add. */
const struct known_seal *seal_table_find(const struct seal_table *table, const struct id *seal);
/* May a seal that is not known yet, of this domain, be added? Counts the domain. ERR_LIMIT. */
bool seal_table_admit(struct seal_table *table, const struct hash *domain, struct err *err) MUST_CHECK;
/* One that is not known yet. */
void seal_table_add(struct seal_table *table, const struct known_seal *seal);

#endif
