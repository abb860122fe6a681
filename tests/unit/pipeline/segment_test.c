#include "transporter/pipeline/segment.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* Entries hold on to the directory that they are in: any will do. */
static struct dir_handle *some_directory(void)
{
    static struct dir_handle *dir;
    struct err err = {0};
    if (!dir) cr_assert(dir_handle_root(dir_pool_new(0), "/", &dir, &err), "%s", err.text);
    return dir;
}

/* An entry of a walk: `name` in the directory "d". */
static struct walk_entry entry_of(const char *path, enum entry_type type, uint64_t size)
{
    return (struct walk_entry){
        .path = span_str(path),
        .parent = span_of(path, 1),
        .name = span_str(path + 2),
        .dir = some_directory(),
        .depth = 2,
        .type = type,
        .key = {.size = size},
    };
}

/* Sizes of the segments that a sequence of files falls into: the number of files in each. */
struct cuts {
    size_t counts[1000];
    size_t count;
};

static void cut(struct segment **segment, struct cuts *cuts)
{
    cuts->counts[cuts->count++] = segment_count(*segment);
    cr_assert_leq((*segment)->small_bytes, SEGMENT_BYTES_MOST);
    segment_free(*segment);
    *segment = segment_new();
}

/* Files number first to last, of 1 to 20,000 bytes. */
static struct cuts cut_files(unsigned first, unsigned last)
{
    struct cuts cuts = {.count = 0};
    AUTO(segment) struct segment *segment = segment_new();
    for (unsigned i = first; i < last; i++) {
        char path[32];
        (void)snprintf(path, sizeof(path), "d/file%u", i);
        struct walk_entry entry = entry_of(path, ENTRY_FILE, 1 + i * 7919u % 20000);
        if (segment_ends_before(segment, &entry)) cut(&segment, &cuts);
        segment_add(segment, &entry);
        if (segment_ends_after(segment, &entry)) cut(&segment, &cuts);
    }
    return cuts;
}

Test(segment, cuts_fall_again_where_they_fell_after_a_file_is_gone)
{
    struct cuts all = cut_files(0, 2000);
    struct cuts less = cut_files(1, 2000);
    cr_assert_gt(all.count, 50);
    size_t same = 0; /* from the end */
    while (same < less.count && all.counts[all.count - 1 - same] == less.counts[less.count - 1 - same])
        same++;
    cr_assert_geq(same, all.count - 8, "only %zu of %zu", same, all.count);
}

Test(segment, holds_128_to_256_kib_of_small_files)
{
    struct cuts cuts = cut_files(0, 2000);
    uint64_t bytes = 0;
    for (unsigned i = 0; i < 2000; i++)
        bytes += 1 + i * 7919u % 20000;
    cr_assert(cuts.count < bytes / SEGMENT_BYTES_LEAST && cuts.count > bytes / SEGMENT_BYTES_MOST - 1);
}

/* A change of the rule makes every repository store its small files anew. */
Test(segment, the_names_that_end_it_never_change)
{
    static const char ends[] = "0000000000000000100000001000000000000000";
    char now[sizeof(ends)];
    AUTO(segment) struct segment *segment = segment_new();
    segment->small_bytes = SEGMENT_BYTES_LEAST;
    for (size_t i = 0; i < sizeof(ends) - 1; i++) {
        char path[32];
        (void)snprintf(path, sizeof(path), "d/file%zu", i);
        struct walk_entry entry = entry_of(path, ENTRY_FILE, 1);
        now[i] = segment_ends_after(segment, &entry) ? '1' : '0';
    }
    now[sizeof(ends) - 1] = '\0';
    cr_assert_str_eq(now, ends);
}

Test(segment, ends_after_a_large_file_and_after_256_entries_to_work_on)
{
    AUTO(segment) struct segment *segment = segment_new();
    struct walk_entry large = entry_of("d/large", ENTRY_FILE, SEGMENT_SMALL_FILE + 1);
    cr_assert(segment_ends_after(segment, &large));
    struct walk_entry dir = entry_of("d/dir", ENTRY_DIRECTORY, 4096);
    for (size_t i = 1; i < SEGMENT_WORK_MOST; i++) {
        segment_add(segment, &dir);
        cr_assert_not(segment_ends_after(segment, &dir));
    }
    segment_add(segment, &dir);
    cr_assert(segment_ends_after(segment, &dir));
}

