/* A key, or a new generation of one, on its way: where S comes from, and the unlock section around it. */
#ifndef SEALIFT_CLI_KEY_DRAFT_H
#define SEALIFT_CLI_KEY_DRAFT_H

#include "common/crypto/password.h"
#include "director/cli/keys.h"
#include "director/cli/new_password.h"

struct key_draft {
    const char *label, *description;
    const char *shared_domain; /* "d:NAME", or "" */
    Sealift__KeyOrigin origin;
    uint8_t salt[PASSWORD_SALT_LEN];
    struct secret *s;
    const struct hash *earlier; /* key ids of the generations before, the latest first; borrowed */
    size_t earlier_count;
    Sealift__KmsWrap **kms; /* wraps of S; borrowed */
    size_t kms_count;
};
void key_draft_deinit(struct key_draft *draft);
DEFINE_AUTO_IN_PLACE(key_draft, struct key_draft, key_draft_deinit)

#define KEY_DRAFT_OPTIONS                                                                                    \
    {"password", NULL, "derive it from a password that you are asked for"},                                  \
        {"from-file", "FILE", "take it from FILE: 32 bytes, or base64 of them"},                             \
    {                                                                                                        \
        "generate", NULL, "make a random one"                                                                \
    }

/* How many of the ways to make S were said. */
int key_draft_ways(const struct args *args);
/* Makes S as was said: asks for the password, reads the file, or takes random bytes. The draft has its label.
 */
bool key_draft_secret(const struct args *args, struct key_draft *draft, struct err *err) MUST_CHECK;
/* The unlock section around the half, as bytes and decoded, and its hash. */
bool key_draft_section(const struct key_draft *draft, const struct read_half *half, struct key_entry *key,
                       struct err *err) MUST_CHECK;

#endif
