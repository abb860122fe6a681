#include "common/net/net_guard.h"

#include "common/base/alloc.h"
#include "common/net/net_line.h"

#include <string.h>

struct watched {
    bool open;
    bool progress;
    struct net_line line;
    uint64_t received; /* at the last pass that saw progress */
};

struct net_guard {
    uint64_t limit;
    struct watched *by_fd;
    size_t count;
};

struct net_guard *net_guard_new(uint64_t limit)
{
    struct net_guard *guard = xcalloc(1, sizeof(*guard));
    guard->limit = limit;
    return guard;
}

void net_guard_free(struct net_guard *guard)
{
    if (!guard) return;
    free(guard->by_fd);
    free(guard);
}

static struct watched *find(struct net_guard *guard, int fd)
{
    return fd >= 0 && (size_t)fd < guard->count && guard->by_fd[fd].open ? &guard->by_fd[fd] : NULL;
}

void net_guard_opened(struct net_guard *guard, int fd)
{
    if (fd < 0) return;
    if ((size_t)fd >= guard->count) {
        size_t count = ((size_t)fd + 1) * 2;
        guard->by_fd = xreallocarray(guard->by_fd, count, sizeof(*guard->by_fd));
        memset(guard->by_fd + guard->count, 0, (count - guard->count) * sizeof(*guard->by_fd));
        guard->count = count;
    }
    guard->by_fd[fd] = (struct watched){.open = true, .line = net_line_of(fd, NULL)};
}

void net_guard_closed(struct net_guard *guard, int fd)
{
    struct watched *watched = find(guard, fd);
    if (watched) watched->open = false;
}

void net_guard_progress(struct net_guard *guard, int fd)
{
    struct watched *watched = find(guard, fd);
    if (watched) watched->progress = true;
}

/* true if it was cut */
static bool pass_over(const struct net_guard *guard, struct watched *watched)
{
    uint64_t received;
    if (!net_line_received(&watched->line, &received)) {
        watched->open = false;
        return false;
    }
    if (watched->progress) {
        watched->progress = false;
        watched->received = received;
    }
    if (received - watched->received <= guard->limit) return false;
    net_line_cut(&watched->line);
    watched->open = false;
    return true;
}

size_t net_guard_pass(struct net_guard *guard)
{
    size_t cut = 0;
    for (size_t fd = 0; fd < guard->count; fd++)
        if (guard->by_fd[fd].open && pass_over(guard, &guard->by_fd[fd])) cut++;
    return cut;
}
