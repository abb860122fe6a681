#include "transporter/pipeline/restore_window.h"

#include <criterion/criterion.h>
#include <string.h>

static struct restore_file *file_of(struct span path)
{
    struct entry entry = {.type = ENTRY_FILE, .size = 1};
    return restore_file_new(path, &entry);
}

/* As many files of one byte of the same chunk as the window takes. */
static uint32_t fill(struct span path, size_t *memory)
{
    struct restore_window *window = restore_window_new();
    struct hash id = {{1}};
    while (!restore_window_full(window)) {
        struct restore_piece piece = {.file = file_of(path), .length = 1};
        restore_window_add(window, &id, &piece);
    }
    uint32_t count = window->piece_count;
    *memory = window->memory;
    for (uint32_t i = 0; i < count; i++)
        restore_file_free(window->pieces[i].file);
    restore_window_free(window);
    return count;
}

Test(restore_window, of_many_tiny_files_is_full_by_the_memory_that_they_take)
{
    static uint8_t name[4000];
    size_t memory;
    memset(name, 'n', sizeof(name));
    cr_assert_leq(fill(span_of(name, 60), &memory), 20000);
    cr_assert_leq(memory, RESTORE_WINDOW_MEMORY + 1000);
    cr_assert_leq(fill(span_of(name, sizeof(name)), &memory), 1000, "long paths count");
    cr_assert_leq(memory, RESTORE_WINDOW_MEMORY + 5000);
}

Test(restore_window, counts_a_file_once_however_many_pieces_it_has)
{
    struct restore_window *window = restore_window_new();
    struct restore_file *file = file_of(span_str("a file"));
    for (uint64_t i = 0; i < 1000; i++) {
        struct hash id = {{(uint8_t)i, (uint8_t)(i >> 8)}};
        struct restore_piece piece = {.file = file, .file_offset = i, .length = 1};
        restore_window_add(window, &id, &piece);
    }
    cr_assert_not(restore_window_full(window));
    cr_assert_lt(window->memory, 512 * 1024);
    restore_window_free(window);
    restore_file_free(file);
}
