/* The target of a backup or a copy: takes batches from a data session into an ingest session of a
 * repository, answers questions, acknowledges what is durable, commits. With `reseal` the source sends raw
 * batches, and this side seals them and makes the point. */
#ifndef SEALIFT_SESSION_SERVE_INGEST_H
#define SEALIFT_SESSION_SERVE_INGEST_H

#include "transporter/pipeline/outlet_reseal.h"
#include "transporter/repository/ingest.h"
#include "transporter/session/listener.h"

#include <stdatomic.h>

/* Unacknowledged batches, which the source holds in memory: how much of it is used is the source's to say. */
enum { SERVE_INGEST_CREDIT = 96 << 20 };

/* What a target that seals needs beside what the session finds out (run key, outlet, point id). */
struct serve_reseal {
    struct sealing_options sealing;  /* without run and outlet */
    struct backup_identity identity; /* without point and head */
    unsigned threads;                /* 0: the number of cores */
};

struct serve_ingest_options {
    struct listener_session *session;
    struct repository *repository;
    enum conversation_kind conversation;
    struct id run;
    uint8_t writer[SIGN_PK_LEN]; /* of a backup: who signs lists, envelope and point */
    struct hash domain;          /* of a backup that is encrypted */
    const char *job;             /* of a backup: the label that its point carries */
    bool (*admitted)(void *arg, const uint8_t writer[SIGN_PK_LEN]); /* copies */
    bool (*is_operator)(void *arg,
                        const uint8_t signer[SIGN_PK_LEN]); /* copies: who may add unlock sections */
    bool (*is_rewrapper)(void *arg, const uint8_t signer[SIGN_PK_LEN]); /* copies: whose rewraps are kept */
    const struct serve_reseal *reseal;                                  /* or NULL */
    /* a point was committed; its file is borrowed */
    void (*committed)(void *arg, const struct id *point, const struct commit_receipt *receipt,
                      struct span point_file);
    void *arg;
    const _Atomic bool *cancelled; /* looked at where an answer may take long; or NULL */
    _Atomic uint64_t *received_bytes;
    _Atomic uint64_t *stored_bytes; /* what became durable is added; may be NULL */
};

/* Serves until the source says good-bye. A backup that was committed is done even if the good-bye gets
 * lost. Otherwise fails with what ended the session; the source was then told. */
bool serve_ingest(const struct serve_ingest_options *options, struct err *err) MUST_CHECK;

#endif
