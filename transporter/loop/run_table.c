#include "transporter/loop/run_table.h"

#include "common/base/alloc.h"

#include <pthread.h>
#include <string.h>

struct row {
    struct run *run; /* NULL: being started */
    struct id id;
    uint32_t attempt;
    bool ended;     /* its end was told */
    bool gone;      /* its thread needs no waiting for */
    char *endpoint; /* where it is ready for its source, or NULL */
    struct row *next;
};

struct run_table {
    uint32_t slots;
    pthread_mutex_t lock; /* the list, `ended`, `gone` and `endpoint` */
    pthread_cond_t changed;
    struct row *first;
    size_t count;
};

struct run_table *run_table_new(uint32_t slots)
{
    struct run_table *table = xcalloc(1, sizeof(*table));
    table->slots = slots;
    (void)pthread_mutex_init(&table->lock, NULL);
    (void)pthread_cond_init(&table->changed, NULL);
    return table;
}

static struct row *find(const struct run_table *table, const struct id *run)
{
    struct row *row = table->first;
    while (row && (row->ended || !id_eq(&row->id, run)))
        row = row->next;
    return row;
}

void run_table_mark_ready(struct run_table *table, const struct id *run, uint32_t attempt,
                          const char *endpoint)
{
    (void)pthread_mutex_lock(&table->lock);
    struct row *row = find(table, run);
    if (row && row->attempt == attempt) {
        free(row->endpoint);
        row->endpoint = xstrdup(endpoint);
    }
    (void)pthread_mutex_unlock(&table->lock);
}

void run_table_each_ready(struct run_table *table, run_table_ready_fn *tell, void *arg)
{
    (void)pthread_mutex_lock(&table->lock);
    for (const struct row *row = table->first; row; row = row->next)
        if (row->endpoint && !row->ended) tell(arg, &row->id, row->attempt, row->endpoint);
    (void)pthread_mutex_unlock(&table->lock);
}

void run_table_mark_ended(struct run_table *table, const struct id *run, uint32_t attempt)
{
    (void)pthread_mutex_lock(&table->lock);
    for (struct row *row = table->first; row; row = row->next)
        if (id_eq(&row->id, run) && row->attempt == attempt) row->ended = true;
    (void)pthread_cond_broadcast(&table->changed);
    (void)pthread_mutex_unlock(&table->lock);
}

void run_table_mark_gone(struct run_table *table, const struct id *run, uint32_t attempt)
{
    (void)pthread_mutex_lock(&table->lock);
    for (struct row *row = table->first; row; row = row->next)
        if (id_eq(&row->id, run) && row->attempt == attempt) row->gone = true;
    (void)pthread_cond_broadcast(&table->changed);
    (void)pthread_mutex_unlock(&table->lock);
}

/* Takes one row that is gone out of the list. */
static struct row *take_gone(struct run_table *table)
{
    (void)pthread_mutex_lock(&table->lock);
    struct row **at = &table->first;
    while (*at && !((*at)->gone && (*at)->run))
        at = &(*at)->next;
    struct row *row = *at;
    if (row) {
        *at = row->next;
        table->count--;
    }
    (void)pthread_mutex_unlock(&table->lock);
    return row;
}

void run_table_reap(struct run_table *table)
{
    for (struct row *row; (row = take_gone(table));) {
        run_free(row->run);
        free(row->endpoint);
        free(row);
    }
}

/* Those that have ended and are not gone take no slot: the director knows that the slot is free. */
static size_t count_live(const struct run_table *table)
{
    size_t live = 0;
    for (const struct row *row = table->first; row; row = row->next)
        live += !row->ended;
    return live;
}

static bool check_room(struct run_table *table, const struct id *id, uint32_t attempt, bool *known,
                       struct err *err)
{
    struct row *row = find(table, id);
    *known = row && row->attempt == attempt;
    if (*known) return true;
    if (row && row->attempt > attempt)
        return err_set(err, ERR_POLICY, "attempt %u of the run is fenced by attempt %u", attempt,
                       row->attempt);
    if (row) {
        run_cancel(row->run, "a later attempt was assigned");
        return err_set(err, ERR_BUSY, "an earlier attempt of the run is still ending");
    }
    if (count_live(table) >= table->slots)
        return err_set(err, ERR_BUSY, "all %u slots of this transporter are in use", table->slots);
    return true;
}

bool run_table_start(struct run_table *table, const struct run_environment *environment,
                     const Sealift__Assign *assign, struct err *err)
{
    struct id id;
    memcpy(id.bytes, assign->run.data, ID_LEN);
    bool known = false;
    (void)pthread_mutex_lock(&table->lock);
    bool ok = check_room(table, &id, assign->attempt, &known, err);
    struct row *row = NULL;
    if (ok && !known) {
        row = xcalloc(1, sizeof(*row));
        row->id = id;
        row->attempt = assign->attempt;
        row->next = table->first;
        table->first = row;
        table->count++;
    }
    (void)pthread_mutex_unlock(&table->lock);
    if (!row) return ok;

    struct run *run = run_start(environment, assign); /* may end before this returns */
    (void)pthread_mutex_lock(&table->lock);
    row->run = run;
    (void)pthread_mutex_unlock(&table->lock);
    return true;
}

void run_table_cancel(struct run_table *table, const struct id *run, const char *reason)
{
    (void)pthread_mutex_lock(&table->lock);
    struct row *row = find(table, run);
    if (row && row->run) run_cancel(row->run, reason);
    (void)pthread_mutex_unlock(&table->lock);
}

static void shut_down_all(struct run_table *table)
{
    (void)pthread_mutex_lock(&table->lock);
    for (struct row *row = table->first; row; row = row->next)
        if (row->run && !row->ended) run_shut_down(row->run);
    (void)pthread_mutex_unlock(&table->lock);
}

static bool any_there(const struct run_table *table)
{
    for (const struct row *row = table->first; row; row = row->next)
        if (!row->gone) return true;
    return false;
}

void run_table_free(struct run_table *table)
{
    if (!table) return;
    shut_down_all(table);
    (void)pthread_mutex_lock(&table->lock);
    while (any_there(table))
        (void)pthread_cond_wait(&table->changed, &table->lock);
    (void)pthread_mutex_unlock(&table->lock);
    run_table_reap(table);
    (void)pthread_cond_destroy(&table->changed);
    (void)pthread_mutex_destroy(&table->lock);
    free(table);
}

size_t run_table_count(const struct run_table *table)
{
    return table->count;
}

void run_table_ids(struct run_table *table, struct buf *out)
{
    (void)pthread_mutex_lock(&table->lock);
    for (const struct row *row = table->first; row; row = row->next)
        if (!row->ended) buf_put(out, row->id.bytes, ID_LEN);
    (void)pthread_mutex_unlock(&table->lock);
}
