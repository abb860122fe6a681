#include "director/cli/progress.h"

#include "common/base/text.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { REDRAW_MS = 200, JSON_MS = 1000, WINDOW_STEP_MS = 500, COLUMNS = 80 };

enum progress_form progress_form_of(const struct output *output)
{
    if (output->quiet) return PROGRESS_NONE;
    if (output->form == OUTPUT_JSON) return PROGRESS_JSON;
    return isatty(STDERR_FILENO) ? PROGRESS_REDRAW : PROGRESS_LINES;
}

void progress_init(struct progress *progress, enum progress_form form, unsigned every_s, uint64_t now_ms)
{
    *progress = (struct progress){.form = form, .every_s = every_s, .began_ms = now_ms, .shown_ms = now_ms};
}

/* --- the rate --- */

static void remember(struct progress *progress, uint64_t bytes, uint64_t now_ms)
{
    if (progress->window_len) {
        unsigned last = (progress->window_at + PROGRESS_WINDOW - 1) % PROGRESS_WINDOW;
        if (bytes < progress->window[last].bytes)
            progress->window_len = 0; /* a new attempt began */
        else if (now_ms - progress->window[last].at_ms < WINDOW_STEP_MS)
            return;
    }
    progress->window[progress->window_at].at_ms = now_ms;
    progress->window[progress->window_at].bytes = bytes;
    progress->window_at = (progress->window_at + 1) % PROGRESS_WINDOW;
    if (progress->window_len < PROGRESS_WINDOW) progress->window_len++;
}

uint64_t progress_rate(const struct progress *progress)
{
    if (progress->window_len < 2) return 0;
    unsigned last = (progress->window_at + PROGRESS_WINDOW - 1) % PROGRESS_WINDOW;
    unsigned first = (progress->window_at + PROGRESS_WINDOW - progress->window_len) % PROGRESS_WINDOW;
    uint64_t span_ms = progress->window[last].at_ms - progress->window[first].at_ms;
    uint64_t bytes = progress->window[last].bytes - progress->window[first].bytes;
    if (span_ms == 0) return 0;
    return bytes > UINT64_MAX / 1000 ? bytes / span_ms * 1000 : bytes * 1000 / span_ms;
}

/* --- the line --- */

static unsigned percent_of(const struct progress_sample *sample)
{
    if (sample->total_bytes == 0) return 0;
    if (sample->bytes >= sample->total_bytes) return 100;
    return (unsigned)((double)sample->bytes * 100.0 / (double)sample->total_bytes);
}

static void put_size(struct buf *out, const char *before, uint64_t bytes, const char *after)
{
    char text[16];
    size_format(bytes, text);
    buf_printf(out, "%s%s%s", before, text, after);
}

static void put_left(const struct progress_sample *sample, uint64_t rate, struct buf *out)
{
    if (rate == 0 || sample->total_bytes <= sample->bytes) return;
    uint64_t left_s = (sample->total_bytes - sample->bytes + rate - 1) / rate;
    if (left_s >= 3600)
        buf_printf(out, "  %llu:%02u:%02u left", (unsigned long long)(left_s / 3600),
                   (unsigned)(left_s / 60 % 60), (unsigned)(left_s % 60));
    else
        buf_printf(out, "  %u:%02u left", (unsigned)(left_s / 60), (unsigned)(left_s % 60));
}

void progress_line(const struct progress *progress, const struct progress_sample *sample, struct buf *out)
{
    uint64_t rate = progress_rate(progress);
    if (sample->waits_for) {
        buf_put_str(out, sample->waits_for);
        return;
    }
    buf_put_str(out, sample->phase);
    /* a copy and a check count no content or no files: no 0 of them */
    bool counts = sample->bytes || sample->files || !(sample->sent_bytes || sample->stored_bytes);
    if (counts || sample->total_bytes) put_size(out, "  ", sample->bytes, "");
    if (sample->total_bytes) {
        put_size(out, " of ", sample->total_bytes, "");
        buf_printf(out, " (%u%%)", percent_of(sample));
    }
    if (sample->files)
        buf_printf(out, "  %llu %s", (unsigned long long)sample->files,
                   plural(sample->files, "file", "files"));
    if (rate) put_size(out, "  ", rate, "/s");
    put_left(sample, rate, out);
    if (sample->deduplicated_bytes) put_size(out, "  deduplicated ", sample->deduplicated_bytes, "");
    if (sample->sent_bytes) put_size(out, "  sent ", sample->sent_bytes, "");
    if (sample->stored_bytes) put_size(out, "  stored ", sample->stored_bytes, "");
    if (sample->warnings)
        buf_printf(out, "  %llu %s", (unsigned long long)sample->warnings,
                   plural(sample->warnings, "warning", "warnings"));
}

