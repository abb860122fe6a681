/* Hard links whose first name was lost. The walk gives the content of an inode to its first name and makes
 * the others links to it; if that name could not be read after all (it vanished, say), the next name takes
 * its place, so that no content is lost with one of its names. Private to the backup engine; the ordering
 * thread only. Memory: bounded, whatever was lost: where there is too much of it, names that were links become
 * files of their own, with the same content. */
#ifndef SEALIFT_PIPELINE_LOST_LINKS_H
#define SEALIFT_PIPELINE_LOST_LINKS_H

#include "transporter/pipeline/worker.h"

struct lost_links;
#define LOST_LINKS_MOST ((size_t)1 << 17)
#define LOST_LINKS_BYTES_MOST ((size_t)16 << 20)

/* So many lost names are remembered exactly, and LOST_LINKS_BYTES_MOST of those that took their places. */
struct lost_links *lost_links_new(size_t most);
void lost_links_free(struct lost_links *lost);
DEFINE_AUTO(lost_links, struct lost_links *, lost_links_free)

/* An item with an entry is left out. */
void lost_links_note(struct lost_links *lost, const struct item *item);
/* Before an item with an entry is added: if it is a link to a lost name, it becomes the file itself, or a
 * link to the name that took the place. It may be ITEM_LOST then. false for errors that end the run. */
bool lost_links_resolve(struct lost_links *lost, struct worker *worker, struct segment *segment,
                        struct item *item, struct err *err) MUST_CHECK;

#endif
