/* The runs of this transporter, bounded by its slots. Control loop's thread, except mark_ready and
 * mark_ended and mark_gone. */
#ifndef SEALIFT_TLOOP_RUN_TABLE_H
#define SEALIFT_TLOOP_RUN_TABLE_H

#include "transporter/session/run.h"

struct run_table;
struct run_table *run_table_new(uint32_t slots);
/* cancels and waits for what still runs */
void run_table_free(struct run_table *table);
DEFINE_AUTO(run_table, struct run_table *, run_table_free)

/* Starts an assignment. The same run and attempt again is success; a lower attempt is ERR_POLICY
 * (fenced); a higher one cancels the lower and is ERR_BUSY until that has ended; no slot left is ERR_BUSY. */
bool run_table_start(struct run_table *table, const struct run_environment *environment,
                     const Sealift__Assign *assign, struct err *err) MUST_CHECK;
void run_table_cancel(struct run_table *table, const struct id *run, const char *reason);
/* It waits for its source there: told again after each Hello, as a word in flight may be lost. By the run's
 * own thread. */
void run_table_mark_ready(struct run_table *table, const struct id *run, uint32_t attempt,
                          const char *endpoint);
typedef void run_table_ready_fn(void *arg, const struct id *run, uint32_t attempt, const char *endpoint);
/* each live run that is ready; `tell` must not call back */
void run_table_each_ready(struct run_table *table, run_table_ready_fn *tell, void *arg);
/* By the run's own thread, in the hook: it takes no slot any more. */
void run_table_mark_ended(struct run_table *table, const struct id *run, uint32_t attempt);
/* By the run's own thread, in its last hook. */
void run_table_mark_gone(struct run_table *table, const struct id *run, uint32_t attempt);
/* joins the threads of runs that are gone */
void run_table_reap(struct run_table *table);
/* those that have ended and are not gone included */
size_t run_table_count(const struct run_table *table);
/* live runs, 16 bytes each, for Hello */
void run_table_ids(struct run_table *table, struct buf *out);

#endif
