#include "transporter/repository/seal_table.h"

#include "common/base/auto.h"

#include <criterion/criterion.h>
#include <string.h>

DEFINE_AUTO_IN_PLACE(seal_table, struct seal_table, seal_table_deinit)

static struct known_seal seal_of(uint32_t number)
{
    struct known_seal seal = {.domain = number};
    memcpy(seal.seal.bytes + 3, &number, sizeof(number));
    return seal;
}

static struct hash domain_of(uint32_t number)
{
    struct hash domain = {{0}};
    memcpy(domain.bytes, &number, sizeof(number));
    return domain;
}

Test(seal_table, finds_each_of_many_and_no_other)
{
    AUTO(seal_table) struct seal_table table = {0};
    struct known_seal zero = seal_of(0);
    cr_assert_null(seal_table_find(&table, &zero.seal));
    for (uint32_t i = 0; i < 3000; i++) {
        struct known_seal seal = seal_of(i);
        seal_table_add(&table, &seal);
    }
    for (uint32_t i = 0; i < 6000; i++) {
        struct known_seal seal = seal_of(i);
        const struct known_seal *found = seal_table_find(&table, &seal.seal);
        cr_assert_eq(found != NULL, i < 3000, "%u", i);
        if (found) cr_assert_eq(found->domain, i);
    }
}

Test(seal_table, takes_so_many_seals_and_so_many_domains_and_no_more)
{
    AUTO(seal_table) struct seal_table table = {0};
    struct err err = {0};
    for (uint32_t i = 0; i < SEAL_TABLE_DOMAINS_MAX; i++) {
        struct hash domain = domain_of(i + 1);
        cr_assert(seal_table_admit(&table, &domain, &err), "%s", err.text);
    }
    struct hash known = domain_of(1), fresh = domain_of(SEAL_TABLE_DOMAINS_MAX + 1);
    cr_assert_not(seal_table_admit(&table, &fresh, &err));
    cr_assert_str_eq(err.text, "more than 4096 dedup domains in one session");
    for (uint32_t i = 0; i < SEAL_TABLE_MAX; i++) {
        struct known_seal seal = seal_of(i);
        cr_assert(seal_table_admit(&table, &known, &err), "%s", err.text);
        seal_table_add(&table, &seal);
    }
    cr_assert_not(seal_table_admit(&table, &known, &err));
    cr_assert_eq(err.code, ERR_LIMIT);
    cr_assert_str_eq(err.text, "more than 262144 seals in one session");
}
