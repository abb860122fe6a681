#include "transporter/loop/probes.h"

#include <criterion/criterion.h>

static void free_box(struct outbox **outbox)
{
    outbox_free(*outbox);
}

/* It may ask faster than it listens: what is said to it is bounded all the same. */
Test(probes, refusals_do_not_pile_up_for_a_director_that_does_not_listen)
{
    enum { ASKED = 2000, MOST = 256 };
    struct err err = {0};
    struct net_wake wake;
    size_t said = 0;
    cr_assert(net_wake_init(&wake, &err), "%s", err.text);
    struct outbox *outbox __attribute__((cleanup(free_box))) = outbox_new(&wake);
    struct probes *probes = probes_new(outbox);
    const struct run_environment environment = {0};
    Sealift__Probe nobody = SEALIFT__PROBE__INIT;
    for (int i = 0; i < ASKED; i++)
        probes_take(probes, &environment, &nobody);
    for (struct outbox_item *item; (item = outbox_take(outbox)); said++)
        outbox_item_free(item);
    cr_assert_leq(said, MOST);
    cr_assert_gt(said, 0);
    probes_free(probes);
    net_wake_deinit(&wake);
}
