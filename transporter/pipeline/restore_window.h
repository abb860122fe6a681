/* A window of a restore: some thousand chunks, and where the bytes of each go. Made by the planning
 * thread, fetched by another, written by several; freed with its last frame. A chunk may hold thousands of
 * tiny files: what windows remember of files counts too. Private to the restore. */
#ifndef SEALIFT_PIPELINE_RESTORE_WINDOW_H
#define SEALIFT_PIPELINE_RESTORE_WINDOW_H

#include "common/crypto/hash.h"
#include "transporter/pipeline/destination.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

/* A regular file on its way. Shared by the windows that hold pieces of it. */
struct restore_file {
    struct span path; /* owned, as is metadata.xattrs */
    struct inode_metadata metadata;
    uint64_t size;
    _Atomic uint32_t users; /* pieces not yet written, and the planner while it adds pieces */
    _Atomic uint64_t shown; /* bytes of it that were counted as written, piece by piece */
    _Atomic bool failed;    /* a piece is lost: the file is removed in the end */
    _Atomic bool created;   /* by whichever piece comes first */
    bool single;            /* one piece is all of it: made, written and closed in one go */
    pthread_mutex_t creating;
    dev_t device; /* of the inode that was made, unless `single` */
    ino_t inode;
};

/* An owned copy of what the entry says; users = 1 for the planner. */
struct restore_file *restore_file_new(struct span path, const struct entry *entry);
void restore_file_free(struct restore_file *file);

struct restore_piece {
    struct restore_file *file;
    uint64_t file_offset;
    uint32_t chunk_offset;
    uint32_t length;
    uint32_t next; /* index + 1 of the next piece of the same chunk; 0: none */
};

struct restore_window {
    struct hash *ids; /* chunk ids, as they are asked for */
    uint32_t *first;  /* per id: index + 1 of its first piece */
    uint32_t id_count;
    struct restore_piece *pieces;
    uint32_t piece_count, piece_cap;
    uint64_t bytes;                       /* of all pieces */
    size_t memory;                        /* that it takes, with the files of its pieces */
    const struct restore_file *last_file; /* of the piece added last */
    uint32_t *slots;                      /* hash table: index + 1 of the id */
    _Atomic uint32_t users;               /* ids not yet dealt with, and the fetch */
};

#define RESTORE_WINDOW_IDS 4096u
#define RESTORE_WINDOW_BYTES (32u * 1024 * 1024)
#define RESTORE_WINDOW_MEMORY ((size_t)4 * 1024 * 1024)

struct restore_window *restore_window_new(void);
void restore_window_free(struct restore_window *window);
bool restore_window_full(const struct restore_window *window);
void restore_window_add(struct restore_window *window, const struct hash *id,
                        const struct restore_piece *piece);
/* index of an id; UINT32_MAX if it is not in the window */
uint32_t restore_window_find(const struct restore_window *window, const struct hash *id);

#endif
