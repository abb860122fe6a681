#include "common/net/net_zap.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/net/net_allow.h"
#include "common/net/net_denials.h"
#include "common/net/net_wake.h"
#include "common/net/net_zmq.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define ENDPOINT "inproc://zeromq.zap.01"

/* The frames of a request, https://rfc.zeromq.org/spec/27/. */
enum { VERSION, REQUEST_ID, DOMAIN, ADDRESS, IDENTITY, MECHANISM, CREDENTIAL, REQUEST_FRAMES };
#define REQUEST_ID_MAX 255

struct net_zap {
    pthread_t thread;
    void *handle; /* REP, the thread's own once that runs */
    struct net_wake stop;
    struct net_wake denied;
    pthread_mutex_t lock; /* of what follows */
    struct net_allow *allow;
    struct net_denials denials;
};

struct request {
    char id[REQUEST_ID_MAX + 1];
    struct net_denial who; /* domain, address and key of it */
    bool curve;
};

static const char *const status_of[] = {
    [NET_ADMIT] = "200", [NET_DENY_FINAL] = "400", [NET_DENY_FOR_NOW] = "300"};

/* Without NUL bytes inside, and not longer than fits. */
static bool copy_text(const zmq_msg_t *frame, char *out, size_t size)
{
    struct span text = net_zmq_span(frame);
    if (text.len >= size || memchr(text.data, 0, text.len)) return false;
    if (text.len) memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return true;
}

static bool frame_is(const zmq_msg_t *frame, const char *text)
{
    return span_eq(net_zmq_span(frame), span_str(text));
}

/* false: not a request that can be answered. Requests come from libzmq itself, over inproc. */
static bool parse(const zmq_msg_t *frames, size_t count, struct request *out)
{
    char address[256];
    if (count < MECHANISM + 1 || !frame_is(&frames[VERSION], "1.0")) return false;
    if (!copy_text(&frames[REQUEST_ID], out->id, sizeof(out->id))) return false;
    if (!copy_text(&frames[DOMAIN], out->who.domain, sizeof(out->who.domain))) out->who.domain[0] = '\0';
    if (!copy_text(&frames[ADDRESS], address, sizeof(address))) address[0] = '\0';
    net_zmq_address(address, out->who.address, sizeof(out->who.address));
    out->curve = count == REQUEST_FRAMES && frame_is(&frames[MECHANISM], "CURVE") &&
                 zmq_msg_size(&frames[CREDENTIAL]) == NET_KEY_LEN;
    if (out->curve) memcpy(out->who.key, net_zmq_span(&frames[CREDENTIAL]).data, NET_KEY_LEN);
    return true;
}

/* Reads one whole request; `parsed` says whether it is one. false: nothing was there. */
static bool receive(void *handle, struct request *out, bool *parsed)
{
    zmq_msg_t frames[REQUEST_FRAMES];
    for (size_t i = 0; i < REQUEST_FRAMES; i++)
        (void)zmq_msg_init(&frames[i]);
    size_t count = 0;
    int more = 1;
    while (more) {
        AUTO(net_zmq_msg) zmq_msg_t excess;
        (void)zmq_msg_init(&excess);
        zmq_msg_t *frame = count < REQUEST_FRAMES ? &frames[count] : &excess;
        if (zmq_msg_recv(frame, handle, ZMQ_DONTWAIT) < 0) break;
        count++;
        more = zmq_msg_more(frame);
    }
    *parsed = !more && parse(frames, count, out);
    for (size_t i = 0; i < REQUEST_FRAMES; i++)
        (void)zmq_msg_close(&frames[i]);
    return !more;
}

static enum net_admission decide(struct net_zap *zap, struct request *request)
{
    enum net_admission admission = NET_DENY_FINAL;
    request->who.reason = NET_DENIED_MECHANISM;
    (void)pthread_mutex_lock(&zap->lock);
    if (request->curve)
        admission = net_allow_admit(zap->allow, request->who.domain, request->who.key,
                                    clock_steady_ms() / 1000, &request->who.reason);
    if (admission != NET_ADMIT && net_denials_add(&zap->denials, &request->who))
        net_wake_signal(&zap->denied);
    (void)pthread_mutex_unlock(&zap->lock);
    return admission;
}

/* The user id is the key itself: it comes with each message of the connection (net_socket.c). */
static void answer(void *handle, const struct request *request, enum net_admission admission)
{
    char user_id[2 * NET_KEY_LEN + 1] = "";
    if (admission == NET_ADMIT) hex_encode(request->who.key, NET_KEY_LEN, user_id);
    const char *const frames[] = {"1.0", request->id, status_of[admission], "", user_id, ""};
    const size_t count = sizeof(frames) / sizeof(frames[0]);
    for (size_t i = 0; i < count; i++)
        (void)zmq_send(handle, frames[i], strlen(frames[i]),
                       ZMQ_DONTWAIT | (i + 1 < count ? ZMQ_SNDMORE : 0));
}

static void serve(struct net_zap *zap)
{
    struct request request = {.id = ""};
    bool parsed = false;
    if (!receive(zap->handle, &request, &parsed)) return;
    answer(zap->handle, &request, parsed ? decide(zap, &request) : NET_DENY_FINAL);
}

