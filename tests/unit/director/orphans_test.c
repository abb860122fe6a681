/* Statements that cannot be judged yet. */
#include "director/core/orphans.h"

#include "signing.h"

#include <criterion/criterion.h>

static struct signing signing;
static struct orphans *orphans;

static void setup(void)
{
    signing_init(&signing);
    orphans = orphans_new();
}

static void teardown(void)
{
    orphans_free(orphans);
    signing_deinit(&signing);
}

TestSuite(orphans, .init = setup, .fini = teardown, .timeout = 120);

static struct statement *repository(uint32_t number, uint64_t version)
{
    struct id id = {{(uint8_t)(number >> 8), (uint8_t)number, 1}};
    AUTO(buf) struct buf bytes = {0};
    signing_repository(&signing, &id, version, "main", NAS, SEALIFT__STORE_KIND__STORE_ENCRYPTED, &bytes);
    return signing_decode(&bytes);
}

static bool put(enum signing_member giver, uint32_t number, uint64_t version)
{
    struct err err;
    AUTO(statement) struct statement *statement = repository(number, version);
    bool ok = orphans_put(orphans, signing_key(&signing, giver), &statement, &err);
    if (!ok) cr_assert_eq(err.code, ERR_LIMIT, "%s", err.text);
    return ok;
}

Test(orphans, keeps_one_of_each_and_the_newest)
{
    for (int i = 0; i < 3; i++)
        cr_assert(put(NAS, 1, 2));
    cr_assert_eq(orphans_count(orphans), 1);
    cr_assert(put(WEB, 1, 1), "an older one");
    cr_assert_eq(orphans_at(orphans, 0)->version, 2);
    cr_assert(put(WEB, 1, 3));
    cr_assert(put(WEB, 2, 1));
    cr_assert_eq(orphans_count(orphans), 2);
    cr_assert_eq(orphans_at(orphans, 0)->version, 3);
}

Test(orphans, of_one_giver_take_no_room_from_another)
{
    for (uint32_t i = 0; i < ORPHANS_OF_ONE_MAX; i++)
        cr_assert(put(NAS, i, 1));
    cr_assert_not(put(NAS, ORPHANS_OF_ONE_MAX, 1));
    cr_assert(put(NAS, 7, 1), "what is here needs no room");
    cr_assert(put(NAS, 7, 2), "nor does what takes its place");
    cr_assert(put(WEB, ORPHANS_OF_ONE_MAX, 1));
    cr_assert(put(WEB, 8, 2), "the newer version is of who gave it");
    cr_assert(put(NAS, ORPHANS_OF_ONE_MAX + 1, 1), "which leaves room to who gave the older one");
    cr_assert_not(put(NAS, ORPHANS_OF_ONE_MAX + 2, 1));
}

struct taking {
    uint8_t next; /* the only number that is taken now */
    int offers;
};

static bool in_turn(void *arg, struct statement **statement)
{
    struct taking *taking = arg;
    taking->offers++;
    if ((*statement)->id.bytes[1] != taking->next) return false;
    taking->next--;
    return true;
}

Test(orphans, are_offered_again_as_long_as_one_is_taken)
{
    struct taking taking = {.next = 4};
    for (uint32_t i = 1; i <= 5; i++)
        cr_assert(put(NAS, i, 1));
    orphans_offer(orphans, in_turn, &taking);
    cr_assert_eq(orphans_count(orphans), 1, "each of four was what the one before waited for");
    cr_assert_eq(orphans_at(orphans, 0)->id.bytes[1], 5);
    for (uint32_t i = 10; i < 10 + ORPHANS_OF_ONE_MAX - 1; i++)
        cr_assert(put(NAS, i, 1), "what was taken left its room");
}
