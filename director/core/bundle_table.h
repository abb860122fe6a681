/* What a bundle of a director's state holds, as its content begins (docs/format.md section 13): names and
 * sizes of files, whose bytes follow in this order. Pure. */
#ifndef SEALIFT_DIRECTOR_BUNDLE_TABLE_H
#define SEALIFT_DIRECTOR_BUNDLE_TABLE_H

#include "common/base/bytes.h"
#include "common/base/err.h"

/* In this order. The configuration may be absent. */
enum bundle_member { BUNDLE_KEY, BUNDLE_CONF, BUNDLE_CATALOG, BUNDLE_MEMBERS };
/* "director.key", "director.conf", "catalog.sqlite" */
const char *bundle_member_name(enum bundle_member member);

#define BUNDLE_TABLE_MAX 256

/* The file beside them that tells a director that its state was brought back from a copy: one line, the
 * nanoseconds since 1970 when the copy was made. */
#define RESTORED_FILE "restored"

struct bundle_table {
    uint64_t sizes[BUNDLE_MEMBERS]; /* 0: it is not there */
};

void bundle_table_encode(const struct bundle_table *table, struct buf *out);
/* From the content's beginning, of which `front` holds BUNDLE_TABLE_MAX bytes or all; *used is the table's
 * own length. `content_len` must be what the table says. ERR_DAMAGED. */
bool bundle_table_decode(struct span front, uint64_t content_len, struct bundle_table *out, size_t *used,
                         struct err *err) MUST_CHECK;

#endif
