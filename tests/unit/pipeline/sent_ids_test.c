#include "transporter/pipeline/sent_ids.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>

static struct hash numbered(uint64_t n)
{
    uint8_t bytes[8];
    le64_put(bytes, n);
    return hash_of(span_of(bytes, sizeof(bytes)));
}

Test(sent_ids, the_first_claim_wins_and_later_ones_do_not)
{
    AUTO(sent_ids) struct sent_ids *sent = sent_ids_new(1024);
    for (uint64_t n = 0; n < 256; n++) {
        struct hash id = numbered(n);
        cr_assert(sent_ids_claim(sent, &id));
    }
    for (uint64_t n = 0; n < 256; n++) {
        struct hash id = numbered(n);
        cr_assert_not(sent_ids_claim(sent, &id));
    }
}

Test(sent_ids, ids_that_differ_in_the_last_byte_are_different)
{
    AUTO(sent_ids) struct sent_ids *sent = sent_ids_new(8);
    struct hash id = numbered(1);
    cr_assert(sent_ids_claim(sent, &id));
    id.bytes[31] ^= 1;
    cr_assert(sent_ids_claim(sent, &id));
}

Test(sent_ids, a_full_table_forgets_the_oldest)
{
    AUTO(sent_ids) struct sent_ids *sent = sent_ids_new(8); /* one set */
    for (uint64_t n = 0; n < 9; n++) {
        struct hash id = numbered(n);
        cr_assert(sent_ids_claim(sent, &id));
    }
    struct hash last = numbered(8);
    struct hash first = numbered(0);
    cr_assert_not(sent_ids_claim(sent, &last));
    cr_assert(sent_ids_claim(sent, &first));
}

Test(sent_ids, ids_are_remembered_while_the_table_grows)
{
    AUTO(sent_ids) struct sent_ids *sent = sent_ids_new(512 * 1024);
    for (uint64_t n = 0; n < 100000; n++) {
        struct hash id = numbered(n);
        cr_assert(sent_ids_claim(sent, &id));
    }
    size_t forgotten = 0;
    for (uint64_t n = 0; n < 100000; n++) {
        struct hash id = numbered(n);
        forgotten += sent_ids_claim(sent, &id);
    }
    cr_assert_lt(forgotten, 100, "%zu of 100000", forgotten); /* of a set that was full for a while */
}

enum { IDS = 20000, THREADS = 4 }; /* so many that the table grows meanwhile */

struct claims {
    struct sent_ids *sent;
    _Atomic unsigned won;
};

static void *claim_all(void *arg)
{
    struct claims *claims = arg;
    for (uint64_t n = 0; n < IDS; n++) {
        struct hash id = numbered(n);
        if (sent_ids_claim(claims->sent, &id)) claims->won++;
    }
    return NULL;
}

Test(sent_ids, threads_that_race_for_an_id_win_it_once)
{
    AUTO(sent_ids) struct sent_ids *sent = sent_ids_new(64 * IDS);
    struct claims claims = {.sent = sent};
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, claim_all, &claims), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_assert(claims.won >= IDS && claims.won < IDS + IDS / 100, "%u",
              claims.won); /* a full set may forget */
}
