/* Copies of walk entries that outlive the walk's next step. */
#include "transporter/source/walk.h"

#include "common/base/alloc.h"

#include <string.h>

struct walk_entry *walk_entry_keep(const struct walk_entry *entry)
{
    struct walk_entry *kept = xmalloc(sizeof(*kept) + entry->path.len + 1 + entry->target.len);
    uint8_t *path = (uint8_t *)(kept + 1);
    uint8_t *end = path + entry->path.len;
    uint8_t *target = end + 1;
    memcpy(path, entry->path.data, entry->path.len);
    *end = 0;
    if (entry->target.len) memcpy(target, entry->target.data, entry->target.len);
    *kept = *entry;
    kept->path.data = path;
    kept->parent.data = path;
    kept->name.data = end - entry->name.len;
    kept->target.data = target;
    (void)dir_handle_ref(kept->dir);
    return kept;
}

void walk_entry_free(struct walk_entry *entry)
{
    if (!entry) return;
    dir_handle_unref(entry->dir);
    free(entry);
}
