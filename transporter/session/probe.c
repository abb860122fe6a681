#include "transporter/session/probe.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/net/net_reach.h"
#include "common/net/net_wake.h"
#include "common/wire/stored.h"
#include "transporter/session/dialler.h"
#include "transporter/session/listener.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum {
    REACH_MS = 2500, /* for TCP, and as long for a proxy's answer */
    MEET_MS = 7000,  /* for the other side to come, and to answer */
    DIAL_MS = 4000,  /* of a direct way, on which somebody was found */
    ATTEMPT = 1,
};

struct probe {
    struct run_environment environment;
    struct probe_hooks hooks;
    struct id id;
    uint8_t ticket[LISTENER_TICKET_LEN];
    uint8_t peer[SIGN_PK_LEN];
    uint8_t peer_key[32]; /* CURVE, from the roster */
    char *endpoint, *proxy;
    struct buf name;
    struct data_path_words words; /* of the three above */
    uint64_t rtt_us;
    pthread_t thread;
    bool running;
    struct net_wake give_up;
    _Atomic bool over;

    pthread_mutex_t lock; /* of what follows */
    struct dialler *dialler;
    struct listener_session *session;
    bool cancelled;
};

/* --- ending it from outside --- */

static void cancel(struct probe *probe)
{
    struct err why = {0};
    (void)err_set(&why, ERR_CANCELLED, "the transporter stops");
    net_wake_signal(&probe->give_up);
    (void)pthread_mutex_lock(&probe->lock);
    probe->cancelled = true;
    if (probe->dialler) dialler_cancel(probe->dialler, &why);
    if (probe->session) listener_session_fail(probe->session, &why);
    (void)pthread_mutex_unlock(&probe->lock);
}

/* What is waited on from now on; both NULL: nothing. */
static bool wait_on(struct probe *probe, struct dialler *dialler, struct listener_session *session,
                    struct err *err)
{
    (void)pthread_mutex_lock(&probe->lock);
    probe->dialler = dialler;
    probe->session = session;
    bool cancelled = probe->cancelled;
    (void)pthread_mutex_unlock(&probe->lock);
    return !cancelled || err_set(err, ERR_CANCELLED, "the transporter stops");
}

/* --- the way --- */

static bool find_peer(struct probe *probe, struct err *err)
{
    struct authority *authority = probe->environment.authority;
    const struct roster *roster = authority_roster_take(authority);
    const Sealift__Member *peer = roster ? roster_transporter(roster, probe->peer) : NULL;
    if (peer) memcpy(probe->peer_key, peer->curve_pk.data, sizeof(probe->peer_key));
    authority_roster_release(authority, roster);
    return peer ||
           err_set(err, ERR_NOT_FOUND, "the other side is no transporter of the roster that is known here");
}

/* Of the first step of a dial: to the target itself or to where both meet, through a proxy or not. */
static bool reach(const struct probe *probe, const struct data_path *path, struct err *err)
{
    struct data_endpoint at;
    char why[NET_REACH_TEXT_MAX], where[DATA_PATH_TEXT_MAX];
    data_path_endpoint(path, 0, &at);
    if (at.inside) return true;
    bool direct = path->connection == SEALIFT__CONNECTION__CONNECTION_DIRECT;
    const struct net_reach_try try = {
        .address = direct ? at.address + strlen("tcp://") : at.net.socks5,
        .socks5 = direct ? at.net.socks5 : at.net.way_out,
        .logins = net_context_logins(probe->environment.net),
        .timeout_ms = REACH_MS,
        .give_up = &probe->give_up,
    };
    struct net_reach_result result = net_reach(&try);
    if (result.reason == NET_REACHED) return true;
    net_reach_text(&result, why);
    data_path_text(path, where);
    return err_set(err, net_reach_code(result.reason), "%s%s%s%s: %s", where,
                   try.socks5 ? " through proxy '" : "", try.socks5 ? try.socks5 : "", try.socks5 ? "'" : "",
                   why);
}

