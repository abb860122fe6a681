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

Test(placement, of_copies_is_exactly_the_table)
{
    for (int source = TRUSTED; source <= UNTRUSTED; source++)
        for (int target = TRUSTED; target <= UNTRUSTED; target++)
            for (int from = SEALED; from <= PLAIN; from++)
                for (int to = SEALED; to <= PLAIN; to++)
                    for (int place = 0; place <= SEALIFT__PLACEMENT__PLACE_AS_STORED; place++) {
                        bool zones = from == SEALED || (source == TRUSTED && target == TRUSTED);
                        bool expected = place == SEALIFT__PLACEMENT__PLACE_AS_STORED && from == to && zones;
                        struct placement_facts facts = {.kind = SEALIFT__JOB_KIND__JOB_COPY,
                                                        .placement = (Sealift__Placement)place,
                                                        .source = (Sealift__Zone)source,
                                                        .target = (Sealift__Zone)target,
                                                        .from_store = (Sealift__StoreKind)from,
                                                        .to_store = (Sealift__StoreKind)to};
                        cr_assert_eq(allowed(facts), expected, "place %d %d->%d %d->%d", place, source,
                                     target, from, to);
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
