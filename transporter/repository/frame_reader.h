/* Reading many frames: where they lie, in pack order, neighbours in one read, the next run announced
 * to the storage, every record verified, the next location tried when one is bad. What fetching
 * and the closure check of a commit have in common. One thread a reading. */
#ifndef SEALIFT_REPOSITORY_FRAME_READER_H
#define SEALIFT_REPOSITORY_FRAME_READER_H

#include "common/crypto/frame.h"
#include "transporter/repository/inside.h"

/* A frame that was read and found good; borrowed for the call. */
struct frame_read {
    const struct hash *id;
    struct index_location at;
    const struct index_pack *pack;
    struct span bytes;
    struct span record; /* the same, with the record's header before it */
    struct frame_view view;
    struct hash hash; /* of the bytes: what its list names; zeros if they were not hashed */
};

enum frame_check {
    FRAME_HASHED,  /* a record's check must fit its bytes */
    FRAME_ONLY_ONE /* so too, but for a frame that lies in one place only: of that its lengths, kind and id */
};

struct frame_reader {
    struct repository *repository;
    uint32_t domain; /* as in index_locate */
    enum index_use use;
    enum frame_check check;
    unsigned skip; /* places of each id that are not tried */
    /* false with *err set ends the reading */
    bool (*frame)(void *arg, const struct frame_read *frame, struct err *err);
    /* no location is left; `why` is of the last one tried */
    bool (*missing)(void *arg, const struct hash *id, const struct err *why, struct err *err);
    /* NULL, or: all frames of one pack that were asked for have been told */
    bool (*pack_done)(void *arg, const struct index_pack *pack, struct err *err);
    /* NULL, or asked before a frame is told: false refuses it for the reason in *why, as if it were bad */
    bool (*usable)(void *arg, const struct frame_read *frame, struct err *why);
    void *arg;
};

bool frame_reader_run(const struct frame_reader *reader, const struct hash *ids, size_t count,
                      struct err *err) MUST_CHECK;

/* Reads one record and verifies it: kind, length and check; appended to `out`. */
bool frame_reader_record(struct repository *repository, const struct index_pack *pack, enum record_kind kind,
                         uint32_t offset, uint32_t len, struct buf *out, struct err *err) MUST_CHECK;
/* A verified envelope of the seal, from this pack or else from any other; appended to `out`. */
bool frame_reader_envelope(struct repository *repository, const struct index_pack *pack,
                           const struct id *seal, struct buf *out, struct err *err) MUST_CHECK;

#endif
