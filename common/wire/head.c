#include "common/wire/head.h"

#include "common/crypto/envelope.h"
#include "common/wire/fields.h"
#include "common/wire/message.h"
#include "common/wire/statement.h"
#include "common/wire/stored.h"

#include <assert.h>

enum {
    TEXT_MAX_LEN = 2048,
    ANSWER_MAX = 1024 * 1024 + 128,
    WARNINGS_MAX = 1024 * 1024,
    BATCH_MAX = 8 * 1024 * 1024 + 64 * 1024,
    LIST_MAX = 8 * 1024 * 1024,
    ASK_ITEMS_MAX = 4096,
    ASK_MAX = ASK_ITEMS_MAX * (1 + HASH_LEN), /* type and id */
    JOIN_MAX = 4096,
};

#define ON(channel) (1u << (channel))
#define OPERATOR_OUT ON(CHANNEL_OPERATOR_TO_DIRECTOR)
#define OPERATOR_IN ON(CHANNEL_DIRECTOR_TO_OPERATOR)
#define CONTROL_OUT ON(CHANNEL_TRANSPORTER_TO_DIRECTOR)
#define CONTROL_IN ON(CHANNEL_DIRECTOR_TO_TRANSPORTER)
#define DIALLER ON(CHANNEL_DIALLER_TO_LISTENER)
#define LISTENER ON(CHANNEL_LISTENER_TO_DIALLER)
#define ANY (OPERATOR_OUT | OPERATOR_IN | CONTROL_OUT | CONTROL_IN | DIALLER | LISTENER)

struct kind {
    Sealift__Head__KindCase kind;
    const char *name;
    unsigned channels;
    size_t payload_max;
};