/* --- both sides --- */

static bool try_source(struct probe *probe, const struct data_path *path, struct err *err)
{
    struct dialler *dialler = NULL;
    struct dialler_opened opened;
    struct dialler_options options = {
        .net = probe->environment.net,
        .self = probe->environment.self,
        .path = path,
        .conversation = CONVERSATION_PROBE,
        .run = probe->id,
        .attempt = ATTEMPT,
        .seal = probe->id,
        .lease_ms = path->connection == SEALIFT__CONNECTION__CONNECTION_DIRECT ? DIAL_MS : MEET_MS,
    };
    memcpy(options.ticket, probe->ticket, sizeof(options.ticket));
    memcpy(options.peer_key, probe->peer_key, sizeof(options.peer_key));
    if (!dialler_new(&options, &dialler, err)) return false;
    bool ok = wait_on(probe, dialler, NULL, err) && dialler_await(dialler, &opened, err);
    if (ok) probe->rtt_us = opened.rtt_us;
    struct err ignored;
    (void)!wait_on(probe, NULL, NULL, &ignored);
    dialler_free(dialler, ok ? NULL : err);
    return ok;
}

static void answer_open(struct listener_session *session, const struct data_message *open)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Opened opened = SEALIFT__OPENED__INIT;
    struct net_message message = {0};
    head.kind_case = SEALIFT__HEAD__KIND_OPENED;
    head.opened = &opened;
    data_message_make(&head, span_of(NULL, 0), &message);
    listener_session_opened(session, open->connection, &message);
}

/* Until the source says that it has heard the answer. */
static bool serve(struct listener_session *session, struct err *err)
{
    for (;;) {
        AUTO(data_message) struct data_message message = {0};
        if (!listener_session_receive(session, &message, err)) return false;
        if (message.head->kind_case == SEALIFT__HEAD__KIND_DONE) return true;
        if (message.head->kind_case == SEALIFT__HEAD__KIND_FAIL) {
            data_message_failure(&message, err);
            return false;
        }
        answer_open(session, &message);
    }
}

static bool try_target(struct probe *probe, const struct data_path *path, struct err *err)
{
    AUTO(listener_session) struct listener_session *session = NULL;
    struct listener *listener = probe->environment.listener;
    struct listener_session_options options = {
        .run = probe->id,
        .attempt = ATTEMPT,
        .conversation = CONVERSATION_PROBE,
        .lease_ms = MEET_MS,
        .path = path,
    };
    memcpy(options.ticket, probe->ticket, sizeof(options.ticket));
    memcpy(options.peer_key, probe->peer_key, sizeof(options.peer_key));
    if (!listener_admit(listener, &options, &session, err)) return false;
    bool ok = wait_on(probe, NULL, session, err);
    if (ok) {
        probe->hooks.ready(probe->hooks.arg, &probe->id,
                           data_path_dials(path) ? "" : listener_endpoint(listener));
        ok = serve(session, err);
    }
    struct err ignored;
    (void)!wait_on(probe, NULL, NULL, &ignored);
    return ok;
}

static bool carry_out(struct probe *probe, struct err *err)
{
    AUTO(data_path) struct data_path path = {0};
    const struct run_environment *environment = &probe->environment;
    if (!find_peer(probe, err) ||
        !data_path_read(&probe->words, &environment->ways, &environment->reverse, &path, err) ||
        (data_path_dials(&path) && !reach(probe, &path, err)))
        return false;
    return probe->words.side == SEALIFT__RUN_SIDE__SIDE_SOURCE ? try_source(probe, &path, err)
                                                               : try_target(probe, &path, err);
}

/* Of the way, and of nothing that lies at its ends: what forbids it may be a proxy, which is named. */
static bool is_of_the_way(enum err_code code)
{
    return code == ERR_UNREACHABLE || code == ERR_CONFIG || code == ERR_NOT_FOUND || code == ERR_POLICY;
}

