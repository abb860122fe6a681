#include "director/cli/follow.h"

#include "common/wire/lent.h"
#include "tests/unit/base/capture.h"
#include "tests/unit/cli/small_site.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

static const uint8_t run_id[ID_LEN] = {1, 2, 3};
static const uint8_t other_run[ID_LEN] = {9};

struct told {
    uint64_t number;
    uint32_t ended, last;
    Sealift__RunState state;
    uint32_t code;
    const char *text;
    uint64_t warnings;
    const uint8_t *run;
};

static void tell(const struct request *request, const struct told *told, struct span payload)
{
    Sealift__Counters counters = SEALIFT__COUNTERS__INIT;
    Sealift__RunRow row = SEALIFT__RUN_ROW__INIT;
    Sealift__RunEvent event = SEALIFT__RUN_EVENT__INIT;
    counters.files = 12;
    counters.content_bytes = 4096;
    counters.warnings = told->warnings;
    row.run = lent_bytes(told->run ? told->run : run_id, ID_LEN);
    row.state = told->state ? told->state : SEALIFT__RUN_STATE__RUN_RUNNING;
    row.code = told->code;
    if (told->text) row.text = (char *)(uintptr_t)told->text;
    row.counters = &counters;
    event.row = &row;
    event.number = told->number;
    event.ended = told->ended;
    event.last = told->last;
    answer_event(request, &event, payload);
}

static const struct told ends_well = {.ended = 1, .state = SEALIFT__RUN_STATE__RUN_OK};

static struct follow_request request_of(enum follow_from from)
{
    struct follow_request request = {
        .from = from, .what = "the run of 'web'", .stop = "sealift job stop web"};
    memcpy(request.run.bytes, run_id, ID_LEN);
    return request;
}

static void follow(struct small_site *site, const struct follow_request *request,
                   struct follow_result *result)
{
    struct err err = {0};
    cr_assert(follow_run(&site->cli, request, result, &err), "%s", err.text);
}

/* --- the end --- */

static void runs_to_the_end(const struct request *request)
{
    answer_done(request, 0, span_of(NULL, 0));
    tell(request, &(struct told){.state = SEALIFT__RUN_STATE__RUN_QUEUED}, span_of(NULL, 0));
    tell(request, &(struct told){.ended = 1, .state = SEALIFT__RUN_STATE__RUN_FAILED, .run = other_run},
         span_of(NULL, 0));
    tell(request, &(struct told){0}, span_of(NULL, 0));
    tell(request, &ends_well, span_of(NULL, 0));
}

Test(follow, ends_with_the_run_and_not_with_another)
{
    AUTO(small_site) struct small_site site;
    AUTO(follow_result) struct follow_result result = {0};
    struct err err = {0};
    small_site_init(&site, runs_to_the_end);
    const struct follow_request request = request_of(FOLLOW_ASK);
    follow(&site, &request, &result);
    cr_assert_eq(result.state, SEALIFT__RUN_STATE__RUN_OK);
    cr_assert_eq(result.counters.files, 12);
    cr_assert(follow_conclude(&site.cli, &request, &result, &err));
    cr_assert_eq(site.cli.exit_code, 0);
}

static void fails_as_asked(const struct request *request)
{
    static const struct told ends[] = {
        {.ended = 1,
         .state = SEALIFT__RUN_STATE__RUN_FAILED,
         .code = ERR_NO_SPACE,
         .text = "the disk is full"},
        {.ended = 1, .state = SEALIFT__RUN_STATE__RUN_FAILED, .code = ERR_POLICY, .text = "not allowed"},
        {.ended = 1, .state = SEALIFT__RUN_STATE__RUN_STOPPED},
        {.ended = 1, .state = SEALIFT__RUN_STATE__RUN_FAILED},
        {.ended = 1, .state = SEALIFT__RUN_STATE__RUN_UNKNOWN},
        {.ended = 1, .state = SEALIFT__RUN_STATE__RUN_FAILED, .code = 12345},
    };
    answer_done(request, 0, span_of(NULL, 0));
    tell(request, &ends[request->number - 1], span_of(NULL, 0));
}

