#include "director/cli/client.h"

#include "tests/unit/cli/scripted_director.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <string.h>

enum { LIMIT_MS = 5000, SHORT_MS = 1000 };

/* A client of a scripted director; the key is anybody's. */
struct pair {
    struct script script;
    struct client *client;
};

static void pair_init(struct pair *pair, script_fn *answer, unsigned limit_ms)
{
    struct err err = {0};
    struct net_key *key = NULL;
    script_start(&pair->script, answer, 0);
    cr_assert(net_key_make(&key, &err));
    cr_assert(client_new(&pair->script.address, net_key_secret(key), limit_ms, &pair->client, &err), "%s",
              err.text);
    net_key_free(key);
}

static void pair_deinit(struct pair *pair)
{
    client_free(pair->client);
    script_stop(&pair->script);
    script_deinit(&pair->script);
}
DEFINE_AUTO_IN_PLACE(pair, struct pair, pair_deinit)

static bool ask(struct client *client, enum client_repeat repeat, struct client_message *out, struct err *err)
{
    Sealift__StatusGet body = SEALIFT__STATUS_GET__INIT;
    Sealift__Head head = SEALIFT__HEAD__INIT;
    head.kind_case = SEALIFT__HEAD__KIND_STATUS_GET;
    head.status_get = &body;
    return client_request(client, &head, span_of(NULL, 0), repeat, out, err);
}

static void says_hello(const struct request *request)
{
    answer_done(request, 42, span_str("hello"));
}

Test(client, gets_the_answer_with_its_payload)
{
    AUTO(pair) struct pair pair = {0};
    AUTO(client_message) struct client_message answer = {0};
    struct err err = {0};
    pair_init(&pair, says_hello, LIMIT_MS);
    cr_assert(ask(pair.client, CLIENT_REPEATABLE, &answer, &err), "%s", err.text);
    cr_assert_eq(answer.head->done->count, 42);
    cr_assert(span_eq(buf_span(&answer.payload), span_str("hello")));
}

static void fails(const struct request *request)
{
    static const uint32_t codes[] = {ERR_BUSY, ERR_NOT_AUTHENTIC, ERR_PROTOCOL, 9999, 1};
    answer_fail(request, codes[request->number - 1], "no");
}

Test(client, a_fail_is_an_error_with_its_code_and_unknown_codes_are_failures)
{
    static const enum err_code expected[] = {ERR_BUSY, ERR_NOT_AUTHENTIC, ERR_PROTOCOL, ERR_FAILED,
                                             ERR_FAILED};
    AUTO(pair) struct pair pair = {0};
    pair_init(&pair, fails, LIMIT_MS);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        AUTO(client_message) struct client_message answer = {0};
        struct err err = {0};
        cr_assert_not(ask(pair.client, CLIENT_REPEATABLE, &answer, &err));
        cr_assert_eq(err.code, expected[i], "%d: %s", (int)i, err.text);
        cr_assert_str_eq(err.text, "no");
        cr_assert_null(answer.head);
    }
}

static void is_silent(const struct request *request)
{
}

Test(client, a_director_that_does_not_answer_is_given_up_in_time)
{
    AUTO(pair) struct pair pair = {0};
    AUTO(client_message) struct client_message answer = {0};
    struct err err = {0};
    pair_init(&pair, is_silent, SHORT_MS);
    cr_assert_not(ask(pair.client, CLIENT_REPEATABLE, &answer, &err));
    cr_assert_eq(err.code, ERR_UNREACHABLE);
    cr_assert_not_null(strstr(err.text, "connected but gave no answer"), "%s", err.text);
}

static void answers_late(const struct request *request)
{
    /* the first request is answered together with the second, after it was given up */
    static struct request first;
    static Sealift__Head first_head;
    if (request->number == 1) {
        first_head.serial = request->head->serial;
        return;
    }
    first = *request;
    first.head = &first_head;
    answer_done(&first, 1, span_str("late"));
    answer_done(request, 2, span_str("mine"));
}

