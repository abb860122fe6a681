/* restore_list: the entries of a recovery point in order. */
#include "transporter/pipeline/node_loader.h"
#include "transporter/pipeline/restore.h"

bool restore_list(struct opener *opener, const struct inlet *inlet, const struct hash *root, struct span from,
                  restore_entry_fn *each, void *arg, struct err *err)
{
    AUTO(node_loader) struct node_loader *nodes = NULL;
    AUTO(manifest_reader) struct manifest_reader *reader = NULL;
    if (!node_loader_new(opener, inlet, root, &nodes, err)) return false;
    if (!manifest_reader_new(node_loader_load, nodes, &node_loader_root, &reader, err)) return false;
    if (from.len > 0 && !manifest_seek(reader, from, err)) return false;
    for (;;) {
        struct span path;
        struct entry entry;
        bool found = false;
        if (!manifest_next(reader, &path, &entry, &found, err)) return false;
        if (!found) return true;
        if (!each(arg, path, &entry, err)) return err->code == ERR_NONE;
    }
}
