/* What the last committed run of a job knew (LMDB in local state, one directory per repository, dedup
 * domain and job): per directory the stat keys and encoded entries of its children, and per small file content
 * the bundle it lies in. Changes of a run are staged in a flat file and become current only by
 * stat_cache_apply, after the commit receipt; a crash leaves the old state or a prefix of true records.
 * Look-ups from any thread; staging calls from one thread at a time per function. */
#ifndef SEALIFT_SOURCE_STAT_CACHE_H
#define SEALIFT_SOURCE_STAT_CACHE_H

#include "transporter/source/walk.h"

/* `binding` is everything the cache is good for (repository id, domain id, root key …), hashed: a cache of
 * another binding is emptied on opening. An unreadable cache is emptied too; *fresh tells. */
bool stat_cache_open(const char *dir, const struct hash *binding, struct stat_cache **out, bool *fresh,
                     struct err *err) MUST_CHECK;
void stat_cache_close(struct stat_cache *cache);
DEFINE_AUTO(stat_cache, struct stat_cache *, stat_cache_close)

/* The record of a directory: children in name order, read with a cursor that merges against a listing. */
struct stat_cache_dir; /* a snapshot; owned by the caller */
struct stat_cache_dir *stat_cache_dir_get(struct stat_cache *cache, struct span dir_path); /* NULL: none */
void stat_cache_dir_free(struct stat_cache_dir *dir);
DEFINE_AUTO(stat_cache_dir, struct stat_cache_dir *, stat_cache_dir_free)
/* Names must be asked in ascending order. The encoded entry if name and key match, else an empty span. */
struct span stat_cache_dir_find(struct stat_cache_dir *dir, struct span name, const struct stat_key *key);

/* Where a content lies: one reference into a bundle. */
bool stat_cache_content(struct stat_cache *cache, const struct hash *file_hash, struct ref *out);

/* Staging. A directory's record is begun, given its children in name order, and ended; nothing is
 * written for a directory whose record would be the same (`unchanged`). */
bool stat_cache_stage_dir(struct stat_cache *cache, struct span dir_path, struct span records,
                          struct err *err) MUST_CHECK;
/* Appends one child's record to `records` (encoded form private to the cache). */
void stat_cache_encode_child(struct span name, const struct stat_key *key, struct span encoded,
                             struct buf *records);
bool stat_cache_stage_content(struct stat_cache *cache, const struct hash *file_hash, const struct ref *ref,
                              struct err *err) MUST_CHECK;
/* After the commit receipt: makes the staged changes current. */
bool stat_cache_apply(struct stat_cache *cache, struct err *err) MUST_CHECK;
/* Empties the cache: `job rebuild-cache`, or after the repository named missing references. */
bool stat_cache_reset(struct stat_cache *cache, struct err *err) MUST_CHECK;

#endif
