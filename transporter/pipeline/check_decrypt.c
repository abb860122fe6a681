#include "transporter/pipeline/check_decrypt.h"

#include "common/base/alloc.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "transporter/core/node.h"
#include "transporter/pipeline/sent_ids.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum { WINDOW = 256, THREADS_MAX = 64, WAITING_MAX = 8, DATA_REMEMBERED = 2 * 1024 * 1024 };

/* --- ids that were looked at: of nodes by open addressing over uniformly random ids --- */

struct checked_set {
    uint8_t (*slots)[16]; /* zeros: free */
    size_t cap, count;
    struct sent_ids *datas;
};

struct checked_set *checked_set_new(void)
{
    struct checked_set *set = xcalloc(1, sizeof(*set));
    set->cap = 4096;
    set->slots = xcalloc(set->cap, 16);
    set->datas = sent_ids_new(DATA_REMEMBERED);
    return set;
}

void checked_set_free(struct checked_set *set)
{
    if (!set) return;
    sent_ids_free(set->datas);
    free(set->slots);
    free(set);
}

static uint8_t *slot_of(const struct checked_set *set, const uint8_t id[16])
{
    static const uint8_t none[16];
    size_t at = (size_t)(le64_get(id) % set->cap);
    while (memcmp(set->slots[at], none, 16) != 0 && memcmp(set->slots[at], id, 16) != 0)
        at = (at + 1) % set->cap;
    return set->slots[at];
}

static void grow(struct checked_set *set)
{
    struct checked_set larger = {.cap = 2 * set->cap};
    static const uint8_t none[16];
    larger.slots = xcalloc(larger.cap, 16);
    for (size_t i = 0; i < set->cap; i++)
        if (memcmp(set->slots[i], none, 16) != 0) memcpy(slot_of(&larger, set->slots[i]), set->slots[i], 16);
    free(set->slots);
    set->slots = larger.slots;
    set->cap = larger.cap;
}

static void empty(struct checked_set *set)
{
    memset(set->slots, 0, 16 * set->cap);
    set->count = 0;
    sent_ids_free(set->datas);
    set->datas = sent_ids_new(DATA_REMEMBERED);
}

/* true if the node was not in the set */
static bool add(struct checked_set *set, const struct hash *id)
{
    uint8_t *slot = slot_of(set, id->bytes);
    if (memcmp(slot, id->bytes, 16) == 0) return false;
    memcpy(slot, id->bytes, 16);
    if (++set->count * 3 > set->cap * 2) grow(set);
    return true;
}

/* --- the check --- */

struct window {
    struct hash ids[WINDOW];
    size_t count;
    struct window *next;
};

struct check {
    struct opener *opener;
    const struct inlet *inlet;
    enum check_decrypt_scope scope;
    struct checked_set *checked; /* walking thread only */
    const struct check_decrypt_sink *sink;
    pthread_mutex_t lock; /* the rest */
    pthread_cond_t changed;
    struct window *first, **last;
    size_t waiting;
    bool over;
    struct err fatal;
    struct check_decrypt_result *result;
};

static void find(struct check *check, const struct hash *id, const struct err *why)
{
    char text[17];
    struct err what;
    hex_encode(id->bytes, 8, text);
    if (!opener_missing(why, &what)) (void)err_wrap(&what, "chunk %s…", text);
    (void)pthread_mutex_lock(&check->lock);
    check->result->findings++;
    check->sink->finding(check->sink->arg, &what);
    (void)pthread_mutex_unlock(&check->lock);
}

static void stop(struct check *check, const struct err *why)
{
    (void)pthread_mutex_lock(&check->lock);
    if (check->fatal.code == ERR_NONE) check->fatal = *why;
    check->over = true;
    (void)pthread_cond_broadcast(&check->changed);
    (void)pthread_mutex_unlock(&check->lock);
}

/* One fetching thread's state; used for nodes by the walking thread too. */
struct reading {
    struct check *check;
    struct opener_thread *thread;
    struct buf plain;
    struct buf *node; /* where a node's plaintext goes; NULL: data */
    bool here;
    size_t told;    /* ids of the window that were answered */
    unsigned skip;  /* copies of these that were findings */
    struct buf bad; /* struct hash each: chunks whose copy is a finding; another one may be sound */
};

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

