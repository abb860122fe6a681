#include "transporter/proxy/reload.h"

#include "common/base/alloc.h"

#include <pthread.h>
#include <sys/eventfd.h>

struct reload {
    const char *config;
    int done_fd;
    pthread_t thread;
    bool ok;
    struct proxy_settings settings;
    struct err err;
};

static void tell(const char *name, const char *why)
{
    log_event(LOG_WARN, "name_unknown", "name", name, "reason", why, "next",
              "who asks for it is refused until a reload finds it", NULL);
}

void reload_resolve(struct proxy_settings *settings)
{
    allow_resolve(&settings->allow, tell);
}

static void *work(void *arg)
{
    struct reload *reload = arg;
    reload->ok = proxy_settings_load(reload->config, &reload->settings, &reload->err);
    if (reload->ok) reload_resolve(&reload->settings);
    (void)eventfd_write(reload->done_fd, 1);
    return NULL;
}

bool reload_start(const char *config, int done_fd, struct reload **out, struct err *err)
{
    struct reload *reload = xcalloc(1, sizeof(*reload));
    reload->config = config;
    reload->done_fd = done_fd;
    int sys = pthread_create(&reload->thread, NULL, work, reload);
    if (sys != 0) {
        free(reload);
        return err_sys(err, sys, "cannot start a thread");
    }
    *out = reload;
    return true;
}

bool reload_finish(struct reload *reload, struct proxy_settings *out, struct err *err)
{
    (void)pthread_join(reload->thread, NULL);
    bool ok = reload->ok;
    if (ok)
        *out = reload->settings;
    else
        *err = reload->err;
    free(reload);
    return ok;
}