Test(follow, a_run_that_failed_ends_with_its_code)
{
    static const enum err_code codes[] = {ERR_NO_SPACE, ERR_POLICY, ERR_CANCELLED,
                                          ERR_FAILED,   ERR_FAILED, ERR_FAILED};
    AUTO(small_site) struct small_site site;
    small_site_init(&site, fails_as_asked);
    const struct follow_request request = request_of(FOLLOW_ASK);
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        AUTO(follow_result) struct follow_result result = {0};
        struct err err = {0};
        follow(&site, &request, &result);
        cr_assert_not(follow_conclude(&site.cli, &request, &result, &err));
        cr_assert_eq(err.code, codes[i], "%zu: %s", i, err.text);
        if (i == 0) cr_assert_str_eq(err.text, "the run of 'web': failed: the disk is full");
    }
}

/* --- warnings --- */

static struct buf sealed_warnings;

static void warns(const struct request *request)
{
    answer_done(request, 0, span_of(NULL, 0));
    struct told end = ends_well;
    end.code = 1;
    end.warnings = 3;
    tell(request, &end, buf_span(&sealed_warnings));
}

/* Two and an echo to the operator, one to somebody else. */
static void seal_warnings(const struct small_site *site)
{
    static const char *const texts[] = {"cannot read '/a'", "cannot read '/b\x1b[2J'",
                                        "the other side: something is not there", "not for you"};
    enum { COPIES = sizeof(texts) / sizeof(texts[0]) };
    Sealift__Warnings warnings = SEALIFT__WARNINGS__INIT;
    Sealift__SealedCopy copies[COPIES], *list[COPIES];
    struct buf sealed[COPIES] = {0};
    struct id run;
    struct err err = {0};
    AUTO(buf) struct buf context = {0};
    memcpy(run.bytes, run_id, ID_LEN);
    statement_box_context("warning", &site->id, &run, span_of(NULL, 0), &context);
    for (size_t i = 0; i < COPIES; i++) {
        const struct identity *to = i + 1 < COPIES ? site->anna : site->stranger;
        cr_assert(box_seal(to->known.box_pk, buf_span(&context), span_str(texts[i]), &sealed[i], &err));
        sealift__sealed_copy__init(&copies[i]);
        copies[i].recipient = lent_bytes(to->known.sign_pk, 32);
        copies[i].sealed = lent_bytes(sealed[i].data, sealed[i].len);
        list[i] = &copies[i];
    }
    warnings.n_copies = COPIES;
    warnings.copies = list;
    payload_warnings_encode(&warnings, &sealed_warnings);
    for (size_t i = 0; i < COPIES; i++)
        buf_deinit(&sealed[i]);
}

Test(follow, warnings_are_opened_and_named_and_the_exit_code_is_1)
{
    AUTO(small_site) struct small_site site;
    AUTO(follow_result) struct follow_result result = {0};
    AUTO(buf) struct buf text = {0};
    struct err err = {0};
    small_site_init(&site, warns);
    seal_warnings(&site);
    const struct follow_request request = request_of(FOLLOW_ASK);
    follow(&site, &request, &result);
    struct capture capture = capture_start();
    bool ok = follow_conclude(&site.cli, &request, &result, &err);
    const char *said = capture_stop(&capture, &text);
    cr_assert(ok, "%s", err.text);
    cr_assert_eq(site.cli.exit_code, EXIT_WARNINGS);
    cr_assert_not_null(strstr(said, "warning: cannot read '/a'\n"), "%s", said);
    cr_assert_not_null(strstr(said, "'/b\\x1b[2J'"), "a name cannot command the terminal: %s", said);
    cr_assert_null(strstr(said, "not for you"));
    cr_assert_null(strstr(said, "the other side"), "what the other side says itself: %s", said);
    buf_deinit(&sealed_warnings);
    sealed_warnings = (struct buf){0};
}