static bool on_envelope(void *arg, struct span envelope, struct err *err)
{
    struct reading *reading = arg;
    struct err why = {0};
    if (opener_envelope(reading->check->opener, envelope, &why)) return true;
    if (why.code == ERR_WRONG_KEY || why.code == ERR_NO_KEY) {
        *err = why;
        return false;
    }
    return true; /* the frames of its seal will say that it is missing */
}

static bool on_frame(void *arg, const struct hash *id, struct span frame, struct err *err)
{
    (void)err;
    struct reading *reading = arg;
    struct err why = {0};
    reading->told++;
    struct buf *plain = reading->node ? reading->node : &reading->plain;
    bool ok = opener_frame(reading->thread, id, frame, plain, &why);
    if (ok && reading->node) ok = check_clear(reading->check, frame, buf_span(plain), &why);
    if (!ok) {
        find(reading->check, id, &why);
        buf_put(&reading->bad, id->bytes, HASH_LEN);
        return true;
    }
    reading->here = true;
    count(reading->check, reading->node ? FRAME_NODE : FRAME_DATA, plain->len);
    return true;
}

static bool on_missing(void *arg, const struct hash *id, const struct err *why, struct err *err)
{
    (void)err;
    struct reading *reading = arg;
    reading->told++;
    if (reading->skip == 0) find(reading->check, id, why); /* else it has been told of the copies before */
    return true;
}

static bool fetch_copies(struct reading *reading, const struct hash *ids, size_t length, struct err *err)
{
    struct inlet_sink sink = {.envelope = on_envelope,
                              .frame = on_frame,
                              .missing = on_missing,
                              .arg = reading,
                              .skip = reading->skip};
    const struct inlet *inlet = reading->check->inlet;
    reading->told = 0;
    if (!inlet->ops->fetch(inlet->self, ids, length, &sink, err)) return false;
    return reading->told == length ||
           err_set(err, ERR_PROTOCOL, "%zu chunks were asked for, %zu were answered", length, reading->told);
}

/* Every copy that does not open is a finding, until one does. */
static bool fetch(struct reading *reading, const struct hash *ids, size_t length, struct err *err)
{
    AUTO(buf) struct buf again = {0};
    reading->skip = 0;
    buf_clear(&reading->bad);
    if (!fetch_copies(reading, ids, length, err)) return false;
    while (reading->bad.len > 0 && ++reading->skip < INLET_PLACES) {
        buf_clear(&again);
        buf_put_span(&again, buf_span(&reading->bad));
        buf_clear(&reading->bad);
        if (!fetch_copies(reading, (const struct hash *)(const void *)again.data, again.len / HASH_LEN, err))
            return false;
    }
    return true;
}

/* --- data: several threads --- */

static struct window *take(struct check *check)
{
    (void)pthread_mutex_lock(&check->lock);
    while (!check->first && !check->over)
        (void)pthread_cond_wait(&check->changed, &check->lock);
    struct window *window = check->first;
    if (window) {
        check->first = window->next;
        if (!check->first) check->last = &check->first;
        check->waiting--;
        (void)pthread_cond_broadcast(&check->changed);
    }
    (void)pthread_mutex_unlock(&check->lock);
    return window;
}

static void *data_main(void *arg)
{
    struct check *check = arg;
    struct reading reading = {.check = check};
    struct err err = {0};
    if (!opener_thread_new(check->opener, &reading.thread, &err)) {
        stop(check, &err);
        return NULL;
    }
    for (struct window *window; (window = take(check));) {
        if (!fetch(&reading, window->ids, window->count, &err)) stop(check, &err);
        free(window);
    }
    opener_thread_free(reading.thread);
    wipe(reading.plain.data, reading.plain.cap);
    buf_deinit(&reading.plain);
    buf_deinit(&reading.bad);
    return NULL;
}

