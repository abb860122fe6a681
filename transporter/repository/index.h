/* The chunk index: which frame lies where, in LMDB in the transporter's local state. It is a cache of
 * the repository: whoever deletes it loses time only. Writes are not synced one by one; a marker file
 * says whether the index survived (closed in order, or the machine has not restarted since), and an
 * index that may not have is thrown away unread. Any thread. */
#ifndef SEALIFT_REPOSITORY_INDEX_H
#define SEALIFT_REPOSITORY_INDEX_H

#include "common/crypto/hash.h"
#include "transporter/repository/chain.h"
#include "transporter/repository/pack.h"

struct index;

/* dir: NULL for an index that lives in a temporary directory and vanishes when closed. */
bool index_open(const char *dir, struct index **out, struct err *err) MUST_CHECK;
/* Removes what index_open would find: nobody may have it open. What a kill leaves of it is not believed. */
bool index_drop(const char *dir, struct err *err) MUST_CHECK;
/* Syncs and marks the index as closed in order. */
void index_close(struct index *index);
DEFINE_AUTO(index, struct index *, index_close)
/* Why it begins empty and is built from the packs, in words; NULL: it was there and is believed, or is only a
 * temporary one. */
const char *index_anew(const struct index *index);
/* The same, for what whoever opened it found. */
void index_distrust(struct index *index, const char *why);
/* Whether it turned out not to be what was written: closed and opened again it is empty. */
bool index_is_spoiled(struct index *index);
void index_spoil(struct index *index);
/* Empties everything. */
bool index_reset(struct index *index, struct err *err) MUST_CHECK;

/* The log position that the index matches; number 0 in an empty one. */
bool index_chain(struct index *index, struct chain *out, struct err *err) MUST_CHECK;
bool index_set_chain(struct index *index, const struct chain *chain, struct err *err) MUST_CHECK;

/* Whether it knows by its name each pack that points need and that is gone: it has been there since the
 * repository began, or a check of all points found nothing since it was built. Else what it says nothing of
 * may be lost all the same. */
bool index_is_proven(struct index *index);
bool index_set_proven(struct index *index, struct err *err) MUST_CHECK;

/* --- packs --- */

enum index_state {
    INDEX_OPEN = 1,  /* a journal of a live session, or a pack that is just being added */
    INDEX_PACK,      /* published */
    INDEX_STRAY,     /* a dead session's journal that could not be published: readable, no more */
    INDEX_CONDEMNED, /* to be swept: readable, but nothing new may rely on it */
    INDEX_LOST,      /* gone or cut: its name is kept so that a check can tell what is missing */
    INDEX_SWEPT,     /* as the log says; what is left to be done is to remove its file */
    INDEX_DAMAGED /* published; a check found in it what was not written: readable as far as it is good, but
                     nothing new may rely on it */
};

struct index_pack {
    uint32_t no; /* never used again */
    enum index_state state;
    enum pack_class class_;
    uint64_t size;
    uint64_t frames;
    struct hash name;  /* when published */
    struct id session; /* of a journal */
    uint32_t journal;
};

