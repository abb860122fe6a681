#include "transporter/repository/pack_rules.h"

#include "common/base/alloc.h"
#include "common/crypto/frame.h"

#include <string.h>

void pack_rules_init(struct pack_rules *rules, enum repository_kind kind, enum pack_class class_)
{
    *rules = (struct pack_rules){.kind = kind, .class_ = class_};
    pack_toc_init(&rules->toc);
}

void pack_rules_deinit(struct pack_rules *rules)
{
    pack_toc_deinit(&rules->toc);
    buf_deinit(&rules->group);
    free(rules->seals);
    rules->seals = NULL;
    rules->seal_cap = 0;
}

uint32_t pack_rules_envelope(const struct pack_rules *rules, const struct id *seal)
{
    for (uint32_t i = rules->toc.envelopes; i > 0; i--)
        if (id_eq(&rules->seals[i - 1].seal, seal)) return i;
    return 0;
}

static bool is_admitted(const struct pack_rules *rules, const uint8_t *writer, struct err *err)
{
    if (!rules->admitted || rules->admitted(rules->arg, writer)) return true;
    return err_set(err, ERR_NOT_AUTHENTIC, "its writer was never admitted");
}

static bool add_envelope(struct pack_rules *rules, const struct record_view *record, struct err *err)
{
    struct envelope_view view;
    if (rules->kind == REPOSITORY_PLAINTEXT)
        return err_set(err, ERR_POLICY, "an envelope in a plaintext repository");
    if (!envelope_parse(record->payload, &view, err) || !is_admitted(rules, view.writer, err)) return false;
    if (rules->toc.envelopes >= PACK_MAX_ENVELOPES)
        return err_set(err, ERR_LIMIT, "more than %u envelopes in one pack", PACK_MAX_ENVELOPES);
    if (pack_rules_envelope(rules, &view.seal))
        return err_set(err, ERR_DAMAGED, "the envelope of a seal stands twice in one pack");
    struct pack_entry entry = {.kind = RECORD_ENVELOPE, .len = ENVELOPE_LEN};
    memcpy(entry.id.bytes, view.seal.bytes, ID_LEN);
    if (rules->toc.envelopes == rules->seal_cap) {
        rules->seal_cap = rules->seal_cap ? 2 * rules->seal_cap : 4;
        rules->seals = xreallocarray(rules->seals, rules->seal_cap, sizeof(*rules->seals));
    }
    struct pack_seal *seal = &rules->seals[rules->toc.envelopes];
    seal->seal = view.seal;
    seal->domain = view.domain;
    memcpy(seal->writer, view.writer, SIGN_PK_LEN);
    pack_toc_add(&rules->toc, &entry);
    return true;
}

static bool kind_fits(const struct pack_rules *rules, const struct frame_view *frame, struct err *err)
{
    if (frame->cipher == CIPHER_NONE && rules->kind == REPOSITORY_ENCRYPTED)
        return err_set(err, ERR_POLICY, "a frame that is not sealed, in an encrypted repository");
    if (frame->cipher != CIPHER_NONE && rules->kind == REPOSITORY_PLAINTEXT)
        return err_set(err, ERR_POLICY, "a sealed frame in a plaintext repository");
    if (frame->type != (rules->class_ == PACK_DATA ? FRAME_DATA : FRAME_NODE))
        return err_set(err, ERR_DAMAGED, "a frame of the other class");
    return true;
}

static bool add_frame(struct pack_rules *rules, const struct record_view *record, struct err *err)
{
    struct frame_view frame;
    if (!frame_parse(record->payload, &frame, err) || !kind_fits(rules, &frame, err)) return false;
    uint32_t envelope = 0;
    if (frame.cipher != CIPHER_NONE) {
        envelope = pack_rules_envelope(rules, &frame.seal);
        if (envelope == 0) return err_set(err, ERR_DAMAGED, "a frame without its seal's envelope before it");
    }
    if (rules->group.len && envelope != rules->group_envelope)
        return err_set(err, ERR_DAMAGED, "frames of two seals under one list");
    if (rules->group.len >= HASH_LEN * SEAL_LIST_MAX)
        return err_set(err, ERR_LIMIT, "more than %u frames without a list", SEAL_LIST_MAX);
    struct pack_entry entry = {.kind = RECORD_FRAME,
                               .type = frame.type,
                               .envelope = envelope,
                               .len = (uint32_t)record->payload.len,
                               .id = frame.chunk};
    rules->group_envelope = envelope;
    buf_put(&rules->group, record->payload_hash.bytes, HASH_LEN);
    pack_toc_add(&rules->toc, &entry);
    return true;
}

/* The frames since the last list are among those that this list names, in its order. */
static bool covers(const struct seal_list_view *list, struct span group)
{
    size_t at = 0;
    for (size_t i = 0; i < list->count && at < group.len; i++)
        if (memcmp(list->hashes + i * HASH_LEN, group.data + at, HASH_LEN) == 0) at += HASH_LEN;
    return at == group.len;
}

static bool list_fits(const struct pack_rules *rules, const struct seal_list_view *list, struct err *err)
{
    if (list->class_ != rules->class_) return err_set(err, ERR_DAMAGED, "a list of the other class");
    if (rules->group.len == 0) return err_set(err, ERR_DAMAGED, "a list without frames before it");
    if (rules->group_envelope) {
        const struct pack_seal *seal = &rules->seals[rules->group_envelope - 1];
        if (!id_eq(&seal->seal, &list->seal))
            return err_set(err, ERR_NOT_AUTHENTIC, "a list of another seal than its frames");
        if (memcmp(seal->writer, list->writer, SIGN_PK_LEN) != 0)
            return err_set(err, ERR_NOT_AUTHENTIC, "a list that is not signed by the seal's writer");
    }
    if (!covers(list, buf_span(&rules->group)))
        return err_set(err, ERR_NOT_AUTHENTIC, "a frame that its signed list does not name");
    return is_admitted(rules, list->writer, err);
}

static bool add_list(struct pack_rules *rules, const struct record_view *record, struct err *err)
{
    struct seal_list_view list;
    if (!seal_list_parse(record->payload, &list, err) || !list_fits(rules, &list, err)) return false;
    struct pack_entry entry = {.kind = RECORD_LIST, .len = (uint32_t)record->payload.len};
    le64_put(entry.id.bytes, list.number);
    memcpy(entry.id.bytes + 8, list.seal.bytes, ID_LEN);
    rules->last_list = list;
    rules->last_list.hashes = NULL;
    buf_clear(&rules->group);
    pack_toc_add(&rules->toc, &entry);
    return true;
}

bool pack_rules_add(struct pack_rules *rules, const struct record_view *record, struct err *err)
{
    if (rules->toc.count >= PACK_MAX_RECORDS)
        return err_set(err, ERR_LIMIT, "more than %u records in one pack", PACK_MAX_RECORDS);
    if (rules->toc.end + record->total_len > PACK_MAX_BYTES)
        return err_set(err, ERR_LIMIT, "more than %u bytes in one pack", PACK_MAX_BYTES);
    switch (record->kind) {
    case RECORD_ENVELOPE:
        return add_envelope(rules, record, err);
    case RECORD_FRAME:
        return add_frame(rules, record, err);
    case RECORD_LIST:
        return add_list(rules, record, err);
    default:
        return err_set(err, ERR_DAMAGED, "a trailer in the middle of a pack");
    }
}

void pack_rules_cut(struct pack_rules *rules, size_t count)
{
    pack_toc_cut(&rules->toc, count);
    buf_clear(&rules->group);
}
