/* Entries of a manifest and the references to their contents, as bytes (docs/format.md section 9).
 * Pure: no I/O. Decoders validate everything they read: ERR_TRUNCATED when bytes are missing,
 * ERR_DAMAGED when they break a rule. Any thread. */
#ifndef SEALIFT_TCORE_ENTRY_H
#define SEALIFT_TCORE_ENTRY_H

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "common/crypto/hash.h"

#define ENTRY_FIXED_LEN 80
#define ENTRY_MAX_LEN (1024u * 1024)
#define REF_LEN 48
#define REF_DATA_MAX (4u * 1024 * 1024) /* the longest data chunk */
#define REFS_INLINE_MAX 1000u           /* more go into refs nodes */

enum ref_kind { REF_DATA = 0, REF_HOLE = 1, REF_NODE = 2 };

struct ref {
    struct hash content; /* H of the chunk or refs node; zero for a hole */
    uint64_t length;
    uint32_t offset; /* within the chunk */
    enum ref_kind kind;
};
void ref_encode(const struct ref *ref, struct buf *out);
/* Lengths are above zero; bytes of a data chunk lie within the largest chunk. */
bool ref_decode(struct reader *reader, struct ref *out, struct err *err) MUST_CHECK;

enum entry_type {
    ENTRY_DIRECTORY = 1,
    ENTRY_FILE = 2,
    ENTRY_SYMLINK = 3,
    ENTRY_FIFO = 4,
    ENTRY_CHAR_DEVICE = 5,
    ENTRY_BLOCK_DEVICE = 6,
    ENTRY_HARD_LINK = 7,
};
enum entry_flags { ENTRY_INEXACT = 1, ENTRY_REFS_IN_NODES = 2 };

/* All spans are borrowed. `xattrs` and `refs` are in their encoded form. */
struct entry {
    enum entry_type type;
    uint8_t flags; /* enum entry_flags */
    uint16_t depth;
    uint32_t mode; /* 07777 */
    uint32_t uid;
    uint32_t gid;
    int64_t mtime_ns;
    uint64_t size; /* ENTRY_FILE */
    uint32_t device_major, device_minor;
    struct span name;
    struct span target; /* symlink text; path of the first name of a hard link */
    struct span owner;  /* names; empty where the system knows none */
    struct span group;
    uint16_t xattr_count;
    struct span xattrs;
    struct hash file_hash;
    uint32_t ref_count;
    struct span refs;
};
/* How many bytes it takes. */
uint64_t entry_len(const struct entry *entry);
/* Appends. ERR_LIMIT names the entry when a part is too long for its field or all of it for
 * ENTRY_MAX_LEN. What the parts say is checked when the entry is decoded, as manifest_add does. */
bool entry_encode(const struct entry *entry, struct buf *out, struct err *err) MUST_CHECK;
/* Decodes one entry at the reader: lengths, the rules of its type, names (no '/', NUL, ".", ".."),
 * the sum of references against the size. */
bool entry_decode(struct reader *reader, struct entry *out, struct err *err) MUST_CHECK;

/* Extended attributes, one after the other in strictly ascending order of names. `name` has 1 to 255
 * bytes; before it and the value stand XATTR_HEAD_LEN bytes. xattr_next reads a decoded entry's; false when
 * none is left. */
#define XATTR_HEAD_LEN 5u
void xattr_encode(struct span name, struct span value, struct buf *out);
bool xattr_next(struct reader *xattrs, struct span *name, struct span *value);

#endif
