#include "director/cli/job_pace.h"

#include "common/wire/bandwidth_rule.h"
#include "common/wire/lent.h"
#include "director/core/run.h"

#include <string.h>

bool job_pace_read(const struct args *args, Sealift__JobBody *body, struct err *err)
{
    struct bandwidth_rule rule;
    unsigned priority = body->priority;
    const char *bandwidth = args_value(args, "bandwidth");
    if (bandwidth && !bandwidth_rule_parse(bandwidth, &rule, err)) return err_wrap(err, "--bandwidth");
    if (!args_number(args, "priority", RUN_PRIORITY_FIRST, RUN_PRIORITY_LAST, &priority, err)) return false;
    if (bandwidth) body->bandwidth = lent_text(strcmp(bandwidth, "unlimited") == 0 ? "" : bandwidth);
    body->priority = priority;
    return true;
}

void job_pace_json(const Sealift__JobBody *body, json_t *object)
{
    (void)json_object_set_new(object, "bandwidth",
                              body->bandwidth[0] ? json_string(body->bandwidth) : json_null());
    (void)json_object_set_new(object, "priority",
                              json_integer(body->priority ? body->priority : RUN_PRIORITY_USUAL));
}
