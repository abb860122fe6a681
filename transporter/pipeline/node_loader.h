/* Brings manifest nodes by content hash for a manifest_reader or refs_reader. While they are asked for in
 * order it brings more and more siblings ahead, so that a walk has one round trip for many leaves; who
 * seeks pays for what is on the way only, and once for what several seeks have in common. Private to
 * restore, browse and check. One thread. */
#ifndef SEALIFT_PIPELINE_NODE_LOADER_H
#define SEALIFT_PIPELINE_NODE_LOADER_H

#include "transporter/core/manifest.h"
#include "transporter/pipeline/opener.h"

struct node_loader;

/* `root` is the chunk id of the point's root node. All arguments must outlive the loader. */
bool node_loader_new(struct opener *opener, const struct inlet *inlet, const struct hash *root,
                     struct node_loader **out, struct err *err) MUST_CHECK;
void node_loader_free(struct node_loader *loader);
DEFINE_AUTO(node_loader, struct node_loader *, node_loader_free)

/* A manifest_load_fn with the loader as its argument. The first call of a manifest_reader passes
 * node_loader_root, which stands for the root node. */
bool node_loader_load(void *loader, const struct hash *content, struct buf *node, struct err *err) MUST_CHECK;
/* Zeros: what to pass as `root` to manifest_reader_new. */
extern const struct hash node_loader_root;

#endif