static void *run(void *argument)
{
    struct net_zap *zap = argument;
    zmq_pollitem_t items[] = {{.socket = zap->handle, .events = ZMQ_POLLIN},
                              {.fd = zap->stop.fd, .events = ZMQ_POLLIN}};
    for (;;) {
        if (zmq_poll(items, 2, -1) < 0) {
            if (errno == EINTR) continue;
            break; /* the context is shutting down: whoever knocks from now on finds nobody */
        }
        if (items[1].revents) break;
        if (items[0].revents) serve(zap);
    }
    /* frees the name at once; zmq_close does it some time later */
    (void)zmq_unbind(zap->handle, ENDPOINT);
    net_zmq_close(zap->handle);
    return NULL;
}

static void release(struct net_zap *zap)
{
    if (!zap) return;
    net_wake_deinit(&zap->stop);
    net_wake_deinit(&zap->denied);
    net_allow_free(zap->allow);
    (void)pthread_mutex_destroy(&zap->lock);
    free(zap);
}
DEFINE_AUTO(zap_parts, struct net_zap *, release)

bool net_zap_start(struct net_context *context, struct net_zap **out, struct err *err)
{
    AUTO(zap_parts) struct net_zap *zap = xcalloc(1, sizeof(*zap));
    zap->stop.fd = zap->denied.fd = -1;
    zap->allow = net_allow_new();
    (void)pthread_mutex_init(&zap->lock, NULL);
    if (!net_wake_init(&zap->stop, err) || !net_wake_init(&zap->denied, err)) return false;
    AUTO(net_zmq) void *handle = zmq_socket(net_context_handle(context), ZMQ_REP);
    if (!handle) return net_zmq_fail(err, errno, "cannot make the socket that admits peers");
    if (!net_zmq_set_int(handle, ZMQ_LINGER, 0, err)) return false;
    if (zmq_bind(handle, ENDPOINT) != 0) {
        if (errno == EADDRINUSE) return err_set(err, ERR_EXISTS, "the context admits peers already");
        return net_zmq_fail(err, errno, "cannot listen for peers to admit");
    }
    zap->handle = handle;
    if (!net_thread_start(run, zap, &zap->thread, err)) return false;
    handle = NULL;
    *out = zap;
    zap = NULL;
    return true;
}

void net_zap_stop(struct net_zap *zap)
{
    if (!zap) return;
    net_wake_signal(&zap->stop);
    (void)pthread_join(zap->thread, NULL);
    release(zap);
}

void net_zap_set_domain(struct net_zap *zap, const char *domain, enum net_unknown unknown)
{
    (void)pthread_mutex_lock(&zap->lock);
    net_allow_set_domain(zap->allow, domain, unknown);
    (void)pthread_mutex_unlock(&zap->lock);
}

void net_zap_allow(struct net_zap *zap, const char *domain, const uint8_t key[static NET_KEY_LEN])
{
    (void)pthread_mutex_lock(&zap->lock);
    net_allow_add(zap->allow, domain, key);
    (void)pthread_mutex_unlock(&zap->lock);
}

void net_zap_remove(struct net_zap *zap, const char *domain, const uint8_t key[static NET_KEY_LEN])
{
    (void)pthread_mutex_lock(&zap->lock);
    net_allow_remove(zap->allow, domain, key);
    (void)pthread_mutex_unlock(&zap->lock);
}

void net_zap_replace_all(struct net_zap *zap, const char *domain, const uint8_t (*keys)[NET_KEY_LEN],
                         size_t count)
{
    (void)pthread_mutex_lock(&zap->lock);
    net_allow_replace_all(zap->allow, domain, keys, count);
    (void)pthread_mutex_unlock(&zap->lock);
}

enum net_standing net_zap_standing(struct net_zap *zap, const char *domain,
                                   const uint8_t key[static NET_KEY_LEN])
{
    (void)pthread_mutex_lock(&zap->lock);
    enum net_standing standing = net_allow_standing(zap->allow, domain, key);
    (void)pthread_mutex_unlock(&zap->lock);
    return standing;
}

bool net_zap_take_denial(struct net_zap *zap, struct net_denial *out)
{
    (void)pthread_mutex_lock(&zap->lock);
    bool taken = net_denials_take(&zap->denials, out);
    if (!taken) net_wake_clear(&zap->denied);
    (void)pthread_mutex_unlock(&zap->lock);
    return taken;
}

bool net_zap_has_denied(struct net_zap *zap, const char *domain, const char *address)
{
    (void)pthread_mutex_lock(&zap->lock);
    bool found = net_denials_has(&zap->denials, domain, address);
    (void)pthread_mutex_unlock(&zap->lock);
    return found;
}

const char *net_denial_text(enum net_denial_reason reason)
{
    static const char *const texts[] = {
        [NET_DENIED_KEY] = "unknown key",
        [NET_DENIED_RATE] = "too many connections",
        [NET_DENIED_DOMAIN] = "unknown domain",
        [NET_DENIED_MECHANISM] = "not CURVE",
        [NET_DENIED_NO_MESSAGE] =
            ("the connection ended without a message: another protocol, another server's key, or "
             "silence"),
    };
    return texts[reason];
}

void net_denial_who(const struct net_denial *denial, struct net_denial_who *out)
{
    static const uint8_t nobody[NET_KEY_LEN];
    *out = (struct net_denial_who){.address = denial->address[0] ? denial->address : "unknown",
                                   .key = "unknown"};
    if (memcmp(denial->key, nobody, NET_KEY_LEN) != 0) hex_encode(denial->key, NET_KEY_LEN, out->key);
}

int net_zap_fd(const struct net_zap *zap)
{
    return zap->denied.fd;
}
