/* Transporters that the director dials, because they listen for it: tried again and again, and why one does
 * not answer is said whenever that changes. Who answers is judged as everybody at the control port is. */
#include "director/loop/inside.h"

#include "common/base/alloc.h"
#include "common/base/log.h"

#include <string.h>

struct dial_news {
    bool up;
    char reason[sizeof(((struct err *)NULL)->text)]; /* that was logged last; "": none */
};

bool dials_open(struct director *director, struct err *err)
{
    const struct director_settings *settings = &director->settings;
    director->dial_news = xcalloc(settings->dial_count + 1, sizeof(*director->dial_news));
    for (size_t i = 0; i < settings->dial_count; i++) {
        const struct director_dial *dial = &settings->dials[i];
        const struct net_endpoint endpoint = {.side = NET_CONNECT,
                                              .address = dial->address,
                                              .socks5 = dial->proxy,
                                              .reasons = NET_REASONS_KEPT};
        if (!net_socket_attach(director->control, &endpoint, err)) return err_wrap(err, "dial");
    }
    return true;
}

void dials_free(struct director *director)
{
    free(director->dial_news);
}

static void say_up(const struct director_dial *dial, struct dial_news *news)
{
    log_event(LOG_INFO, "dialled", "address", dial->address, "proxy", dial->proxy ? dial->proxy : "none",
              NULL);
    news->up = true;
    news->reason[0] = '\0';
}

/* What there is to say besides what the dial itself found. */
static const char *other_reason(const struct net_monitor_event *event, bool was_up)
{
    if (event->cause == NET_CAUSE_AUTH) return "its key is not admitted here";
    if (event->kind == NET_FAILED)
        return "what answers there is no transporter that expects this director: it speaks another protocol, "
               "or its site line names another key";
    return was_up ? "the connection ended" : NULL;
}

static void say_down(struct director *director, const struct director_dial *dial, struct dial_news *news,
                     const struct net_monitor_event *event)
{
    struct err err;
    const bool told = net_socket_proxy_failure(director->control, dial->address, &err);
    const char *reason = told ? err.text : other_reason(event, news->up);
    news->up = false;
    if (!reason || strcmp(reason, news->reason) == 0) return;
    (void)snprintf(news->reason, sizeof(news->reason), "%s", reason);
    log_event(LOG_WARN, "not_dialled", "address", dial->address, "reason", reason, "next", "dialling again",
              NULL);
}

void dials_event(struct director *director, const struct net_monitor_event *event)
{
    for (size_t i = 0; i < director->settings.dial_count; i++) {
        const struct director_dial *dial = &director->settings.dials[i];
        if (strcmp(dial->address, event->address) != 0) continue;
        if (event->kind == NET_UP)
            say_up(dial, &director->dial_news[i]);
        else if (event->kind == NET_FAILED || event->kind == NET_DOWN)
            say_down(director, dial, &director->dial_news[i], event);
        return;
    }
}