static void print_json(const struct progress *progress, const struct progress_sample *sample)
{
    json_t *inner = json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "phase", sample->phase, "entries",
        json_count(sample->entries), "files", json_count(sample->files), "bytes", json_count(sample->bytes),
        "total_bytes", sample->total_bytes ? json_count(sample->total_bytes) : json_null(),
        "deduplicated_bytes", json_count(sample->deduplicated_bytes), "sent_bytes",
        json_count(sample->sent_bytes), "stored_bytes", json_count(sample->stored_bytes), "warnings",
        json_count(sample->warnings), "bytes_per_second", json_count(progress_rate(progress)));
    (void)json_object_set_new(inner, "waits_for",
                              sample->waits_for ? json_string(sample->waits_for) : json_null());
    json_t *line = json_pack("{s:o}", "progress", inner);
    AUTO(free) char *text = json_dumps(line, JSON_COMPACT);
    json_decref(line);
    if (text) (void)fprintf(stderr, "%s\n", text);
}

static void note_wait(struct progress *progress, const struct progress_sample *sample, uint64_t now_ms)
{
    if (sample->waits_for && progress->waits_since_ms > 0) return;
    progress->waits_since_ms = sample->waits_for ? now_ms : 0;
    progress->waits_shown = false;
}

static bool is_wait_due(const struct progress *progress, uint64_t now_ms)
{
    return progress->waits_since_ms && !progress->waits_shown &&
           now_ms - progress->waits_since_ms >= PROGRESS_WAIT_SHOWN_MS;
}

static bool is_due(const struct progress *progress, const struct progress_sample *sample, uint64_t now_ms)
{
    uint64_t pause_ms = now_ms - progress->shown_ms;
    switch (progress->form) {
    case PROGRESS_REDRAW:
        return pause_ms >= REDRAW_MS;
    case PROGRESS_JSON:
        return pause_ms >= JSON_MS;
    case PROGRESS_LINES:
        if (is_wait_due(progress, now_ms)) return true;
        if (percent_of(sample) / 10 > progress->shown_tenth) return true;
        return progress->every_s && pause_ms >= (uint64_t)progress->every_s * 1000;
    default:
        return false;
    }
}

/* What is longer than the terminal is wide would wrap, and could not be wiped away. */
static int columns_left(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 2) return COLUMNS - 1;
    return size.ws_col - 1;
}

void progress_update(struct progress *progress, const struct progress_sample *sample, uint64_t now_ms)
{
    remember(progress, sample->bytes, now_ms);
    note_wait(progress, sample, now_ms);
    if (!is_due(progress, sample, now_ms)) return;
    progress->shown_ms = now_ms;
    progress->waits_shown = sample->waits_for != NULL;
    progress->shown_tenth = percent_of(sample) / 10;
    if (progress->form == PROGRESS_JSON) {
        print_json(progress, sample);
        return;
    }
    AUTO(buf) struct buf line = {0};
    progress_line(progress, sample, &line);
    bool redraw = progress->form == PROGRESS_REDRAW;
    if (redraw)
        (void)fprintf(stderr, "\r\033[K%.*s", columns_left(), buf_cstr(&line));
    else
        (void)fprintf(stderr, "%s\n", buf_cstr(&line));
    progress->drawn = redraw;
}

void progress_clear(struct progress *progress)
{
    if (!progress->drawn) return;
    (void)fputs("\r\033[K", stderr);
    progress->drawn = false;
}
