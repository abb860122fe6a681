#include "common/wire/placement.h"

#include <criterion/criterion.h>

enum {
    TRUSTED = SEALIFT__ZONE__ZONE_TRUSTED,
    UNTRUSTED = SEALIFT__ZONE__ZONE_UNTRUSTED,
    SEALED = SEALIFT__STORE_KIND__STORE_ENCRYPTED,
    PLAIN = SEALIFT__STORE_KIND__STORE_PLAINTEXT,
};

static bool allowed(struct placement_facts facts)
{
    struct err err = {0};
    bool ok = placement_check(&facts, &err);
    if (!ok) cr_assert_eq(err.code, ERR_POLICY);
    return ok;
}

/* Every combination of zones and stores, against the table of docs/security.md written out anew. */
Test(placement, of_backups_is_exactly_the_table)
{
    for (int source = TRUSTED; source <= UNTRUSTED; source++)
        for (int target = TRUSTED; target <= UNTRUSTED; target++)
            for (int store = SEALED; store <= PLAIN; store++)
                for (int place = 0; place <= SEALIFT__PLACEMENT__PLACE_AS_STORED; place++) {
                    bool expected =
                        (place == SEALIFT__PLACEMENT__PLACE_SOURCE && source == TRUSTED && store == SEALED) ||
                        (place == SEALIFT__PLACEMENT__PLACE_TARGET && target == TRUSTED && store == SEALED) ||
                        (place == SEALIFT__PLACEMENT__PLACE_PLAIN && source == TRUSTED && target == TRUSTED &&
                         store == PLAIN);
                    struct placement_facts facts = {.kind = SEALIFT__JOB_KIND__JOB_BACKUP,
                                                    .placement = (Sealift__Placement)place,
                                                    .source = (Sealift__Zone)source,
                                                    .target = (Sealift__Zone)target,
                                                    .to_store = (Sealift__StoreKind)store};
                    cr_assert_eq(allowed(facts), expected, "place %d source %d target %d store %d", place,
                                 source, target, store);
                }
}

static bool copy_is_in_the_table(int source, int target, int from, int to, int place, int reencrypt)
{
    bool both = source == TRUSTED && target == TRUSTED;
    bool seals = (place == SEALIFT__PLACEMENT__PLACE_SOURCE && source == TRUSTED) ||
                 (place == SEALIFT__PLACEMENT__PLACE_TARGET && target == TRUSTED);
    if (place == SEALIFT__PLACEMENT__PLACE_AS_STORED) return from == to && (from == SEALED || both);
    if (!seals || to == PLAIN) return false;
    return from == PLAIN ? source == TRUSTED && !reencrypt : reencrypt == 1;
}

Test(placement, of_copies_is_exactly_the_table)
{
    for (int bits = 0; bits < 32; bits++)
        for (int place = 0; place <= SEALIFT__PLACEMENT__PLACE_AS_STORED; place++) {
            int source = bits & 1 ? UNTRUSTED : TRUSTED, target = bits & 2 ? UNTRUSTED : TRUSTED;
            int from = bits & 4 ? PLAIN : SEALED, to = bits & 8 ? PLAIN : SEALED, reencrypt = bits >> 4;
            struct placement_facts facts = {.kind = SEALIFT__JOB_KIND__JOB_COPY,
                                            .placement = (Sealift__Placement)place,
                                            .source = (Sealift__Zone)source,
                                            .target = (Sealift__Zone)target,
                                            .from_store = (Sealift__StoreKind)from,
                                            .to_store = (Sealift__StoreKind)to,
                                            .reencrypt = (uint32_t)reencrypt};
            cr_assert_eq(allowed(facts), copy_is_in_the_table(source, target, from, to, place, reencrypt),
                         "place %d %d->%d %d->%d reencrypt %d", place, source, target, from, to, reencrypt);
        }
}

Test(placement, of_recoveries_is_exactly_the_table)
{
    for (int source = TRUSTED; source <= UNTRUSTED; source++)
        for (int target = TRUSTED; target <= UNTRUSTED; target++)
            for (int from = SEALED; from <= PLAIN; from++)
                for (int open_at = 0; open_at <= SEALIFT__OPEN_AT__OPEN_AT_SOURCE; open_at++) {
                    bool expected =
                        (open_at == SEALIFT__OPEN_AT__OPEN_AT_TARGET && target == TRUSTED) ||
                        (open_at == SEALIFT__OPEN_AT__OPEN_AT_SOURCE && source == TRUSTED && from == SEALED);
                    struct placement_facts facts = {.kind = SEALIFT__JOB_KIND__JOB_NONE,
                                                    .open_at = (Sealift__OpenAt)open_at,
                                                    .source = (Sealift__Zone)source,
                                                    .target = (Sealift__Zone)target,
                                                    .from_store = (Sealift__StoreKind)from};
                    cr_assert_eq(allowed(facts), expected, "open %d %d->%d from %d", open_at, source, target,
                                 from);
                }
}

Test(placement, names_the_rule_that_it_breaks)
{
    struct placement_facts facts = {.kind = SEALIFT__JOB_KIND__JOB_BACKUP,
                                    .placement = SEALIFT__PLACEMENT__PLACE_SOURCE,
                                    .source = SEALIFT__ZONE__ZONE_UNTRUSTED,
                                    .target = SEALIFT__ZONE__ZONE_TRUSTED,
                                    .to_store = SEALIFT__STORE_KIND__STORE_ENCRYPTED};
    struct err err = {0};
    cr_assert_not(placement_check(&facts, &err));
    cr_assert_str_eq(err.text, "encryption on the source needs a source in the trusted zone");
}
