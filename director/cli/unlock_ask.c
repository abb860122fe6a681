#include "director/cli/unlock_ask.h"

#include "common/base/text.h"
#include "director/cli/follow.h"

#include <stdio.h>

struct asking {
    struct cli *cli;
    const Sealift__Member *opener;
    struct order order;
    Sealift__UnlockReport *report;
};
static void asking_deinit(struct asking *asking)
{
    payload_unlock_free(asking->report);
}
DEFINE_AUTO_IN_PLACE(asking, struct asking, asking_deinit)

static bool take_answer(void *arg, uint64_t number, bool last, struct span sealed, struct err *err)
{
    struct asking *asking = arg;
    AUTO(secret) struct secret *plain = NULL;
    if (asking->report) return err_set(err, ERR_PROTOCOL, "'%s' answers twice", asking->opener->name);
    return (order_answer_open(asking->cli, &asking->order, number, last, sealed, &plain, err) &&
            payload_unlock_decode(span_of(plain->data, plain->len), &asking->report, err)) ||
           err_wrap(err, "what '%s' found", asking->opener->name);
}

static bool await(struct asking *asking, struct err *err)
{
    char hex[2 * ID_LEN + 1], stop[64];
    hex_encode(asking->order.run.bytes, ID_LEN, hex);
    (void)snprintf(stop, sizeof(stop), "sealift job stop %.12s", hex);
    const struct follow_request follow = {.run = asking->order.run,
                                          .from = FOLLOW_ASK,
                                          .what = "the answer",
                                          .stop = stop,
                                          .answer = take_answer,
                                          .arg = asking};
    AUTO(follow_result) struct follow_result result = {0};
    if (!follow_run(asking->cli, &follow, &result, err) ||
        !follow_conclude(asking->cli, &follow, &result, err))
        return false;
    if (result.interrupted) return err_set(err, ERR_CANCELLED, "interrupted");
    return asking->report || err_set(err, ERR_PROTOCOL, "'%s' has not answered", asking->opener->name);
}

bool unlock_ask(struct cli *cli, const struct point *point, const Sealift__Member *opener,
                const struct key_material *material, Sealift__UnlockReport **out, struct err *err)
{
    AUTO(asking) struct asking asking = {.cli = cli, .opener = opener};
    Sealift__BrowsePlan plan = SEALIFT__BROWSE_PLAN__INIT;
    plan.kind = SEALIFT__BROWSE_KIND__BROWSE_UNLOCK;
    const struct order_request request = {.kind = SEALIFT__ORDER_KIND__ORDER_BROWSE,
                                          .point = point,
                                          .target = opener,
                                          .open_at = SEALIFT__OPEN_AT__OPEN_AT_TARGET,
                                          .plan = &plan,
                                          .accept_revoked = 1, /* nothing is taken from it */
                                          .from = ORDER_FROM_NOWHERE,
                                          .wraps = material->wraps,
                                          .wrap_count = material->wrap_count};
    if (!order_put(cli, &request, &asking.order, err) || !await(&asking, err)) return false;
    *out = asking.report;
    asking.report = NULL;
    return true;
}
