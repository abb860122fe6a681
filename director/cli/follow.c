#include "director/cli/follow.h"

#include "common/base/clock.h"
#include "common/base/text.h"
#include "common/wire/lent.h"
#include "director/cli/interrupt.h"
#include "director/cli/key_back.h"
#include "director/cli/progress.h"
#include "director/cli/put.h"
#include "director/core/run_state.h"

#include <stdio.h>
#include <string.h>

enum { WAIT_MS = 1000, WARNING_MAX = 1024 };

void follow_result_deinit(struct follow_result *result)
{
    buf_deinit(&result->warnings);
}

/* One following. */
struct follow {
    struct cli *cli;
    struct client *client;
    const struct follow_request *request;
    struct follow_result *result;
    struct progress progress;
    struct progress_sample sample; /* the last one, which is shown again while nothing is heard */
    struct buf words;              /* of it: what the run waits for */
    uint64_t answers;              /* how many were taken */
    bool answered;                 /* the last one among them */
    bool lost;                     /* the connection, and it was said */
    bool ended;
};

static bool ask(struct follow *follow, struct err *err)
{
    AUTO(client_message) struct client_message answer = {0};
    Sealift__RunFollow body = SEALIFT__RUN_FOLLOW__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    body.run = lent_bytes(follow->request->run.bytes, ID_LEN);
    head.kind_case = SEALIFT__HEAD__KIND_RUN_FOLLOW;
    head.run_follow = &body;
    return client_request(follow->client, &head, span_of(NULL, 0), CLIENT_REPEATABLE, &answer, err);
}

/* --- events --- */

void follow_take_row(struct follow_result *result, const Sealift__RunRow *row)
{
    result->state = row->state;
    result->attempt = row->attempt;
    result->started_ns = row->started_ns;
    result->ended_ns = row->ended_ns;
    result->code = row->code <= 1 ? ERR_NONE : client_code(row->code);
    result->with_warnings = row->code == 1 || (row->counters && row->counters->warnings > 0);
    (void)snprintf(result->text, sizeof(result->text), "%s", row->text);
    result->subject = stored_id(&row->job);
    result->has_point = row->point.len == ID_LEN;
    if (result->has_point) memcpy(result->point.bytes, row->point.data, ID_LEN);
    const Sealift__Counters *counters = row->counters;
    if (!counters) return;
    result->counters.entries = counters->entries;
    result->counters.files = counters->files;
    result->counters.content_bytes = counters->content_bytes;
    result->counters.read_bytes = counters->read_bytes;
    result->counters.deduplicated_bytes = counters->deduplicated_bytes;
    result->counters.sent_bytes = counters->sent_bytes;
    result->counters.stored_bytes = counters->stored_bytes;
    result->counters.warnings = counters->warnings;
    result->counters.skipped = counters->skipped;
    result->counters.failed = counters->failed;
}

static void show(struct follow *follow, const Sealift__RunRow *row)
{
    const struct follow_result *result = follow->result;
    buf_clear(&follow->words);
    output_escape(span_str(row->text), &follow->words); /* of a run that goes on: what it waits for */
    follow->sample = (struct progress_sample){
        .phase = run_state_name(row->state),
        .waits_for = follow->words.len ? buf_cstr(&follow->words) : NULL,
        .entries = result->counters.entries,
        .files = result->counters.files,
        .bytes = result->counters.content_bytes,
        .total_bytes = row->counters ? row->counters->total_bytes : 0,
        .deduplicated_bytes = result->counters.deduplicated_bytes,
        .sent_bytes = result->counters.sent_bytes,
        .stored_bytes = result->counters.stored_bytes,
        .warnings = result->counters.warnings,
    };
    progress_update(&follow->progress, &follow->sample, clock_steady_ms());
}

/* Nothing is heard of a run that waits: that it does, and for what, is due all the same. */
static void show_again(struct follow *follow)
{
    if (follow->sample.phase) progress_update(&follow->progress, &follow->sample, clock_steady_ms());
}

