#include "transporter/loop/outbox.h"

#include <criterion/criterion.h>
#include <string.h>

static struct net_wake wake;
static struct outbox *outbox;

static void setup(void)
{
    struct err err = {0};
    cr_assert(net_wake_init(&wake, &err), "%s", err.text);
    outbox = outbox_new(&wake);
}

static void teardown(void)
{
    outbox_free(outbox);
    net_wake_deinit(&wake);
}

TestSuite(outbox, .init = setup, .fini = teardown, .timeout = 30);

static void put(const char *payload, enum outbox_need need)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Done done = SEALIFT__DONE__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_DONE;
    head.done = &done;
    outbox_put(outbox, &head, span_str(payload), need);
}

static void expect(const char *payload)
{
    struct outbox_item *item = outbox_take(outbox);
    cr_assert_not_null(item);
    cr_assert(span_eq(buf_span(&item->payload), span_str(payload)), "%s", payload);
    outbox_item_free(item);
}

/* What runs say while there is no connection waits; the next connection must begin with Hello. */
Test(outbox, what_is_put_first_goes_before_what_waits)
{
    put("ready", OUTBOX_KEEP);
    put("point", OUTBOX_KEEP);
    put("hello", OUTBOX_FIRST);
    put("end", OUTBOX_KEEP);
    expect("hello");
    expect("ready");
    expect("point");
    expect("end");
    cr_assert_null(outbox_take(outbox));
    put("hello", OUTBOX_FIRST);
    put("end", OUTBOX_KEEP);
    expect("hello");
    expect("end");
}

Test(outbox, drops_progress_when_it_is_full_and_nothing_else)
{
    for (int i = 0; i < 256; i++)
        put("progress", OUTBOX_DROP_WHEN_FULL);
    put("dropped", OUTBOX_DROP_WHEN_FULL);
    put("point", OUTBOX_KEEP);
    for (int i = 0; i < 256; i++)
        expect("progress");
    expect("point");
    cr_assert_null(outbox_take(outbox));
}

Test(outbox, what_could_not_be_sent_is_the_next_again)
{
    put("one", OUTBOX_KEEP);
    put("two", OUTBOX_KEEP);
    outbox_return(outbox, outbox_take(outbox));
    expect("one");
    struct outbox_item *last = outbox_take(outbox);
    outbox_return(outbox, last);
    put("three", OUTBOX_KEEP);
    expect("two");
    expect("three");
}

static void put_long(size_t len, enum outbox_need need)
{
    AUTO(buf) struct buf payload = {0};
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Done done = SEALIFT__DONE__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_DONE;
    head.done = &done;
    memset(buf_grow(&payload, len), 7, len);
    outbox_put(outbox, &head, buf_span(&payload), need);
}

Test(outbox, that_nobody_reads_holds_a_bounded_number_of_bytes_and_says_so)
{
    enum { LEN = 1 << 20 };
    for (int i = 0; i < OUTBOX_MOST_BYTES / LEN - 1; i++)
        put_long(LEN, OUTBOX_KEEP);
    cr_assert(!outbox_is_overfull(outbox));
    put_long(LEN, OUTBOX_KEEP);
    cr_assert(outbox_is_overfull(outbox));
    cr_assert_leq(outbox_bytes(outbox), OUTBOX_MOST_BYTES);
    outbox_clear(outbox);
    cr_assert(!outbox_is_overfull(outbox));
    cr_assert_eq(outbox_bytes(outbox), 0);
}

Test(outbox, a_whole_does_not_count)
{
    put_long(OUTBOX_MOST_BYTES, OUTBOX_WHOLE);
    put_long(1000, OUTBOX_KEEP);
    cr_assert(!outbox_is_overfull(outbox));
    outbox_item_free(outbox_take(outbox));
    cr_assert_lt(outbox_bytes(outbox), 2000);
    outbox_item_free(outbox_take(outbox));
    cr_assert_eq(outbox_bytes(outbox), 0);
}