Test(client, an_answer_that_comes_too_late_is_not_taken_for_the_next)
{
    AUTO(pair) struct pair pair = {0};
    AUTO(client_message) struct client_message answer = {0};
    struct err err = {0};
    pair_init(&pair, answers_late, SHORT_MS);
    cr_assert_not(ask(pair.client, CLIENT_REPEATABLE, &answer, &err));
    cr_assert(ask(pair.client, CLIENT_REPEATABLE, &answer, &err), "%s", err.text);
    cr_assert_eq(answer.head->done->count, 2);
}

Test(client, nobody_there_is_unreachable_and_says_what_to_look_at)
{
    struct err err = {0};
    AUTO(client) struct client *client = NULL;
    AUTO(client_message) struct client_message answer = {0};
    struct net_key *key = NULL;
    struct director_address nowhere = {.host = "127.0.0.1", .port = 1};
    cr_assert(net_key_make(&key, &err));
    memcpy(nowhere.curve_pk, net_key_public(key), NET_KEY_LEN);
    cr_assert(client_new(&nowhere, net_key_secret(key), SHORT_MS, &client, &err));
    net_key_free(key);
    cr_assert_not(ask(client, CLIENT_REPEATABLE, &answer, &err));
    cr_assert_eq(err.code, ERR_UNREACHABLE);
    cr_assert_not_null(strstr(err.text, "is it running"), "%s", err.text);
}

Test(client, a_key_that_is_refused_is_said_at_once)
{
    AUTO(pair) struct pair pair = {.script.admission = SCRIPT_REFUSE};
    AUTO(client_message) struct client_message answer = {0};
    struct err err = {0};
    pair_init(&pair, says_hello, LIMIT_MS);
    cr_assert_not(ask(pair.client, CLIENT_REPEATABLE, &answer, &err));
    cr_assert_eq(err.code, ERR_POLICY, "%s", err.text);
}

Test(client, a_wrong_key_of_the_director_is_not_taken)
{
    AUTO(pair) struct pair pair = {0};
    AUTO(client_message) struct client_message answer = {0};
    AUTO(client) struct client *client = NULL;
    struct err err = {0};
    struct net_key *other = NULL;
    pair_init(&pair, says_hello, LIMIT_MS);
    cr_assert(net_key_make(&other, &err));
    struct director_address wrong = pair.script.address;
    memcpy(wrong.curve_pk, net_key_public(other), NET_KEY_LEN);
    cr_assert(client_new(&wrong, net_key_secret(other), 1500, &client, &err));
    net_key_free(other);
    cr_assert_not(ask(client, CLIENT_REPEATABLE, &answer, &err));
    cr_assert_eq(err.code, ERR_UNREACHABLE, "%s", err.text);
    cr_assert_eq(atomic_load(&pair.script.requests), 0);
}

static void drops_the_first(const struct request *request)
{
    if (request->number == 1)
        answer_drop(request);
    else
        answer_done(request, request->number, span_str(""));
}

Test(client, a_request_is_sent_again_when_the_connection_broke_before_its_answer)
{
    AUTO(pair) struct pair pair = {0};
    AUTO(client_message) struct client_message answer = {0};
    struct err err = {0};
    pair_init(&pair, drops_the_first, LIMIT_MS);
    cr_assert(ask(pair.client, CLIENT_REPEATABLE, &answer, &err), "%s", err.text);
    cr_assert_eq(answer.head->done->count, 2);
}

Test(client, what_must_not_happen_twice_is_not_sent_again)
{
    AUTO(pair) struct pair pair = {0};
    AUTO(client_message) struct client_message answer = {0};
    struct err err = {0};
    pair_init(&pair, drops_the_first, LIMIT_MS);
    cr_assert_not(ask(pair.client, CLIENT_ONCE, &answer, &err));
    cr_assert_eq(err.code, ERR_UNREACHABLE, "%s", err.text);
    cr_assert_not_null(strstr(err.text, "is not known"), "%s", err.text);
    cr_assert_eq(atomic_load(&pair.script.requests), 1);
}

Test(client, a_director_that_comes_back_is_asked_again)
{
    AUTO(pair) struct pair pair = {0};
    struct err err = {0};
    pair_init(&pair, says_hello, LIMIT_MS);
    {
        AUTO(client_message) struct client_message answer = {0};
        cr_assert(ask(pair.client, CLIENT_REPEATABLE, &answer, &err), "%s", err.text);
    }
    script_stop(&pair.script);
    script_start(&pair.script, says_hello, pair.script.address.port);
    AUTO(client_message) struct client_message answer = {0};
    cr_assert(ask(pair.client, CLIENT_REPEATABLE, &answer, &err), "%s", err.text);
    cr_assert_eq(answer.head->done->count, 42);
}

