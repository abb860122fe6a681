/* The director's questions about the logs of our repositories, and the answers: what each entry says of
 * points, as it is now, then the state under the question's serial. They are read and told piece by piece, as
 * what was told before has gone: a director that does not read holds nothing in our memory. The control
 * loop's thread. */
#ifndef SEALIFT_TLOOP_LOG_ANSWERS_H
#define SEALIFT_TLOOP_LOG_ANSWERS_H

#include "transporter/loop/repository_news.h"

struct log_answers;

/* Borrows what the news point to. */
struct log_answers *log_answers_new(const struct repository_news *news);
void log_answers_free(struct log_answers *answers);
DEFINE_AUTO(log_answers, struct log_answers *, log_answers_free)

/* One about a repository that was asked about before takes the place of that. Not answered where the
 * repository is not open: its state is told when it is. */
void log_answers_ask(struct log_answers *answers, uint64_t serial, const Sealift__LogAsk *ask);
/* Tells as much as there is room for. */
void log_answers_go_on(struct log_answers *answers);
/* Nobody waits for them any more. */
void log_answers_forget(struct log_answers *answers);

#endif
