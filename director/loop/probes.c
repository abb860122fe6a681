/* Tests of ways between two transporters, for operators who wait for the answer. A probe goes as a run does:
 * the target is told first, the source when the target is ready; the source's word says whether it works.
 * Nothing of it is kept. */
#include "director/loop/inside.h"

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/secret.h"

#include <string.h>

enum {
    PROBES_MAX = 16,
    READY_MS = 5000,  /* for the target's first word */
    END_MS = 13000,   /* for an end: transporters give themselves 10 s */
    SECOND_MS = 1000, /* for the word of the side that dials, which knows more, after that of the other */
};

enum stage { AWAITS_TARGET, AWAITS_ENDS, AWAITS_SECOND };

struct probe {
    struct id id;
    uint32_t route; /* of the operator who waits */
    uint64_t serial;
    enum stage stage;
    uint64_t until_ms;
    struct way_wish way;
    uint8_t source[SIGN_PK_LEN], target[SIGN_PK_LEN];
    char source_name[RUN_NAME_MAX + 1], target_name[RUN_NAME_MAX + 1];
    uint8_t ticket[RUN_TICKET_LEN], name[WAY_NAME_LEN];
    char endpoint[RUN_ENDPOINT_MAX + 1]; /* as a run's */
    struct err first;                    /* AWAITS_SECOND: what was said */
};

void probes_free(struct director *director)
{
    free(director->probing);
}

static void drop(struct director *director, struct probe *probe)
{
    *probe = director->probing[--director->probing_count];
}

void probes_forget(struct director *director, uint32_t route)
{
    for (size_t i = director->probing_count; i > 0; i--)
        if (director->probing[i - 1].route == route) drop(director, &director->probing[i - 1]);
}

/* ---- the answer */

static void answer(struct director *director, struct probe *probe, const struct err *why, uint64_t rtt_us)
{
    struct operator_link *link = operator_link_at(director, probe->route);
    Sealift__LinkTestAnswer body = SEALIFT__LINK_TEST_ANSWER__INIT;
    if (why) body.code = why->code;
    if (why) body.text = lent_text(why->text);
    body.rtt_us = rtt_us;
    AUTO(buf) struct buf payload = {0};
    payload_link_test_encode(&body, &payload);
    log_event(LOG_INFO, "link_test", "source", probe->source_name, "target", probe->target_name, "connection",
              connection_name(probe->way.connection), "result", why ? why->text : "ok", NULL);
    if (link) operator_done(link, probe->serial, NULL, 0, buf_span(&payload));
    drop(director, probe);
}

static void fail(struct director *director, struct probe *probe, enum err_code code, const char *name,
                 const char *what)
{
    struct err why;
    (void)err_set(&why, code, "transporter '%s' %s", name, what);
    answer(director, probe, &why, 0);
}

/* ---- what the sides are told */

/* False: the host is not connected. */
static bool tell(struct director *director, const struct probe *probe, Sealift__RunSide side)
{
    bool source = side == SEALIFT__RUN_SIDE__SIDE_SOURCE;
    struct host_link *host = hosts_find(director, source ? probe->source : probe->target);
    if (!host || host->stage != HOST_CONNECTED) return false;
    struct way_word word = way_word_for(&probe->way, side, probe->endpoint);
    Sealift__Probe body = SEALIFT__PROBE__INIT;
    body.id = lent_id(&probe->id);
    body.ticket = lent_bytes(probe->ticket, RUN_TICKET_LEN);
    body.peer = lent_bytes(source ? probe->target : probe->source, SIGN_PK_LEN);
    body.side = side;
    body.connection = probe->way.connection;
    body.endpoint = lent_text(word.endpoint);
    body.proxy = lent_text(word.proxy);
    if (word.named) body.rendezvous = lent_bytes(probe->name, WAY_NAME_LEN);
    Sealift__Head head = head_of(SEALIFT__HEAD__KIND_PROBE, ++director->serial);
    head.probe = &body;
    line_send(&host->line, &head, (struct span){0});
    return true;
}

/* ---- what an operator asks for */

static bool connected(struct director *director, const uint8_t *key, const char *name,
                      const struct host_link **out, struct err *err)
{
    const struct host_link *host = hosts_find(director, key);
    if (!host || host->stage != HOST_CONNECTED)
        return err_set(err, ERR_UNREACHABLE,
                       "transporter '%s' is not connected to the director: it has to be, for a test", name);
    *out = host;
    return true;
}

static struct probe *add(struct director *director, const struct operator_link *link,
                         const Sealift__Head *head, const struct way_ends *ends)
{
    if (!director->probing) director->probing = xcalloc(PROBES_MAX, sizeof(*director->probing));
    struct probe *probe = &director->probing[director->probing_count++];
    *probe = (struct probe){.id = id_random(),
                            .route = link->line.peer.route,
                            .serial = head->serial,
                            .until_ms = director->now.mono_ms + READY_MS};
    memcpy(probe->source, ends->source, SIGN_PK_LEN);
    memcpy(probe->target, ends->target, SIGN_PK_LEN);
    run_text_set(probe->source_name, sizeof(probe->source_name), ends->source_name);
    run_text_set(probe->target_name, sizeof(probe->target_name), ends->target_name);
    random_bytes(probe->ticket, sizeof(probe->ticket));
    random_bytes(probe->name, sizeof(probe->name));
    return probe;
}

