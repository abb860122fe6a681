#include "transporter/pipeline/check_decrypt.h"

#include "common/base/alloc.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "transporter/core/node.h"
#include "transporter/pipeline/open_pool.h"

#include <pthread.h>
#include <string.h>

enum { BATCH = 128, NODES_AT_ONCE = 16, FETCHERS_MAX = 4, WAITING_MAX = 8 };

/* Chunks that are fetched together, and opened by several threads. */
struct batch {
    struct check *check;
    struct open_batch opening;
    enum frame_type type;
    struct hash ids[BATCH];
    size_t count;
    struct buf *plains; /* of nodes, by number: where their plaintext goes; NULL: data */
    uint64_t serial;    /* of data: in which order findings are told */
    struct batch *next;
    unsigned skip;       /* copies of these that were findings */
    size_t answers;      /* to what was asked for last */
    bool ended;          /* every chunk was answered */
    bool bad[BATCH];     /* whose copy is a finding; another one may be sound. Under the lock */
    struct buf findings; /* struct finding each. Under the lock */
};

struct finding {
    size_t number; /* of the chunk */
    unsigned skip;
    struct err what;
};

struct check {
    struct opener *opener;
    const struct inlet *inlet;
    struct open_pool *pool;
    enum check_decrypt_scope scope;
    struct checked_set *checked; /* walking thread only */
    const struct check_decrypt_sink *sink;
    pthread_mutex_t lock; /* the rest */
    pthread_cond_t changed;
    struct batch *first, **last; /* of data, to be fetched */
    size_t waiting;
    uint64_t handed, told; /* batches of data: handed over, and their findings told */
    bool over;
    struct err fatal;
    struct check_decrypt_result *result;
};

static void stop(struct check *check, const struct err *why)
{
    (void)pthread_mutex_lock(&check->lock);
    if (check->fatal.code == ERR_NONE) check->fatal = *why;
    check->over = true;
    (void)pthread_cond_broadcast(&check->changed);
    (void)pthread_mutex_unlock(&check->lock);
}

/* --- what is found --- */

static void find(struct batch *batch, size_t number, const struct err *why)
{
    struct finding finding = {.number = number, .skip = batch->skip};
    char text[17];
    hex_encode(batch->ids[number].bytes, 8, text);
    if (!opener_missing(why, &finding.what)) (void)err_wrap(&finding.what, "chunk %s…", text);
    (void)pthread_mutex_lock(&batch->check->lock);
    buf_put(&batch->findings, &finding, sizeof(finding));
    (void)pthread_mutex_unlock(&batch->check->lock);
}

static int by_number(const void *a, const void *b)
{
    const struct finding *one = a, *other = b;
    if (one->number != other->number) return one->number < other->number ? -1 : 1;
    return one->skip < other->skip ? -1 : one->skip > other->skip;
}

/* In the order of the walk, whichever chunk was opened first: after `before` batches of data. */
static void tell(struct batch *batch, uint64_t before)
{
    struct check *check = batch->check;
    size_t count = batch->findings.len / sizeof(struct finding);
    struct finding *findings = (struct finding *)(void *)batch->findings.data;
    if (count > 0) qsort(findings, count, sizeof(*findings), by_number);
    (void)pthread_mutex_lock(&check->lock);
    while (check->told < before && !check->over)
        (void)pthread_cond_wait(&check->changed, &check->lock);
    for (size_t i = 0; i < count; i++)
        check->sink->finding(check->sink->arg, &findings[i].what);
    check->result->findings += count;
    if (batch->type == FRAME_DATA) check->told++;
    if (batch->type == FRAME_DATA && batch->ended && count == 0 && check->sink->sound)
        check->sink->sound(check->sink->arg, batch->ids, batch->count);
    (void)pthread_cond_broadcast(&check->changed);
    (void)pthread_mutex_unlock(&check->lock);
    buf_clear(&batch->findings);
}

static void count(struct check *check, enum frame_type type, uint64_t bytes)
{
    (void)pthread_mutex_lock(&check->lock);
    if (type == FRAME_NODE)
        check->result->nodes++;
    else
        check->result->chunks++;
    check->result->bytes += bytes;
    if (check->sink->progress)
        check->sink->progress(check->sink->arg, check->result->nodes + check->result->chunks,
                              check->result->bytes);
    (void)pthread_mutex_unlock(&check->lock);
}

/* --- one chunk, in a thread of the pool --- */

struct derived {
    struct opener *opener;
    struct hash *nodes, *datas;
    size_t node_count, data_count;
};

