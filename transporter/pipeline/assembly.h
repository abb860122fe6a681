/* Finished segments in path order become the manifest and the next run's stat cache. Bundled bytes that
 * are too few for a chunk of their own are joined here with those of the segments that follow; until that
 * chunk is full, the segments wait. Private to the backup engine; the ordering thread only. */
#ifndef SEALIFT_PIPELINE_ASSEMBLY_H
#define SEALIFT_PIPELINE_ASSEMBLY_H

#include "transporter/pipeline/worker.h"

struct assembly;

/* `worker` is the ordering thread's own; it must outlive the assembly. */
struct assembly *assembly_new(struct worker *worker);
void assembly_free(struct assembly *assembly);
DEFINE_AUTO(assembly, struct assembly *, assembly_free)

/* The next segment in path order, all of its work done. Takes it, in case of failure too. */
bool assembly_take(struct assembly *assembly, struct segment *segment, struct err *err) MUST_CHECK;
/* After the last segment: ends the manifest. `root` says what is known beforehand; *content is the hash of
 * the root node. */
bool assembly_finish(struct assembly *assembly, struct manifest_root *root, struct hash *content,
                     struct err *err) MUST_CHECK;

/* What is in the manifest so far; `warnings` is not known here. */
struct point_counts assembly_counts(const struct assembly *assembly);

#endif
