/* The messages of KMIP 1.4 (OASIS KMIP Specification 1.4) that wrapping a key needs, one request each: made,
 * and the answers read. Pure; any thread. What a request says or an answer holds may be a secret: who owns
 * the bytes reserves room for them at once and wipes it.
 *
 * Answers are hostile: ERR_PROTOCOL for bytes that are no answer to the request; for what the server itself
 * says ERR_NOT_FOUND (no such key), ERR_POLICY (refused) or ERR_FAILED, with its words. */
#ifndef SEALIFT_KMS_KMIP_H
#define SEALIFT_KMS_KMIP_H

#include "transporter/kms/ttlv.h"

enum {
    KMIP_RESPONSE_MESSAGE = 0x42007b, /* the tag that an answer begins with */
    KMIP_IV_LEN = 12,
    KMIP_TAG_LEN = 16,
    KMIP_REQUEST_MAX = 4096,
};

/* AES-GCM; the parts are borrowed. */
struct kmip_sealed {
    struct span iv, data, tag;
};

/* Requests, appended. `key`: the unique identifier. */
void kmip_encrypt(const char *key, struct span iv, struct span associated, struct span plain,
                  struct buf *out);
void kmip_decrypt(const char *key, const struct kmip_sealed *sealed, struct span associated, struct buf *out);
void kmip_get(const char *key, struct buf *out);
void kmip_query(struct buf *out);
void kmip_discover_versions(struct buf *out);

/* Answers. An answer about another key than `key`, or with other lengths than asked for, is none. Results are
 * borrowed from the bytes. */
bool kmip_encrypted(struct span answer, const char *key, size_t plain_len, struct kmip_sealed *out,
                    struct err *err) MUST_CHECK;
bool kmip_decrypted(struct span answer, const char *key, struct span *plain, struct err *err) MUST_CHECK;
/* The raw bytes of a symmetric key. */
bool kmip_got(struct span answer, const char *key, struct span *material, struct err *err) MUST_CHECK;

struct kmip_abilities {
    bool encrypt, decrypt, get;
};
bool kmip_queried(struct span answer, struct kmip_abilities *out, struct err *err) MUST_CHECK;
/* ERR_VERSION: the server does not speak 1.4. */
bool kmip_versions(struct span answer, struct err *err) MUST_CHECK;

#endif
