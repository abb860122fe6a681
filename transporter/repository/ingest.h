/* Writing into a repository: one ingest session takes batches (docs/format.md section 5), makes them
 * durable in journals, publishes packs, and commits points. The session id is the run's id: a later
 * attempt of the run opens the same session, and what earlier attempts made durable counts.
 *
 * ingest_batch is called by one thread at a time per session; has and commit may be called from
 * others. A side thread syncs (every 8 MiB or 250 ms) and then reports the acknowledged prefix. */
#ifndef SEALIFT_REPOSITORY_INGEST_H
#define SEALIFT_REPOSITORY_INGEST_H

#include "transporter/repository/repository.h"

#define INGEST_MAX_BATCH (16u * 1024 * 1024)
#define INGEST_MAX_RECORDS 8192u                       /* in one batch */
#define INGEST_MIN_FREE (UINT64_C(1024) * 1024 * 1024) /* free space below which backups stop */

struct ingest;

enum ingest_kind {
    INGEST_WRITER, /* one seal, one writer: list numbers are the batch numbers */
    INGEST_COPY    /* frames of any seals with their envelopes and lists, as stored */
};

struct ingest_options {
    struct id session;
    enum ingest_kind kind;
    struct id seal;              /* INGEST_WRITER */
    uint8_t writer[SIGN_PK_LEN]; /* INGEST_WRITER: lists and envelope must be signed by it */
    struct hash domain;          /* INGEST_WRITER, encrypted: the envelope must name it */
    /* INGEST_WRITER: the label of the job, which the point must carry; the session is then its run. Borrowed;
     * NULL: any label and run. */
    const char *job;
    /* INGEST_COPY: whether a signer was ever admitted by the roster. NULL: any. */
    bool (*admitted)(void *arg, const uint8_t writer[SIGN_PK_LEN]);
    /* Called by the sync thread when batches up to `number` are durable; may be NULL. */
    void (*acknowledged)(void *arg, uint64_t number);
    _Atomic uint64_t *durable_bytes; /* what became durable is added, as batches come; may be NULL */
    /* Called once by the sync thread if syncing fails; the session then refuses everything. */
    void (*failed)(void *arg, const struct err *err);
    void *arg;
    const _Atomic bool *cancelled; /* ends a commit that looks for what its point needs; or NULL */
    uint64_t min_free_bytes;       /* stop with ERR_NO_SPACE below this much free space; 0: max(1 GiB, 2 %) */
};

bool ingest_open(struct repository *repository, const struct ingest_options *options, struct ingest **out,
                 struct err *err) MUST_CHECK;
/* Ends the session without a commit: journals are synced and published, so that the next run finds
 * their frames. */
void ingest_close(struct ingest *ingest);
DEFINE_AUTO(ingest, struct ingest *, ingest_close)

/* The highest batch number that is durable (after a reconnect or a restart of the repository side:
 * where the writer goes on). A copy's numbers start at 1 each time that the session is opened. */
uint64_t ingest_acknowledged(struct ingest *ingest);

/* The seal's envelope, once, before the first batch (encrypted repositories). ERR_NOT_AUTHENTIC,
 * ERR_POLICY (plaintext repository, other domain, other seal). */
bool ingest_envelope(struct ingest *ingest, struct span envelope, struct err *err) MUST_CHECK;

/* One batch. Every record is parsed, every frame is checked against a list in the batch, the list's
 * signature and number are verified, cipher none is refused in an encrypted repository (and the
 * reverse): then it is appended. `number` must be the next one; a number already taken is
 * acknowledged again and ignored. For copies the records may include envelopes. */
bool ingest_batch(struct ingest *ingest, uint64_t number, struct span batch, struct err *err) MUST_CHECK;

/* have[i] = 1 if the frame is in a published pack, an acknowledged prefix, or a batch of this session. */
bool ingest_has(struct ingest *ingest, const struct hash *ids, size_t count, uint8_t *have,
                struct err *err) MUST_CHECK;

struct ingest_receipt {
    uint64_t number; /* the point's log entry */
    struct hash log_hash;
    uint64_t time_ns;
    uint64_t new_bytes; /* stored by this session, packs included */
};
/* Publishes the journals, checks that everything reachable from `root` is present, writes
 * points/<point> and then the log entry. If references are missing: ERR_NOT_FOUND, and up to
 * `missing` receives their ids (struct hash each, at most 4,096): the writer sends these and commits
 * again. Committing the same point id with the same bytes again returns the first receipt. ERR_CANCELLED;
 * ERR_LIMIT: it refers to more new nodes than fit into memory (closure.h). */
bool ingest_commit(struct ingest *ingest, const struct id *point, const struct hash *root,
                   struct span point_file, struct ingest_receipt *receipt, struct buf *missing,
                   struct err *err) MUST_CHECK;

#endif
