/* How far long work is: one line that is redrawn on a terminal, lines now and then elsewhere, JSON lines
 * with --json; always on stderr. The clock is the caller's. Main thread. */
#ifndef SEALIFT_CLI_PROGRESS_H
#define SEALIFT_CLI_PROGRESS_H

#include "director/cli/output.h"

struct progress_sample {
    const char *phase;     /* "running", "committing", … */
    const char *waits_for; /* what people read while nothing is done, in place of all else; or NULL */
    uint64_t entries, files;
    uint64_t bytes;                                                  /* of content, done */
    uint64_t total_bytes;                                            /* 0: not known */
    uint64_t deduplicated_bytes, sent_bytes, stored_bytes, warnings; /* shown where they are not 0 */
};

/* PROGRESS_LINES: what is waited for is shown once, when it was for so long. */
#define PROGRESS_WAIT_SHOWN_MS 3000
enum progress_form { PROGRESS_NONE, PROGRESS_REDRAW, PROGRESS_LINES, PROGRESS_JSON };
/* By --quiet and --json, and whether stderr is a terminal. */
enum progress_form progress_form_of(const struct output *output);

/* Bytes done at some moments of the last seconds: what the rate is measured over. */
enum { PROGRESS_WINDOW = 16 };

struct progress {
    enum progress_form form;
    unsigned every_s; /* PROGRESS_LINES: the longest pause; 0: only each tenth */
    uint64_t began_ms, shown_ms;
    unsigned shown_tenth;
    uint64_t waits_since_ms; /* 0: it does not */
    bool waits_shown;
    bool drawn; /* there is a line to be wiped away */
    struct {
        uint64_t at_ms, bytes;
    } window[PROGRESS_WINDOW];
    unsigned window_at, window_len;
};

void progress_init(struct progress *progress, enum progress_form form, unsigned every_s, uint64_t now_ms);
void progress_update(struct progress *progress, const struct progress_sample *sample, uint64_t now_ms);
/* Wipes the line on a terminal away, so that something else can be said. */
void progress_clear(struct progress *progress);

/* The line itself: "running  1.2 GiB of 3.0 GiB (40%)  1,234 files  120.0 MiB/s  0:15 left  …" */
void progress_line(const struct progress *progress, const struct progress_sample *sample, struct buf *out);
/* Bytes in a second, over the window; 0: not known yet. */
uint64_t progress_rate(const struct progress *progress);

#endif
