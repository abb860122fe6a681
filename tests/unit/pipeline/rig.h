/* Everything that a test of the backup engine needs: a tree, keys, an outlet in memory, a cache. */
#ifndef SEALIFT_TEST_RIG_H
#define SEALIFT_TEST_RIG_H

#include "fake_outlet.h"
#include "keys.h"
#include "transporter/pipeline/backup_image.h"
#include "transporter/pipeline/backup_stream.h"
#include "tree.h"
#include "view.h"

struct rig {
    struct tree tree;
    struct keys keys;
    struct fake_outlet fake;
    char cache_dir[64];
    struct stat_cache *cache;
    struct backup_progress progress;
    _Atomic bool cancelled;
    unsigned threads;
    struct id point;            /* of the next run; zeros: that of the keys' identity */
    bool killed_before_renewal; /* of the cache: runs end with their receipt */
    size_t lost_links_most;     /* as the next run will have it */
    bool all_young;             /* the cache trusts no file */
    struct sealing_options sealing;
    struct backup_options options; /* as the next run will have them */
    const char *path;
    struct image_source image;   /* with a path: the next run is of that image */
    struct stream_source stream; /* with a name: of that stream */
    struct backup_result result;
    struct err err;
    /* warnings of the last run */
    size_t warning_count;
    char warned_path[4096];
    struct err warned;
    pthread_t thread; /* rig_start */
    bool done;
};

struct rig *rig_make(void);
void rig_free(struct rig *rig);
DEFINE_AUTO(rig, struct rig *, rig_free)

/* with a stat cache, which trusts files however young they are, but for `all_young` */
void rig_use_cache(struct rig *rig);
void rig_lose_cache(struct rig *rig);
void rig_close_cache(struct rig *rig);
/* Opens the cache again, as the next process would. */
void rig_reopen_cache(struct rig *rig);

/* One backup; true as backup_tree. Afterwards batches were valid, or it asserts. */
bool rig_try(struct rig *rig);
/* asserts success */
void rig_run(struct rig *rig);
/* the same in a thread */
void rig_start(struct rig *rig);
bool rig_join(struct rig *rig);
/* until so many entries were walked */
void rig_await_entries(struct rig *rig, uint64_t count);

/* The committed entry of a path of the tree. */
const struct view_entry *rig_find(const struct rig *rig, const struct view *view, const char *path);
/* It is there with the content that the file has now. */
void rig_assert_same(const struct rig *rig, const struct view *view, const char *path);

#endif
