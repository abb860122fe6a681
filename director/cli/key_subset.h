/* Subsets of a key's protectors. A write grant may keep its writer to some of the key's KMS entries: it lists
 * them, and names an unlock section that holds their wraps and no further password, which is the one that the
 * writer's points carry. What is added to the key later does not come into it; what is removed leaves it. */
#ifndef SEALIFT_CLI_KEY_SUBSET_H
#define SEALIFT_CLI_KEY_SUBSET_H

#include "director/cli/keys.h"

struct key_subset {
    bool chosen;    /* false: all that the key has */
    char **entries; /* the list is owned, the names are borrowed */
    size_t count;   /* 0 and chosen: nothing of it is left */
};
void key_subset_deinit(struct key_subset *subset);
DEFINE_AUTO_IN_PLACE(key_subset, struct key_subset, key_subset_deinit)

/* From each --kms ENTRY. An entry that does not protect the key is refused by name. */
bool key_subset_read(const struct args *args, const struct key_entry *key, struct key_subset *out,
                     struct err *err) MUST_CHECK;
/* Of a write grant; NULL, or a read grant: all. Borrows from the grant. */
void key_subset_of(const Sealift__GrantBody *grant, struct key_subset *out);
/* The last grant of the key's write half of this domain to this writer, also one that was withdrawn or is
 * over: a subset stays what it was until a job says otherwise. NULL: there was none. */
const Sealift__GrantBody *key_subset_grant(const struct keys *keys, const struct hash *key_id,
                                           const uint8_t writer[SIGN_PK_LEN], const char *domain);
/* The same entries, in whatever order? */
bool key_subset_eq(const struct key_subset *a, const struct key_subset *b);

/* What of a chosen subset the whole section of the key still has, and the section of that alone. The same
 * whole section and subset always yield the same bytes. */
bool key_subset_section(const Sealift__UnlockSection *whole, const struct key_subset *subset,
                        struct key_subset *left, struct buf *section, struct err *err) MUST_CHECK;
/* Says that nothing is left of what the writer's points carried. */
void key_subset_warn(const struct cli *cli, const char *label, const char *writer,
                     const struct key_subset *before, const struct key_subset *left);

/* ["near"], or null for all that the key has. */
json_t *key_subset_json(const struct key_subset *subset);
/* The same for people: "KMS near, vault alone", "all protectors of the key", "no protector". */
void key_subset_words(json_t *kms, struct buf *out);

#endif