/* Answers are repeated after a broken connection; each is handed on once, and none may be missing. */
static bool take_answer(struct follow *follow, const Sealift__RunEvent *event, struct span sealed,
                        struct err *err)
{
    if (event->number <= follow->answers) return true;
    if (event->number != follow->answers + 1)
        return err_set(err, ERR_TRUNCATED, "answer %llu of the run was lost on its way: ask again",
                       (unsigned long long)follow->answers + 1);
    if (!follow->request->answer)
        return err_set(err, ERR_PROTOCOL, "the director sends an answer that nobody asked for");
    follow->answers++;
    follow->answered = event->last != 0;
    progress_clear(&follow->progress);
    return follow->request->answer(follow->request->arg, event->number, event->last != 0, sealed, err);
}

static bool take_event(struct follow *follow, const struct client_message *message, struct err *err)
{
    const Sealift__RunEvent *event = message->head->run_event;
    const Sealift__RunRow *row = event->row;
    if (!row || row->run.len != ID_LEN || memcmp(row->run.data, follow->request->run.bytes, ID_LEN) != 0)
        return true; /* of another run */
    follow_take_row(follow->result, row);
    if (event->number > 0 && !take_answer(follow, event, buf_span(&message->payload), err)) return false;
    if (event->ended) {
        follow->ended = true;
        if (follow->request->answer && !follow->answered && row->state == SEALIFT__RUN_STATE__RUN_OK)
            return err_set(err, ERR_TRUNCATED, "the end of %s was lost on its way: ask again",
                           follow->request->what);
        if (event->number == 0) buf_put_span(&follow->result->warnings, buf_span(&message->payload));
    } else {
        show(follow, row);
    }
    return true;
}

/* --- the connection --- */

static void say_lost(struct follow *follow)
{
    if (follow->lost) return;
    follow->lost = true;
    progress_clear(&follow->progress);
    output_note(&follow->cli->output,
                "the connection to the director broke; %s goes on, waiting for the director",
                follow->request->what);
}

/* A director that begins anew may need a moment before it answers. */
static bool ask_again(struct follow *follow, struct err *err)
{
    if (ask(follow, err)) {
        if (follow->lost) output_note(&follow->cli->output, "connected to the director again");
        follow->lost = false;
        return true;
    }
    if (err->code != ERR_UNREACHABLE) return false;
    err_clear(err);
    say_lost(follow);
    return true;
}

static bool step(struct follow *follow, struct err *err)
{
    AUTO(client_message) struct client_message event = {0};
    enum client_news news;
    if (!client_wait(follow->client, WAIT_MS, &news, &event, err)) return false;
    switch (news) {
    case CLIENT_EVENT:
        return take_event(follow, &event, err);
    case CLIENT_CONNECTED:
        return ask_again(follow, err);
    case CLIENT_LOST:
        say_lost(follow);
        return true;
    case CLIENT_INTERRUPTED:
        follow->result->interrupted = true;
        return true;
    default:
        if (follow->lost) return ask_again(follow, err);
        show_again(follow);
        return true;
    }
}

static bool until_the_end(struct follow *follow, struct err *err)
{
    bool ok = follow->request->from == FOLLOW_STARTED || ask(follow, err);
    while (ok && !follow->ended && !follow->result->interrupted)
        ok = step(follow, err);
    if (ok || err->code != ERR_CANCELLED || !interrupt_seen()) return ok;
    err_clear(err); /* the interrupt came while the director was asked */
    follow->result->interrupted = true;
    return true;
}

bool follow_run(struct cli *cli, const struct follow_request *request, struct follow_result *out,
                struct err *err)
{
    AUTO(follow_result) struct follow_result result = {0};
    struct follow follow = {.cli = cli, .request = request, .result = &result};
    if (!access_director(cli, &follow.client, err) || !interrupt_catch(err)) return false;
    progress_init(&follow.progress, request->silent ? PROGRESS_NONE : progress_form_of(&cli->output),
                  request->stats_s, clock_steady_ms());
    bool ok = until_the_end(&follow, err);
    progress_clear(&follow.progress);
    buf_deinit(&follow.words);
    interrupt_release();
    if (!ok) return false;
    *out = result;
    result = (struct follow_result){0};
    return true;
}

/* --- afterwards --- */

