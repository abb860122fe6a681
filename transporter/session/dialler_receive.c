#include "transporter/session/dialler_inside.h"

#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/text.h"

#include <inttypes.h>
#include <string.h>

enum { NOT_REACHED_MS = 5000 }; /* a side that was told a moment later is there by then */

static bool no_row(const struct data_message *message, struct err *err)
{
    return err_set(err, ERR_PROTOCOL, "a '%s' message that answers nothing",
                   head_name(message->head->kind_case));
}

/* --- Opened --- */

/* Batches that are durable by the target's own word. */
static bool acknowledge(struct dialler *dialler, uint64_t number, struct err *err)
{
    if (number > dialler->highest_batch)
        return err_set(err, ERR_PROTOCOL,
                       "batch %" PRIu64 " was acknowledged, and only %" PRIu64 " were sent", number,
                       dialler->highest_batch);
    if (number <= dialler->acknowledged) return true; /* a probe, or an older word */
    dialler->acknowledged = number;
    for (struct parcel **place = &dialler->first; *place;) {
        if ((*place)->kind == PARCEL_BATCH && (*place)->number <= number)
            dialler_drop_parcel(dialler, place);
        else
            place = &(*place)->next;
    }
    return true;
}

/* From here on everything that is not done is sent again, but for answers to questions of before. */
static void begin_connection(struct dialler *dialler)
{
    for (struct parcel **place = &dialler->first; *place;) {
        if ((*place)->kind == PARCEL_ANSWER)
            dialler_drop_parcel(dialler, place);
        else
            place = &(*place)->next;
    }
    while (dialler->wants) {
        struct want *want = dialler->wants;
        dialler->wants = want->next;
        data_message_deinit(&want->message);
        free(want);
    }
    dialler->wants_end = &dialler->wants;
    dialler->want_count = 0;
    dialler->unsent = &dialler->first;
    dialler->connection++;
}

/* Once for each time that the other side is lost, and once when it is back: what took long is in the log. */
static void log_lost(const struct dialler *dialler)
{
    char run[2 * ID_LEN + 1];
    hex_encode(dialler->options.run.bytes, ID_LEN, run);
    log_event(LOG_WARN, "peer_lost", "run", run, "reason", dialler->trouble, "next",
              "it is dialled again for as long as the lease", NULL);
}

static void log_back(const struct dialler *dialler)
{
    char run[2 * ID_LEN + 1];
    hex_encode(dialler->options.run.bytes, ID_LEN, run);
    log_event(LOG_INFO, "peer_back", "run", run, "next", "what was not acknowledged is sent again", NULL);
}

void dialler_down(struct dialler *dialler)
{
    dialler->down_since_ms = clock_steady_ms();
    dialler->asked_why_ms = 0;
    if (dialler->stop || dialler->failed || dialler->missed) return;
    dialler->missed = true;
    log_lost(dialler);
}

void dialler_presence(struct dialler *dialler, enum presence presence)
{
    char text[DATA_PATH_ABSENT_MAX];
    struct absence *absence = dialler->options.absence;
    bool absent = presence == PEER_ABSENT;
    if (!absence || (!absent && !dialler->absent)) return;
    dialler->absent = absent;
    if (!absent) {
        absence_end(absence);
        return;
    }
    data_path_absent(dialler->options.path, dialler->trouble, text);
    absence_say(absence, text, clock_steady_ms());
}

void dialler_not_reached(struct dialler *dialler)
{
    bool due = clock_steady_ms() >= dialler->down_since_ms + NOT_REACHED_MS;
    if (!due || dialler->opened_once || dialler->missed || !dialler->trouble[0] || dialler->stop) return;
    dialler->missed = true;
    char run[2 * ID_LEN + 1];
    hex_encode(dialler->options.run.bytes, ID_LEN, run);
    log_event(LOG_WARN, "peer_not_reached", "run", run, "reason", dialler->trouble, "next",
              "it is dialled again for as long as the lease", NULL);
}

/* A credit larger than the way is long would only be memory: of the target's disk, which is slower, and not
 * of the way. */
static void withhold(struct dialler *dialler)
{
    bool answers = dialler->options.conversation == CONVERSATION_RECOVERY;
    uint64_t enough = answers ? DIALLER_SHORT_ANSWERS : DIALLER_SHORT_BATCHES;
    if (stripe_growth_is_long(&dialler->growth)) {
        enough = answers ? DIALLER_LONG_ANSWERS : DIALLER_LONG_BATCHES;
        uint64_t most = enough + dialler->growth.trip_ms * DIALLER_LONG_EACH_MS;
        if (most > dialler->offered) most = dialler->offered;
        if (dialler->reserved == 0)
            dialler->reserved = credit_pool_take(dialler->options.credits, enough, most);
        enough = dialler->reserved < most ? dialler->reserved : most;
    }
    dialler->withheld = dialler->offered > enough ? dialler->offered - enough : 0;
}

/* Four heartbeats of whoever has the slower ones. */
static uint64_t silence_of(const struct dialler *dialler, uint32_t other_ms)
{
    uint64_t own_ms = (uint64_t)net_context_pace(dialler->options.net).heartbeat_ms;
    if (other_ms == 0) return 0;
    if (other_ms > NET_HEARTBEAT_MOST_MS) other_ms = NET_HEARTBEAT_MOST_MS;
    return NET_HEARTBEATS_LOST * (own_ms > other_ms ? own_ms : other_ms);
}

