#include "director/cli/interrupt.h"

#include "common/net/net_wake.h"

#include <signal.h>

static volatile sig_atomic_t seen;
static struct net_wake wake = {.fd = -1};

static void on_signal(int number)
{
    seen = number;
    net_wake_signal(&wake);
}

bool interrupt_catch(struct err *err)
{
    if (wake.fd >= 0) return true;
    if (!net_wake_init(&wake, err)) return false;
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    return true;
}

void interrupt_release(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    net_wake_deinit(&wake);
    wake.fd = -1;
    seen = 0;
}

int interrupt_fd(void)
{
    return wake.fd;
}

bool interrupt_seen(void)
{
    return seen != 0;
}
