#include "hosts.h"

#include "common/base/alloc.h"
#include "common/wire/stored.h"
#include "tests/support/fast_folder.h"
#include "tests/support/remove_tree.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static char *const names[] = {(char *)(uintptr_t) "web", (char *)(uintptr_t) "vault"};

/* --- the hosts --- */

static void attach_known(void *arg, const struct statement *repository)
{
    struct host *host = arg;
    struct err err = {0};
    if (memcmp(repository->body.repository->owner.data, host->self->known.sign_pk, SIGN_PK_LEN) == 0)
        cr_assert(stores_attach(host->stores, repository, &err), "%s", err.text);
}

void host_start(struct hosts *hosts, struct host *host)
{
    struct err err = {0};
    struct listener_options options = {.self = host->self, .bind = "tcp://127.0.0.1:0"};
    cr_assert(authority_open(host->state, &hosts->line, host->self, &host->authority, &err), "%s", err.text);
    host->stores = stores_new(host->state, host->self, &host->policy);
    authority_each(host->authority, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, attach_known, host);
    cr_assert(net_context_new(1, &host->net, &err), "%s", err.text);
    options.net = host->net;
    cr_assert(listener_new(&options, &host->listener, &err), "%s", err.text);
}

void host_stop(struct host *host)
{
    listener_free(host->listener);
    stores_free(host->stores);
    authority_close(host->authority);
    net_context_free(host->net);
    host->listener = NULL;
    host->stores = NULL;
    host->authority = NULL;
    host->net = NULL;
}

static void host_init(struct hosts *hosts, struct host *host, const struct identity *self)
{
    host->self = self;
    host->state = xasprintf("%s/%s", hosts->dir, self->known.name);
    host->policy = (struct policy){
        .read_roots = &hosts->root,
        .read_count = 1,
        .restore_roots = &hosts->root,
        .restore_count = 1,
        .repository_roots = &hosts->root,
        .repository_count = 1,
        .plaintext_to = (char **)(uintptr_t)names,
        .plaintext_count = 2,
    };
    host_start(hosts, host);
}

struct hosts *hosts_new(void)
{
    struct hosts *hosts = xcalloc(1, sizeof(*hosts));
    site_init(&hosts->site);
    (void)snprintf(hosts->dir, sizeof(hosts->dir), "%s/sealift-hosts-XXXXXX", fast_folder());
    cr_assert_not_null(mkdtemp(hosts->dir));
    hosts->root = xstrdup(hosts->dir);
    hosts->lease_ms = 20000;
    hosts->line.site = hosts->site.id;
    memcpy(hosts->line.admin, hosts->site.admin->known.sign_pk, SIGN_PK_LEN);
    host_init(hosts, &hosts->web, hosts->site.source);
    host_init(hosts, &hosts->vault, hosts->site.target);
    hosts_next_roster(hosts, (struct roster_draft){.target_zone = SEALIFT__ZONE__ZONE_TRUSTED});
    return hosts;
}

void hosts_free(struct hosts *hosts)
{
    if (!hosts) return;
    struct host *each[] = {&hosts->web, &hosts->vault};
    for (size_t i = 0; i < 2; i++) {
        host_stop(each[i]);
        free(each[i]->state);
        free(each[i]->own_key_file);
    }
    site_deinit(&hosts->site);
    cr_assert(remove_tree(hosts->dir));
    free(hosts->root);
    free(hosts);
}

void host_tell(struct host *host, const struct statement *statement)
{
    struct err err = {0};
    struct accepted out;
    cr_assert(authority_accept(host->authority, buf_span(&statement->bytes), &out, &err), "%s", err.text);
    if (statement->type == SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY) attach_known(host, statement);
}

void hosts_tell(struct hosts *hosts, struct statement *statement)
{
    host_tell(&hosts->web, statement);
    host_tell(&hosts->vault, statement);
    statement_free(statement);
}

