/* One run as the director knows it: what it is, who takes part, how far it is. A plain value that the
 * catalog keeps and hands back. */
#ifndef SEALIFT_DIRECTOR_RUN_H
#define SEALIFT_DIRECTOR_RUN_H

#include "common/base/err.h"
#include "common/crypto/hash.h"
#include "common/crypto/sign.h"
#include "director/core/moment.h"
#include "director/core/run_state.h"
#include "director/core/way.h"

#define RUN_TEXT_MAX 512
#define RUN_WAITS_MAX 384
#define RUN_NAME_MAX 64
#define RUN_ENDPOINT_MAX 255
#define RUN_TICKET_LEN 32
/* Who is assigned first; people choose 1 to 5. */
#define RUN_PRIORITY_RECOVERY 0u /* may also take the slots that are kept for recoveries */
#define RUN_PRIORITY_FIRST 1u
#define RUN_PRIORITY_USUAL 3u
#define RUN_PRIORITY_LAST 5u

#define RUN_SAMPLE_ALL 1000000u /* millionths */

enum run_kind { RUN_BACKUP = 1, RUN_COPY = 2, RUN_RECOVERY = 3, RUN_MAINTENANCE = 4, RUN_WRAP = 5 };

/* What a maintenance run does with its repository; all zeros in other runs. */
struct run_work {
    Sealift__MaintenanceKind kind;
    Sealift__CheckLevel level;
    uint32_t sample_ppm;
    struct id about; /* of a prune: the job, of a check: the one point; zeros: none */
    bool dry_run;
};

enum side_state {
    SIDE_WAITING = 0,  /* not assigned in this attempt */
    SIDE_ASSIGNED = 1, /* nothing heard of it yet */
    SIDE_LIVE = 2,
    SIDE_ENDED = 3, /* its RunEnd is here */
    SIDE_LOST = 4,  /* there will be none */
};

/* One transporter's part in a run. Where source and target are the same host, `target` stands for both
 * and `source` only names the host. */
struct run_side {
    uint8_t host[SIGN_PK_LEN];
    char name[RUN_NAME_MAX + 1];
    enum side_state state;
    struct id incarnation; /* of the host's process when it was assigned */
    uint32_t code;         /* ended or lost: 0 ok, 1 with warnings, else enum err_code */
    char text[RUN_TEXT_MAX + 1];
    Sealift__Counters counters;

    /* not kept: */
    uint64_t assigned_ms;          /* when, in this attempt */
    uint64_t cancelled_ms;         /* when it was told to end, in this attempt; 0: it was not */
    uint64_t missing_since_ms;     /* connected, but its Hello did not list the run; 0: not so */
    char waits[RUN_WAITS_MAX + 1]; /* why it has not met the other side, as it last said; "": it has */
};

struct run {
    struct id id;
    Sealift__StatementType subject; /* job, order or, of maintenance, repository */
    struct id subject_id;
    uint64_t subject_version;
    enum run_kind kind;
    struct id repository; /* written to; of a recovery: read from; of a wrap: zeros */
    struct run_work work;
    uint32_t priority;       /* RUN_PRIORITY_… */
    struct way_wish own_way; /* the job's own */
    struct run_side source, target;

    Sealift__RunState state;
    uint32_t attempt; /* 0 until it was assigned for the first time */
    uint8_t ticket[RUN_TICKET_LEN];
    /* of this attempt: how source and target meet, decided when it begins. CONNECTION_NONE: one host. */
    struct way_wish way;
    uint8_t rendezvous[WAY_NAME_LEN]; /* zeros in a direct connection */
    /* direct: where the target listens; reverse: the source's reverse port */
    char endpoint[RUN_ENDPOINT_MAX + 1];
    bool stopping; /* an operator asked for its end */
    uint64_t started_ns, ended_ns;
    uint32_t code;
    char text[RUN_TEXT_MAX + 1];
    struct id point; /* zeros: none was reported */
    bool in_log;     /* the repository's log shows it */

    /* not kept: */
    uint64_t since_ms;        /* when it came into its state */
    uint64_t not_before_ms;   /* queued again: not assigned before */
    bool again;               /* when this attempt is over, another one follows */
    bool changed, progressed; /* since the last step: to be kept; to be told */
};

/* One host on both sides: one assignment for both. */
bool run_is_local(const struct run *run);
/* The side that a message of this host is about; NULL when the host has no such side. */
struct run_side *run_side_of(struct run *run, const uint8_t host[SIGN_PK_LEN], Sealift__RunSide side);
/* Assigned, and its end not known. */
bool run_side_at_work(const struct run_side *side);
bool run_side_done(const struct run_side *side);
/* Ended ok, maybe with warnings. */
bool run_side_ok(const struct run_side *side);

/* Copies foreign text, cut at a character's end. */
void run_text_set(char *out, size_t size, const char *text);

/* Whether two works are the same one, however it is to be done: then they would do each other's. */
bool run_work_same(const struct run_work *a, const struct run_work *b);
/* ERR_USAGE: it does not say what is to be done. */
bool run_work_take(const Sealift__Maintenance *message, struct run_work *out, struct err *err) MUST_CHECK;
/* Pointers are borrowed from `work`. */
void run_work_message(const struct run_work *work, Sealift__Maintenance *out);

/* As people see it, with what its pointers point to beside `run`, from which they borrow. */
struct run_view {
    Sealift__Counters counters; /* the greater of what both sides say */
    Sealift__Maintenance work;
    char waits[RUN_TEXT_MAX + 1];
    Sealift__RunRow row;
};
void run_view_fill(const struct run *run, struct run_view *out);

#endif