static void fails_and_warns(const struct request *request)
{
    answer_done(request, 0, span_of(NULL, 0));
    struct told end = ends_well;
    end.state = SEALIFT__RUN_STATE__RUN_FAILED;
    end.code = ERR_NOT_FOUND;
    end.text = "web: something that the run needs is not there";
    tell(request, &end, buf_span(&sealed_warnings));
}

Test(follow, a_failure_whose_reason_is_sealed_points_to_it)
{
    AUTO(small_site) struct small_site site;
    AUTO(follow_result) struct follow_result result = {0};
    AUTO(buf) struct buf text = {0};
    struct err err = {0};
    small_site_init(&site, fails_and_warns);
    seal_warnings(&site);
    const struct follow_request request = request_of(FOLLOW_ASK);
    follow(&site, &request, &result);
    struct capture capture = capture_start();
    bool ok = follow_conclude(&site.cli, &request, &result, &err);
    (void)capture_stop(&capture, &text);
    cr_assert_not(ok);
    cr_assert_eq(err.code, ERR_NOT_FOUND);
    cr_assert_not_null(strstr(err.text, "is not there (see the warning above)"), "%s", err.text);
    buf_deinit(&sealed_warnings);
    sealed_warnings = (struct buf){0};
}

/* --- answers --- */

static void answers_with_repeats(const struct request *request)
{
    answer_done(request, 0, span_of(NULL, 0));
    static const uint64_t numbers[] = {1, 2, 1, 2, 3};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        tell(request, &(struct told){.number = numbers[i], .last = numbers[i] == 3}, span_str("sealed"));
    tell(request, &ends_well, span_of(NULL, 0));
}

struct taken {
    uint64_t count;
    bool last;
};

static bool take(void *arg, uint64_t number, bool last, struct span sealed, struct err *err)
{
    struct taken *taken = arg;
    cr_assert_eq(number, taken->count + 1);
    cr_assert(span_eq(sealed, span_str("sealed")));
    taken->count++;
    taken->last = last;
    return true;
}

Test(follow, each_answer_is_handed_on_once_and_in_order)
{
    AUTO(small_site) struct small_site site;
    AUTO(follow_result) struct follow_result result = {0};
    struct taken taken = {0};
    small_site_init(&site, answers_with_repeats);
    struct follow_request request = request_of(FOLLOW_ASK);
    request.answer = take;
    request.arg = &taken;
    follow(&site, &request, &result);
    cr_assert_eq(taken.count, 3);
    cr_assert(taken.last);
}

static void loses_an_answer(const struct request *request)
{
    answer_done(request, 0, span_of(NULL, 0));
    tell(request, &(struct told){.number = 1}, span_str("sealed"));
    tell(request, &(struct told){.number = 3}, span_str("sealed"));
}

Test(follow, a_missing_answer_is_named_and_nothing_is_handed_on_after_it)
{
    AUTO(small_site) struct small_site site;
    AUTO(follow_result) struct follow_result result = {0};
    struct err err = {0};
    struct taken taken = {0};
    small_site_init(&site, loses_an_answer);
    struct follow_request request = request_of(FOLLOW_ASK);
    request.answer = take;
    request.arg = &taken;
    cr_assert_not(follow_run(&site.cli, &request, &result, &err));
    cr_assert_eq(err.code, ERR_TRUNCATED, "%s", err.text);
    cr_assert_eq(taken.count, 1);
}

static void ends_without_the_last_answer(const struct request *request)
{
    answer_done(request, 0, span_of(NULL, 0));
    if (request->number > 1) tell(request, &(struct told){.number = 1}, span_str("sealed"));
    tell(request, &ends_well, span_of(NULL, 0));
}