static bool derive_child(void *arg, enum frame_type type, const struct hash *content, struct err *err)
{
    (void)err;
    struct derived *derived = arg;
    struct hash **list = type == FRAME_NODE ? &derived->nodes : &derived->datas;
    size_t *length = type == FRAME_NODE ? &derived->node_count : &derived->data_count;
    *list = xreallocarray(*list, *length + 1, sizeof(struct hash));
    (*list)[(*length)++] = opener_chunk_id(derived->opener, type, content);
    return true;
}

static int by_hash(const void *a, const void *b)
{
    return hash_cmp(a, b);
}

static size_t sort_unique(struct hash *list, size_t length)
{
    if (length == 0) return 0;
    qsort(list, length, sizeof(*list), by_hash);
    size_t kept = 1;
    for (size_t i = 1; i < length; i++)
        if (!hash_eq(&list[i], &list[kept - 1])) list[kept++] = list[i];
    return kept;
}

static bool same_ids(const struct hash *list, size_t length, const uint8_t *clear, size_t clear_count)
{
    return length == clear_count && (length == 0 || memcmp(list, clear, length * sizeof(*list)) == 0);
}

/* What the node says in clear against what it says inside. */
static bool check_clear(struct check *check, struct span frame, struct span node, struct err *err)
{
    struct frame_view view;
    struct derived derived = {.opener = check->opener};
    enum node_kind kind;
    if (!frame_parse(frame, &view, err)) return false;
    bool ok = node_children(node, &kind, derive_child, &derived, err);
    if (ok) {
        size_t nodes = sort_unique(derived.nodes, derived.node_count);
        size_t datas = sort_unique(derived.datas, derived.data_count);
        ok = (same_ids(derived.nodes, nodes, view.clear_nodes, view.node_ids) &&
              same_ids(derived.datas, datas, view.clear_data, view.data_ids)) ||
             err_set(err, ERR_DAMAGED, "the node's clear list is not what the node refers to");
    }
    free(derived.nodes);
    free(derived.datas);
    return ok;
}

static void on_opened(struct open_batch *opening, size_t number, struct span frame, struct buf *plain,
                      const struct err *why)
{
    struct batch *batch = opening->owner;
    struct check *check = batch->check;
    struct err lie = {0};
    if (!why && batch->plains && !check_clear(check, frame, buf_span(plain), &lie)) why = &lie;
    if (why) {
        find(batch, number, why);
        (void)pthread_mutex_lock(&check->lock);
        batch->bad[number] = true;
        (void)pthread_mutex_unlock(&check->lock);
        return;
    }
    uint64_t bytes = plain->len;
    if (batch->plains) {
        struct buf empty = batch->plains[number];
        batch->plains[number] = *plain;
        *plain = empty;
    }
    count(check, batch->type, bytes);
}

/* --- a batch --- */

static bool on_envelope(void *arg, struct span envelope, struct err *err)
{
    const struct batch *batch = arg;
    struct err why = {0};
    if (opener_envelope(batch->check->opener, envelope, &why)) return true;
    if (why.code == ERR_WRONG_KEY || why.code == ERR_NO_KEY) {
        *err = why;
        return false;
    }
    return true; /* the frames of its seal will say that it is missing */
}

static bool number_of(const struct batch *batch, const struct hash *id, size_t *number, struct err *err)
{
    for (*number = 0; *number < batch->count; ++*number)
        if (hash_eq(&batch->ids[*number], id)) return true;
    return err_set(err, ERR_PROTOCOL, "a chunk that was not asked for");
}

static bool on_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    struct batch *batch = arg;
    size_t number;
    if (!number_of(batch, id, &number, err)) return false;
    batch->answers++;
    pace_wait(batch->check->sink->pace, frame.len);
    open_pool_put(batch->check->pool, &batch->opening, number, id, frame);
    return true;
}

static bool on_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    struct batch *batch = arg;
    size_t number;
    if (!number_of(batch, id, &number, err)) return false;
    batch->answers++;
    if (batch->skip == 0) find(batch, number, why); /* else it has been told of the copies before */
    return true;
}

static bool fetch_copies(struct batch *batch, const struct hash *ids, size_t length, struct err *err)
{
    struct check *check = batch->check;
    struct inlet_sink sink = {.envelope = on_envelope,
                              .frame = on_frame,
                              .missing = on_missing,
                              .arg = batch,
                              .opener = batch->check->opener,
                              .skip = batch->skip};
    batch->answers = 0;
    bool ok = check->inlet->ops->fetch(check->inlet->self, ids, length, &sink, err);
    open_pool_wait(check->pool, &batch->opening);
    if (!ok) return false;
    return batch->answers == length ||
           err_set(err, ERR_PROTOCOL, "%zu chunks were asked for, %zu were answered", length, batch->answers);
}