/* A directory that lies deep may hold any number of files. */
Test(segment, of_entries_with_very_long_paths_has_few)
{
    static char path[60000] = "d/";
    memset(path + 2, 'n', sizeof(path) - 3);
    for (int cached = 0; cached < 2; cached++) {
        AUTO(segment) struct segment *segment = segment_new();
        struct walk_entry entry = entry_of(path, ENTRY_FILE, 1000);
        if (cached) entry.cached = span_str("an encoded entry");
        while (!segment_ends_before(segment, &entry) && segment_count(segment) < SEGMENT_WORK_MOST)
            segment_add(segment, &entry);
        cr_assert_leq(segment_count(segment), SEGMENT_NAMES_MOST / sizeof(path) + 1);
        cr_assert_gt(segment_bytes(segment), segment_count(segment) * (sizeof(path) - 100));
    }
}

Test(segment, unchanged_entries_are_no_work_and_no_bytes)
{
    AUTO(segment) struct segment *segment = segment_new();
    struct walk_entry entry = entry_of("d/file", ENTRY_FILE, 1000);
    entry.cached = span_str("an encoded entry");
    for (size_t i = 0; i < SEGMENT_ITEMS_MOST; i++) {
        cr_assert_not(segment_ends_before(segment, &entry));
        segment_add(segment, &entry);
        cr_assert_not(segment_ends_after(segment, &entry));
    }
    cr_assert(segment_ends_before(segment, &entry));
    cr_assert(segment->work == 0 && segment->small_bytes == 0);
    const struct item *item = segment_item(segment, 7);
    cr_assert(item->state == ITEM_ENCODED && item->size == 1000);
    cr_assert(span_eq(item_parent(segment, item), span_str("d")));
    cr_assert(span_eq(item_name(segment, item), span_str("file")));
    cr_assert(span_eq(item_encoded(segment, item), span_str("an encoded entry")));
}

Test(segment, placing_a_bundled_item_completes_its_reference)
{
    AUTO(segment) struct segment *segment = segment_new();
    struct walk_entry walked = entry_of("d/file", ENTRY_FILE, 300);
    segment_add(segment, &walked);
    struct item *item = segment_item(segment, 0);
    AUTO(buf) struct buf refs = {0};
    struct ref open = {.length = 300, .offset = 5};
    ref_encode(&open, &refs);
    struct entry entry = {.type = ENTRY_FILE,
                          .depth = 2,
                          .size = 300,
                          .name = span_str("file"),
                          .file_hash = {{7}},
                          .ref_count = 1,
                          .refs = buf_span(&refs)};
    struct err err = {0};
    buf_put_str(&segment->encoded, "before");
    item->encoded = segment->encoded.len;
    cr_assert(entry_encode(&entry, &segment->encoded, &err), "%s", err.text);
    item->encoded_len = segment->encoded.len - item->encoded;
    buf_put_str(&segment->encoded, "behind");
    item->state = ITEM_BUNDLED;

    struct ref placed = {.content = {{9, 9, 9}}, .length = 300, .offset = 70005};
    item_place(segment, item, &placed);
    cr_assert_eq(item->state, ITEM_ENCODED);
    struct reader reader = reader_of(item_encoded(segment, item));
    struct entry read;
    struct ref ref;
    cr_assert(entry_decode(&reader, &read, &err) && reader_done(&reader), "%s", err.text);
    struct reader in_refs = reader_of(read.refs);
    cr_assert(ref_decode(&in_refs, &ref, &err), "%s", err.text);
    cr_assert(hash_eq(&ref.content, &placed.content) && ref.length == 300 && ref.offset == 70005);
    cr_assert(memcmp(segment->encoded.data + segment->encoded.len - 6, "behind", 6) == 0);
}
