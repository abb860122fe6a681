/* Copies of walk entries that outlive the walk's next step. */
#include "transporter/source/walk.h"

#include "common/base/alloc.h"

#include <string.h>

struct walk_entry *walk_entry_keep(const struct walk_entry *entry)
{
    struct walk_entry *kept = xmalloc(sizeof(*kept) + entry->path.len + entry->target.len);
    uint8_t *path = (uint8_t *)(kept + 1);
    uint8_t *target = path + entry->path.len;
    memcpy(path, entry->path.data, entry->path.len);
    if (entry->target.len) memcpy(target, entry->target.data, entry->target.len);
    *kept = *entry;
    kept->path.data = path;
    kept->parent.data = path;
    kept->name.data = target - entry->name.len;
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
