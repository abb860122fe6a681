/* The small objects of a repository (proto/stored.proto): the only place that encodes, decodes and
 * validates them. The generated structs may be read and filled in anywhere; the library's functions
 * are called here only. Decoded messages have exact lengths of ids, hashes and keys, known kinds and
 * versions, clean text and nothing unknown. Any thread. */
#ifndef SEALIFT_WIRE_STORED_H
#define SEALIFT_WIRE_STORED_H

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "common/crypto/hash.h"
#include "common/crypto/sign.h"

#include <proto/stored.pb-c.h>

#define STORED_MAX_SIGNED (4u * 1024 * 1024) /* a Signed with its payload: a log entry at most */
#define STORED_MAX_POINT (1024u * 1024)      /* a PointFile, as one message carries it */
#define STORED_MAX_UNLOCK (64u * 1024)       /* likewise */
#define STORED_MAX_PACKS 32768u              /* in one condemned or swept entry */
#define STORED_MAX_NAME 255u                 /* labels, job, writer and domain names */
#define STORED_MAX_TEXT 4096u                /* descriptions */
#define STORED_MAX_WRAPS 64u                 /* of a kind, in an unlock section */

/* Appends the encoded Signed message; the signature is over "sealift NAME v1" 00 payload. */
void stored_sign(const struct sign_pair *pair, const char *name, struct span payload, struct buf *out);
/* Verifies a Signed message against the signer that it names; whether that signer counts is the
 * caller's question. `payload` is borrowed from `bytes`. ERR_LIMIT, ERR_DAMAGED, ERR_VERSION,
 * ERR_NOT_AUTHENTIC. */
bool stored_verify(struct span bytes, const char *name, struct span *payload,
                   uint8_t signer[static SIGN_PK_LEN], struct err *err) MUST_CHECK;

/* Encoding checks the same rules as decoding, so that nothing is written that is not read back:
 * ERR_DAMAGED, ERR_LIMIT or ERR_VERSION name the field. Appended to `out`. */
bool stored_log_encode(const Sealift__LogEntry *entry, struct buf *out, struct err *err) MUST_CHECK;
bool stored_log_decode(struct span bytes, Sealift__LogEntry **out, struct err *err) MUST_CHECK;
void stored_log_free(Sealift__LogEntry *entry);
DEFINE_AUTO(stored_log, Sealift__LogEntry *, stored_log_free)

bool stored_body_encode(const Sealift__PointBody *body, struct buf *out, struct err *err) MUST_CHECK;
bool stored_body_decode(struct span bytes, Sealift__PointBody **out, struct err *err) MUST_CHECK;
void stored_body_free(Sealift__PointBody *body);
DEFINE_AUTO(stored_body, Sealift__PointBody *, stored_body_free)

bool stored_point_encode(const Sealift__PointFile *file, struct buf *out, struct err *err) MUST_CHECK;
bool stored_point_decode(struct span bytes, Sealift__PointFile **out, struct err *err) MUST_CHECK;
void stored_point_free(Sealift__PointFile *file);
DEFINE_AUTO(stored_point, Sealift__PointFile *, stored_point_free)

/* A section whose salt is missing decodes: that answer belongs to who unlocks (ERR_SALT_MISSING). */
bool stored_unlock_encode(const Sealift__UnlockSection *unlock, struct buf *out, struct err *err) MUST_CHECK;
bool stored_unlock_decode(struct span bytes, Sealift__UnlockSection **out, struct err *err) MUST_CHECK;
void stored_unlock_free(Sealift__UnlockSection *unlock);
DEFINE_AUTO(stored_unlock, Sealift__UnlockSection *, stored_unlock_free)

/* Does the section say that its key is this one, or came out of it by rotation? */
bool stored_unlock_covers(const Sealift__UnlockSection *unlock, const struct hash *key_id);

/* A wrap by itself, as a transporter answers with it. */
bool stored_kms_encode(const Sealift__KmsWrap *wrap, struct buf *out, struct err *err) MUST_CHECK;
bool stored_kms_decode(struct span bytes, Sealift__KmsWrap **out, struct err *err) MUST_CHECK;
void stored_kms_free(Sealift__KmsWrap *wrap);
DEFINE_AUTO(stored_kms, Sealift__KmsWrap *, stored_kms_free)

/* Opens the body of a point file: the signature (NAME point), that the signer is the writer that the
 * body names, and that the unlock section is the one that the body names, and of its key. ERR_NOT_AUTHENTIC,
 * ERR_DAMAGED, ERR_VERSION, ERR_LIMIT. */
bool stored_point_open(const Sealift__PointFile *file, Sealift__PointBody **out, struct err *err) MUST_CHECK;

/* Fields of bytes, both ways. Borrowed: the message must not outlive the bytes. */
static inline ProtobufCBinaryData stored_bytes(struct span bytes)
{
    union {
        const uint8_t *from;
        uint8_t *to;
    } data = {.from = bytes.data};
    return (ProtobufCBinaryData){.len = bytes.len, .data = data.to};
}
static inline struct span stored_span(const ProtobufCBinaryData *bytes)
{
    return span_of(bytes->data, bytes->len);
}
/* A text or message that is lent to a message: generated types lack the const, encoding does not write. */
static inline void *stored_lent(const void *borrowed)
{
    union {
        const void *from;
        void *to;
    } pointer = {.from = borrowed};
    return pointer.to;
}
/* of a field whose length has been validated; zeros if it is empty */
struct id stored_id(const ProtobufCBinaryData *bytes);
struct hash stored_hash(const ProtobufCBinaryData *bytes);

#endif