void follow_summary(const struct follow_result *result, struct buf *out)
{
    char content[16], sent[16], deduplicated[16], stored[16];
    size_format(result->counters.content_bytes, content);
    size_format(result->counters.sent_bytes, sent);
    size_format(result->counters.deduplicated_bytes, deduplicated);
    size_format(result->counters.stored_bytes, stored);
    if (result->counters.entries > 0) /* a copy opens nothing, and counts none */
        buf_printf(
            out, "%llu %s, %llu %s, %s; deduplicated %s, ", (unsigned long long)result->counters.entries,
            plural(result->counters.entries, "entry", "entries"), (unsigned long long)result->counters.files,
            plural(result->counters.files, "file", "files"), content, deduplicated);
    buf_printf(out, "sent %s, stored %s", sent, stored);
    if (result->ended_ns > result->started_ns)
        buf_printf(out, "; %.1f s", (double)(result->ended_ns - result->started_ns) / 1e9);
}

/* In thousandths; null of a run that did not begin, or goes on. */
static json_t *took(const struct follow_result *result)
{
    if (result->started_ns == 0 || result->ended_ns < result->started_ns) return json_null();
    return json_real((double)((result->ended_ns - result->started_ns) / 1000000) / 1000);
}

json_t *follow_json(const struct id *run, const struct follow_result *result)
{
    json_t *object = json_object();
    (void)json_object_set_new(object, "run", json_hex(run->bytes, ID_LEN));
    (void)json_object_set_new(object, "state", json_string(run_state_name(result->state)));
    (void)json_object_set_new(object, "attempt", json_count(result->attempt));
    (void)json_object_set_new(object, "code", json_integer(err_exit_code(result->code)));
    (void)json_object_set_new(object, "text",
                              result->text[0] ? json_lossy(span_str(result->text)) : json_null());
    (void)json_object_set_new(object, "point",
                              result->has_point ? json_hex(result->point.bytes, ID_LEN) : json_null());
    (void)json_object_set_new(object, "started", json_time(result->started_ns));
    (void)json_object_set_new(object, "ended", json_time(result->ended_ns));
    (void)json_object_set_new(object, "took_s", took(result));
    const struct {
        const char *key;
        uint64_t value;
    } counters[] = {
        {"entries", result->counters.entries},
        {"files", result->counters.files},
        {"content_bytes", result->counters.content_bytes},
        {"read_bytes", result->counters.read_bytes},
        {"deduplicated_bytes", result->counters.deduplicated_bytes},
        {"sent_bytes", result->counters.sent_bytes},
        {"stored_bytes", result->counters.stored_bytes},
        {"warnings", result->counters.warnings},
        {"skipped", result->counters.skipped},
        {"failed", result->counters.failed},
    };
    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
        (void)json_object_set_new(object, counters[i].key, json_count(counters[i].value));
    return object;
}

/* What it begins with is the peer's reason without names: the peer's own copy says more. */
static bool is_echo(const struct secret *text)
{
    size_t len = strlen(HEAD_BY_PEER);
    return text->len >= len && memcmp(text->data, HEAD_BY_PEER, len) == 0;
}

static int shown_len(const struct secret *text)
{
    return (int)(text->len < WARNING_MAX ? text->len : WARNING_MAX);
}

/* What the copies of a run are sealed for. */
struct contexts {
    struct buf warning, note;
};

static void contexts_deinit(struct contexts *contexts)
{
    buf_deinit(&contexts->warning);
    buf_deinit(&contexts->note);
}
DEFINE_AUTO_IN_PLACE(contexts, struct contexts, contexts_deinit)

/* Opens the copy that is sealed to us; false for a note, which is said, and when it does not open. */
static bool open_warning(struct cli *cli, const struct identity *identity, const struct contexts *contexts,
                         const Sealift__SealedCopy *copy, struct secret **text)
{
    struct err err = {0}, ignored;
    AUTO(secret) struct secret *note = NULL;
    struct span sealed = span_of(copy->sealed.data, copy->sealed.len);
    if (memcmp(copy->recipient.data, identity->known.sign_pk, SIGN_PK_LEN) != 0) return false;
    if (box_open(identity->box, buf_span(&contexts->warning), sealed, text, &err)) return true;
    if (box_open(identity->box, buf_span(&contexts->note), sealed, &note, &ignored))
        output_note(&cli->output, "%.*s", shown_len(note), (const char *)note->data);
    else
        output_warning(&cli->output, "a warning that cannot be opened: %s", err.text);
    return false;
}