static bool hand_over(struct check *check, struct window **window, struct err *err)
{
    if (!*window || (*window)->count == 0) return true;
    (void)pthread_mutex_lock(&check->lock);
    while (check->waiting >= WAITING_MAX && !check->over)
        (void)pthread_cond_wait(&check->changed, &check->lock);
    bool ok = !check->over;
    if (ok) {
        *check->last = *window;
        check->last = &(*window)->next;
        check->waiting++;
        *window = NULL;
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
    struct reading reading;
    struct window *window;
    struct hash *nodes; /* content hashes still to visit */
    size_t node_count, node_cap;
    struct err err;
};

static bool visit_child(void *arg, enum frame_type type, const struct hash *content, struct err *err)
{
    struct walk *walk = arg;
    if (type == FRAME_DATA && walk->check->scope == CHECK_DECRYPT_NODES) return true;
    struct hash id = opener_chunk_id(walk->check->opener, type, content);
    struct checked_set *checked = walk->check->checked;
    if (type == FRAME_NODE ? !add(checked, &id) : !sent_ids_claim(checked->datas, &id)) return true;
    if (type == FRAME_NODE) {
        if (walk->node_count == walk->node_cap) {
            walk->node_cap = walk->node_cap ? 2 * walk->node_cap : 256;
            walk->nodes = xreallocarray(walk->nodes, walk->node_cap, sizeof(*walk->nodes));
        }
        walk->nodes[walk->node_count++] = id;
        return true;
    }
    if (!walk->window) walk->window = xcalloc(1, sizeof(*walk->window));
    walk->window->ids[walk->window->count++] = id;
    return walk->window->count < WINDOW || hand_over(walk->check, &walk->window, err);
}

static bool visit_node(struct walk *walk, const struct hash *id, struct err *err)
{
    AUTO(buf) struct buf node = {0};
    enum node_kind kind;
    walk->reading.node = &node;
    walk->reading.here = false;
    if (!fetch(&walk->reading, id, 1, err)) return false;
    bool ok = !walk->reading.here || node_children(buf_span(&node), &kind, visit_child, walk, err);
    wipe(node.data, node.cap);
    return ok;
}

static bool walk_nodes(struct walk *walk, const struct hash *root, struct err *err)
{
    if (!opener_thread_new(walk->check->opener, &walk->reading.thread, err)) return false;
    bool ok = !add(walk->check->checked, root) || visit_node(walk, root, err);
    while (ok && walk->node_count > 0) {
        struct hash id = walk->nodes[--walk->node_count];
        ok = visit_node(walk, &id, err);
    }
    ok = ok && hand_over(walk->check, &walk->window, err);
    opener_thread_free(walk->reading.thread);
    buf_deinit(&walk->reading.bad);
    free(walk->window);
    free(walk->nodes);
    return ok;
}

static unsigned thread_count(unsigned wanted)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned threads = wanted ? wanted : (unsigned)(cores > 0 ? cores : 1);
    return threads > THREADS_MAX ? THREADS_MAX : threads;
}

bool check_decrypt_point(struct opener *opener, const struct inlet *inlet, const struct hash *root,
                         enum check_decrypt_scope scope, unsigned threads, struct checked_set *checked,
                         const struct check_decrypt_sink *sink, struct check_decrypt_result *result,
                         struct err *err)
{
    struct check check = {
        .opener = opener, .inlet = inlet, .scope = scope, .checked = checked, .sink = sink, .result = result};
    check.last = &check.first;
    uint64_t findings = result->findings;
    (void)pthread_mutex_init(&check.lock, NULL);
    (void)pthread_cond_init(&check.changed, NULL);
    pthread_t workers[THREADS_MAX];
    unsigned started = 0, wanted = thread_count(threads);
    while (started < wanted && pthread_create(&workers[started], NULL, data_main, &check) == 0)
        started++;

    struct walk walk = {.check = &check, .reading = {.check = &check}};
    bool ok = started > 0 || err_set(err, ERR_FAILED, "cannot start a thread");
    ok = ok && walk_nodes(&walk, root, err);
    if (!ok) stop(&check, err);
    (void)pthread_mutex_lock(&check.lock);
    check.over = true;
    (void)pthread_cond_broadcast(&check.changed);
    (void)pthread_mutex_unlock(&check.lock);
    for (unsigned i = 0; i < started; i++)
        (void)pthread_join(workers[i], NULL);
    if (!ok || result->findings > findings) empty(checked);
    if (ok && check.fatal.code != ERR_NONE) {
        *err = check.fatal;
        ok = false;
    }
    (void)pthread_cond_destroy(&check.changed);
    (void)pthread_mutex_destroy(&check.lock);
    return ok;
}
