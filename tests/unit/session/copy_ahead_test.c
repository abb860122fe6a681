/* Questions that a copy asks ahead: what it does with the answers, and with those that are none. */
#include "by_hand.h"
#include "common/base/alloc.h"
#include "common/base/text.h"
#include "origin.h"
#include "transporter/session/asked.h"
#include "transporter/session/copy_ahead.h"
#include "transporter/session/outlet_remote.h"

#include <criterion/criterion.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* --- what is known then --- */

/* Who is asked: what about, and whether it fails in the end. */
struct asked {
    struct hash ids[ASKED_MAX];
    enum frame_type types[ASKED_MAX];
    size_t count;
    unsigned times;
    enum err_code fails;
};

static uint8_t answer_of(const struct hash *id)
{
    return id->bytes[0] & 1 ? ASKED_HAS : ASKED_LACKS;
}

static bool note_question(void *self, const enum frame_type *types, const struct hash *ids, size_t count,
                          uint8_t *have, struct err *err)
{
    struct asked *asked = self;
    asked->times++;
    asked->count = count;
    memcpy(asked->ids, ids, count * sizeof(*ids));
    memcpy(asked->types, types, count * sizeof(*types));
    for (size_t i = 0; i < count; i++)
        have[i] = answer_of(&ids[i]);
    return asked->fails == ERR_NONE || err_set(err, asked->fails, "no answer");
}

/* A copy that has come to its first question ahead. */
struct asking {
    struct origin *origin;
    struct asked asked;
    struct copy_options options;
    struct copy_frames *frames;
    struct copy_ahead *ahead;
};

static struct asking *asking_new(void)
{
    static const struct outlet_ops ops = {.ask = note_question};
    struct asking *asking = xcalloc(1, sizeof(*asking));
    const struct outlet outlet = {.ops = &ops, .self = &asking->asked};
    asking->origin = origin_new(REPOSITORY_ENCRYPTED);
    asking->options = origin_copy_options(asking->origin, &outlet);
    asking->frames = copy_frames_new(asking->origin->repository, &asking->options.outlet,
                                     &asking->origin->sent, &asking->origin->cancelled);
    asking->ahead = copy_ahead_new();
    return asking;
}

static void asking_free(struct asking *asking)
{
    copy_ahead_free(asking->ahead);
    copy_frames_free(asking->frames);
    origin_free(asking->origin);
    free(asking);
}
DEFINE_AUTO(asking, struct asking *, asking_free)

static const struct hash points[] = {{{3}}, {{4}}};

static bool ask_ahead(struct asking *asking, size_t *looked_at, struct err *err)
{
    return copy_ahead_ask(asking->ahead, &asking->options, asking->frames, points, 2, looked_at, err);
}

/* How many of what was asked about last have an answer. */
static size_t known(struct asking *asking)
{
    size_t count = 0;
    uint8_t have;
    for (size_t i = 0; i < asking->asked.count; i++)
        count += copy_ahead_take(asking->ahead, asking->asked.types[i], &asking->asked.ids[i], &have);
    return count;
}

Test(copy_ahead, each_id_gets_its_own_answer_and_who_hears_of_a_lack_hears_it_alone)
{
    AUTO(asking) struct asking *asking = asking_new();
    const struct asked *asked = &asking->asked;
    size_t looked_at = 0, lacking = 0;
    struct err err = {0};
    uint8_t have;
    cr_assert(ask_ahead(asking, &looked_at, &err), "%s", err.text);
    cr_assert_eq(looked_at, 2);
    cr_assert_gt(asked->count, 50);
    for (size_t i = 0; i < asked->count; i++) {
        cr_assert(copy_ahead_take(asking->ahead, asked->types[i], &asked->ids[i], &have));
        cr_assert_eq(have, answer_of(&asked->ids[i]), "%zu", i);
        lacking += have == ASKED_LACKS;
        cr_assert(copy_ahead_take(asking->ahead, asked->types[i], &asked->ids[i], &have));
        cr_assert_eq(have, ASKED_HAS, "%zu", i);
    }
    cr_assert(lacking > 0 && lacking < asked->count);
    const enum frame_type other = asked->types[0] == FRAME_NODE ? FRAME_DATA : FRAME_NODE;
    cr_assert_not(copy_ahead_take(asking->ahead, other, &asked->ids[0], &have), "an id of another type");
    cr_assert_not(copy_ahead_take(asking->ahead, FRAME_NODE, &points[0], &have), "nobody asked about it");
}

