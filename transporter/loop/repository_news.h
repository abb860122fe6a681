/* What the director hears of the repositories that this transporter owns: their states. Of their logs:
 * log_answers.h. */
#ifndef SEALIFT_TLOOP_REPOSITORY_NEWS_H
#define SEALIFT_TLOOP_REPOSITORY_NEWS_H

#include "transporter/loop/outbox.h"
#include "transporter/session/stores.h"

/* Borrowed; by value where it is needed. */
struct repository_news {
    struct stores *stores;
    struct outbox *outbox;
};

/* The outcome of opening one, as attach_fn says it; any thread. */
void repository_news_attached(const struct repository_news *news, const struct statement *repository,
                              const struct err *why);
/* All of them, after Hello. */
void repository_news_tell_all(const struct repository_news *news);
/* Of an open one, or why it is not (`store` NULL). `serial`: of the question that it answers, or 0. */
void repository_news_state(const struct repository_news *news, uint64_t serial, const struct id *repository,
                           struct repository *store, const struct err *failure);

#endif
