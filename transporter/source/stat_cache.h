/* What the last committed run of a job knew (LMDB in local state, one directory per repository, dedup
 * domain and job): per directory the stat keys and encoded entries of its children, and per small file
 * content the bundle it lies in. Changes of a run are staged in a flat file and become current only by
 * stat_cache_apply, after the commit receipt; a crash leaves the old state or a prefix of true records.
 * The database is not synced while it is open: after a crash of the machine it is emptied, told by the
 * kernel's boot id. It is expendable: losing it costs a re-read. One process at a time.
 *
 * Look-ups come from any thread. Records are filled by one thread, contents staged by any. apply, reset and
 * close must be alone. */
#ifndef SEALIFT_SOURCE_STAT_CACHE_H
#define SEALIFT_SOURCE_STAT_CACHE_H

#include "transporter/source/walk.h"

enum cache_found {
    CACHE_KEPT,
    CACHE_NEW,     /* there was none */
    CACHE_REBOUND, /* it was of another binding, and is empty now */
    CACHE_LOST,    /* it could not be trusted or read, and is empty now */
};

/* `binding` is everything the cache is good for (repository id, domain id, job …), hashed. The directory is
 * made if absent. ERR_BUSY while another process has it. */
bool stat_cache_open(const char *dir, const struct hash *binding, struct stat_cache **out,
                     enum cache_found *found, struct err *err) MUST_CHECK;
void stat_cache_close(struct stat_cache *cache);
DEFINE_AUTO(stat_cache, struct stat_cache *, stat_cache_close)

/* The record of a directory: children in name order, read with a cursor that merges against a listing. */
struct stat_cache_dir;
struct stat_cache_dir *stat_cache_dir_get(struct stat_cache *cache, struct span dir_path); /* NULL: none */
void stat_cache_dir_free(struct stat_cache_dir *dir);
DEFINE_AUTO(stat_cache_dir, struct stat_cache_dir *, stat_cache_dir_free)
/* Names must be asked in ascending order. The encoded entry if name and key match, else an empty span.
 * Good until apply, reset or close. */
struct span stat_cache_dir_find(struct stat_cache_dir *dir, struct span name, const struct stat_key *key);
/* Right after stat_cache_dir_find: the encoded entry of this name, whatever its key; empty: none. */
struct span stat_cache_dir_named(const struct stat_cache_dir *dir, struct span name);

/* Where a content lies: one reference into a bundle. Told only if the last applied run used it, in a
 * record or new: what only earlier runs used may have been pruned. */
bool stat_cache_content(struct stat_cache *cache, const struct hash *file_hash, struct ref *out);
/* The same of an encoded entry that the cache gave, if it is of that content: costs no look-up. */
bool stat_cache_entry_content(struct span encoded, const struct hash *file_hash, struct ref *out);

/* Whether an encoded entry that the cache gave is of a file that should be read and stored anew all the same:
 * the bundle that it lies in was less than half in use by the last applied run, and would otherwise be kept
 * whole for ever. stat_cache_content tells nothing of such bundles. */
bool stat_cache_wants_anew(const struct stat_cache *cache, struct span encoded);

/* Staging a directory's record: begun, given its children in name order, and ended. What is as it was costs
 * no writing. Memory: one part of at most 64 KiB and one entry, whatever the size of the directory.
 * A key is given of those alone that the walk calls cacheable and that were read without change. Files are
 * added without one too: they are read again, but what their contents lie in counts as in use, so that the
 * contents are found and not stored again.
 * The record of a subdirectory is begun and ended within that of its directory, where its name is due,
 * whether or not it is added there itself: what is known of everything below a subdirectory whose record
 * is not begun is dropped, as of one that is gone. */
struct stat_cache_record;
struct stat_cache_record *stat_cache_record_new(struct stat_cache *cache, struct span dir_path);
/* without stat_cache_record_end: the directory's record stays, or is partly renewed with true children */
void stat_cache_record_free(struct stat_cache_record *record);
DEFINE_AUTO(stat_cache_record, struct stat_cache_record *, stat_cache_record_free)
/* key: NULL if what has it later is not to be believed unchanged. */
bool stat_cache_record_add(struct stat_cache_record *record, struct span name, const struct stat_key *key,
                           struct span encoded, struct err *err) MUST_CHECK;
bool stat_cache_record_end(struct stat_cache_record *record, struct err *err) MUST_CHECK;

bool stat_cache_stage_content(struct stat_cache *cache, const struct hash *file_hash, const struct ref *ref,
                              struct err *err) MUST_CHECK;
/* After the commit receipt: makes the staged changes current. */
bool stat_cache_apply(struct stat_cache *cache, struct err *err) MUST_CHECK;
/* Empties the cache, and what is staged: for when the repository misses what the cache
 * refers to. */
bool stat_cache_reset(struct stat_cache *cache, struct err *err) MUST_CHECK;

#endif
