#include "ends.h"

#include "common/base/alloc.h"
#include "tests/support/fast_folder.h"
#include "tests/support/remove_tree.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct id site_id = {{1}};
static const struct id repository_id = {{4}};

static struct identity *identity_named(const char *name)
{
    struct err err = {0};
    struct identity *identity = NULL;
    cr_assert(identity_new(name, &identity, &err), "%s", err.text);
    return identity;
}

static void make_repository(struct ends *ends)
{
    struct err err = {0};
    AUTO(free) char *path = xasprintf("%s/repo", ends->dir);
    AUTO(free) char *state = xasprintf("%s/state", ends->dir);
    cr_assert_eq(mkdir(state, 0700), 0);
    cr_assert(repository_create(path, &site_id, &repository_id, ends->kind, (struct span){0},
                                ends->target->sign, &err),
              "%s", err.text);
    struct repository_options options = {.path = path, .state_dir = state, .owner = ends->target->sign};
    cr_assert(repository_open(&options, &ends->repository, &err), "%s", err.text);
}

static struct data_path direct_path(const char *endpoint)
{
    static const struct data_ways ways = {.proxy = NULL};
    static const struct data_reverse reverse = {.expect = NULL};
    const struct data_path_words words = {.side = SEALIFT__RUN_SIDE__SIDE_SOURCE,
                                          .connection = SEALIFT__CONNECTION__CONNECTION_DIRECT,
                                          .endpoint = endpoint,
                                          .proxy = ""};
    struct data_path path = {0};
    struct err err = {0};
    cr_assert(data_path_read(&words, &ways, &reverse, &path, &err), "%s", err.text);
    return path;
}

struct ends *ends_new(enum repository_kind kind)
{
    struct ends *ends = xcalloc(1, sizeof(*ends));
    struct err err = {0};
    (void)snprintf(ends->dir, sizeof(ends->dir), "%s/sealift-ends-XXXXXX", fast_folder());
    cr_assert_not_null(mkdtemp(ends->dir));
    cr_assert(net_context_new(1, &ends->net, &err), "%s", err.text);
    net_context_set_pace(
        ends->net, &(struct net_pace){.heartbeat_ms = 5000, .reconnect_ms = 10, .reconnect_max_ms = 80});
    ends->source = identity_named("web");
    ends->target = identity_named("vault");
    struct listener_options options = {.net = ends->net, .self = ends->target, .bind = "tcp://127.0.0.1:0"};
    cr_assert(listener_new(&options, &ends->listener, &err), "%s", err.text);
    ends->relay = relay_new(listener_endpoint(ends->listener));
    ends->path = direct_path(ends->relay->endpoint);
    ends->keys = keys_make();
    ends->run = id_random();
    random_bytes(ends->ticket, sizeof(ends->ticket));
    ends->lease_ms = 20000;
    ends->kind = kind;
    make_repository(ends);
    return ends;
}

void ends_free(struct ends *ends)
{
    if (!ends) return;
    if (ends->serving) {
        struct err err = {0};
        (void)err_set(&err, ERR_CANCELLED, "the test is over");
        listener_session_fail(ends->session, &err);
        (void)ends_join(ends);
    }
    listener_session_free(ends->session);
    data_path_deinit(&ends->path);
    relay_free(ends->relay);
    listener_free(ends->listener);
    repository_close(ends->repository);
    keys_drop(&ends->keys);
    identity_free(ends->source);
    identity_free(ends->target);
    net_context_free(ends->net);
    (void)remove_tree(ends->dir);
    free(ends);
}

void ends_admit(struct ends *ends, enum conversation_kind conversation)
{
    struct err err = {0};
    listener_session_free(ends->session);
    ends->session = NULL;
    struct listener_session_options options = {
        .run = ends->run,
        .attempt = 1,
        .conversation = conversation,
        .credit_bytes = SERVE_INGEST_CREDIT,
        .lease_ms = ends->lease_ms,
        .path = ends->target_path,
    };
    memcpy(options.ticket, ends->ticket, sizeof(options.ticket));
    memcpy(options.peer_key, ends->source->known.transport_pk, sizeof(options.peer_key));
    cr_assert(listener_admit(ends->listener, &options, &ends->session, &err), "%s", err.text);
    ends->conversation = conversation;
}

static void note_commit(void *arg, const struct id *point, const struct commit_receipt *receipt,
                        struct span file)
{
    struct ends *ends = arg;
    ends->committed++;
}

static void *serve_main(void *arg)
{
    struct ends *ends = arg;
    struct serve_reseal reseal = {.sealing = keys_sealing(&ends->keys, (struct outlet){0}),
                                  .identity = keys_identity(&ends->keys),
                                  .threads = 2};
    struct serve_ingest_options options = {
        .session = ends->session,
        .repository = ends->repository,
        .conversation = ends->conversation,
        .run = ends->run,
        .domain = domain_id(ends->keys.write->dedup_key->data),
        .reseal = ends->reseal ? &reseal : NULL,
        .committed = note_commit,
        .arg = ends,
        .received_bytes = &ends->received,
    };
    memcpy(options.writer, ends->keys.writer->pk, SIGN_PK_LEN);
    ends->served = serve_ingest(&options, &ends->serve_err);
    return NULL;
}

void ends_serve(struct ends *ends, enum conversation_kind conversation, bool reseal)
{
    ends_admit(ends, conversation);
    ends->reseal = reseal;
    ends->serving = true;
    cr_assert_eq(pthread_create(&ends->thread, NULL, serve_main, ends), 0);
}

bool ends_join(struct ends *ends)
{
    (void)pthread_join(ends->thread, NULL);
    ends->serving = false;
    return ends->served;
}

struct dialler_options ends_dialler(const struct ends *ends, enum conversation_kind conversation,
                                    const struct id *seal)
{
    struct dialler_options options = {
        .net = ends->net,
        .self = ends->source,
        .path = &ends->path,
        .conversation = conversation,
        .run = ends->run,
        .attempt = 1,
        .seal = *seal,
        .lease_ms = ends->lease_ms,
    };
    memcpy(options.ticket, ends->ticket, sizeof(options.ticket));
    memcpy(options.peer_key, ends->target->known.transport_pk, sizeof(options.peer_key));
    return options;
}

struct dialler *ends_dial(const struct ends *ends, enum conversation_kind conversation, const struct id *seal)
{
    struct dialler_options options = ends_dialler(ends, conversation, seal);
    struct dialler *dialler = NULL;
    struct err err = {0};
    cr_assert(dialler_new(&options, &dialler, &err), "%s", err.text);
    return dialler;
}

static bool count_point(void *arg, const struct repository_point *point)
{
    unsigned *count = arg;
    ++*count;
    return true;
}

unsigned ends_points(struct ends *ends)
{
    unsigned count = 0;
    struct err err = {0};
    cr_assert(repository_points(ends->repository, count_point, &count, &err), "%s", err.text);
    return count;
}
