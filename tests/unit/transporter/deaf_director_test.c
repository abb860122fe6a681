/* A director that asks, and does not read what it is told. */
#include "target_host.h"

#include "common/base/clock.h"
#include "common/wire/lent.h"
#include "transporter/loop/inside.h"

#include <criterion/criterion.h>
#include <string.h>

static struct target_host host;
static const struct id repository = {{4}}; /* of target_host */

static void setup(void)
{
    target_host_start(&host);
}

static void teardown(void)
{
    target_host_stop(&host);
}

TestSuite(deaf_director, .init = setup, .fini = teardown, .timeout = 60);

static void ask_log(uint64_t serial)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__LogAsk ask = SEALIFT__LOG_ASK__INIT;
    ask.repository = lent_id(&repository);
    ask.from = 1;
    head.serial = serial;
    head.kind_case = SEALIFT__HEAD__KIND_LOG_ASK;
    head.log_ask = &ask;
    fake_director_send(&host.director, &head, span_of(NULL, 0));
}

/* It is not asked in vain: when it reads at last, it finds the answer to its last question. */
Test(deaf_director, is_told_of_logs_no_more_than_it_has_read)
{
    enum { QUESTIONS = 30000 };
    size_t most = 0;
    for (uint64_t serial = 1; serial <= QUESTIONS; serial++) {
        ask_log(serial);
        size_t waits = outbox_bytes(host.director.control->outbox);
        if (waits > most) most = waits;
    }
    cr_assert_lt(most, 2 << 20, "%zu bytes wait", most);
    for (uint64_t serial = 0; serial != QUESTIONS;) {
        AUTO(head)
        Sealift__Head *state = fake_director_expect(&host.director, SEALIFT__HEAD__KIND_REPOSITORY_STATE);
        serial = state->serial;
    }
}

Test(deaf_director, loses_its_connection_when_what_it_does_not_read_is_too_much)
{
    enum { LEN = 1 << 20 };
    struct outbox *outbox = host.director.control->outbox;
    AUTO(buf) struct buf payload = {0};
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__RepositoryState state = SEALIFT__REPOSITORY_STATE__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_REPOSITORY_STATE;
    head.repository_state = &state;
    memset(buf_grow(&payload, LEN), 7, LEN);
    while (!outbox_is_overfull(outbox))
        outbox_put(outbox, &head, buf_span(&payload), OUTBOX_KEEP);
    uint64_t until_ms = clock_steady_ms() + 10000;
    while (outbox_bytes(outbox) > 0 && clock_steady_ms() < until_ms)
        (void)fake_director_poke(&host.director);
    cr_assert_eq(outbox_bytes(outbox), 0, "what waited is dropped with the connection");
    /* what had been sent has to be taken, or the end of the connection does not show */
    while (fake_director_poke(&host.director) != NET_UNREACHABLE)
        fake_director_drop(&host.director);
}
