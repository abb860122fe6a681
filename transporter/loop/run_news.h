/* What the director hears of runs: the hooks that runs call, on their own threads, and the ends that are told
 * until the director has them. */
#ifndef SEALIFT_TLOOP_RUN_NEWS_H
#define SEALIFT_TLOOP_RUN_NEWS_H

#include "transporter/loop/outbox.h"
#include "transporter/loop/run_table.h"

struct run_news;

/* Borrows outbox and runs, which it marks as ready and ended; ends of an earlier life are found in the state.
 */
bool run_news_open(const char *state_dir, struct outbox *outbox, struct run_table *runs,
                   struct run_news **out, struct err *err) MUST_CHECK;
void run_news_close(struct run_news *news);
DEFINE_AUTO(run_news, struct run_news *, run_news_close)

struct run_hooks run_news_hooks(struct run_news *news);

/* The rest on the control loop's thread. */

/* The end of a run that was not even begun. */
void run_news_refuse(struct run_news *news, const Sealift__Assign *assign, const struct err *why);
/* Tells again which runs wait for their source. */
void run_news_tell_ready(struct run_news *news);
/* Tells all ends that the director has not acknowledged. */
void run_news_tell_ends(struct run_news *news);
/* Whether one has come up since they were last told. */
/* Whether repositories have changed since this was last asked. */
bool run_news_take_changed(struct run_news *news);
bool run_news_ends_due(const struct run_news *news);
/* The director has what it was told under this serial. */
void run_news_acknowledge(struct run_news *news, uint64_t serial);
/* What was under way is lost with the connection. */
void run_news_lost(struct run_news *news);
/* No hook waits from now on. */
void run_news_stop(struct run_news *news);

#endif
