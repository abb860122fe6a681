/* The point file: what a recovery point says of itself beside its manifest (docs/format.md section 8).
 * Made and signed by the side that seals; read by whoever lists, restores or checks. */
#ifndef SEALIFT_PIPELINE_POINT_H
#define SEALIFT_PIPELINE_POINT_H

#include "transporter/core/manifest.h"
#include "transporter/pipeline/outlet.h"
#include "transporter/pipeline/sealing.h"

/* What the point's body says beside what the engine finds out. Borrowed. */
struct backup_identity {
    struct id site, run, point, repository;
    uint32_t attempt;
    const char *job;
    const char *writer_name;
    const char *key_label; /* empty in a plaintext repository */
    const char *domain;    /* name */
    struct span unlock_section;
    struct span writer_roster;
    uint64_t head_number; /* the writer's view of the log */
    struct hash head_hash;
};

/* What a point was before it was sealed anew (docs/format.md section 8). Text is borrowed. */
struct point_origin {
    struct id point, run;
    uint8_t writer[SIGN_PK_LEN];
    const char *writer_name;
    uint64_t written_ns;
    const char *key_label; /* empty: of a plaintext repository */
};

/* What is known at the end of a run. */
struct point_draft {
    struct hash root; /* chunk id of the root node */
    struct point_counts counts;
    uint64_t started_ns;
    uint64_t written_ns; /* the writer's clock, for information only */
    enum object_kind object;
    bool crash_consistent;             /* an image that was read without a script that stilled it */
    const struct point_origin *origin; /* NULL: this is how it was backed up */
};

/* The PointFile's bytes, signed with the sealing's writer key; appended to `out`. ERR_POLICY when the point
 * is encrypted and there is no unlock section: it could never be restored by a password or KMS. */
bool point_encode(const struct backup_identity *identity, const struct sealing *sealing,
                  const struct point_draft *draft, struct buf *out, struct err *err) MUST_CHECK;

/* A point file, decoded. Everything belongs to the point. */
struct point {
    struct id site, run, point;
    struct id seal; /* of the attempt that wrote it */
    uint32_t attempt;
    const char *job;
    uint8_t writer[SIGN_PK_LEN];
    const char *writer_name;
    struct hash root; /* chunk id */
    enum cipher cipher;
    struct hash key_id; /* zero with CIPHER_NONE */
    const char *key_label;
    const char *domain;
    struct hash domain_id;
    uint64_t head_number;
    struct hash head_hash;
    uint64_t written_ns;
    uint64_t started_ns;
    struct point_counts counts;
    enum object_kind object;
    bool crash_consistent;
    struct span unlock_section; /* empty with CIPHER_NONE */
    struct span writer_roster;
    bool has_origin;
    struct point_origin origin;
    struct point_parts *parts; /* what the fields are borrowed from */
};

/* What a point that is made from this one says of its origin: that of this one, or this one itself. */
struct point_origin point_origin_of(const struct point *point);

/* Verifies the signature by the writer that the body names (whether that writer was admitted is the
 * caller's question) and that the unlock section is the one signed for. ERR_NOT_AUTHENTIC, ERR_DAMAGED,
 * ERR_VERSION, ERR_LIMIT. */
bool point_decode(struct span file, struct point **out, struct err *err) MUST_CHECK;
void point_free(struct point *point);
DEFINE_AUTO(point, struct point *, point_free)

#endif
