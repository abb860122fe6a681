/* What a repository consists of. Private to this folder and its tests. */
#ifndef SEALIFT_REPOSITORY_INSIDE_H
#define SEALIFT_REPOSITORY_INSIDE_H

#include "transporter/repository/chain.h"
#include "transporter/repository/damage_marks.h"
#include "transporter/repository/index.h"
#include "transporter/repository/pack_rules.h"
#include "transporter/repository/repository.h"
#include "transporter/repository/storage.h"

#include <pthread.h>

#define POINT_NAME_LEN 40   /* "points/", 32 digits, NUL */
#define JOURNAL_NAME_LEN 47 /* "open/", 32 digits, "/", 8 digits, NUL */

struct ingest;

struct repository {
    struct storage storage;
    const struct sign_pair *owner; /* NULL: read only */
    char *state_dir;               /* NULL: none */
    enum repository_damage damage;
    struct span statement;                        /* while it is opened: names us the owner */
    const struct repository_progress *progress;   /* while it is opened; or NULL */
    const struct repository_operators *operators; /* NULL: none is known */
    int lock_fd;
    struct index *index;
    struct damage_marks *marks;
    bool forgot_head;        /* of a log that was there before, nothing was remembered when it was opened */
    char *mended;            /* what repository_mended says */
    struct pack_header ours; /* site and repository id of every pack */
    enum repository_kind kind;

    pthread_mutex_t commit_lock; /* held over a whole commit: commits are serial */
    struct chain chain;          /* under commit_lock */
    uint64_t condemned; /* the log entry that condemned the packs that are; 0: none. Under commit_lock */
    pthread_mutex_t head_lock;
    struct chain head; /* what chain was after the last commit, for those who only ask */

    /* of reconcile_losses: when it ended last, by the steady clock, and how long it took */
    _Atomic uint64_t looked_ms, look_took_ms;

    pthread_mutex_t sessions_lock;
    struct ingest *sessions; /* live ones, linked */

    pthread_mutex_t care_lock; /* held over a whole prune, undelete or sweep, taken before all others */
};

/* repository_open on a storage driver that is open already, and which the repository closes; on failure
 * the caller still owns it. options->path is only for messages. */
bool repository_open_on(const struct storage *storage, const struct repository_options *options,
                        struct repository **out, struct err *err) MUST_CHECK;
/* repository_create on an open, empty storage. */
bool repository_create_on(const struct storage *storage, const struct id *site, const struct id *repository,
                          enum repository_kind kind, struct span statement, const struct sign_pair *owner,
                          struct err *err) MUST_CHECK;

/* Makes the chain's position the one that is told. Under commit_lock. */
void repository_show_head(struct repository *repository);
struct chain repository_head(struct repository *repository);

void point_name(const struct id *point, char out[static POINT_NAME_LEN]);
void journal_name(const struct id *session, uint32_t number, char out[static JOURNAL_NAME_LEN]);
bool journal_parse_name(const char *name, struct id *session, uint32_t *number);

/* The name under which a pack's bytes are found: the pack's, or the journal's. */
#define BYTES_NAME_LEN PACK_NAME_LEN
void bytes_name(const struct index_pack *pack, char out[static BYTES_NAME_LEN]);

/* load.c. The first log entry says which repository this is: its site, id and kind. */
bool load_identity(struct repository *repository, struct chain *first, struct err *err) MUST_CHECK;
/* Appends an entry and makes the index follow. Once the entry is there this succeeds; if the index could not
 * follow, nothing more is appended until the repository is opened anew. Under commit_lock. */
bool load_append(struct repository *repository, Sealift__LogEntry *entry, struct err *err) MUST_CHECK;
/* Verifies the log and brings the index in line with it and with the packs. */
bool load_repository(struct repository *repository, struct err *err) MUST_CHECK;

/* reconcile.c. That the directory of the packs is there, where packs are known or points need some. Without
 * it nothing is lost: it was moved, or lies on a disk that is not mounted. Whoever would note a loss, take
 * something away or publish a pack (which would make another one) asks before. ERR_FAILED; or why the
 * directory cannot be read: ERR_DAMAGED (a link), ERR_SYSTEM. */
bool reconcile_in_place(struct repository *repository, struct err *err) MUST_CHECK;
/* Makes the index's packs those that are there. */
bool reconcile_packs(struct repository *repository, struct err *err) MUST_CHECK;
/* Packs whose files went away since they were looked at last count as lost from here on, those that were cut
 * as damaged, so that nothing new relies on them. Costs a look at each file's size; at most a hundredth of
 * the time is spent on that, and nothing is done where it would be more. Any thread. */
bool reconcile_losses(struct repository *repository, struct err *err) MUST_CHECK;
/* Whether points that are there can lack nothing: no pack is known as damaged or lost, by an index that would
 * know. */
bool reconcile_nothing_lost(struct repository *repository);
/* Adds a pack (or stray journal) with these entries; pack->no is set. Domains are those of `seals`. */
bool reconcile_add(struct repository *repository, struct index_pack *pack, const struct pack_toc *toc,
                   const struct pack_seal *seals, struct err *err) MUST_CHECK;

/* sweep.c: removes the files of packs and points that the log says are swept, as far as that works. */
void sweep_leftovers(struct repository *repository);

/* salvage.c: publishes what dead sessions left in journals, as far as it is covered by lists, and removes
 * the rest and unfinished temporary names. In a read-only repository, and where writing fails, such
 * journals are only made readable. */
bool salvage_journals(struct repository *repository, struct err *err) MUST_CHECK;
/* The same of one journal that no session holds any more. */
bool salvage_journal(struct repository *repository, const char *name, struct err *err) MUST_CHECK;

#endif
