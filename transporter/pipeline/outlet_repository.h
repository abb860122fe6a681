/* An outlet into a repository in this process: batches go through a bounded queue to a thread that writes
 * them by an ingest session. For sites whose source holds the repository itself, for the target side of
 * sessions, and for benches. */
#ifndef SEALIFT_PIPELINE_OUTLET_REPOSITORY_H
#define SEALIFT_PIPELINE_OUTLET_REPOSITORY_H

#include "transporter/pipeline/outlet.h"
#include "transporter/repository/ingest.h"

struct outlet_repository;

enum { OUTLET_REPOSITORY_QUEUE = 4 * 1024 * 1024 };

/* `ingest` is borrowed: it is closed by the caller, after the outlet was freed. */
bool outlet_repository_new(struct ingest *ingest, size_t queue_bytes, struct outlet_repository **out,
                           struct err *err) MUST_CHECK;
/* Ends the thread; batches that wait are still written unless the outlet failed or was cancelled. */
void outlet_repository_free(struct outlet_repository *outlet);
DEFINE_AUTO(outlet_repository, struct outlet_repository *, outlet_repository_free)

struct outlet outlet_repository_outlet(struct outlet_repository *outlet);
/* For the ingest session's `failed` callback: syncing failed, so sending is over. Any thread. */
void outlet_repository_fail(struct outlet_repository *outlet, const struct err *why);

/* ingest_commit, as outlets say it: for one that writes into a repository of this process in another way. */
bool outlet_repository_commit(struct ingest *ingest, const struct commit_request *request,
                              struct commit_receipt *receipt, struct buf *missing,
                              struct err *err) MUST_CHECK;

#endif
