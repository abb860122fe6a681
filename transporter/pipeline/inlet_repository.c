#include "transporter/pipeline/inlet_repository.h"

#include "common/base/alloc.h"
#include "transporter/pipeline/opener.h"
#include "transporter/repository/fetch.h"

#include <stdatomic.h>

struct inlet_repository {
    struct repository *repository;
    bool has_domain;
    struct hash domain;
    _Atomic bool cancelled;
};

struct inlet_repository *inlet_repository_new(struct repository *repository)
{
    struct inlet_repository *inlet = xcalloc(1, sizeof(*inlet));
    inlet->repository = repository;
    return inlet;
}

void inlet_repository_restrict(struct inlet_repository *inlet, const struct hash *domain)
{
    inlet->domain = *domain;
    inlet->has_domain = true;
}

void inlet_repository_free(struct inlet_repository *inlet)
{
    free(inlet);
}

_Static_assert(INLET_PLACES == FETCH_PLACES, "the same places");

/* Stands between a fetch and the reader, so that cancelling takes effect at the next frame. */
struct pass {
    struct inlet_repository *inlet;
    const struct inlet_sink *sink;
};

static bool going_on(const struct pass *pass, struct err *err)
{
    return !atomic_load(&pass->inlet->cancelled) || err_set(err, ERR_CANCELLED, "cancelled");
}

static bool pass_envelope(void *arg, struct span envelope, struct err *err)
{
    struct pass *pass = arg;
    return going_on(pass, err) && pass->sink->envelope(pass->sink->arg, envelope, err);
}

static bool pass_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    struct pass *pass = arg;
    return going_on(pass, err) && pass->sink->frame(pass->sink->arg, id, frame, err);
}

static bool pass_rewrap(void *arg, struct span envelope, struct span object, struct err *err)
{
    struct pass *pass = arg;
    return opener_rewrap(pass->sink->opener, envelope, object, err);
}

static bool pass_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    struct pass *pass = arg;
    return going_on(pass, err) && pass->sink->missing(pass->sink->arg, id, why, err);
}

static bool fetch(void *self, const struct hash *ids, size_t count, const struct inlet_sink *sink,
                  struct err *err)
{
    struct pass pass = {.inlet = self, .sink = sink};
    struct fetch_sink to = {.envelope = pass_envelope,
                            .frame = pass_frame,
                            .missing = pass_missing,
                            .arg = &pass,
                            .skip = sink->skip};
    if (sink->opener) to.rewrap = pass_rewrap;
    if (pass.inlet->has_domain) to.domain = &pass.inlet->domain;
    return going_on(&pass, err) &&
           repository_fetch(pass.inlet->repository, ids, count, FETCH_FRAMES, &to, err);
}

static void cancel(void *self)
{
    struct inlet_repository *inlet = self;
    atomic_store(&inlet->cancelled, true);
}

struct inlet inlet_repository_inlet(struct inlet_repository *inlet)
{
    static const struct inlet_ops ops = {.fetch = fetch, .cancel = cancel};
    return (struct inlet){.ops = &ops, .self = inlet};
}