/* All copies that did not open of those that were asked for last. */
static size_t take_bad(struct batch *batch, struct hash *again)
{
    size_t length = 0;
    for (size_t i = 0; i < batch->count; i++)
        if (batch->bad[i]) again[length++] = batch->ids[i];
    memset(batch->bad, 0, sizeof(batch->bad));
    return length;
}

/* Every copy that does not open is a finding, until one does. */
static bool fetch(struct batch *batch, struct err *err)
{
    struct hash again[BATCH];
    batch->opening = (struct open_batch){.owner = batch};
    batch->skip = 0;
    memset(batch->bad, 0, sizeof(batch->bad));
    if (!fetch_copies(batch, batch->ids, batch->count, err)) return false;
    for (size_t length; (length = take_bad(batch, again)) > 0 && batch->skip + 1 < INLET_PLACES;) {
        batch->skip++;
        if (!fetch_copies(batch, again, length, err)) return false;
    }
    return true;
}

/* --- data: one thread for each fetch that is worth having under way --- */

static struct batch *batch_new(struct check *check)
{
    struct batch *batch = xcalloc(1, sizeof(*batch));
    batch->check = check;
    batch->type = FRAME_DATA;
    return batch;
}

static void batch_free(struct batch *batch)
{
    if (!batch) return;
    buf_deinit(&batch->findings);
    free(batch);
}

static struct batch *take(struct check *check)
{
    (void)pthread_mutex_lock(&check->lock);
    while (!check->first && !check->over)
        (void)pthread_cond_wait(&check->changed, &check->lock);
    struct batch *batch = check->over ? NULL : check->first;
    if (batch) {
        check->first = batch->next;
        if (!check->first) check->last = &check->first;
        check->waiting--;
        (void)pthread_cond_broadcast(&check->changed);
    }
    (void)pthread_mutex_unlock(&check->lock);
    return batch;
}

static void *data_main(void *arg)
{
    struct check *check = arg;
    struct err err = {0};
    for (struct batch *batch; (batch = take(check));) {
        batch->ended = fetch(batch, &err);
        if (!batch->ended) stop(check, &err);
        tell(batch, batch->serial);
        batch_free(batch);
    }
    return NULL;
}

static bool hand_over(struct check *check, struct batch **batch, struct err *err)
{
    if (!*batch || (*batch)->count == 0) return true;
    (void)pthread_mutex_lock(&check->lock);
    while (check->waiting >= WAITING_MAX && !check->over)
        (void)pthread_cond_wait(&check->changed, &check->lock);
    bool ok = !check->over;
    if (ok) {
        (*batch)->serial = check->handed++;
        *check->last = *batch;
        check->last = &(*batch)->next;
        check->waiting++;
        *batch = NULL;
        (void)pthread_cond_broadcast(&check->changed);
    } else {
        *err = check->fatal;
    }
    (void)pthread_mutex_unlock(&check->lock);
    return ok;
}

/* --- nodes: the walking thread --- */

struct walk {
    struct check *check;
    struct batch *nodes, *data;
    struct buf plains[NODES_AT_ONCE];
    struct hash *ids; /* of nodes still to visit */
    size_t id_count, id_cap;
};

static void walk_deinit(struct walk *walk)
{
    for (size_t i = 0; i < NODES_AT_ONCE; i++) {
        wipe(walk->plains[i].data, walk->plains[i].cap);
        buf_deinit(&walk->plains[i]);
    }
    batch_free(walk->nodes);
    batch_free(walk->data);
    free(walk->ids);
}
DEFINE_AUTO_IN_PLACE(walk, struct walk, walk_deinit)

static void add_node(struct walk *walk, const struct hash *id)
{
    if (!checked_set_add_node(walk->check->checked, id)) return;
    if (walk->id_count == walk->id_cap) {
        walk->id_cap = walk->id_cap ? 2 * walk->id_cap : 256;
        walk->ids = xreallocarray(walk->ids, walk->id_cap, sizeof(*walk->ids));
    }
    walk->ids[walk->id_count++] = *id;
}

