/* Following a run until it ends: progress, answers, warnings. A director that goes away and comes back does
 * not end it; Ctrl-C leaves the run alone. */
#ifndef SEALIFT_CLI_FOLLOW_H
#define SEALIFT_CLI_FOLLOW_H

#include "director/cli/access.h"

/* One sealed answer of a browse, each exactly once and in order. false ends the following with *err. */
typedef bool follow_answer_fn(void *arg, uint64_t number, bool last, struct span sealed, struct err *err);

enum follow_from {
    FOLLOW_ASK,     /* asks the director for the events of the run */
    FOLLOW_STARTED, /* this connection started the run by RunStart: events come by themselves */
};

struct follow_request {
    struct id run;
    enum follow_from from;
    const char *what; /* for people: "job 'web'" */
    const char *stop; /* the command that stops it, for who leaves: "sealift job stop web" */
    bool silent;      /* no progress: it takes a moment, and is a part of something else */
    unsigned stats_s; /* progress lines at least this often, where they are lines; 0: each tenth only */
    follow_answer_fn *answer; /* NULL: none is expected */
    void *arg;
};

struct follow_result {
    bool interrupted; /* the run goes on; nothing else is set */
    Sealift__RunState state;
    uint32_t attempt;
    uint64_t started_ns, ended_ns;
    enum err_code code; /* as the run ended */
    bool with_warnings;
    char text[512];
    struct {
        uint64_t entries, files, content_bytes, read_bytes, deduplicated_bytes, sent_bytes, stored_bytes,
            warnings, skipped, failed;
    } counters;
    struct id subject; /* the job or order */
    bool has_point;
    struct id point;
    struct buf warnings; /* payload: sealed */
};
void follow_result_deinit(struct follow_result *result);
DEFINE_AUTO_IN_PLACE(follow_result, struct follow_result, follow_result_deinit)

/* True when the run ended, however it did, or the user left. `out` must be empty. */
bool follow_run(struct cli *cli, const struct follow_request *request, struct follow_result *out,
                struct err *err) MUST_CHECK;

/* What follows from the result: the run's warnings, opened and named on stderr (if the identity can be opened
 * without asking, or there is a terminal), and the exit code in cli->exit_code. A run that failed is *err
 * with its code. The answer on stdout is the caller's, before this. */
bool follow_conclude(struct cli *cli, const struct follow_request *request,
                     const struct follow_result *result, struct err *err) MUST_CHECK;

/* Only the warnings of it, and a key that comes back (key_back.h), opened and named on stderr; how many could
 * be. */
size_t follow_name_warnings(struct cli *cli, const struct follow_request *request,
                            const struct follow_result *result);

/* Only the key, where the warnings are not named. */
void follow_take_key(struct cli *cli, const struct follow_result *result);

/* A row of the director's as a result; `warnings` is left alone. */
void follow_take_row(struct follow_result *result, const Sealift__RunRow *row);
/* The run as JSON: id, state, code, text, counters, point, times. */
json_t *follow_json(const struct id *run, const struct follow_result *result);
/* "12 files, 1.2 GiB; read …" */
void follow_summary(const struct follow_result *result, struct buf *out);

#endif