Test(follow, a_run_that_ends_well_without_its_last_answer_is_no_success)
{
    AUTO(small_site) struct small_site site;
    small_site_init(&site, ends_without_the_last_answer);
    struct follow_request request = request_of(FOLLOW_ASK);
    request.answer = take;
    for (uint64_t i = 0; i < 2; i++) {
        AUTO(follow_result) struct follow_result result = {0};
        struct err err = {0};
        struct taken taken = {0};
        request.arg = &taken;
        cr_assert_not(follow_run(&site.cli, &request, &result, &err));
        cr_assert_eq(err.code, ERR_TRUNCATED, "%s", err.text);
        cr_assert_eq(taken.count, i);
    }
}

Test(follow, an_answer_that_nobody_asked_for_ends_it)
{
    AUTO(small_site) struct small_site site;
    AUTO(follow_result) struct follow_result result = {0};
    struct err err = {0};
    small_site_init(&site, loses_an_answer);
    const struct follow_request request = request_of(FOLLOW_ASK);
    cr_assert_not(follow_run(&site.cli, &request, &result, &err));
    cr_assert_eq(err.code, ERR_PROTOCOL, "%s", err.text);
}

/* --- a director that goes away --- */

static void drops_then_ends(const struct request *request)
{
    answer_done(request, 0, span_of(NULL, 0));
    if (request->number == 1) {
        tell(request, &(struct told){0}, span_of(NULL, 0));
        answer_drop(request);
    } else {
        tell(request, &ends_well, span_of(NULL, 0));
    }
}

Test(follow, a_connection_that_breaks_is_made_again_and_the_run_asked_for_anew)
{
    AUTO(small_site) struct small_site site;
    AUTO(follow_result) struct follow_result result = {0};
    small_site_init(&site, drops_then_ends);
    const struct follow_request request = request_of(FOLLOW_ASK);
    follow(&site, &request, &result);
    cr_assert_eq(result.state, SEALIFT__RUN_STATE__RUN_OK);
    /* a third where the first answer was lost with its connection */
    cr_assert_geq(atomic_load(&site.script.requests), 2);
}

static void forgets_the_run(const struct request *request)
{
    if (request->number == 1) {
        answer_done(request, 0, span_of(NULL, 0));
        answer_drop(request);
    } else {
        answer_fail(request, ERR_NOT_FOUND, "there is no such run");
    }
}

Test(follow, a_director_that_comes_back_without_the_run_ends_it)
{
    AUTO(small_site) struct small_site site;
    AUTO(follow_result) struct follow_result result = {0};
    struct err err = {0};
    small_site_init(&site, forgets_the_run);
    const struct follow_request request = request_of(FOLLOW_ASK);
    cr_assert_not(follow_run(&site.cli, &request, &result, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND, "%s", err.text);
}

/* --- Ctrl-C --- */

static void is_interrupted(const struct request *request)
{
    answer_done(request, 0, span_of(NULL, 0));
    (void)kill(getpid(), SIGINT);
}

Test(follow, an_interrupt_leaves_the_run_alone_and_says_how_to_stop_it)
{
    AUTO(small_site) struct small_site site;
    AUTO(follow_result) struct follow_result result = {0};
    AUTO(buf) struct buf text = {0};
    struct err err = {0};
    small_site_init(&site, is_interrupted);
    const struct follow_request request = request_of(FOLLOW_ASK);
    follow(&site, &request, &result);
    cr_assert(result.interrupted);
    site.cli.output.quiet = false;
    struct capture capture = capture_start();
    bool ok = follow_conclude(&site.cli, &request, &result, &err);
    const char *said = capture_stop(&capture, &text);
    cr_assert(ok);
    cr_assert_eq(site.cli.exit_code, EXIT_INTERRUPTED);
    cr_assert_not_null(strstr(said, "'sealift job stop web' stops it"), "%s", said);
    cr_assert_eq(atomic_load(&site.script.requests), 1, "nothing was asked of the director");
}
