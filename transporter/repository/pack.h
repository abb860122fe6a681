/* Packs as bytes (docs/format.md section 6): header, the table of contents that stands in the trailer,
 * and the scan that finds again what a journal or a damaged pack holds. */
#ifndef SEALIFT_REPOSITORY_PACK_H
#define SEALIFT_REPOSITORY_PACK_H

#include "common/base/bytes.h"
#include "common/base/err.h"
#include "common/crypto/record.h"
#include "common/crypto/seal_list.h"
#include "transporter/repository/storage.h"

#define PACK_HEADER_LEN 64
#define PACK_FOOTER_LEN 16
#define PACK_ENTRY_LEN 48
#define PACK_CLOSE_BYTES (32u * 1024 * 1024) /* a pack that has these is closed at its next list */
#define PACK_MAX_BYTES (64u * 1024 * 1024)   /* without trailer and footer */
#define PACK_MAX_RECORDS 131072u             /* so that the trailer is a record like others */
#define PACK_MAX_ENVELOPES 16384u
#define PACK_NAME_LEN 74 /* "packs/ab/", 64 digits, NUL */

void pack_name(const struct hash *hash, char out[static PACK_NAME_LEN]);
bool pack_parse_name(const char *name, struct hash *out);

/* Whose pack it is. */
struct pack_header {
    enum pack_class class_;
    struct id site;
    struct id repository;
};
void pack_header_encode(const struct pack_header *header, uint8_t out[static PACK_HEADER_LEN]);
/* ERR_VERSION, ERR_DAMAGED; ERR_NOT_AUTHENTIC if it is of another site or repository than `owner`
 * (class not compared; NULL: anybody's) */
bool pack_header_parse(struct span bytes, const struct pack_header *owner, struct pack_header *out,
                       struct err *err) MUST_CHECK;

/* One record of a pack. */
struct pack_entry {
    enum record_kind kind;
    enum frame_type type; /* of a frame */
    uint32_t envelope;    /* of a frame: its seal's envelope, counted from 1 in this pack; 0: none */
    uint32_t len;         /* of the payload */
    uint32_t offset;      /* of the payload */
    struct hash id;       /* chunk id; seal id and zeros; list number (8) and seal id and zeros */
};

/* The table of contents, in the order of the records. */
struct pack_toc {
    struct pack_entry *entries;
    size_t count, cap;
    uint32_t envelopes; /* number of envelopes among them */
    uint32_t frames;
    uint64_t end; /* where the next record would start */
};
void pack_toc_init(struct pack_toc *toc);
void pack_toc_deinit(struct pack_toc *toc);
DEFINE_AUTO_IN_PLACE(pack_toc, struct pack_toc, pack_toc_deinit)
/* Adds the record that follows. `envelope` is for frames. */
void pack_toc_add(struct pack_toc *toc, const struct pack_entry *entry);
/* Forgets all but the first `count` entries. */
void pack_toc_cut(struct pack_toc *toc, size_t count);
/* Trailer record and footer, appended to `out`. */
void pack_toc_encode(const struct pack_toc *toc, struct buf *out);

/* Reads footer, trailer and header of a published pack. The entries follow each other without gaps
 * from the header to the trailer. ERR_TRUNCATED, ERR_DAMAGED, ERR_VERSION, ERR_NOT_AUTHENTIC. */
bool pack_toc_read(const struct storage *storage, const char *name, uint64_t size,
                   const struct pack_header *owner, struct pack_header *header, struct pack_toc *out,
                   struct err *err) MUST_CHECK;
/* The same without the header, and of a pack of anybody's. */
bool pack_toc_read_tail(const struct storage *storage, const char *name, uint64_t size, struct pack_toc *out,
                        struct err *err) MUST_CHECK;
/* The same of the pack's last bytes: the trailer record and the footer. */
bool pack_toc_parse(struct span tail, uint64_t size, struct pack_toc *out, struct err *err) MUST_CHECK;

struct id pack_entry_seal(const struct pack_entry *entry);
uint64_t pack_entry_number(const struct pack_entry *entry);

#endif
