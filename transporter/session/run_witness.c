/* An order to witness: which grants this host has, and which own key, signed for this order. A director
 * passes on what operators signed; with this it can withhold no newer grant of a host from an operator whose
 * machine has not seen it. Nothing is opened or changed, so it may be asked again. */
#include "common/base/alloc.h"
#include "common/wire/stored.h"
#include "common/wire/witness.h"
#include "transporter/session/own_key.h"
#include "transporter/session/run_answers.h"

enum { GRANTS_AN_ANSWER = 128 * 1024 }; /* bytes */

struct witnessing {
    struct run *run;
    struct run_answers answers;
    Sealift__Witness message;
    struct buf *grants; /* exact statements */
    size_t grant_count;
    Sealift__OwnKey own;
    struct hash own_id, own_domain;
};

static void witnessing_deinit(struct witnessing *witnessing)
{
    for (size_t i = 0; i < witnessing->grant_count; i++)
        buf_deinit(&witnessing->grants[i]);
    free(witnessing->grants);
    buf_deinit(&witnessing->answers.pending);
}
DEFINE_AUTO_IN_PLACE(witnessing, struct witnessing, witnessing_deinit)

static void take_grant(void *arg, const struct statement *grant)
{
    struct witnessing *witnessing = arg;
    witnessing->grants =
        xreallocarray(witnessing->grants, witnessing->grant_count + 1, sizeof(*witnessing->grants));
    witnessing->grants[witnessing->grant_count] = (struct buf){0};
    buf_put_span(&witnessing->grants[witnessing->grant_count++], buf_span(&grant->bytes));
}

/* A file that cannot be read is no reason to say nothing of the grants. */
static void take_own_key(struct witnessing *witnessing)
{
    struct run *run = witnessing->run;
    struct err why = {0};
    AUTO(read_half) struct read_half *half = NULL;
    if (!run->environment.own_key_file) return;
    if (!own_key_load(run->environment.own_key_file, &half, &why)) {
        run_note(run, why.text);
        return;
    }
    AUTO(free) char *name = xasprintf("t:%s", run->environment.self->known.name);
    AUTO(secret) struct secret *dedup_key = read_half_dedup_key(half, name);
    witnessing->own_id = half->key_id;
    witnessing->own_domain = domain_id(dedup_key->data);
    sealift__own_key__init(&witnessing->own);
    witnessing->own.key_id = stored_bytes(span_of(witnessing->own_id.bytes, HASH_LEN));
    witnessing->own.domain_id = stored_bytes(span_of(witnessing->own_domain.bytes, HASH_LEN));
    witnessing->message.own_key = &witnessing->own;
}

static bool send(struct witnessing *witnessing, enum run_answer which, struct err *err)
{
    const struct run *run = witnessing->run;
    const struct witness_place place = {
        .order = run->subject, .number = witnessing->answers.number + 1, .last = which == RUN_ANSWER_LAST};
    witness_sign(run->environment.self->sign, &place, &witnessing->message, &witnessing->answers.pending);
    return run_answers_send(&witnessing->answers, which, err);
}

/* How many grants behind the first `at` fit into one answer. */
static size_t part(const struct witnessing *witnessing, size_t at, ProtobufCBinaryData *list)
{
    size_t count = 0, bytes = 0;
    while (at + count < witnessing->grant_count && bytes < GRANTS_AN_ANSWER) {
        list[count] = stored_bytes(buf_span(&witnessing->grants[at + count]));
        bytes += list[count++].len;
    }
    return count;
}

static bool send_all(struct witnessing *witnessing, struct err *err)
{
    AUTO(free)
    ProtobufCBinaryData *list = xcalloc(witnessing->grant_count + 1, sizeof(*list));
    witnessing->message.grants = list;
    size_t at = 0;
    do {
        size_t count = part(witnessing, at, list);
        witnessing->message.n_grants = count;
        at += count;
        bool last = at == witnessing->grant_count;
        if (!run_going_on(witnessing->run, err) ||
            !send(witnessing, last ? RUN_ANSWER_LAST : RUN_ANSWER_MORE, err))
            return false;
    } while (at < witnessing->grant_count);
    return true;
}

bool run_witness(struct run *run, struct err *err)
{
    const Sealift__Member *operator= roster_operator(run->roster, run_order(run)->answer_to.data);
    AUTO(witnessing)
    struct witnessing witnessing = {
        .run = run, .answers = {.run = run, .operator= operator}, .message = SEALIFT__WITNESS__INIT};
    if (!operator)
        return err_set(err, ERR_NOT_FOUND, "the operator to be answered is not in the current roster");
    witnessing.message.roster_version = roster_version(run->roster);
    authority_each(run->environment.authority, SEALIFT__STATEMENT_TYPE__STATEMENT_GRANT, take_grant,
                   &witnessing);
    take_own_key(&witnessing);
    return send_all(&witnessing, err);
}