/* How long was waited is no news. */
static const char *reason_of(const struct err *why)
{
    const char *text = conversation_public_text(why);
    if (strncmp(text, DATA_PATH_GONE, strlen(DATA_PATH_GONE)) != 0)
        return is_of_the_way(why->code) ? why->text : text;
    const char *behind = strstr(text, ": ");
    return behind ? behind + 2 : "the other side did not come";
}

static void *probe_main(void *arg)
{
    struct probe *probe = arg;
    Sealift__ProbeEnd end = SEALIFT__PROBE_END__INIT;
    struct err err = {0};
    bool ok = carry_out(probe, &err);
    AUTO(free) char *text = xstrdup(ok ? "" : reason_of(&err));
    end.id = stored_bytes(span_of(probe->id.bytes, ID_LEN));
    end.side = probe->words.side;
    end.code = ok ? 0 : (uint32_t)err.code;
    end.text = text;
    end.rtt_us = probe->rtt_us;
    probe->hooks.ended(probe->hooks.arg, &end);
    atomic_store(&probe->over, true);
    return NULL;
}

/* --- making and ending --- */

void probe_free(struct probe *probe)
{
    if (!probe) return;
    if (probe->running) {
        cancel(probe);
        (void)pthread_join(probe->thread, NULL);
    }
    if (probe->give_up.fd >= 0) net_wake_deinit(&probe->give_up);
    free(probe->endpoint);
    free(probe->proxy);
    buf_deinit(&probe->name);
    (void)pthread_mutex_destroy(&probe->lock);
    free(probe);
}
DEFINE_AUTO(probe, struct probe *, probe_free)

static bool check_message(const Sealift__Probe *message, const struct identity *self, struct err *err)
{
    if (message->id.len != ID_LEN || message->peer.len != SIGN_PK_LEN ||
        (message->side != SEALIFT__RUN_SIDE__SIDE_SOURCE && message->side != SEALIFT__RUN_SIDE__SIDE_TARGET))
        return err_set(err, ERR_PROTOCOL, "a probe without an id, a peer, or a side");
    if (memcmp(message->peer.data, self->known.sign_pk, SIGN_PK_LEN) == 0)
        return err_set(err, ERR_PROTOCOL, "a probe of the way from this transporter to itself");
    return true;
}

static void copy_words(struct probe *probe, const Sealift__Probe *message)
{
    probe->endpoint = xstrdup(message->endpoint ? message->endpoint : "");
    probe->proxy = xstrdup(message->proxy ? message->proxy : "");
    buf_put_span(&probe->name, stored_span(&message->rendezvous));
    probe->words = (struct data_path_words){.side = message->side,
                                            .connection = message->connection,
                                            .endpoint = probe->endpoint,
                                            .proxy = probe->proxy,
                                            .rendezvous = buf_span(&probe->name)};
}

bool probe_start(const struct run_environment *environment, const struct probe_hooks *hooks,
                 const Sealift__Probe *message, struct probe **out, struct err *err)
{
    if (!check_message(message, environment->self, err)) return false;
    AUTO(probe) struct probe *probe = xcalloc(1, sizeof(*probe));
    probe->environment = *environment;
    probe->hooks = *hooks;
    probe->id = stored_id(&message->id);
    probe->give_up.fd = -1;
    (void)pthread_mutex_init(&probe->lock, NULL);
    memcpy(probe->ticket, message->ticket.data, sizeof(probe->ticket));
    memcpy(probe->peer, message->peer.data, SIGN_PK_LEN);
    copy_words(probe, message);
    if (!net_wake_init(&probe->give_up, err)) return false;
    int failed = pthread_create(&probe->thread, NULL, probe_main, probe);
    if (failed) return err_sys(err, failed, "cannot start the thread of a probe");
    probe->running = true;
    *out = probe;
    probe = NULL;
    return true;
}

bool probe_is_over(const struct probe *probe)
{
    return atomic_load(&probe->over);
}

const struct id *probe_id(const struct probe *probe)
{
    return &probe->id;
}