static const struct kind kinds[] = {
    {SEALIFT__HEAD__KIND_FAIL, "fail", ANY, 0},
    {SEALIFT__HEAD__KIND_DONE, "done", OPERATOR_IN | CONTROL_IN | DIALLER | LISTENER, LIST_MAX},
    {SEALIFT__HEAD__KIND_CLAIM, "claim", OPERATOR_OUT, STATEMENT_MAX},
    {SEALIFT__HEAD__KIND_OPERATOR_HELLO, "operator hello", OPERATOR_OUT, 0},
    {SEALIFT__HEAD__KIND_PUT, "put", OPERATOR_OUT, STATEMENT_MAX},
    {SEALIFT__HEAD__KIND_PUT_UNLOCK, "put unlock", OPERATOR_OUT, STORED_MAX_UNLOCK},
    {SEALIFT__HEAD__KIND_GET, "get", OPERATOR_OUT, 0},
    {SEALIFT__HEAD__KIND_RUN_START, "run start", OPERATOR_OUT, 0},
    {SEALIFT__HEAD__KIND_MAINTENANCE_START, "maintenance start", OPERATOR_OUT, 0},
    {SEALIFT__HEAD__KIND_RUN_STOP, "run stop", OPERATOR_OUT, 0},
    {SEALIFT__HEAD__KIND_RUN_FOLLOW, "run follow", OPERATOR_OUT, 0},
    {SEALIFT__HEAD__KIND_PENDING_LIST, "pending list", OPERATOR_OUT, 0},
    {SEALIFT__HEAD__KIND_STATUS_GET, "status get", OPERATOR_OUT, 0},
    {SEALIFT__HEAD__KIND_RUN_LIST, "run list", OPERATOR_OUT, 0},
    {SEALIFT__HEAD__KIND_POINT_LIST, "point list", OPERATOR_OUT, 0},
    {SEALIFT__HEAD__KIND_CONFIG_EXPORT, "config export", OPERATOR_OUT, 0},
    {SEALIFT__HEAD__KIND_CONFIG_READ, "config read", OPERATOR_OUT, 0},
    {SEALIFT__HEAD__KIND_CONFIG_LOCK, "config lock", OPERATOR_OUT, 0},
    {SEALIFT__HEAD__KIND_CONFIG_PROCEED, "config proceed", OPERATOR_OUT, 0},
    {SEALIFT__HEAD__KIND_ADOPT, "adopt", OPERATOR_OUT, LIST_MAX},
    {SEALIFT__HEAD__KIND_LINK_PUT, "link put", OPERATOR_OUT, 0},
    {SEALIFT__HEAD__KIND_LINK_LIST, "link list", OPERATOR_OUT, 0},
    {SEALIFT__HEAD__KIND_LINK_TEST, "link test", OPERATOR_OUT, 0},
    {SEALIFT__HEAD__KIND_RUN_EVENT, "run event", OPERATOR_IN, ANSWER_MAX},
    {SEALIFT__HEAD__KIND_JOIN, "join", CONTROL_OUT, JOIN_MAX},
    {SEALIFT__HEAD__KIND_HELLO, "hello", CONTROL_OUT, 0},
    {SEALIFT__HEAD__KIND_STATEMENT_SEEN, "statement seen", CONTROL_OUT, 0},
    {SEALIFT__HEAD__KIND_RUN_READY, "run ready", CONTROL_OUT, 0},
    {SEALIFT__HEAD__KIND_RUN_PROGRESS, "run progress", CONTROL_OUT, 0},
    {SEALIFT__HEAD__KIND_RUN_END, "run end", CONTROL_OUT, WARNINGS_MAX},
    {SEALIFT__HEAD__KIND_RUN_ANSWER, "run answer", CONTROL_OUT, ANSWER_MAX},
    {SEALIFT__HEAD__KIND_POINT_NEWS, "point news", CONTROL_OUT, STORED_MAX_POINT},
    {SEALIFT__HEAD__KIND_REPOSITORY_STATE, "repository state", CONTROL_OUT, 0},
    {SEALIFT__HEAD__KIND_GIVE_BACK, "give back", CONTROL_OUT, STATEMENT_MAX},
    {SEALIFT__HEAD__KIND_PROBE_READY, "probe ready", CONTROL_OUT, 0},
    {SEALIFT__HEAD__KIND_PROBE_END, "probe end", CONTROL_OUT, 0},
    {SEALIFT__HEAD__KIND_WELCOME, "welcome", CONTROL_IN, 0},
    {SEALIFT__HEAD__KIND_DELIVER, "deliver", CONTROL_IN, STATEMENT_MAX},
    {SEALIFT__HEAD__KIND_DELIVER_UNLOCK, "deliver unlock", CONTROL_IN, STORED_MAX_UNLOCK},
    {SEALIFT__HEAD__KIND_ASSIGN, "assign", CONTROL_IN, 0},
    {SEALIFT__HEAD__KIND_CANCEL, "cancel", CONTROL_IN, 0},
    {SEALIFT__HEAD__KIND_LOG_ASK, "log ask", CONTROL_IN, 0},
    {SEALIFT__HEAD__KIND_PROBE, "probe", CONTROL_IN, 0},
    {SEALIFT__HEAD__KIND_OPEN, "open", DIALLER, STORED_MAX_POINT},
    {SEALIFT__HEAD__KIND_ENVELOPE, "envelope", DIALLER, ENVELOPE_LEN},
    {SEALIFT__HEAD__KIND_ASK, "ask", DIALLER, ASK_MAX},
    {SEALIFT__HEAD__KIND_BATCH, "batch", DIALLER, BATCH_MAX},
    {SEALIFT__HEAD__KIND_COMMIT, "commit", DIALLER, STORED_MAX_POINT},
    {SEALIFT__HEAD__KIND_FRAMES, "frames", DIALLER, BATCH_MAX},
    {SEALIFT__HEAD__KIND_FETCH_END, "fetch end", DIALLER, ASK_MAX},
    {SEALIFT__HEAD__KIND_KEEP_UNLOCK, "keep unlock", DIALLER, STATEMENT_MAX},
    {SEALIFT__HEAD__KIND_STRIPE, "stripe", DIALLER, 0},
    {SEALIFT__HEAD__KIND_STRIPES, "stripes", DIALLER | LISTENER, 0},
    {SEALIFT__HEAD__KIND_OPENED, "opened", LISTENER, 0},
    {SEALIFT__HEAD__KIND_HAVE, "have", LISTENER, ASK_ITEMS_MAX},
    {SEALIFT__HEAD__KIND_ACK, "ack", LISTENER, 0},
    {SEALIFT__HEAD__KIND_RECEIPT, "receipt", LISTENER, 0},
    {SEALIFT__HEAD__KIND_MISSING, "missing", LISTENER, ASK_MAX},
    {SEALIFT__HEAD__KIND_WANT, "want", LISTENER, ASK_MAX},
    {SEALIFT__HEAD__KIND_CREDIT, "credit", LISTENER, 0},
};

static const struct kind *kind_of(Sealift__Head__KindCase kind)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i].kind == kind) return &kinds[i];
    return NULL;
}

const char *head_name(Sealift__Head__KindCase kind)
{
    const struct kind *known = kind_of(kind);
    return known ? known->name : "unknown";
}

size_t head_payload_limit(Sealift__Head__KindCase kind)
{
    const struct kind *known = kind_of(kind);
    return known ? known->payload_max : 0;
}

static bool version_ok(uint32_t protocol, struct err *err)
{
    if (protocol == PROTOCOL_VERSION) return true;
    return err_set(err, ERR_VERSION, "the peer speaks protocol version %u, this program version %u", protocol,
                   PROTOCOL_VERSION);
}

