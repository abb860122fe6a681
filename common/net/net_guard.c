#include "common/net/net_guard.h"

#include "common/base/alloc.h"
#include "common/net/net_line.h"

#include <string.h>

struct watched {
    bool open;
    bool progress;
    bool spoke;      /* a message has come */
    uint64_t number; /* of all that were opened */
    char address[NET_GUARD_ADDRESS_MAX + 1];
    struct net_line line;
    uint64_t received; /* at the last pass that saw progress */
};

struct net_guard {
    uint64_t limit;
    size_t most_silent, silent, shed;
    uint64_t opened;
    struct watched *by_fd;
    size_t count;
};

struct net_guard *net_guard_new(uint64_t limit, size_t most_silent)
{
    struct net_guard *guard = xcalloc(1, sizeof(*guard));
    guard->limit = limit;
    guard->most_silent = most_silent;
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

static void make_room(struct net_guard *guard, int fd)
{
    if ((size_t)fd < guard->count) return;
    size_t count = ((size_t)fd + 1) * 2;
    guard->by_fd = xreallocarray(guard->by_fd, count, sizeof(*guard->by_fd));
    memset(guard->by_fd + guard->count, 0, (count - guard->count) * sizeof(*guard->by_fd));
    guard->count = count;
}

static bool is_silent(const struct watched *watched)
{
    return watched->open && !watched->spoke;
}

/* What is over for the guard; its descriptor may live on. */
static void forget(struct net_guard *guard, struct watched *watched)
{
    if (is_silent(watched)) guard->silent--;
    watched->open = false;
}

/* An eighth at once, so that a flood costs one look through the table for so many connections. */
static void shed(struct net_guard *guard)
{
    const uint64_t newest_gone = guard->opened - guard->most_silent + guard->most_silent / 8;
    for (size_t fd = 0; fd < guard->count; fd++) {
        struct watched *watched = &guard->by_fd[fd];
        if (!is_silent(watched) || watched->number > newest_gone) continue;
        net_line_cut(&watched->line);
        forget(guard, watched);
        guard->shed++;
    }
}

void net_guard_opened(struct net_guard *guard, int fd)
{
    if (fd < 0) return;
    make_room(guard, fd);
    struct watched *watched = &guard->by_fd[fd];
    forget(guard, watched);
    *watched = (struct watched){.open = true, .number = guard->opened++, .line = net_line_of(fd, NULL)};
    net_line_address(&watched->line, watched->address, sizeof(watched->address));
    guard->silent++;
    if (guard->silent > guard->most_silent) shed(guard);
}

bool net_guard_closed(struct net_guard *guard, int fd, char address[static NET_GUARD_ADDRESS_MAX + 1])
{
    struct watched *watched = find(guard, fd);
    if (!watched) return false;
    const bool silent = is_silent(watched);
    memcpy(address, watched->address, sizeof(watched->address));
    forget(guard, watched);
    return silent;
}

void net_guard_progress(struct net_guard *guard, int fd)
{
    struct watched *watched = find(guard, fd);
    if (!watched) return;
    if (!watched->spoke) guard->silent--;
    watched->progress = watched->spoke = true;
}

size_t net_guard_shed(struct net_guard *guard)
{
    const size_t shed = guard->shed;
    guard->shed = 0;
    return shed;
}

/* true if it was cut */
static bool pass_over(struct net_guard *guard, struct watched *watched)
{
    uint64_t received;
    if (!net_line_received(&watched->line, &received)) return false;
    if (watched->progress) {
        watched->progress = false;
        watched->received = received;
    }
    if (received - watched->received <= guard->limit) return false;
    net_line_cut(&watched->line);
    forget(guard, watched);
    return true;
}

size_t net_guard_pass(struct net_guard *guard)
{
    size_t cut = 0;
    for (size_t fd = 0; fd < guard->count; fd++)
        if (guard->by_fd[fd].open && pass_over(guard, &guard->by_fd[fd])) cut++;
    return cut;
}