static bool take_opened(struct dialler *dialler, const Sealift__Opened *opened, struct err *err)
{
    begin_connection(dialler);
    if (dialler->options.conversation != CONVERSATION_RECOVERY &&
        !acknowledge(dialler, opened->acknowledged, err))
        return false;
    dialler->epoch = opened->epoch;
    dialler->silence_ms = silence_of(dialler, opened->heartbeat_ms);
    dialler->asked_echo_ms = 0;
    stripe_growth_begin(&dialler->growth, clock_steady_ms());
    stripe_growth_echo(&dialler->growth, clock_steady_ms() - dialler->opening_ms);
    dialler->credit = opened->credit_bytes < DIALLER_CREDIT_MAX ? opened->credit_bytes : DIALLER_CREDIT_MAX;
    dialler->offered = dialler->credit;
    withhold(dialler);
    if (!dialler->opened_once) {
        dialler->opened.rtt_us = clock_steady_us() - dialler->open_sent_us;
        dialler->opened.head_number = opened->head_number;
        dialler->opened.job_point = opened->job_point;
        if (opened->repository.len == ID_LEN)
            memcpy(dialler->opened.repository.bytes, opened->repository.data, ID_LEN);
        if (opened->head_hash.len == HASH_LEN)
            memcpy(dialler->opened.head_hash.bytes, opened->head_hash.data, HASH_LEN);
    }
    dialler->opened_once = true;
    if (dialler->missed) log_back(dialler);
    dialler->missed = false;
    return true;
}

/* --- answers --- */

static struct parcel *find_request(const struct dialler *dialler, uint64_t serial)
{
    struct parcel *parcel = dialler->first;
    while (parcel && !(parcel->kind == PARCEL_REQUEST && parcel->number == serial && !parcel->answered))
        parcel = parcel->next;
    return parcel;
}

static bool answer_fits(const struct parcel *request, const struct data_message *message, struct err *err)
{
    Sealift__Head__KindCase kind = message->head->kind_case;
    if (request->asked == SEALIFT__HEAD__KIND_COMMIT)
        return kind == SEALIFT__HEAD__KIND_RECEIPT || kind == SEALIFT__HEAD__KIND_MISSING ||
               no_row(message, err);
    if (kind != SEALIFT__HEAD__KIND_HAVE) return no_row(message, err);
    size_t len = data_message_payload(message).len;
    return len == request->count ||
           err_set(err, ERR_PROTOCOL, "%zu ids were asked about, and %zu answered", request->count, len);
}

static bool take_answer(struct dialler *dialler, struct data_message *message, struct err *err)
{
    struct parcel *request = find_request(dialler, message->head->serial);
    if (!request) return no_row(message, err);
    if (!answer_fits(request, message, err)) return false;
    data_message_move(message, request->answer);
    request->answered = true;
    return true;
}

static bool take_want(struct dialler *dialler, struct data_message *message, struct err *err)
{
    if (dialler->want_count >= DIALLER_WANTS_MAX)
        return err_set(err, ERR_PROTOCOL, "more than %d questions at a time", DIALLER_WANTS_MAX);
    struct want *want = xcalloc(1, sizeof(*want));
    message->connection = dialler->connection;
    data_message_move(message, &want->message);
    *dialler->wants_end = want;
    dialler->wants_end = &want->next;
    dialler->want_count++;
    return true;
}

static bool take_credit(struct dialler *dialler, const Sealift__Credit *credit, struct err *err)
{
    if (credit->bytes > DIALLER_CREDIT_MAX)
        return err_set(err, ERR_PROTOCOL, "a credit of %" PRIu64 " bytes at once", credit->bytes);
    dialler->credit += credit->bytes;
    if (dialler->credit > DIALLER_CREDIT_MAX) dialler->credit = DIALLER_CREDIT_MAX;
    return true;
}

/* The other side says again what it was told: how long the way is. */
static bool take_echo(struct dialler *dialler, const struct data_message *message, struct err *err)
{
    if (dialler->asked_echo_ms == 0) return no_row(message, err);
    stripe_growth_echo(&dialler->growth, clock_steady_ms() - dialler->asked_echo_ms);
    dialler->asked_echo_ms = 0;
    withhold(dialler);
    return true;
}

static bool take(struct dialler *dialler, struct data_message *message, struct err *err)
{
    switch (message->head->kind_case) {
    case SEALIFT__HEAD__KIND_OPENED:
        return take_opened(dialler, message->head->opened, err);
    case SEALIFT__HEAD__KIND_ACK:
        return acknowledge(dialler, message->head->ack->number, err);
    case SEALIFT__HEAD__KIND_CREDIT:
        return take_credit(dialler, message->head->credit, err);
    case SEALIFT__HEAD__KIND_WANT:
    case SEALIFT__HEAD__KIND_DONE:
        return take_want(dialler, message, err);
    case SEALIFT__HEAD__KIND_FAIL:
        data_message_failure(message, err);
        dialler->by_peer = true;
        return false;
    default:
        return take_answer(dialler, message, err);
    }
}

void dialler_take_message(struct dialler *dialler, struct data_message *message)
{
    struct err err = {0};
    bool ok = message->head->kind_case == SEALIFT__HEAD__KIND_STRIPES
                  ? take_echo(dialler, message, &err)
                  : conversation_dialler(dialler->options.conversation, dialler->state,
                                         message->head->kind_case, &dialler->state, &err) &&
                        take(dialler, message, &err);
    if (!ok) dialler_fail(dialler, &err);
    (void)pthread_cond_broadcast(&dialler->changed);
}