Test(copy_ahead, a_question_without_an_answer_leaves_nothing_known)
{
    AUTO(asking) struct asking *asking = asking_new();
    size_t looked_at = 0;
    struct err err = {0};
    cr_assert(ask_ahead(asking, &looked_at, &err), "%s", err.text);
    asking->asked.fails = ERR_UNREACHABLE;
    looked_at = 77;
    cr_assert_not(ask_ahead(asking, &looked_at, &err));
    cr_assert_eq(err.code, ERR_UNREACHABLE, "%s", err.text);
    cr_assert_eq(looked_at, 77);
    cr_assert_eq(asking->asked.times, 2);
    cr_assert_eq(known(asking), 0, "neither half an answer nor that of the question before");
}

Test(copy_ahead, asks_nothing_when_it_is_cancelled_while_it_reads)
{
    AUTO(asking) struct asking *asking = asking_new();
    size_t looked_at = 77;
    struct err err = {0};
    atomic_store(&asking->origin->cancelled, true);
    cr_assert_not(ask_ahead(asking, &looked_at, &err));
    cr_assert_eq(err.code, ERR_CANCELLED, "%s", err.text);
    cr_assert_eq(looked_at, 77);
    cr_assert_eq(asking->asked.times, 0);
}

static void damage_point(const struct origin *origin, const struct hash *point)
{
    char name[2 * ID_LEN + 1], path[160];
    hex_encode(point->bytes, ID_LEN, name);
    (void)snprintf(path, sizeof(path), "%s/origin/points/%s", origin->ends->dir, name);
    cr_assert_eq(truncate(path, 40), 0, "%s", path);
}

Test(copy_ahead, passes_over_points_that_cannot_be_read)
{
    AUTO(asking) struct asking *asking = asking_new();
    size_t looked_at = 0;
    struct err err = {0};
    damage_point(asking->origin, &points[0]);
    cr_assert(ask_ahead(asking, &looked_at, &err), "%s", err.text);
    cr_assert_eq(looked_at, 2);
    cr_assert_gt(asking->asked.count, 50, "the other");
    cr_assert_eq(known(asking), asking->asked.count);
    damage_point(asking->origin, &points[1]);
    cr_assert(ask_ahead(asking, &looked_at, &err), "%s", err.text);
    cr_assert_eq(looked_at, 2);
    cr_assert_eq(asking->asked.times, 1, "there is nothing to ask about");
    cr_assert_eq(known(asking), 0);
}

/* --- answers of a peer --- */

enum { PATIENCE_S = 30 };

/* A copy in a thread, to an end that a test speaks for. */
struct copying {
    struct origin *origin;
    struct dialler *dialler;
    struct outlet outlet;
    uint64_t connection;
    uint64_t first; /* serial of the question about points */
    pthread_t thread;
    bool done;
    struct err err;
};

static void *copy_main(void *arg)
{
    struct copying *copying = arg;
    const struct copy_options options = origin_copy_options(copying->origin, &copying->outlet);
    copying->done = copy_points(&options, &copying->err);
    return NULL;
}

static void next_question(const struct copying *copying, struct data_message *out)
{
    struct err err = {0};
    cr_assert(listener_session_receive(copying->origin->ends->session, out, &err), "%s", err.text);
    cr_assert_eq(out->head->kind_case, SEALIFT__HEAD__KIND_ASK);
}

static void say_have(const struct copying *copying, uint64_t serial, struct span flags)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Have have = SEALIFT__HAVE__INIT;
    head.serial = serial;
    head.kind_case = SEALIFT__HEAD__KIND_HAVE;
    head.have = &have;
    answer_by_hand(copying->origin->ends, copying->connection, &head, flags);
}

/* Until it has asked ahead, which is not answered yet. */
static void copying_start(struct copying *copying, struct origin *origin, struct data_message *ahead)
{
    static const uint8_t lacks[2] = {ASKED_LACKS, ASKED_LACKS};
    const struct id seal = id_random();
    AUTO(data_message) struct data_message first = {0};
    *copying = (struct copying){.origin = origin};
    ends_admit(origin->ends, CONVERSATION_COPY);
    copying->dialler = ends_dial(origin->ends, CONVERSATION_COPY, &seal);
    copying->outlet = outlet_remote(copying->dialler);
    copying->connection = open_by_hand(origin->ends, copying->dialler);
    cr_assert_eq(pthread_create(&copying->thread, NULL, copy_main, copying), 0);
    next_question(copying, &first);
    copying->first = first.head->serial;
    cr_assert_eq(first.head->ask->count, 2);
    say_have(copying, copying->first, span_of(lacks, sizeof(lacks)));
    next_question(copying, ahead);
    cr_assert_gt(ahead->head->ask->count, 50);
}

