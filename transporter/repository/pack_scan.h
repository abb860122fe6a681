/* Reading a pack or journal from its first byte: record by record, with the running hash of what has
 * been read. One thread. */
#ifndef SEALIFT_REPOSITORY_PACK_SCAN_H
#define SEALIFT_REPOSITORY_PACK_SCAN_H

#include "transporter/repository/pack_rules.h"

struct pack_scan {
    struct hasher hasher; /* of bytes 0 to hashed */
    uint64_t hashed; /* behind pos by less than a record and a step of the hash: large steps are faster */
    const struct storage *storage;
    const char *name; /* borrowed */
    uint64_t size;
    uint64_t pos;       /* of the next record */
    uint64_t window_at; /* where the window lies in the object */
    struct buf window;
    struct buf *lent; /* whose memory the window is; NULL: its own */
};

/* Reads and checks the header as pack_header_parse does. `name` and `storage` must stay. */
bool pack_scan_open(struct pack_scan *scan, const struct storage *storage, const char *name, uint64_t size,
                    const struct pack_header *owner, struct pack_header *header, struct err *err) MUST_CHECK;
/* Without reading anything. `window`: memory to use until pack_scan_close, so that who scans many packs asks
 * for it once; or NULL. */
void pack_scan_start(struct pack_scan *scan, const struct storage *storage, const char *name, uint64_t size,
                     struct buf *window);
void pack_scan_close(struct pack_scan *scan);
DEFINE_AUTO_IN_PLACE(pack_scan, struct pack_scan, pack_scan_close)

/* The next record; borrowed until the next call. The position moves past it. ERR_TRUNCATED at the end
 * of the bytes (also when they end inside a record), ERR_DAMAGED; then the position stays. */
bool pack_scan_next(struct pack_scan *scan, struct record_view *record, struct err *err) MUST_CHECK;

/* The next `len` bytes, or all that are left, whatever they are; borrowed until the next call. The
 * position moves past them. Fails only where reading fails. */
bool pack_scan_bytes(struct pack_scan *scan, size_t len, struct span *out, struct err *err) MUST_CHECK;

/* The running hash of bytes 0 to pos. */
struct hasher pack_scan_hasher(const struct pack_scan *scan);

/* The longest prefix of a journal, or of a damaged pack, in which every record keeps the rules and
 * every frame is covered by a list. */
struct pack_prefix {
    struct pack_rules rules; /* of the prefix */
    struct hasher hasher;    /* of the prefix */
};
void pack_prefix_deinit(struct pack_prefix *prefix);
DEFINE_AUTO_IN_PLACE(pack_prefix, struct pack_prefix, pack_prefix_deinit)
/* Finding nothing is success with an empty table of contents; a system error is none. `prefix` must
 * not be in use. */
bool pack_scan_prefix(const struct storage *storage, const char *name, const struct pack_header *owner,
                      enum repository_kind kind, struct pack_prefix *prefix, struct err *err) MUST_CHECK;

#endif