static void say_warning(struct cli *cli, const struct secret *text)
{
    output_warning(&cli->output, "%.*s", shown_len(text), (const char *)text->data);
}

/* How many were said. Echoes only if there is nothing else. */
static size_t say_warnings(struct cli *cli, const struct follow_request *request,
                           const Sealift__Warnings *warnings)
{
    const struct identity *identity = NULL;
    struct err err = {0};
    if (!access_identity(cli, &identity, &err)) {
        output_warning(&cli->output, "%zu %s sealed to this operator and cannot be opened: %s",
                       warnings->n_copies, plural(warnings->n_copies, "warning is", "warnings are"),
                       err.text);
        return 0;
    }
    size_t said = 0;
    AUTO(contexts) struct contexts contexts = {0};
    AUTO(secret) struct secret *echo = NULL;
    const struct id *site = &state_site(cli->state)->line.site;
    statement_box_context("warning", site, &request->run, span_of(NULL, 0), &contexts.warning);
    statement_box_context("note", site, &request->run, span_of(NULL, 0), &contexts.note);
    for (size_t i = 0; i < warnings->n_copies; i++) {
        AUTO(secret) struct secret *text = NULL;
        if (!open_warning(cli, identity, &contexts, warnings->copies[i], &text)) continue;
        if (is_echo(text)) {
            struct secret *before = echo;
            echo = text;
            text = before;
        } else {
            say_warning(cli, text);
            said++;
        }
    }
    if (said > 0 || !echo) return said;
    say_warning(cli, echo);
    return 1;
}

static void take_key(struct cli *cli, const struct follow_result *result, const Sealift__Warnings *warnings)
{
    key_back_take(cli, &result->subject, result->has_point ? &result->point : NULL, warnings);
}

void follow_take_key(struct cli *cli, const struct follow_result *result)
{
    AUTO(payload_warnings) Sealift__Warnings *warnings = NULL;
    struct err err = {0};
    if (result->warnings.len && payload_warnings_decode(buf_span(&result->warnings), &warnings, &err))
        take_key(cli, result, warnings);
}

size_t follow_name_warnings(struct cli *cli, const struct follow_request *request,
                            const struct follow_result *result)
{
    AUTO(payload_warnings) Sealift__Warnings *warnings = NULL;
    struct err err = {0};
    size_t named = 0, said = 0;
    if (result->warnings.len && payload_warnings_decode(buf_span(&result->warnings), &warnings, &err)) {
        named = warnings->n_copies;
        if (named) said = say_warnings(cli, request, warnings);
        take_key(cli, result, warnings);
    } else if (err.code != ERR_NONE) {
        output_warning(&cli->output, "the warnings of the run: %s", err.text);
    }
    if (result->counters.warnings > named)
        output_warning(&cli->output, "%llu %s%s without a text here",
                       (unsigned long long)result->counters.warnings - named, named ? "more " : "",
                       plural(result->counters.warnings - named, "warning", "warnings"));
    return said;
}

bool follow_conclude(struct cli *cli, const struct follow_request *request,
                     const struct follow_result *result, struct err *err)
{
    if (result->interrupted) {
        cli->exit_code = EXIT_INTERRUPTED;
        output_note(&cli->output, "left; %s goes on: '%s' stops it", request->what, request->stop);
        return true;
    }
    size_t said = follow_name_warnings(cli, request, result);
    if (result->state == SEALIFT__RUN_STATE__RUN_OK) {
        if (result->with_warnings) cli->exit_code = EXIT_WARNINGS;
        return true;
    }
    enum err_code code = result->state == SEALIFT__RUN_STATE__RUN_STOPPED ? ERR_CANCELLED : ERR_FAILED;
    if (result->code != ERR_NONE) code = result->code;
    /* the director has the reason without names, the operators have it sealed */
    return err_set(err, code, "%s: %s%s%s%s", request->what, run_state_name(result->state),
                   result->text[0] ? ": " : "", result->text, said ? " (see the warning above)" : "");
}