static bool visit_child(void *arg, enum frame_type type, const struct hash *content, struct err *err)
{
    struct walk *walk = arg;
    struct check *check = walk->check;
    if (type == FRAME_DATA && check->scope == CHECK_DECRYPT_NODES) return true;
    struct hash id = opener_chunk_id(check->opener, type, content);
    if (type == FRAME_NODE) {
        add_node(walk, &id);
        return true;
    }
    if (!checked_set_add_data(check->checked, &id)) return true;
    if (check->sink->known && check->sink->known(check->sink->arg, &id)) {
        check->result->known++;
        return true;
    }
    if (!walk->data) walk->data = batch_new(check);
    walk->data->ids[walk->data->count++] = id;
    return walk->data->count < BATCH || hand_over(check, &walk->data, err);
}

/* Those found last first, so that few wait; several at once, each of which would have a round trip. */
static bool visit_nodes(struct walk *walk, struct err *err)
{
    struct check *check = walk->check;
    struct batch *nodes = walk->nodes;
    for (nodes->count = 0; nodes->count < NODES_AT_ONCE && walk->id_count > 0; nodes->count++) {
        nodes->ids[nodes->count] = walk->ids[--walk->id_count];
        buf_clear(&walk->plains[nodes->count]);
    }
    bool ok = fetch(nodes, err);
    if (nodes->findings.len) tell(nodes, check->handed);
    for (size_t i = 0; ok && i < nodes->count; i++) {
        enum node_kind kind;
        struct span node = buf_span(&walk->plains[i]);
        ok = node.len == 0 || node_children(node, &kind, visit_child, walk, err);
    }
    return ok;
}

static bool walk_nodes(struct check *check, const struct hash *root, struct err *err)
{
    AUTO(walk) struct walk walk = {.check = check, .nodes = batch_new(check)};
    walk.nodes->type = FRAME_NODE;
    walk.nodes->plains = walk.plains;
    bool ok = true;
    add_node(&walk, root);
    while (ok && walk.id_count > 0)
        ok = visit_nodes(&walk, err);
    return ok && hand_over(check, &walk.data, err);
}

/* --- all of it --- */

/* One more than is worth having under way: it waits for its last chunks to be opened. */
static unsigned fetcher_count(const struct inlet *inlet)
{
    if (inlet->fetches == 0) return 1;
    return inlet->fetches >= FETCHERS_MAX ? FETCHERS_MAX : inlet->fetches + 1;
}

static bool run_threads(struct check *check, const struct hash *root, struct err *err)
{
    pthread_t fetchers[FETCHERS_MAX];
    unsigned started = 0, wanted = fetcher_count(check->inlet);
    while (started < wanted && pthread_create(&fetchers[started], NULL, data_main, check) == 0)
        started++;
    bool ok = started > 0 || err_set(err, ERR_FAILED, "cannot start a thread");
    ok = ok && walk_nodes(check, root, err);
    if (!ok) stop(check, err);
    (void)pthread_mutex_lock(&check->lock);
    while (!check->over && check->told < check->handed)
        (void)pthread_cond_wait(&check->changed, &check->lock);
    check->over = true;
    (void)pthread_cond_broadcast(&check->changed);
    (void)pthread_mutex_unlock(&check->lock);
    for (unsigned i = 0; i < started; i++)
        (void)pthread_join(fetchers[i], NULL);
    while (check->first) {
        struct batch *batch = check->first;
        check->first = batch->next;
        batch_free(batch);
    }
    if (ok && check->fatal.code != ERR_NONE) {
        *err = check->fatal;
        ok = false;
    }
    return ok;
}

bool check_decrypt_point(struct opener *opener, const struct inlet *inlet, const struct hash *root,
                         enum check_decrypt_scope scope, unsigned threads, struct checked_set *checked,
                         const struct check_decrypt_sink *sink, struct check_decrypt_result *result,
                         struct err *err)
{
    AUTO(open_pool) struct open_pool *pool = NULL;
    struct check check = {
        .opener = opener, .inlet = inlet, .scope = scope, .checked = checked, .sink = sink, .result = result};
    check.last = &check.first;
    uint64_t findings = result->findings;
    if (!open_pool_new(opener, threads, on_opened, &pool, err)) return false;
    check.pool = pool;
    (void)pthread_mutex_init(&check.lock, NULL);
    (void)pthread_cond_init(&check.changed, NULL);
    bool ok = run_threads(&check, root, err);
    if (!ok || result->findings > findings) checked_set_empty(checked);
    (void)pthread_cond_destroy(&check.changed);
    (void)pthread_mutex_destroy(&check.lock);
    return ok;
}