static void copying_expect(struct copying *copying, enum err_code code, const char *text)
{
    struct timespec until = {.tv_sec = time(NULL) + PATIENCE_S};
    cr_assert_eq(pthread_timedjoin_np(copying->thread, NULL, &until), 0, "the copy goes on");
    cr_assert_not(copying->done);
    cr_assert_eq(copying->err.code, code, "%s", copying->err.text);
    cr_assert(strstr(copying->err.text, text), "%s", copying->err.text);
    cr_assert_eq(copying->origin->points, 0);
    cr_assert_eq(copying->origin->sent, 0);
    dialler_free(copying->dialler, &copying->err);
}

/* What a peer may make of an answer. */
enum lie { TWICE, OF_ANOTHER_QUESTION, TOO_SHORT, TOO_LONG, NEITHER_YES_NOR_NO, NO_ANSWER_AT_ALL };

static void tell_lie(const struct copying *copying, const struct data_message *ahead, enum lie lie)
{
    uint8_t flags[ASKED_MAX + 1];
    memset(flags, ASKED_HAS, sizeof(flags));
    const uint64_t serial = ahead->head->serial;
    const struct span right = span_of(flags, ahead->head->ask->count);
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__Receipt receipt = SEALIFT__RECEIPT__INIT;
    const struct hash none = {{0}};
    switch (lie) {
    case TWICE:
        say_have(copying, serial, right);
        say_have(copying, serial, right);
        return;
    case OF_ANOTHER_QUESTION:
        say_have(copying, copying->first, right);
        return;
    case TOO_SHORT:
        say_have(copying, serial, span_of(flags, right.len - 1));
        return;
    case TOO_LONG:
        say_have(copying, serial, span_of(flags, right.len + 1));
        return;
    case NEITHER_YES_NOR_NO:
        flags[right.len - 1] = ASKED_REMOVED; /* points are, nodes and chunks never */
        say_have(copying, serial, right);
        return;
    case NO_ANSWER_AT_ALL:
        head.serial = serial;
        head.kind_case = SEALIFT__HEAD__KIND_RECEIPT;
        head.receipt = &receipt;
        receipt.log_hash =
            (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)none.bytes, .len = sizeof(none.bytes)};
        answer_by_hand(copying->origin->ends, copying->connection, &head, span_of(NULL, 0));
        return;
    }
}

Test(copy_ahead, an_answer_that_is_not_the_questions_ends_the_copy_before_anything_is_sent)
{
    static const char *const texts[] = {[TWICE] = "have",
                                        [OF_ANOTHER_QUESTION] = "have",
                                        [TOO_SHORT] = "ids were asked about, and",
                                        [TOO_LONG] = "ids were asked about, and",
                                        [NEITHER_YES_NOR_NO] = "neither yes nor no",
                                        [NO_ANSWER_AT_ALL] = "receipt"};
    AUTO(origin) struct origin *origin = origin_new(REPOSITORY_ENCRYPTED);
    for (int lie = TWICE; lie <= NO_ANSWER_AT_ALL; lie++) {
        AUTO(data_message) struct data_message ahead = {0};
        struct copying copying;
        copying_start(&copying, origin, &ahead);
        tell_lie(&copying, &ahead, (enum lie)lie);
        copying_expect(&copying, ERR_PROTOCOL, texts[lie]);
    }
    cr_assert_eq(ends_points(origin->ends), 0);
}

Test(copy_ahead, cancelling_ends_the_wait_for_an_answer_that_does_not_come)
{
    AUTO(origin) struct origin *origin = origin_new(REPOSITORY_ENCRYPTED);
    AUTO(data_message) struct data_message ahead = {0};
    struct copying copying;
    copying_start(&copying, origin, &ahead);
    atomic_store(&origin->cancelled, true);
    copying.outlet.ops->cancel(copying.outlet.self);
    copying_expect(&copying, ERR_CANCELLED, "cancelled");
}

Test(copy_ahead, a_peer_that_is_gone_before_its_answer_is_given_up_after_the_lease)
{
    AUTO(origin) struct origin *origin = origin_new(REPOSITORY_ENCRYPTED);
    AUTO(data_message) struct data_message ahead = {0};
    struct copying copying;
    origin->ends->lease_ms = 2000;
    copying_start(&copying, origin, &ahead);
    atomic_store(&origin->ends->relay->refuse, true);
    copying_expect(&copying, ERR_UNREACHABLE, "");
}
