#include "transporter/proxy/reverse_port.h"

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/text.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

enum { LOCAL_RANDOM = 16 };
#define LOCAL_PREFIX "sealift-"

/* A name that runs wait under, and where their own ends go. */
struct expected {
    struct expected *next;
    uint8_t name[RENDEZVOUS_ID_LEN];
    char local[PROXY_LOCAL_MAX];
    unsigned users;
};

struct reverse_port {
    struct proxy *proxy;
    pthread_t thread;
    bool running;
    int wake_fd;
    char *endpoint;

    pthread_mutex_t lock; /* of what follows */
    struct expected *first;
    bool stopping;
};

/* --- under the lock --- */

/* Without telling by time how much of a name was right. */
static bool same_name(const uint8_t *a, const uint8_t *b)
{
    uint8_t differs = 0;
    for (size_t i = 0; i < RENDEZVOUS_ID_LEN; i++)
        differs |= a[i] ^ b[i];
    return differs == 0;
}

static struct expected **find(struct reverse_port *port, const uint8_t name[static RENDEZVOUS_ID_LEN])
{
    struct expected **at = &port->first;
    while (*at && !same_name((*at)->name, name))
        at = &(*at)->next;
    return at;
}

static void name_locally(char out[static PROXY_LOCAL_MAX])
{
    uint8_t noise[LOCAL_RANDOM];
    char text[2 * LOCAL_RANDOM + 1];
    random_bytes(noise, sizeof(noise));
    hex_encode(noise, sizeof(noise), text);
    (void)snprintf(out, PROXY_LOCAL_MAX, LOCAL_PREFIX "%s-", text);
}

/* --- runs: any thread --- */

void reverse_port_expect(struct reverse_port *port, const uint8_t name[static RENDEZVOUS_ID_LEN],
                         char address[static REVERSE_ADDRESS_MAX])
{
    (void)pthread_mutex_lock(&port->lock);
    struct expected **at = find(port, name);
    if (!*at) {
        *at = xcalloc(1, sizeof(**at));
        memcpy((*at)->name, name, RENDEZVOUS_ID_LEN);
        name_locally((*at)->local);
    }
    (*at)->users++;
    (void)snprintf(address, REVERSE_ADDRESS_MAX, "ipc://@%s", (*at)->local);
    (void)pthread_mutex_unlock(&port->lock);
    (void)eventfd_write(port->wake_fd, 1); /* the target may be there already */
}

void reverse_port_forget(struct reverse_port *port, const uint8_t name[static RENDEZVOUS_ID_LEN])
{
    (void)pthread_mutex_lock(&port->lock);
    struct expected **at = find(port, name), *found = *at;
    if (found && --found->users == 0) {
        *at = found->next;
        free(found);
    }
    (void)pthread_mutex_unlock(&port->lock);
}

/* --- the port's thread --- */

static bool is_expected(void *arg, const uint8_t id[static RENDEZVOUS_ID_LEN],
                        char local[static PROXY_LOCAL_MAX])
{
    struct reverse_port *port = arg;
    (void)pthread_mutex_lock(&port->lock);
    const struct expected *found = *find(port, id);
    if (found) memcpy(local, found->local, PROXY_LOCAL_MAX);
    (void)pthread_mutex_unlock(&port->lock);
    return found != NULL;
}

static enum proxy_wish woken(void *arg)
{
    struct reverse_port *port = arg;
    eventfd_t count;
    (void)eventfd_read(port->wake_fd, &count);
    (void)pthread_mutex_lock(&port->lock);
    bool stopping = port->stopping;
    (void)pthread_mutex_unlock(&port->lock);
    return stopping ? PROXY_STOP : PROXY_LOOK;
}

static void *serve(void *arg)
{
    struct reverse_port *port = arg;
    struct err err;
    if (!proxy_run(port->proxy, &err))
        log_event(LOG_ERROR, "reverse_port_stopped", "reason", err.text, "next",
                  "no reverse connection comes up until the transporter is started again", NULL);
    return NULL;
}

/* --- making and ending --- */

void reverse_port_close(struct reverse_port *port)
{
    if (!port) return;
    if (port->running) {
        (void)pthread_mutex_lock(&port->lock);
        port->stopping = true;
        (void)pthread_mutex_unlock(&port->lock);
        (void)eventfd_write(port->wake_fd, 1);
        (void)pthread_join(port->thread, NULL);
    }
    proxy_free(port->proxy);
    while (port->first) {
        struct expected *expected = port->first;
        port->first = expected->next;
        free(expected);
    }
    auto_close_fd(port->wake_fd);
    (void)pthread_mutex_destroy(&port->lock);
    free(port->endpoint);
    free(port);
}

static char *endpoint_of(const struct reverse_port *port, const char *advertise)
{
    AUTO(buf) struct buf where = {0};
    proxy_addresses(port->proxy, &where);
    return xstrdup(advertise ? advertise : buf_cstr(&where));
}

bool reverse_port_open(struct proxy_settings *settings, const char *advertise, struct reverse_port **out,
                       struct err *err)
{
    AUTO(reverse_port) struct reverse_port *port = xcalloc(1, sizeof(*port));
    (void)pthread_mutex_init(&port->lock, NULL);
    port->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (port->wake_fd < 0) return err_sys(err, errno, "cannot make an event");
    const struct proxy_options options = {
        .wake_fd = port->wake_fd, .woken = woken, .expects = is_expected, .arg = port};
    if (!proxy_new(&options, settings, &port->proxy, err)) return err_wrap(err, "the reverse port");
    port->endpoint = endpoint_of(port, advertise);
    int failed = pthread_create(&port->thread, NULL, serve, port);
    if (failed) return err_sys(err, failed, "cannot start the thread of the reverse port");
    port->running = true;
    *out = port;
    port = NULL;
    return true;
}

const char *reverse_port_endpoint(const struct reverse_port *port)
{
    return port->endpoint;
}