void hosts_next_roster(struct hosts *hosts, struct roster_draft draft)
{
    struct hash previous = hosts->roster;
    draft.previous = hosts->roster_version ? &previous : NULL;
    draft.version = ++hosts->roster_version;
    struct statement *roster = site_roster(&hosts->site, &draft);
    hosts->roster = roster->hash;
    hosts_tell(hosts, roster);
}

/* --- one side --- */

static void on_ready(void *arg, const struct id *run, uint32_t attempt, const char *endpoint)
{
    struct leg *leg = arg;
    (void)pthread_mutex_lock(&leg->lock);
    (void)snprintf(leg->endpoint, sizeof(leg->endpoint), "%s", endpoint);
    leg->ready = true;
    (void)pthread_cond_broadcast(&leg->changed);
    (void)pthread_mutex_unlock(&leg->lock);
}

static void on_progress(void *arg, const Sealift__RunProgress *progress)
{
}

static bool on_answer(void *arg, const struct id *run, uint64_t number, uint32_t last, struct span sealed)
{
    struct leg *leg = arg;
    buf_clear(&leg->answer);
    buf_put_span(&leg->answer, sealed);
    return true;
}

static void on_point(void *arg, const struct id *repository, const Sealift__PointNews *news, struct span file)
{
    struct leg *leg = arg;
    leg->time_ns = news->time_ns;
    leg->point_hash = hash_of(file);
}

static void on_changed(void *arg)
{
    (void)arg;
}

static void on_ended(void *arg, const Sealift__RunEnd *end, struct span warnings)
{
    struct leg *leg = arg;
    (void)pthread_mutex_lock(&leg->lock);
    leg->code = end->code;
    (void)snprintf(leg->text, sizeof(leg->text), "%s", end->text);
    buf_put_span(&leg->warnings, warnings);
    leg->sent_bytes = end->counters->sent_bytes;
    if (end->point.len == ID_LEN) leg->point = stored_id(&end->point);
    leg->ended = true;
    (void)pthread_cond_broadcast(&leg->changed);
    (void)pthread_mutex_unlock(&leg->lock);
}

static void on_gone(void *arg, const struct id *run, uint32_t attempt)
{
}

static void leg_init(struct leg *leg)
{
    (void)pthread_mutex_init(&leg->lock, NULL);
    (void)pthread_cond_init(&leg->changed, NULL);
}

static void leg_deinit(struct leg *leg)
{
    buf_deinit(&leg->warnings);
    buf_deinit(&leg->answer);
    (void)pthread_cond_destroy(&leg->changed);
    (void)pthread_mutex_destroy(&leg->lock);
}

struct side {
    Sealift__RunSide side;
    struct host *host, *peer;
    const char *endpoint;
};

static void leg_begin(struct leg *leg, const struct hosts *hosts, const struct side *side,
                      const struct assignment *assignment, const struct id *run)
{
    static const uint8_t ticket[32] = {1};
    const struct host *host = side->host;
    struct run_environment environment = {
        .self = host->self,
        .authority = host->authority,
        .stores = host->stores,
        .policy = &host->policy,
        .net = host->net,
        .listener = host->listener,
        .state_dir = host->state,
        .own_key_file = host->own_key_file,
        .kms = host->kms,
        .lease_ms = hosts->lease_ms,
        .hooks = {on_ready, on_progress, on_answer, on_point, on_changed, on_ended, on_gone, leg},
    };
    Sealift__Assign assign = SEALIFT__ASSIGN__INIT;
    assign.run = stored_bytes(span_of(run->bytes, ID_LEN));
    assign.attempt = 1;
    assign.side = side->side;
    assign.subject = assignment->subject;
    assign.subject_id = stored_bytes(span_of(assignment->id.bytes, ID_LEN));
    assign.subject_version = hosts->subject_version ? hosts->subject_version : 1;
    assign.work = (Sealift__Maintenance *)(uintptr_t)hosts->work;
    assign.ticket = stored_bytes(span_of(ticket, sizeof(ticket)));
    assign.peer = stored_bytes(span_of(side->peer->self->known.sign_pk, SIGN_PK_LEN));
    assign.endpoint = (char *)(uintptr_t)side->endpoint;
    if (side->side != SEALIFT__RUN_SIDE__SIDE_BOTH)
        assign.connection = SEALIFT__CONNECTION__CONNECTION_DIRECT;
    leg->id = *run;
    leg->run = run_start(&environment, &assign);
}