static bool begin(struct director *director, const struct operator_link *link, const Sealift__Head *head,
                  struct err *err)
{
    const Sealift__Link *request = head->link_test->link;
    const struct host_link *source = NULL, *target = NULL;
    struct way_ends ends;
    struct way_wish way;
    struct err why;
    if (!links_ends(director, request, &ends, err) ||
        !way_wish_make(request->connection, request->proxy, &way, err))
        return false;
    if (way.connection == SEALIFT__CONNECTION__CONNECTION_NONE)
        return err_set(err, ERR_USAGE, "a test without a connection");
    if (!connected(director, ends.source, ends.source_name, &source, err) ||
        !connected(director, ends.target, ends.target_name, &target, err))
        return false;
    if (director->probing_count == PROBES_MAX)
        return err_set(err, ERR_BUSY, "%d links are being tested already", PROBES_MAX);
    struct probe *probe = add(director, link, head, &ends);
    probe->way = way;
    if (way.connection == SEALIFT__CONNECTION__CONNECTION_REVERSE)
        run_text_set(probe->endpoint, sizeof(probe->endpoint), source->reverse_endpoint);
    if (!way_check_ends(&way, &ends, source->reverse_endpoint, &why))
        answer(director, probe, &why, 0);
    else
        (void)tell(director, probe, SEALIFT__RUN_SIDE__SIDE_TARGET); /* it is connected, as was seen above */
    return true;
}

void probes_start(struct director *director, struct operator_link *link, const Sealift__Head *head)
{
    struct err err;
    if (!begin(director, link, head, &err)) operator_fail(link, head->serial, &err);
}

/* ---- what the sides say */

static struct probe *probe_of(struct director *director, const ProtobufCBinaryData *id)
{
    for (size_t i = 0; i < director->probing_count; i++)
        if (id->len == ID_LEN && memcmp(director->probing[i].id.bytes, id->data, ID_LEN) == 0)
            return &director->probing[i];
    return NULL;
}

void probes_ready(struct director *director, struct host_link *host, const Sealift__Head *head)
{
    const Sealift__ProbeReady *ready = head->probe_ready;
    struct probe *probe = probe_of(director, &ready->id);
    if (!probe || probe->stage != AWAITS_TARGET || memcmp(probe->target, host->sign_pk, SIGN_PK_LEN) != 0 ||
        strlen(ready->endpoint) > RUN_ENDPOINT_MAX)
        return;
    if (probe->way.connection == SEALIFT__CONNECTION__CONNECTION_DIRECT)
        way_endpoint(ready->endpoint, host->line.peer.address, probe->endpoint, sizeof(probe->endpoint));
    probe->stage = AWAITS_ENDS;
    probe->until_ms = director->now.mono_ms + END_MS;
    if (!tell(director, probe, SEALIFT__RUN_SIDE__SIDE_SOURCE))
        fail(director, probe, ERR_UNREACHABLE, probe->source_name,
             "is not connected to the director any more");
}

/* Who dials knows why it does not get through; in a rendezvous both do. */
static bool knows_most(const struct probe *probe, Sealift__RunSide side)
{
    switch (probe->way.connection) {
    case SEALIFT__CONNECTION__CONNECTION_DIRECT:
        return side == SEALIFT__RUN_SIDE__SIDE_SOURCE;
    case SEALIFT__CONNECTION__CONNECTION_REVERSE:
        return side == SEALIFT__RUN_SIDE__SIDE_TARGET;
    default:
        return true;
    }
}

static void failed_side(struct director *director, struct probe *probe, const Sealift__ProbeEnd *end)
{
    bool source = end->side == SEALIFT__RUN_SIDE__SIDE_SOURCE;
    struct err why;
    (void)err_set(&why, (enum err_code)end->code, "%s: %s", source ? probe->source_name : probe->target_name,
                  end->text[0] ? end->text : "it does not say why");
    if (probe->stage != AWAITS_ENDS || knows_most(probe, end->side)) {
        answer(director, probe, &why, 0);
        return;
    }
    probe->first = why;
    probe->stage = AWAITS_SECOND;
    probe->until_ms = director->now.mono_ms + SECOND_MS;
}

void probes_end(struct director *director, struct host_link *host, const Sealift__Head *head)
{
    const Sealift__ProbeEnd *end = head->probe_end;
    struct probe *probe = probe_of(director, &end->id);
    bool source = end->side == SEALIFT__RUN_SIDE__SIDE_SOURCE;
    if (!probe || (!source && end->side != SEALIFT__RUN_SIDE__SIDE_TARGET) ||
        memcmp(source ? probe->source : probe->target, host->sign_pk, SIGN_PK_LEN) != 0)
        return;
    if (end->code != 0)
        failed_side(director, probe, end);
    else if (source && probe->stage != AWAITS_TARGET)
        answer(director, probe, NULL, end->rtt_us);
}

/* ---- what they do not say */

static bool is_gone(struct director *director, const uint8_t *key)
{
    const struct host_link *host = hosts_find(director, key);
    return !host || host->stage != HOST_CONNECTED;
}

static void check(struct director *director, struct probe *probe)
{
    static const char left[] = "lost its connection to the director during the test";
    bool late = director->now.mono_ms >= probe->until_ms;
    if (late && probe->stage == AWAITS_SECOND) {
        struct err why = probe->first;
        answer(director, probe, &why, 0);
    } else if (is_gone(director, probe->target)) {
        fail(director, probe, ERR_UNREACHABLE, probe->target_name, left);
    } else if (is_gone(director, probe->source)) {
        fail(director, probe, ERR_UNREACHABLE, probe->source_name, left);
    } else if (late) {
        bool target = probe->stage == AWAITS_TARGET;
        fail(director, probe, ERR_UNREACHABLE, target ? probe->target_name : probe->source_name,
             "did not answer: does it hang, or is it of an older version, which cannot be tested?");
    }
}

void probes_tick(struct director *director)
{
    for (size_t i = director->probing_count; i > 0; i--)
        check(director, &director->probing[i - 1]);
}
