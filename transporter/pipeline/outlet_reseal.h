/* The outlet of a side that seals for its source: takes raw batches, asks by content hash, seals with
 * several threads, and makes the point file at commit. Behind it is an outlet that takes sealed batches
 * (outlet_repository.h). The target side of a session and a site in one process use the same code. */
#ifndef SEALIFT_PIPELINE_OUTLET_RESEAL_H
#define SEALIFT_PIPELINE_OUTLET_RESEAL_H

#include "transporter/pipeline/point.h"
#include "transporter/pipeline/sealing.h"

struct outlet_reseal_options {
    struct sealing_options sealing; /* SEAL_HERE; its outlet takes what is sealed */
    struct backup_identity identity;
    unsigned threads;   /* 0: the number of cores */
    size_t queue_bytes; /* raw batches that wait for a thread */
    /* Raw batches up to `number` are durable. Told by outlet_reseal_acknowledged's caller, in order;
     * may be NULL. */
    void (*acknowledged)(void *arg, uint64_t number);
    /* A raw batch was refused or could not be stored: what is handed in from now on fails with the same
     * error, and this tells a caller who has nothing more to hand in. May be NULL. */
    void (*failed)(void *arg, const struct err *why);
    void *arg;
};

struct outlet_reseal;

/* Everything in the options is borrowed. */
bool outlet_reseal_new(const struct outlet_reseal_options *options, struct outlet_reseal **out,
                       struct err *err) MUST_CHECK;
void outlet_reseal_free(struct outlet_reseal *outlet);
DEFINE_AUTO(outlet_reseal, struct outlet_reseal *, outlet_reseal_free)

struct outlet outlet_reseal_outlet(struct outlet_reseal *outlet);
/* Sealed batches up to `number` are durable (from ingest_options.acknowledged). Any thread. */
void outlet_reseal_acknowledged(struct outlet_reseal *outlet, uint64_t number);

#endif
