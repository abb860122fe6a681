/* A pack that is being written: its journal, the rules that its records keep, the running hash.
 * Private to ingest*.c. Appending and closing are the batch thread's, syncing and publishing the side
 * thread's; a pack goes from one to the other when it is closed. */
#ifndef SEALIFT_REPOSITORY_OPEN_PACK_H
#define SEALIFT_REPOSITORY_OPEN_PACK_H

#include "transporter/repository/inside.h"

struct open_pack {
    struct open_pack *next; /* in the queue of closed packs */
    struct repository *repository;
    struct journal *journal; /* NULL until the first batch is written */
    struct index_pack row;
    struct pack_rules rules;
    uint32_t *domains; /* of the envelopes, from 1 */
    size_t domain_cap;
    struct hasher hasher;
    uint64_t written; /* bytes appended */
    uint64_t synced;  /* bytes on disk, and bytes to be there next: the side thread's */
    uint64_t sync_to;
    bool publishing; /* the journal may be a published pack from here on: its bytes are left alone */
};

struct open_pack *open_pack_new(struct repository *repository, enum pack_class class_);
/* Closes the journal without publishing it. */
void open_pack_free(struct open_pack *pack);
DEFINE_AUTO(open_pack, struct open_pack *, open_pack_free)

/* Creates the journal under the next free number and writes the header. */
bool open_pack_start(struct open_pack *pack, const struct id *session, uint32_t *number,
                     struct err *err) MUST_CHECK;
/* Notes the domain of the envelope that the rules took last. */
void open_pack_domain(struct open_pack *pack, uint32_t domain);
bool open_pack_append(struct open_pack *pack, struct span bytes, struct err *err) MUST_CHECK;
/* Whether the pack is to be closed now. */
bool open_pack_is_full(const struct open_pack *pack);
/* Writes trailer and footer, publishes, and makes the index say so. */
bool open_pack_publish(struct open_pack *pack, struct err *err) MUST_CHECK;
/* After a failure: cuts the journal to what was synced, and salvages that. Frees the pack. */
void open_pack_abandon(struct open_pack *pack);

#endif
