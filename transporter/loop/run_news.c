#include "transporter/loop/run_news.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/log_gate.h"
#include "common/base/text.h"
#include "common/wire/stored.h"
#include "transporter/loop/answer_window.h"
#include "transporter/loop/run_ends.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { ENDS_ROOM = 4 << 20 };   /* what the outbox may hold before the next end; the others are told later */
enum { ANSWERS_UNDER_WAY = 4 }; /* over all runs; the director takes as many of each (docs/protocol.md) */

struct run_news {
    struct outbox *outbox;  /* borrowed */
    struct run_table *runs; /* borrowed */
    struct run_ends *ends;
    struct answer_window *window;
    _Atomic bool ends_due;
    _Atomic bool repositories_due;
    struct log_gate refusals;
};

bool run_news_open(const char *state_dir, struct outbox *outbox, struct run_table *runs,
                   struct run_news **out, struct err *err)
{
    AUTO(run_news) struct run_news *news = xcalloc(1, sizeof(*news));
    news->outbox = outbox;
    news->runs = runs;
    news->window = answer_window_new(ANSWERS_UNDER_WAY);
    if (!run_ends_open(state_dir, &news->ends, err)) return false;
    *out = news;
    news = NULL;
    return true;
}

void run_news_close(struct run_news *news)
{
    if (!news) return;
    run_ends_close(news->ends);
    answer_window_free(news->window);
    free(news);
}

/* --- hooks: any thread --- */

static void put_ready(void *arg, const struct id *run, uint32_t attempt, const char *endpoint)
{
    const struct run_news *news = arg;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__RunReady ready = SEALIFT__RUN_READY__INIT;
    ready.run = stored_bytes(span_of(run->bytes, ID_LEN));
    ready.attempt = attempt;
    ready.endpoint = stored_lent(endpoint);
    head.kind_case = SEALIFT__HEAD__KIND_RUN_READY;
    head.run_ready = &ready;
    outbox_put(news->outbox, &head, span_of(NULL, 0), OUTBOX_KEEP);
}

/* Kept as well: a word that is lost with the connection would leave the source unassigned. */
static void on_ready(void *arg, const struct id *run, uint32_t attempt, const char *endpoint)
{
    struct run_news *news = arg;
    run_table_mark_ready(news->runs, run, attempt, endpoint);
    put_ready(news, run, attempt, endpoint);
}

static void on_progress(void *arg, const Sealift__RunProgress *progress)
{
    const struct run_news *news = arg;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_RUN_PROGRESS;
    head.run_progress = stored_lent(progress);
    outbox_put(news->outbox, &head, span_of(NULL, 0), OUTBOX_DROP_WHEN_FULL);
}

static bool on_answer(void *arg, const struct id *run, uint64_t number, uint32_t last, struct span sealed)
{
    const struct run_news *news = arg;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__RunAnswer answer = SEALIFT__RUN_ANSWER__INIT;
    uint64_t serial = 0;
    if (!answer_window_enter(news->window, &serial)) return false;
    answer.run = stored_bytes(span_of(run->bytes, ID_LEN));
    answer.last = last;
    answer.number = number;
    head.serial = serial;
    head.kind_case = SEALIFT__HEAD__KIND_RUN_ANSWER;
    head.run_answer = &answer;
    outbox_put(news->outbox, &head, sealed, OUTBOX_KEEP);
    return true;
}

static void on_point(void *arg, const struct id *repository, const Sealift__PointNews *point,
                     struct span point_file)
{
    const struct run_news *news = arg;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    (void)repository;
    head.kind_case = SEALIFT__HEAD__KIND_POINT_NEWS;
    head.point_news = stored_lent(point);
    outbox_put(news->outbox, &head, point_file, OUTBOX_KEEP);
}

enum keep_log { KEEP_LOGGED, KEEP_SILENTLY };

