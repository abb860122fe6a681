#include "common/net/net_logins.h"

#include "common/base/alloc.h"
#include "common/net/net_dial.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

struct net_logins {
    pthread_mutex_t lock;
    struct net_dial_proxy *items;
    size_t count;
};

struct net_logins *net_logins_new(void)
{
    struct net_logins *logins = xcalloc(1, sizeof(*logins));
    (void)pthread_mutex_init(&logins->lock, NULL);
    return logins;
}

void net_logins_free(struct net_logins *logins)
{
    if (!logins) return;
    for (size_t i = 0; i < logins->count; i++)
        net_dial_proxy_deinit(&logins->items[i]);
    free(logins->items);
    (void)pthread_mutex_destroy(&logins->lock);
    free(logins);
}

bool net_logins_of(const struct login *items, size_t count, struct net_logins **out, struct err *err)
{
    AUTO(net_logins) struct net_logins *logins = net_logins_new();
    logins->items = xcalloc(count + 1, sizeof(*logins->items));
    for (const struct login *login = items; logins->count < count; login++, logins->count++)
        if (!net_dial_proxy_init(&logins->items[logins->count], login->address, login->user, login->password,
                                 err))
            return false;
    *out = logins;
    logins = NULL;
    return true;
}

void net_logins_swap(struct net_logins *logins, struct net_logins *from)
{
    (void)pthread_mutex_lock(&logins->lock);
    struct net_dial_proxy *items = logins->items;
    size_t count = logins->count;
    logins->items = from->items;
    logins->count = from->count;
    from->items = items;
    from->count = count;
    (void)pthread_mutex_unlock(&logins->lock);
}

static bool is_same(const struct host_port *a, const struct host_port *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

void net_logins_find(struct net_logins *logins, struct net_dial_proxy *proxy)
{
    assert(!proxy->user);
    if (!logins) return;
    (void)pthread_mutex_lock(&logins->lock);
    for (size_t i = 0; i < logins->count && !proxy->user; i++) {
        const struct net_dial_proxy *login = &logins->items[i];
        if (!login->user || !is_same(&login->at, &proxy->at)) continue;
        proxy->user = xstrdup(login->user);
        proxy->password = secret_copy(login->password->data, login->password->len);
    }
    (void)pthread_mutex_unlock(&logins->lock);
}
