/* The rules that the records of one pack keep (docs/format.md section 6), checked one record after the
 * other: when a batch comes in, when a journal is salvaged, when a pack is checked. A value with
 * memory of its own; one thread. */
#ifndef SEALIFT_REPOSITORY_PACK_RULES_H
#define SEALIFT_REPOSITORY_PACK_RULES_H

#include "common/crypto/envelope.h"
#include "transporter/repository/pack.h"
#include "transporter/repository/repository.h"

/* What is known of an envelope of the pack. */
struct pack_seal {
    struct id seal;
    struct hash domain;
    uint8_t writer[SIGN_PK_LEN];
};

struct pack_rules {
    enum repository_kind kind;
    enum pack_class class_;
    /* whether a signer counts; NULL: any */
    bool (*admitted)(void *arg, const uint8_t writer[SIGN_PK_LEN]);
    void *arg;

    struct pack_toc toc;
    struct pack_seal *seals; /* toc.envelopes of them */
    size_t seal_cap;
    struct buf group;                /* hashes of the frames since the last list */
    uint32_t group_envelope;         /* the envelope that they share */
    struct seal_list_view last_list; /* its hashes are not kept */
};

void pack_rules_init(struct pack_rules *rules, enum repository_kind kind, enum pack_class class_);
void pack_rules_deinit(struct pack_rules *rules);
DEFINE_AUTO_IN_PLACE(pack_rules, struct pack_rules, pack_rules_deinit)

/* Takes the next record. On failure nothing is taken. ERR_DAMAGED, ERR_NOT_AUTHENTIC, ERR_POLICY
 * (sealed and plain do not mix), ERR_VERSION, ERR_LIMIT. */
bool pack_rules_add(struct pack_rules *rules, const struct record_view *record, struct err *err) MUST_CHECK;
/* Whether every frame so far is covered by a list. */
static inline bool pack_rules_complete(const struct pack_rules *rules)
{
    return rules->group.len == 0;
}
/* Back to the first `count` records, which must be complete. */
void pack_rules_cut(struct pack_rules *rules, size_t count);
/* The number of the seal's envelope in this pack, 0 if it has none. */
uint32_t pack_rules_envelope(const struct pack_rules *rules, const struct id *seal);

#endif