static void log_end(const Sealift__RunEnd *end)
{
    char run[2 * ID_LEN + 1], code[16];
    hex_encode(end->run.data, end->run.len, run);
    (void)snprintf(code, sizeof(code), "%u", end->code);
    log_event(end->code <= 1 ? LOG_INFO : LOG_WARN, "run_ended", "run", run, "code", code, "text", end->text,
              NULL);
}

/* The loop tells it, and goes on telling until the director has it. */
static void keep_end(struct run_news *news, const Sealift__RunEnd *end, struct span warnings,
                     enum keep_log log)
{
    struct err err = {0};
    if (log == KEEP_LOGGED) log_end(end);
    if (!run_ends_add(news->ends, end, warnings, &err) && log == KEEP_LOGGED)
        log_event(LOG_ERROR, "run_end_not_kept", "reason", err.text, "next",
                  err.code == ERR_LIMIT ? "it is not told: the director only sees that the run is gone"
                                        : "it is told while this process lives",
                  NULL);
    atomic_store(&news->ends_due, true);
}

static void on_changed(void *arg)
{
    struct run_news *news = arg;
    atomic_store(&news->repositories_due, true);
    outbox_wake(news->outbox);
}

/* A run that stored anything, also one that failed, has changed what is free and what there is. */
static void on_ended(void *arg, const Sealift__RunEnd *end, struct span warnings)
{
    struct run_news *news = arg;
    struct id run = stored_id(&end->run);
    atomic_store(&news->repositories_due, true);
    keep_end(news, end, warnings, KEEP_LOGGED);
    run_table_mark_ended(news->runs, &run, end->attempt);
    outbox_wake(news->outbox);
}

static void on_gone(void *arg, const struct id *run, uint32_t attempt)
{
    struct run_news *news = arg;
    run_table_mark_gone(news->runs, run, attempt);
    outbox_wake(news->outbox);
}

struct run_hooks run_news_hooks(struct run_news *news)
{
    return (struct run_hooks){
        .ready = on_ready,
        .progress = on_progress,
        .answer = on_answer,
        .point = on_point,
        .changed = on_changed,
        .ended = on_ended,
        .gone = on_gone,
        .arg = news,
    };
}

/* --- the control loop's side --- */

void run_news_refuse(struct run_news *news, const Sealift__Assign *assign, const struct err *why)
{
    Sealift__RunEnd end = SEALIFT__RUN_END__INIT;
    end.run = assign->run;
    end.attempt = assign->attempt;
    end.side = assign->side;
    end.code = (uint32_t)why->code;
    end.text = stored_lent(why->text);
    /* a director may assign what is refused as fast as the wire takes it */
    bool logged = log_gate_pass(&news->refusals, "run_ended", clock_steady_ms());
    keep_end(news, &end, span_of(NULL, 0), logged ? KEEP_LOGGED : KEEP_SILENTLY);
}

static void put_end(void *arg, uint64_t serial, Sealift__RunEnd *end, struct span warnings)
{
    const struct run_news *news = arg;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    if (outbox_bytes(news->outbox) >= ENDS_ROOM) return;
    head.serial = serial;
    head.kind_case = SEALIFT__HEAD__KIND_RUN_END;
    head.run_end = end;
    outbox_put(news->outbox, &head, warnings, OUTBOX_KEEP);
}

void run_news_tell_ready(struct run_news *news)
{
    run_table_each_ready(news->runs, put_ready, news);
}

void run_news_tell_ends(struct run_news *news)
{
    atomic_store(&news->ends_due, false);
    run_ends_each(news->ends, put_end, news);
}

bool run_news_take_changed(struct run_news *news)
{
    return atomic_exchange(&news->repositories_due, false);
}

bool run_news_ends_due(const struct run_news *news)
{
    return atomic_load(&news->ends_due);
}

void run_news_acknowledge(struct run_news *news, uint64_t serial)
{
    if (answer_window_is_answer(serial))
        answer_window_leave(news->window);
    else
        (void)run_ends_acknowledge(news->ends, serial);
}

void run_news_lost(struct run_news *news)
{
    answer_window_reset(news->window);
}

void run_news_stop(struct run_news *news)
{
    answer_window_close(news->window);
}
