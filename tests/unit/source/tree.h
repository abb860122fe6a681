/* A real directory tree of a test's own, removed with all it holds; and walks of it as text. */
#ifndef SEALIFT_TEST_TREE_H
#define SEALIFT_TEST_TREE_H

#include "transporter/source/walk.h"

struct tree {
    char path[256]; /* absolute, without links */
    int fd;
};
struct tree tree_make(void);
void tree_remove(struct tree *tree);
DEFINE_AUTO_IN_PLACE(tree, struct tree, tree_remove)

/* Names are below the tree; their directories must exist. */
void put_dir(const struct tree *tree, const char *name);
void put_file(const struct tree *tree, const char *name, const char *content);
void put_symlink(const struct tree *tree, const char *name, const char *target);
void put_hard_link(const struct tree *tree, const char *name, const char *existing);
/* "tree.path/name"; the caller frees */
char *tree_path(const struct tree *tree, const char *name);
/* sets mtime, and with it ctime to now */
void set_mtime(const struct tree *tree, const char *name, int64_t mtime_ns);
uint64_t now_ns(void);

/* A walk of all of the tree: no excludes, no cache, two threads. */

struct walk_options whole_tree(const struct tree *tree, const char **paths);

/* One line for each event at or below the tree (whose own path is "."):
 *   D path | F path | L path | P path (fifo) | C path | B path | H path -> first
 *   - path (leave) | W path: warning | S path: skipped */
void walk_text(const struct tree *tree, const struct walk_options *options, struct buf *out);
void append_event(const struct tree *tree, enum walk_event event, const struct walk_entry *entry,
                  const struct err *note, struct buf *out);
void expect_text(const struct buf *text, const char *expected);
void expect_part(const struct buf *text, const char *part);
void expect_walk(const struct tree *tree, const struct walk_options *options, const char *expected);
void expect_whole(const struct tree *tree, const char *expected);

/* A walk that goes on from here with its dir handles: kept entries need it. */
struct kept {
    struct walk *walk;
    struct walk_entry *entry;
};
void kept_deinit(struct kept *kept);
DEFINE_AUTO_IN_PLACE(kept, struct kept, kept_deinit)
struct kept keep_entry(const struct tree *tree, const char *name);

#endif
