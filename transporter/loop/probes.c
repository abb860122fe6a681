#include "transporter/loop/probes.h"

#include "common/base/alloc.h"
#include "common/wire/stored.h"

#include <string.h>

enum { PROBES_MOST = 8 };

struct probes {
    struct outbox *outbox;
    struct probe *under_way[PROBES_MOST]; /* NULL: free */
};

struct probes *probes_new(struct outbox *outbox)
{
    struct probes *probes = xcalloc(1, sizeof(*probes));
    probes->outbox = outbox;
    return probes;
}

void probes_free(struct probes *probes)
{
    if (!probes) return;
    for (size_t i = 0; i < PROBES_MOST; i++)
        probe_free(probes->under_way[i]);
    free(probes);
}

/* --- hooks: any thread --- */

static void on_ready(void *arg, const struct id *id, const char *endpoint)
{
    const struct probes *probes = arg;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__ProbeReady ready = SEALIFT__PROBE_READY__INIT;
    ready.id = stored_bytes(span_of(id->bytes, ID_LEN));
    ready.endpoint = stored_lent(endpoint);
    head.kind_case = SEALIFT__HEAD__KIND_PROBE_READY;
    head.probe_ready = &ready;
    outbox_put(probes->outbox, &head, span_of(NULL, 0), OUTBOX_KEEP);
}

static void say_end(const struct probes *probes, const Sealift__ProbeEnd *end, enum outbox_need need)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_PROBE_END;
    head.probe_end = stored_lent(end);
    outbox_put(probes->outbox, &head, span_of(NULL, 0), need);
}

static void on_ended(void *arg, const Sealift__ProbeEnd *end)
{
    say_end(arg, end, OUTBOX_KEEP);
}

/* --- */

/* A director may ask as often as it likes, and need not listen. */
static void refuse(struct probes *probes, const Sealift__Probe *message, const struct err *why)
{
    Sealift__ProbeEnd end = SEALIFT__PROBE_END__INIT;
    end.id = message->id;
    end.side = message->side;
    end.code = (uint32_t)why->code;
    end.text = stored_lent(why->text);
    say_end(probes, &end, OUTBOX_DROP_WHEN_FULL);
}

static bool find_place(struct probes *probes, const Sealift__Probe *message, struct probe ***out,
                       struct err *err)
{
    struct probe **place = NULL;
    for (size_t i = 0; i < PROBES_MOST; i++) {
        const struct probe *probe = probes->under_way[i];
        if (!probe)
            place = &probes->under_way[i];
        else if (message->id.len == ID_LEN && memcmp(probe_id(probe)->bytes, message->id.data, ID_LEN) == 0)
            return err_set(err, ERR_EXISTS, "the probe is under way already");
    }
    *out = place;
    return place || err_set(err, ERR_BUSY, "%d links are being tested here already", PROBES_MOST);
}

void probes_take(struct probes *probes, const struct run_environment *environment,
                 const Sealift__Probe *message)
{
    struct err err = {0};
    struct probe **place = NULL;
    const struct probe_hooks hooks = {.ready = on_ready, .ended = on_ended, .arg = probes};
    probes_reap(probes);
    bool ok = find_place(probes, message, &place, &err);
    if (!ok && err.code == ERR_EXISTS) return;
    if (!ok || !probe_start(environment, &hooks, message, place, &err)) refuse(probes, message, &err);
}

void probes_reap(struct probes *probes)
{
    for (size_t i = 0; i < PROBES_MOST; i++) {
        if (!probes->under_way[i] || !probe_is_over(probes->under_way[i])) continue;
        probe_free(probes->under_way[i]);
        probes->under_way[i] = NULL;
    }
}
