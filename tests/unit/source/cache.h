/* A stat cache of a test's own, and short ways to fill and ask it. */
#ifndef SEALIFT_TEST_CACHE_H
#define SEALIFT_TEST_CACHE_H

#include "transporter/source/stat_cache.h"
#include "transporter/source/stat_cache_parts.h"
#include "tree.h"

extern const struct hash binding;
extern const struct stat_key some_key;

struct stat_cache *open_cache(const struct tree *tree, bool expect_fresh);
void apply(struct stat_cache *cache);
off_t staged_bytes(struct stat_cache *cache);

/* An encoded entry of this name and type; `mode` tells versions apart. */
void encode(const char *name, enum entry_type type, uint32_t mode, struct buf *out);
void add_child(struct stat_cache_record *record, const char *name, enum entry_type type, uint32_t mode);
/* Stages a record: "file d/ d?" are a file, a directory, and a directory that is visited and not cacheable,
 * whose own record stays as it is. */
void stage_record(struct stat_cache *cache, const char *dir, const char *children, uint32_t mode);
/* a/{b/{c/{x} y} n/{x}}, applied */
void stage_nested(struct stat_cache *cache);

/* The mode of the cached entry; -1 if there is none. */
int look_up(struct stat_cache *cache, const char *dir, const char *name, const struct stat_key *key);
bool has_record(struct stat_cache *cache, const char *dir);

#endif
