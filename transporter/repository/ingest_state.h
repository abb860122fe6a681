/* An ingest session from the inside. Private to ingest*.c and commit.c.
 *
 * Locks, in the order in which they are taken: the repository's commit_lock, its sessions_lock, then
 * batch_lock (over one batch, and while packs are closed), then lock (short, never over I/O). */
#ifndef SEALIFT_REPOSITORY_INGEST_STATE_H
#define SEALIFT_REPOSITORY_INGEST_STATE_H

#include "transporter/repository/id_set.h"
#include "transporter/repository/ingest.h"
#include "transporter/repository/open_pack.h"
#include "transporter/repository/seal_table.h"

/* A batch that is in a journal, and not known to be on disk. */
struct pending {
    struct pending *next;
    uint64_t number;
    uint64_t bytes;
    struct open_pack *pack;
    uint64_t end;               /* of the batch in the pack */
    struct pack_entry *entries; /* its records, and the envelopes written before them */
    size_t count;
    uint32_t *domains;
    uint32_t envelopes; /* of the pack, before the first entry */
};

struct ingest {
    struct ingest *next; /* among the repository's sessions */
    struct repository *repository;
    struct ingest_options options;
    uint32_t domain; /* of INGEST_WRITER */
    uint64_t min_free_bytes;
    uint64_t since;      /* the log's head when the session came: what was condemned later it may rely on */
    uint32_t first_pack; /* every pack of its own has this number or a higher one */

    pthread_mutex_t batch_lock;
    struct open_pack *packs[PACK_META + 1]; /* by class */
    uint32_t next_journal;
    struct seal_table seals; /* envelopes that this session may put into its packs */

    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work; /* for the side thread */
    pthread_cond_t done; /* for those who wait for it */
    struct pending *pending, **pending_end;
    struct open_pack *closed, **closed_end; /* to be published */
    uint64_t closed_count, published_count; /* of packs since the session began */
    struct timespec deadline;               /* for what is pending */
    uint64_t unsynced_bytes;
    uint64_t accepted;     /* highest batch number taken */
    uint64_t acknowledged; /* highest batch number on disk */
    uint64_t stored_bytes;
    struct id_set fresh;   /* ids of pending batches */
    struct id_set syncing; /* ids of batches that the side thread is at */
    bool repeat;           /* tell the acknowledged number again */
    bool stop;
    bool failed;
    struct err failure;
};

/* ERR of the failure if the session has failed. Under lock. */
bool ingest_alive(struct ingest *ingest, struct err *err) MUST_CHECK;
/* Ends the session for good. Takes lock. */
void ingest_fail(struct ingest *ingest, const struct err *err);

/* ingest_batch.c, under batch_lock: hands a pack to the side thread, which publishes it. */
void ingest_close_pack(struct ingest *ingest, enum pack_class class_);
void pending_free(struct pending *pending);

/* ingest_sync.c: the side thread. */
void *ingest_sync_main(void *arg); /* the struct ingest */
/* Publishes the journals and waits until that is done. */
bool ingest_flush(struct ingest *ingest, struct err *err) MUST_CHECK;
/* Queues a batch; waits while too much is unsynced. Takes ownership. */
bool ingest_enqueue(struct ingest *ingest, struct pending *pending, struct err *err) MUST_CHECK;

#endif