static void leg_await(struct leg *leg, const bool *what)
{
    (void)pthread_mutex_lock(&leg->lock);
    while (!*what && !leg->ended)
        (void)pthread_cond_wait(&leg->changed, &leg->lock);
    (void)pthread_mutex_unlock(&leg->lock);
}

static void leg_finish(struct leg *leg)
{
    leg_await(leg, &leg->ended);
    run_free(leg->run);
    leg->run = NULL;
}

bool leg_explains(const struct hosts *hosts, const struct leg *leg, const char *words)
{
    const struct identity *admin = hosts->site.admin;
    AUTO(payload_warnings) Sealift__Warnings *warnings = NULL;
    AUTO(buf) struct buf context = {0};
    AUTO(buf) struct buf note = {0};
    struct err err = {0};
    bool found = false;
    cr_assert(payload_warnings_decode(buf_span(&leg->warnings), &warnings, &err), "%s", err.text);
    statement_box_context("warning", &hosts->site.id, &leg->id, span_of(NULL, 0), &context);
    statement_box_context("note", &hosts->site.id, &leg->id, span_of(NULL, 0), &note);
    for (size_t i = 0; i < warnings->n_copies; i++) {
        const Sealift__SealedCopy *copy = warnings->copies[i];
        AUTO(secret) struct secret *text = NULL;
        if (memcmp(copy->recipient.data, admin->known.sign_pk, SIGN_PK_LEN) != 0) continue;
        if (!box_open(admin->box, buf_span(&context), stored_span(&copy->sealed), &text, &err) &&
            box_open(admin->box, buf_span(&note), stored_span(&copy->sealed), &text, &err))
            continue;
        cr_assert_not_null(text, "%s", err.text);
        if (memmem(text->data, text->len, words, strlen(words)))
            found = true;
        else
            (void)fprintf(stderr, "a warning: %.*s\n", (int)text->len, (const char *)text->data);
    }
    return found;
}

/* --- both sides --- */

static void cross(struct hosts *hosts, const struct assignment *assignment, struct trip *trip,
                  const struct id *run)
{
    struct side side = {SEALIFT__RUN_SIDE__SIDE_TARGET, assignment->target, assignment->source, ""};
    leg_begin(&trip->target, hosts, &side, assignment, run);
    leg_await(&trip->target, &trip->target.ready);
    if (trip->target.ready) {
        trip->relay = relay_new(trip->target.endpoint);
        atomic_store(&trip->relay->cut_after, assignment->cut_after);
        atomic_store(&trip->relay->cuts_left, assignment->cut_after ? 1 : 0);
        atomic_store(&trip->relay->stay_down, assignment->stay_down);
        side = (struct side){SEALIFT__RUN_SIDE__SIDE_SOURCE, assignment->source, assignment->target,
                             trip->relay->endpoint};
        leg_begin(&trip->source, hosts, &side, assignment, run);
        leg_finish(&trip->source);
    }
    leg_finish(&trip->target);
}

void trip_run(struct hosts *hosts, const struct assignment *assignment, struct trip *trip)
{
    const struct id run = id_random();
    *trip = (struct trip){.alone = assignment->source == assignment->target};
    leg_init(&trip->source);
    leg_init(&trip->target);
    if (!trip->alone) {
        cross(hosts, assignment, trip, &run);
        return;
    }
    const struct side both = {SEALIFT__RUN_SIDE__SIDE_BOTH, assignment->source, assignment->source, ""};
    leg_begin(&trip->source, hosts, &both, assignment, &run);
    leg_finish(&trip->source);
}

void trip_deinit(struct trip *trip)
{
    relay_free(trip->relay);
    leg_deinit(&trip->source);
    leg_deinit(&trip->target);
}

const struct leg *trip_end(const struct trip *trip)
{
    return trip->alone ? &trip->source : &trip->target;
}
