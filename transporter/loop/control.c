#include "transporter/loop/control.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/net/net_poll.h"
#include "transporter/loop/inside.h"

/* An approval is mostly waited for: a transporter asks often when it has just begun to wait. */
enum { JOIN_FIRST_MS = 500, JOIN_GROWS_MS = 50, JOIN_LONGEST_MS = 3000 };
enum { ENDS_EVERY_MS = 5000, WAIT_MS = 1000 };

/* --- the connection's changes --- */

static void on_up(void *arg)
{
    struct control *control = arg;
    greeting_say(control);
}

static void on_lost(void *arg)
{
    struct control *control = arg;
    control->greeted = false;
    control->gave_back = false;
    control->gave_back_ms = 0;
    outbox_clear(control->outbox);
    log_answers_forget(control->log_answers);
    run_news_lost(control->run_news);
}

static void on_attached(void *arg, const struct statement *repository, const struct err *why)
{
    const struct control *control = arg;
    repository_news_attached(&control->repositories, repository, why);
}

/* What was open and is not any more is opened again. By a run's thread. */
static void on_closed(void *arg, const struct statement *repository)
{
    const struct control *control = arg;
    struct statement *copy = NULL;
    struct err ignored = {0};
    if (statement_decode(buf_span(&repository->bytes), &copy, &ignored)) attach_add(control->attach, copy);
}

/* --- the loop --- */

/* Waits until there is something to do, or `wait_ms`. `stop`: the process is asked to end. */
static bool wait_for_work(struct control *control, uint64_t wait_ms, bool *stop, struct err *err)
{
    struct net_poll_item items[2 + DIRECTOR_LINK_ITEMS] = {
        net_poll_fd(control->wake.fd, NET_READABLE),
        net_poll_fd(control->options.wake_fd, NET_READABLE),
    };
    size_t count = 2 + director_link_wait_for(control->link, items + 2);
    if (!net_poll_wait(items, count, (int)wait_ms, err)) return false;
    if (items[0].ready) net_wake_clear(&control->wake);
    *stop = items[1].ready && control->options.woken(control->options.woken_arg) == DAEMON_STOP;
    return true;
}

static void on_time(struct control *control)
{
    uint64_t now = clock_steady_ms();
    director_link_keep(control->link, now);
    if (!director_link_is_up(control->link)) return;
    if (!control->greeted && now - control->joined_ms >= control->join_pause_ms) {
        greeting_say(control);
        if (control->join_pause_ms < JOIN_LONGEST_MS) control->join_pause_ms += JOIN_GROWS_MS;
    }
    bool due = now - control->ends_told_ms >= ENDS_EVERY_MS || run_news_ends_due(control->run_news);
    /* first: who waits for the end then asks for the repository, and is to see it as it is now */
    if (control->greeted && run_news_take_changed(control->run_news))
        repository_news_tell_all(&control->repositories);
    if (control->greeted && due) greeting_tell_ends(control);
}

static bool one_round(struct control *control, uint64_t wait_ms, bool *stop, struct err *err)
{
    bool waits_for_approval = !control->greeted && director_link_is_up(control->link);
    if (waits_for_approval && control->join_pause_ms < wait_ms) wait_ms = control->join_pause_ms;
    if (!wait_for_work(control, wait_ms, stop, err)) return false;
    director_link_receive(control->link);
    run_table_reap(control->runs);
    probes_reap(control->probes);
    if (run_table_count(control->runs) == 0) stores_reap(control->environment.stores);
    on_time(control);
    director_link_send(control->link, control->outbox);
    log_answers_go_on(control->log_answers);
    if (outbox_is_overfull(control->outbox))
        director_link_give_up(control->link, "it does not read what it is told");
    return true;
}

/* Until the runs have ended, the time is over, or somebody asks for the end a second time. */
static bool drain(struct control *control, struct err *err)
{
    uint64_t now = clock_steady_ms(), until = now + control->options.drain_ms;
    bool stop = false;
    control->draining = true;
    if (run_table_count(control->runs) > 0)
        log_event(LOG_INFO, "draining", "next", "running runs may end, no new ones are taken", NULL);
    while (run_table_count(control->runs) > 0 && now < until && !stop) {
        uint64_t wait_ms = until - now < WAIT_MS ? until - now : WAIT_MS;
        if (!one_round(control, wait_ms, &stop, err)) return false;
        now = clock_steady_ms();
    }
    if (run_table_count(control->runs) > 0)
        log_event(LOG_WARN, "drained", "reason", stop ? "asked to stop again" : "no more time", "next",
                  "what still runs is cancelled", NULL);
    return true;
}

bool control_run(struct control *control, struct err *err)
{
    bool stop = false;
    dispatch_attach_known(control);
    on_time(control);
    while (!stop)
        if (!one_round(control, WAIT_MS, &stop, err)) return false;
    return drain(control, err);
}

/* --- life --- */

static bool open_link(struct control *control, struct err *err)
{
    const struct control_options *options = &control->options;
    struct director_link_options how = {
        .net = options->environment.net,
        .way = options->director,
        .server_key = options->director_key,
        .secret_key = options->environment.self->transport->sk->data,
        .up = on_up,
        .lost = on_lost,
        .take = dispatch,
        .arg = control,
    };
    return director_link_new(&how, &control->link, err);
}

bool control_new(const struct control_options *options, struct control **out, struct err *err)
{
    AUTO(control) struct control *control = xcalloc(1, sizeof(*control));
    struct stores *stores = options->environment.stores;
    control->wake.fd = -1;
    control->join_pause_ms = JOIN_FIRST_MS;
    control->options = *options;
    control->incarnation = id_random();
    if (!net_wake_init(&control->wake, err)) return false;
    control->outbox = outbox_new(&control->wake);
    control->runs = run_table_new(options->slots);
    control->probes = probes_new(control->outbox);
    control->repositories = (struct repository_news){.stores = stores, .outbox = control->outbox};
    control->log_answers = log_answers_new(&control->repositories);
    if (!run_news_open(options->environment.state_dir, control->outbox, control->runs, &control->run_news,
                       err))
        return false;
    control->environment = options->environment;
    control->environment.hooks = run_news_hooks(control->run_news);
    if (!open_link(control, err)) return false;
    if (!attach_start(stores, on_attached, control, &control->attach, err)) return false;
    stores_watch(stores, on_closed, control);
    *out = control;
    control = NULL;
    return true;
}

void control_free(struct control *control)
{
    if (!control) return;
    if (control->run_news) run_news_stop(control->run_news);
    run_table_free(control->runs);
    probes_free(control->probes);
    attach_stop(control->attach);
    director_link_free(control->link);
    run_news_close(control->run_news);
    log_answers_free(control->log_answers);
    outbox_free(control->outbox);
    net_wake_deinit(&control->wake);
    free(control);
}
