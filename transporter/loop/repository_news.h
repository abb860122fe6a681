/* What the director hears of the repositories that this transporter owns: their states, and the points of
 * their logs. */
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
/* The points from one number on, then the state under the question's serial. */
void repository_news_answer(const struct repository_news *news, uint64_t serial, const Sealift__LogAsk *ask);

#endif
