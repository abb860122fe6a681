/* The ids that a manifest node uses, derived from its plaintext by whoever seals: they stand in clear in
 * the node's frame, so that a repository without keys knows what is referred to. */
#ifndef SEALIFT_PIPELINE_CLEAR_LIST_H
#define SEALIFT_PIPELINE_CLEAR_LIST_H

#include "transporter/pipeline/sealing.h"

/* {0} is an empty list. Ids of each kind are ascending and without repeats. */
struct clear_list {
    struct buf nodes; /* struct hash each */
    struct buf datas;
    size_t node_count;
    size_t data_count;
};

void clear_list_deinit(struct clear_list *list);
DEFINE_AUTO_IN_PLACE(clear_list, struct clear_list, clear_list_deinit)
/* empty, memory kept */
void clear_list_reset(struct clear_list *list);

/* Validates the whole node and fills the list. ERR_DAMAGED for bytes that are no node, ERR_LIMIT for one
 * that uses more ids than a frame can carry; the list is then empty. */
bool clear_list_derive(struct clear_list *list, const struct sealing *sealing, struct span node,
                       struct err *err) MUST_CHECK;

const struct hash *clear_list_nodes(const struct clear_list *list);
const struct hash *clear_list_datas(const struct clear_list *list);

#endif
