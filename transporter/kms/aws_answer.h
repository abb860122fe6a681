/* The requests and answers of AWS KMS that wrapping a key needs (AWS Key Management Service API Reference,
 * JSON 1.1): made, and read. Pure; any thread. A request may say S: who owns the bytes reserves
 * AWS_REQUEST_MAX at once and wipes them.
 *
 * Answers are hostile: ERR_PROTOCOL for what is none. */
#ifndef SEALIFT_KMS_AWS_ANSWER_H
#define SEALIFT_KMS_AWS_ANSWER_H

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "common/base/secret.h"

enum {
    AWS_KEY_MAX = 2048,  /* of a master key's id, ARN or alias */
    AWS_BLOB_MAX = 6144, /* bytes of what Encrypt makes */
    AWS_REQUEST_MAX = 16 * 1024,
};

/* Whether it can be the name of a master key: letters, digits and ":/_-". */
bool aws_key_ok(struct span key);

/* The name to ask for in `region`: of a multi-Region key in another one its replica there, else the name
 * itself. Returned memory is the caller's. */
char *aws_key_in_region(const char *key, const char *region);

/* Requests, appended. `context`: what is bound to the wrap, which Decrypt must be given again. */
void aws_ask_encrypt(const char *key, struct span plain, struct span context, struct buf *out);
void aws_ask_decrypt(const char *key, struct span blob, struct span context, struct buf *out);
void aws_ask_describe(const char *key, struct buf *out);

/* The ARN of the master key that did it, and the wrapped bytes, appended. */
bool aws_encrypted(struct span answer, char key[static AWS_KEY_MAX + 1], struct buf *blob,
                   struct err *err) MUST_CHECK;
/* By the master key that was asked for. */
bool aws_decrypted(struct span answer, const char *key, struct secret **plain, struct err *err) MUST_CHECK;
/* The ARN. ERR_POLICY: the key is disabled, or about to be deleted; ERR_CONFIG: it is not for encrypting. */
bool aws_described(struct span answer, char key[static AWS_KEY_MAX + 1], struct err *err) MUST_CHECK;

enum aws_again {
    AWS_FINAL,     /* asking again changes nothing */
    AWS_ASK_AGAIN, /* it is throttling, or fails for now */
};

/* Why an answer that is not of HTTP status 200 refuses; what the server says of it is shown, unless it says
 * `hidden` (NULL: nothing is). Sets err: ERR_NOT_FOUND (no such master key), ERR_POLICY (disabled, about to
 * be deleted, or we may not), ERR_WRONG_KEY, ERR_DAMAGED (the wrap), ERR_CONFIG (the entry), ERR_UNREACHABLE
 * (for now), ERR_FAILED, ERR_PROTOCOL. */
enum aws_again aws_refused(long status, struct span answer, const char *hidden, struct err *err);

#endif
