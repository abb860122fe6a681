/* A tree that was backed up into a repository, and a destination to restore it into, through an inlet that
 * counts, spoils, withholds, fails or blocks on request. */
#ifndef SEALIFT_TEST_RESTORE_RIG_H
#define SEALIFT_TEST_RESTORE_RIG_H

#include "local_site.h"
#include "transporter/pipeline/backup_image.h"
#include "transporter/pipeline/inlet_repository.h"
#include "transporter/pipeline/restore.h"
#include "tree.h"

#include <pthread.h>

struct faulty_inlet {
    struct inlet inner;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool cancelled, blocked;
    size_t fetches, ids;
    uint64_t bytes;   /* of the frames and envelopes that came */
    unsigned at_once; /* fetches worth having under way, as it tells the restore */
    size_t fail_at;   /* the n-th fetch fails, from 1; 0: none does */
    size_t tell_nothing_at;
    size_t block_at;              /* waits there until it is cancelled */
    void (*meanwhile)(void *arg); /* what somebody else does at each fetch; or NULL */
    void *meanwhile_arg;
    struct hash spoilt;  /* this chunk's frame has a flipped bit; zeros: none has */
    struct hash planted; /* before this chunk's frame lies another, bad one */
    struct hash missing;
    struct hash replaced;
    struct buf replacement; /* the frame that comes for `replaced` */
};

struct restore_rig {
    struct tree tree;
    struct tree out;
    struct local_site *site;
    struct inlet_repository *local;
    struct opener *opener;
    struct faulty_inlet faulty;
    struct hash root;
    struct span paths[4];
    char path_text[4][512];
    bool told_nothing; /* a backup hears that the repository has none of its chunks */
    const char *image; /* this file or device is backed up as an image, and restored as one */
    struct restore_options options;
    struct restore_progress progress;
    _Atomic bool cancelled;
    struct restore_result result;
    struct err err;
    size_t warning_count;
    char warned_path[4096]; /* of the last one */
    struct err warned;
    pthread_t thread;
    bool done;
};

/* Encrypted, with an empty tree; fill it and call restore_rig_back_up. */
struct restore_rig *restore_rig_make(enum repository_kind kind);
void restore_rig_free(struct restore_rig *rig);
DEFINE_AUTO(restore_rig, struct restore_rig *, restore_rig_free)

void restore_rig_back_up(struct restore_rig *rig);
/* Another repository in place of the one there is, empty, under the same keys. */
void restore_rig_renew(struct restore_rig *rig);
/* What somebody with the writer's half could store: a frame under the id of a chunk, sealed as any, with
 * other content. In a pack of its own. */
void restore_rig_plant(struct restore_rig *rig, enum frame_type type, const struct hash *id);
/* Backs the tree up again, into another repository whose first packs hold `copies` planted frames under the
 * id of the first chunk of a large file of the tree that has been backed up once. Returns that id. */
struct hash restore_rig_plant_before(struct restore_rig *rig, const char *path, unsigned copies);
struct inlet restore_rig_inlet(struct restore_rig *rig);
/* A path of the tree; NULL: all of it. */
void restore_rig_choose(struct restore_rig *rig, const char *path);
/* As restore_tree, with the options as they are. */
bool restore_rig_try(struct restore_rig *rig, enum overwrite overwrite);
void restore_rig_run(struct restore_rig *rig, enum overwrite overwrite);
void restore_rig_start(struct restore_rig *rig);
bool restore_rig_join(struct restore_rig *rig);
void restore_rig_await_blocked(struct restore_rig *rig);

/* Where a path of the tree is restored to, absolute; good until the next call. */
const char *restore_rig_out(const struct restore_rig *rig, const char *path);
/* Everything that can be told of an inode is the same in the tree and in what was restored. */
void restore_rig_assert_same(const struct restore_rig *rig, const char *path);
bool restore_rig_exists(const struct restore_rig *rig, const char *path);
/* The id of the first data chunk of a file. */
struct hash restore_rig_chunk_of(struct restore_rig *rig, const char *path);
/* What the repository stores under an id. */
void restore_rig_frame(struct restore_rig *rig, const struct hash *id, struct buf *frame);

#endif