/* Adds a pack under the next free number, which is put into pack->no. */
bool index_pack_add(struct index *index, struct index_pack *pack, struct err *err) MUST_CHECK;
/* Replaces the record of pack->no. Once a pack is condemned, lost or swept, no node counts as closed. */
bool index_pack_set(struct index *index, const struct index_pack *pack, struct err *err) MUST_CHECK;
bool index_pack_drop(struct index *index, uint32_t no, struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND */
bool index_pack_get(struct index *index, uint32_t no, struct index_pack *out, struct err *err) MUST_CHECK;
bool index_pack_find(struct index *index, const struct hash *name, struct index_pack *out,
                     struct err *err) MUST_CHECK;
/* The published (or lost) pack with the lowest name of at least `from`; ERR_NOT_FOUND at the end. */
bool index_pack_by_name(struct index *index, const struct hash *from, struct index_pack *out,
                        struct err *err) MUST_CHECK;
/* The first pack with a number of at least `no`; ERR_NOT_FOUND at the end. */
bool index_pack_from(struct index *index, uint32_t no, struct index_pack *out, struct err *err) MUST_CHECK;

/* Whether any pack is in this state: at hand, so that nobody goes through all of them to find none. */
bool index_has_packs(struct index *index, enum index_state state);

/* The number that the next pack will get: those that are there now have lower ones. */
bool index_next_pack(struct index *index, uint32_t *no, struct err *err) MUST_CHECK;

struct index_totals {
    uint64_t packs, bytes, frames; /* of published packs */
    uint64_t bad;                  /* packs that are damaged or lost */
    uint64_t in_state[INDEX_DAMAGED + 1];
};
void index_totals(struct index *index, struct index_totals *out);

/* --- what lies in packs --- */

/* A dedup domain's number in this index: 0 is the plaintext domain. */
bool index_domain(struct index *index, const struct hash *domain, uint32_t *no, struct err *err) MUST_CHECK;

/* Adds frames, envelopes and lists of a pack. domains[i] is the domain of the pack's envelope number i
 * (domains[0] = 0 for frames without a seal); `envelopes` of them stand before the first entry. */
bool index_add(struct index *index, uint32_t pack, const struct pack_entry *entries, size_t count,
               const uint32_t *domains, uint32_t envelopes, struct err *err) MUST_CHECK;

/* Forgets what index_add was told of a pack. The pack itself must be dropped or swept. */
bool index_forget(struct index *index, uint32_t pack, const struct pack_entry *entries, size_t count,
                  struct err *err) MUST_CHECK;

/* The same of every pack with gone[no], for numbers below `count`, where nobody knows the entries: goes
 * through the whole index. */
bool index_forget_packs(struct index *index, const bool *gone, uint32_t count, struct err *err) MUST_CHECK;

struct index_location {
    uint32_t pack;
    uint32_t offset; /* of the payload */
    uint32_t len;
    uint32_t domain;
    enum frame_type type;
    enum index_state state; /* of the pack */
};

/* A consistent view for a batch of questions. Short-lived, and closed before the same thread changes
 * the index: who must grow the map waits for every view. One thread. */
struct index_view;
bool index_view_open(struct index *index, struct index_view **out, struct err *err) MUST_CHECK;
void index_view_close(struct index_view *view);
DEFINE_AUTO(index_view, struct index_view *, index_view_close)

#define INDEX_ANY_DOMAIN UINT32_MAX
#define INDEX_MAX_LOCATIONS 16

enum index_use {
    INDEX_FOR_READING, /* also in condemned packs */
    INDEX_FOR_KEEPING, /* where a new point may rely on it */
    INDEX_FOR_PINNED,  /* the same, for who was there before packs were condemned: in these too */
    INDEX_FOR_TRACING  /* also where it was and is lost */
};
/* Locations of a frame in packs and journals that are there: published ones first, of those the oldest, so
 * that nobody gets before what is there by adding more. The first INDEX_MAX_LOCATIONS of them; returns their
 * number. */
size_t index_locate(struct index_view *view, const struct hash *id, uint32_t domain, enum index_use use,
                    struct index_location out[static INDEX_MAX_LOCATIONS]);
/* The nth of them in this order, from 0, however many there are. ERR_NOT_FOUND: there are not so many. */
bool index_locate_nth(struct index_view *view, const struct hash *id, uint32_t domain, enum index_use use,
                      size_t nth, struct index_location *out, struct err *err) MUST_CHECK;
/* Whether there is any. Stops at the first, however many copies somebody has put in. */
bool index_has(struct index_view *view, const struct hash *id, uint32_t domain, enum index_use use);
/* One of them that is of this type: a published one, or, where there is none, the first in a journal; false:
 * there is none. Stops at the first published one. */
bool index_locate_type(struct index_view *view, const struct hash *id, uint32_t domain, enum index_use use,
                       enum frame_type type, struct index_location *out);
/* All of them, in no order: appended to `out`, a struct index_location each. For who must not pass over one:
 * whoever writes in a domain may put any number of others before it. */
bool index_locate_all(struct index_view *view, const struct hash *id, uint32_t domain, enum index_use use,
                      struct buf *out, struct err *err) MUST_CHECK;
/* The same in parts, so that neither memory nor the life of one view grows with what somebody has put in: how
 * far this has come. {0}: the start. */
struct index_part {
    uint8_t after[16];
    bool begun, ended;
};
#define INDEX_PART_MOST 256
/* The next of them: goes through INDEX_PART_MOST copies of the id at most, of any domain, wherever they lie.
 * Between two calls the index may change: what is there all the time is told once. */
bool index_locate_part(struct index_view *view, const struct hash *id, uint32_t domain, enum index_use use,
                       struct index_part *part, struct buf *out, struct err *err) MUST_CHECK;
/* Every frame of every pack, with the first 16 bytes of its id, in no order; one that is added meanwhile may
 * be left out. The location's state is not set. */
typedef void index_chunk_fn(void *arg, const uint8_t *id, const struct index_location *location);
bool index_each_chunk(struct index *index, index_chunk_fn *each, void *arg, struct err *err) MUST_CHECK;

/* The envelope of a seal within one pack: its offset. false: not there. */
bool index_envelope(struct index_view *view, const struct id *seal, uint32_t pack, uint32_t *offset);
/* The nth envelope of the seal in any pack that is there, from 0. */
bool index_nth_envelope(struct index_view *view, const struct id *seal, size_t nth,
                        struct index_location *out);
bool index_view_pack(struct index_view *view, uint32_t no, struct index_pack *out);
/* The seal with the next higher id of which the index knows an envelope, perhaps in a pack that is gone;
 * false: there is none. */
bool index_next_seal(struct index_view *view, struct id *seal);
/* The highest number n such that lists 1 to n of the seal are in packs that are there. */
uint64_t index_lists(struct index_view *view, const struct id *seal);

/* Nodes whose whole subtree was there at a commit. */
bool index_is_closed(struct index_view *view, const struct hash *node, uint32_t domain);
bool index_add_closed(struct index *index, const struct hash *nodes, size_t count, uint32_t domain,
                      struct err *err) MUST_CHECK;

/* --- points, as the log lists them --- */

bool index_point_put(struct index *index, const struct repository_point *point, struct err *err) MUST_CHECK;
/* INDEX_VOID: removed, and a sweep has taken what only it used: it cannot come back. */
enum index_mark { INDEX_THERE, INDEX_REMOVED, INDEX_VOID };
bool index_point_mark(struct index *index, const struct id *point, enum index_mark mark,
                      struct err *err) MUST_CHECK;
bool index_point_hold(struct index *index, const struct id *point, enum repository_hold hold,
                      struct err *err) MUST_CHECK;
/* Makes every removed point void. */
bool index_points_void(struct index *index, struct err *err) MUST_CHECK;
/* ERR_NOT_FOUND; removed points are found too. */
bool index_point_find(struct index *index, const struct id *point, struct repository_point *out,
                      enum index_mark *mark, struct err *err) MUST_CHECK;
/* The first point that is there with a log number of at least `number`; ERR_NOT_FOUND at the end. */
bool index_point_from(struct index *index, uint64_t number, struct repository_point *out,
                      struct err *err) MUST_CHECK;
bool index_point_count(struct index *index, uint64_t *out, struct err *err) MUST_CHECK;

#endif