static void talks_nonsense(const struct request *request)
{
    answer_raw(request, span_of("\xff\xff\xff", 3));
}

Test(client, bytes_that_are_no_message_end_the_conversation)
{
    AUTO(pair) struct pair pair = {0};
    AUTO(client_message) struct client_message answer = {0};
    struct err err = {0};
    pair_init(&pair, talks_nonsense, LIMIT_MS);
    cr_assert_not(ask(pair.client, CLIENT_REPEATABLE, &answer, &err));
    cr_assert_not_null(strstr(err.text, "what this program does not take"), "%s", err.text);
    cr_assert_null(answer.head);
}

static void sends_events_first(const struct request *request)
{
    static uint8_t run[16] = {9};
    Sealift__RunRow row = SEALIFT__RUN_ROW__INIT;
    row.run = (ProtobufCBinaryData){.len = sizeof(run), .data = run};
    for (uint64_t i = 1; i <= 3; i++) {
        Sealift__RunEvent event = SEALIFT__RUN_EVENT__INIT;
        event.row = &row;
        event.number = i;
        answer_event(request, &event, span_str("sealed"));
    }
    answer_done(request, 7, span_str(""));
}

Test(client, events_that_come_before_an_answer_wait_in_order)
{
    AUTO(pair) struct pair pair = {0};
    struct err err = {0};
    pair_init(&pair, sends_events_first, LIMIT_MS);
    {
        AUTO(client_message) struct client_message answer = {0};
        cr_assert(ask(pair.client, CLIENT_REPEATABLE, &answer, &err), "%s", err.text);
        cr_assert_eq(answer.head->done->count, 7);
    }
    for (uint64_t i = 1; i <= 3; i++) {
        AUTO(client_message) struct client_message event = {0};
        enum client_news news;
        cr_assert(client_wait(pair.client, LIMIT_MS, &news, &event, &err), "%s", err.text);
        cr_assert_eq(news, CLIENT_EVENT);
        cr_assert_eq(event.head->run_event->number, i);
    }
    AUTO(client_message) struct client_message event = {0};
    enum client_news news;
    cr_assert(client_wait(pair.client, 0, &news, &event, &err));
    cr_assert_eq(news, CLIENT_NOTHING);
}

static void floods(const struct request *request)
{
    Sealift__RunEvent event = SEALIFT__RUN_EVENT__INIT;
    for (int i = 0; i < 400; i++)
        answer_event(request, &event, span_str(""));
    answer_done(request, 7, span_str(""));
}

Test(client, a_flood_of_events_does_not_fill_the_memory)
{
    AUTO(pair) struct pair pair = {0};
    AUTO(client_message) struct client_message answer = {0};
    struct err err = {0};
    pair_init(&pair, floods, LIMIT_MS);
    cr_assert_not(ask(pair.client, CLIENT_REPEATABLE, &answer, &err));
    cr_assert_eq(err.code, ERR_LIMIT, "%s", err.text);
}

static enum client_news next_news(struct client *client)
{
    AUTO(client_message) struct client_message event = {0};
    enum client_news news = CLIENT_NOTHING;
    struct err err = {0};
    while (news == CLIENT_NOTHING)
        cr_assert(client_wait(client, LIMIT_MS, &news, &event, &err), "%s", err.text);
    return news;
}

Test(client, who_waits_hears_of_a_lost_connection_and_of_the_next)
{
    AUTO(pair) struct pair pair = {0};
    struct err err = {0};
    pair_init(&pair, says_hello, LIMIT_MS);
    {
        AUTO(client_message) struct client_message answer = {0};
        cr_assert(ask(pair.client, CLIENT_REPEATABLE, &answer, &err), "%s", err.text);
    }
    script_stop(&pair.script);
    cr_assert_eq(next_news(pair.client), CLIENT_LOST);
    script_start(&pair.script, says_hello, pair.script.address.port);
    cr_assert_eq(next_news(pair.client), CLIENT_CONNECTED);
}
