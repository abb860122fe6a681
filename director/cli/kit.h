/* A recovery kit: one key with all its generations, under a password of its own, on paper or in a file
 * (docs/format.md section 14). It opens every recovery point of the key with no director, no transporter and
 * no other operator, and remembers how far the logs of the repositories were when it was made. */
#ifndef SEALIFT_CLI_KIT_H
#define SEALIFT_CLI_KIT_H

#include "common/crypto/password.h"
#include "common/crypto/seal/key.h"
#include "common/crypto/sign.h"
#include "common/wire/stored.h"

enum { KIT_OPERATORS_MAX = 256, KIT_HEADS_MAX = 1024 };

struct kit_head {
    struct id repository;
    uint64_t number;
    struct hash hash;
};

struct kit {
    struct read_half *half;   /* of the generation that was the newest */
    struct buf section_bytes; /* exact */
    Sealift__UnlockSection *section;
    uint64_t made_ns;
    struct id site;
    uint8_t (*operators)[SIGN_PK_LEN]; /* signing keys, the pinned first admin before the others */
    size_t operator_count;
    struct kit_head *heads;
    size_t head_count;
};
void kit_free(struct kit *kit);
DEFINE_AUTO(kit, struct kit *, kit_free)

/* Appends the sealed bytes. `half` is that of the section. ERR_LIMIT: too many operators or repositories. */
bool kit_seal(const struct kit *kit, const struct secret *password, const struct pwhash_limits *limits,
              struct buf *sealed, struct err *err) MUST_CHECK;
/* ERR_TRUNCATED; ERR_DAMAGED (no kit; or what is in it contradicts itself); ERR_VERSION; ERR_LIMIT;
 * ERR_WRONG_KEY: another password. Takes about a second. */
bool kit_open(struct span sealed, const struct secret *password, struct kit **out,
              struct err *err) MUST_CHECK;

/* S of a generation of the kit's key: a new secret. ERR_NO_KEY: the kit is of another key. */
bool kit_secret(const struct kit *kit, const struct hash *key_id, struct secret **s,
                struct err *err) MUST_CHECK;
/* NULL: the kit knows nothing of the repository. */
const struct kit_head *kit_head_of(const struct kit *kit, const struct id *repository);

#endif