static bool head_check(enum channel channel, const Sealift__Head *head, size_t payload_len, struct err *err)
{
    if (!version_ok(head->protocol, err)) return false;
    const struct kind *kind = kind_of(head->kind_case);
    if (!kind) return err_set(err, ERR_PROTOCOL, "a message of an unknown kind");
    if (!(kind->channels & ON(channel)))
        return err_set(err, ERR_PROTOCOL, "a '%s' message does not belong on this channel", kind->name);
    if (payload_len > kind->payload_max)
        return err_set(err, ERR_LIMIT, "a '%s' message has a payload of %zu bytes, at most %zu are allowed",
                       kind->name, payload_len, kind->payload_max);
    if (head->sequence != 0 && channel != CHANNEL_DIALLER_TO_LISTENER)
        return err_set(err, ERR_PROTOCOL, "a '%s' message with a sequence number", kind->name);
    return fields_check(head, kind->name, err);
}

bool head_decode(enum channel channel, struct span head, size_t payload_len, Sealift__Head **out,
                 struct err *err)
{
    uint8_t protocol = message_version(head);
    if (protocol != 0 && !version_ok(protocol, err)) return false;
    AUTO(head)
    Sealift__Head *decoded = (Sealift__Head *)message_decode(&sealift__head__descriptor, head, HEAD_MAX,
                                                             TEXT_MAX_LEN, "message", err);
    if (!decoded) return false;
    if (!head_check(channel, decoded, payload_len, err)) return false;
    *out = decoded;
    decoded = NULL;
    return true;
}

void head_free(Sealift__Head *head)
{
    message_free(head);
}

void head_encode(Sealift__Head *head, struct buf *out)
{
    size_t before = out->len;
    head->protocol = PROTOCOL_VERSION;
    message_encode(head, out);
    assert(out->len - before <= HEAD_MAX);
}

enum { VARINT_MORE = 0x80, FIELD_SERIAL = 2 << 3, FIELD_SEQUENCE = 3 << 3 };

static void put_varint(struct buf *out, uint64_t value)
{
    for (; value >= VARINT_MORE; value >>= 7) {
        const uint8_t part = (uint8_t)(value | VARINT_MORE);
        buf_put(out, &part, 1);
    }
    const uint8_t last = (uint8_t)value;
    buf_put(out, &last, 1);
}

/* A field of which only the varint is there: where the next one begins. */
static size_t behind_varint(struct span head, size_t at)
{
    assert(at < head.len);
    for (at++; head.data[at] & VARINT_MORE; at++)
        assert(at + 1 < head.len);
    return at + 1;
}

void head_number(struct span head, uint64_t sequence, struct buf *out)
{
    const uint8_t field = FIELD_SEQUENCE;
    size_t at = behind_varint(head, 0); /* protocol, which is never 0 */
    if (at < head.len && head.data[at] == FIELD_SERIAL) at = behind_varint(head, at);
    assert(sequence != 0 && (at == head.len || head.data[at] != field));
    buf_put(out, head.data, at);
    buf_put(out, &field, 1);
    put_varint(out, sequence);
    buf_put(out, head.data + at, head.len - at);
}

/* `type **out` cannot stand in parentheses. NOLINTBEGIN(bugprone-macro-parentheses) */
#define PAYLOAD(name, type, descriptor)                                                                      \
    bool payload_##name##_decode(struct span bytes, type **out, struct err *err)                             \
    {                                                                                                        \
        AUTO(payload_##name)                                                                                 \
        type *decoded = (type *)message_decode(&(descriptor), bytes, LIST_MAX, TEXT_MAX_LEN, #name, err);    \
        if (!decoded || !fields_check(decoded, #name, err)) return false;                                    \
        *out = decoded;                                                                                      \
        decoded = NULL;                                                                                      \
        return true;                                                                                         \
    }                                                                                                        \
    void payload_##name##_encode(const type *value, struct buf *out)                                         \
    {                                                                                                        \
        message_encode(value, out);                                                                          \
    }                                                                                                        \
    void payload_##name##_free(type *value)                                                                  \
    {                                                                                                        \
        message_free(value);                                                                                 \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

PAYLOAD(blobs, Sealift__Blobs, sealift__blobs__descriptor)
PAYLOAD(status, Sealift__StatusAnswer, sealift__status_answer__descriptor)
PAYLOAD(run_list, Sealift__RunListAnswer, sealift__run_list_answer__descriptor)
PAYLOAD(point_list, Sealift__PointListAnswer, sealift__point_list_answer__descriptor)
PAYLOAD(warnings, Sealift__Warnings, sealift__warnings__descriptor)
PAYLOAD(unlock, Sealift__UnlockReport, sealift__unlock_report__descriptor)
PAYLOAD(link_list, Sealift__LinkListAnswer, sealift__link_list_answer__descriptor)
PAYLOAD(link_test, Sealift__LinkTestAnswer, sealift__link_test_answer__descriptor)
PAYLOAD(witness, Sealift__Witness, sealift__witness__descriptor)
