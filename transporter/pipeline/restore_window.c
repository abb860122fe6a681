#include "transporter/pipeline/restore_window.h"

#include "common/base/alloc.h"

#include <string.h>

enum { SLOTS = 4 * RESTORE_WINDOW_IDS, ALLOCATION_LEN = 24 /* what malloc adds, about */ };

static struct span copy_of(struct span bytes)
{
    uint8_t *copy = xmalloc(bytes.len ? bytes.len : 1);
    if (bytes.len) memcpy(copy, bytes.data, bytes.len);
    return span_of(copy, bytes.len);
}

struct restore_file *restore_file_new(struct span path, const struct entry *entry)
{
    struct restore_file *file = xcalloc(1, sizeof(*file));
    file->path = copy_of(path);
    file->metadata = inode_metadata_of(entry);
    file->metadata.xattrs = copy_of(entry->xattrs);
    file->size = entry->size;
    atomic_store(&file->users, 1);
    (void)pthread_mutex_init(&file->creating, NULL);
    return file;
}

void restore_file_free(struct restore_file *file)
{
    if (!file) return;
    free((void *)(uintptr_t)file->path.data);
    free((void *)(uintptr_t)file->metadata.xattrs.data);
    (void)pthread_mutex_destroy(&file->creating);
    free(file);
}

/* bytes, about */
static size_t memory_of(const struct restore_file *file)
{
    return sizeof(*file) + file->path.len + file->metadata.xattrs.len + 3 * ALLOCATION_LEN;
}

struct restore_window *restore_window_new(void)
{
    struct restore_window *window = xcalloc(1, sizeof(*window));
    window->ids = xcalloc(RESTORE_WINDOW_IDS, sizeof(*window->ids));
    window->first = xcalloc(RESTORE_WINDOW_IDS, sizeof(*window->first));
    window->slots = xcalloc(SLOTS, sizeof(*window->slots));
    window->memory =
        RESTORE_WINDOW_IDS * (sizeof(*window->ids) + sizeof(*window->first)) + SLOTS * sizeof(*window->slots);
    atomic_store(&window->users, 1);
    return window;
}

void restore_window_free(struct restore_window *window)
{
    if (!window) return;
    free(window->ids);
    free(window->first);
    free(window->slots);
    free(window->pieces);
    free(window);
}

bool restore_window_full(const struct restore_window *window)
{
    return window->id_count == RESTORE_WINDOW_IDS || window->bytes >= RESTORE_WINDOW_BYTES ||
           window->memory >= RESTORE_WINDOW_MEMORY;
}

/* The slot that holds the id, or the free one where it belongs. Ids are uniformly random. */
static uint32_t *slot_of(const struct restore_window *window, const struct hash *id)
{
    uint32_t at = le32_get(id->bytes) % SLOTS;
    while (window->slots[at] && !hash_eq(&window->ids[window->slots[at] - 1], id))
        at = (at + 1) % SLOTS;
    return &window->slots[at];
}

uint32_t restore_window_find(const struct restore_window *window, const struct hash *id)
{
    uint32_t slot = *slot_of(window, id);
    return slot ? slot - 1 : UINT32_MAX;
}

static uint32_t piece_add(struct restore_window *window, const struct restore_piece *piece)
{
    if (window->piece_count == window->piece_cap) {
        window->piece_cap = window->piece_cap ? 2 * window->piece_cap : 1024;
        window->pieces = xreallocarray(window->pieces, window->piece_cap, sizeof(*window->pieces));
    }
    window->pieces[window->piece_count] = *piece;
    return window->piece_count++;
}

void restore_window_add(struct restore_window *window, const struct hash *id,
                        const struct restore_piece *piece)
{
    uint32_t *slot = slot_of(window, id);
    if (!*slot) {
        window->ids[window->id_count] = *id;
        *slot = ++window->id_count;
        atomic_fetch_add(&window->users, 1);
    }
    uint32_t at = piece_add(window, piece);
    window->pieces[at].next = window->first[*slot - 1];
    window->first[*slot - 1] = at + 1;
    window->bytes += piece->length;
    window->memory += 2 * sizeof(*piece); /* the array doubles */
    if (piece->file == window->last_file) return;
    window->memory += memory_of(piece->file);
    window->last_file = piece->file;
}
