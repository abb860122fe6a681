/* An order to wrap a key by an entry `kms` of our configuration: S comes sealed in the order, the wrap goes
 * back sealed to the operator. Nothing is kept here. */
#include "common/wire/grant.h"
#include "common/wire/stored.h"
#include "transporter/kms/kms_set.h"
#include "transporter/session/run_answers.h"
#include "transporter/session/run_recovery.h"

static bool find_entry(struct run *run, const struct kms_entry **out, struct err *err)
{
    AUTO(secret) struct secret *bytes = NULL;
    AUTO(plan_wrap) Sealift__WrapPlan *plan = NULL;
    if (!recovery_plan(run, &bytes, err) || !plan_wrap_decode(span_of(bytes->data, bytes->len), &plan, err))
        return false;
    *out = kms_set_find(run->environment.kms, plan->entry);
    if (*out) return true;
    return err_set(err, ERR_NOT_FOUND, "this transporter's configuration has no KMS '%.64s'", plan->entry);
}

/* What the order carries, which must be the key that it names: what is wrapped under a key id is that key. */
static bool get_secret(const struct run *run, const struct hash *key_id, struct secret **out, struct err *err)
{
    AUTO(secret) struct secret *s = NULL;
    if (!run_order_secret(run, key_id, &s, err)) return false;
    if (!key_is(s, key_id))
        return err_set(err, ERR_WRONG_KEY, "the secret in the order is not that of the key that it names");
    *out = s;
    s = NULL;
    return true;
}

static bool wrap(struct run *run, const struct kms_entry *entry, const struct secret *s,
                 const struct hash *key_id, struct buf *out, struct err *err)
{
    AUTO(buf) struct buf wrapped = {0};
    char master[KMS_MASTER_MAX];
    Sealift__KmsWrap message = SEALIFT__KMS_WRAP__INIT;
    if (!run_going_on(run, err) || !kms_wrap(entry, s->data, key_id, &wrapped, err) ||
        !kms_describe(entry, master, err))
        return false;
    message.entry = stored_lent(entry->name);
    message.kind = stored_lent(kms_kind_name(entry->uri->kind));
    message.master_key = master;
    message.wrapped = stored_bytes(buf_span(&wrapped));
    return stored_kms_encode(&message, out, err);
}

bool run_wrap(struct run *run, struct err *err)
{
    const struct kms_entry *entry = NULL;
    const Sealift__OrderBody *order = run_order(run);
    struct hash key_id = stored_hash(&order->key_id);
    AUTO(secret) struct secret *s = NULL;
    AUTO(buf) struct buf wrapped = {0};
    struct run_answers answers = {.run = run, .operator= roster_operator(run->roster, order->answer_to.data)};
    if (!answers.operator)
        return err_set(err, ERR_NOT_FOUND, "the operator to be answered is not in the current roster");
    if (!find_entry(run, &entry, err) || !get_secret(run, &key_id, &s, err) ||
        !authority_execute_once(run->environment.authority, &run->subject, err) ||
        !wrap(run, entry, s, &key_id, &wrapped, err))
        return false;
    uint8_t proof[WRAP_PROOF_LEN];
    order_wrap_proof(s, &run->subject, buf_span(&wrapped), proof);
    buf_put(&answers.pending, proof, sizeof(proof));
    buf_put_span(&answers.pending, buf_span(&wrapped));
    bool sent = run_answers_send(&answers, RUN_ANSWER_LAST, err);
    buf_deinit(&answers.pending);
    return sent;
}
