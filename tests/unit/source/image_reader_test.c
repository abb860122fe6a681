#include "transporter/source/image_reader.h"

#include "tree.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *put_sparse(const struct tree *tree, const char *name, off_t size)
{
    put_file(tree, name, "");
    AUTO(fd) int fd = openat(tree->fd, name, O_WRONLY);
    cr_assert_eq(ftruncate(fd, size), 0);
    return tree_path(tree, name);
}

static void put_bytes(const struct tree *tree, const char *name, off_t offset, const char *bytes)
{
    AUTO(fd) int fd = openat(tree->fd, name, O_WRONLY);
    cr_assert_eq(pwrite(fd, bytes, strlen(bytes), offset), (ssize_t)strlen(bytes));
}

static enum file_state state_of(struct image_reader *reader)
{
    enum file_state state = FILE_SAME;
    struct err err;
    cr_assert(image_reader_state(reader, &state, &err), "%s", err.text);
    return state;
}

static enum err_code refusal(const char *path, enum image_links links, struct err *err)
{
    AUTO(image_reader) struct image_reader reader = {.fd = -1};
    *err = (struct err){0};
    cr_assert_not(image_reader_open(path, links, 0, &reader, err));
    cr_assert_eq(reader.fd, -1, "what failed leaves nothing behind");
    return err->code;
}

Test(image_reader, opens_nothing_but_images)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(free)
    char *dir = tree_path(&tree, "dir"),
         *fifo = tree_path(&tree, "fifo"), *none = tree_path(&tree, "none"), *link = tree_path(&tree, "link");
    struct err err;
    put_dir(&tree, "dir");
    put_file(&tree, "file", "x");
    put_symlink(&tree, "link", "file");
    cr_assert_eq(mkfifoat(tree.fd, "fifo", 0600), 0);
    cr_assert_eq(refusal(dir, IMAGE_LINKS_REFUSED, &err), ERR_USAGE);
    cr_assert_eq(refusal(fifo, IMAGE_LINKS_REFUSED, &err), ERR_USAGE);
    cr_assert_eq(refusal("/dev/null", IMAGE_LINKS_REFUSED, &err), ERR_USAGE);
    cr_assert_str_eq(err.text, "'/dev/null' is neither a block device nor a regular file");
    cr_assert_eq(refusal(none, IMAGE_LINKS_REFUSED, &err), ERR_NOT_FOUND);
    cr_assert_eq(refusal("file", IMAGE_LINKS_REFUSED, &err), ERR_USAGE);
    cr_assert_eq(refusal(link, IMAGE_LINKS_REFUSED, &err), ERR_POLICY);
    AUTO(image_reader) struct image_reader reader = {.fd = -1};
    cr_assert(image_reader_open(link, IMAGE_LINKS_FOLLOWED, 0, &reader, &err), "%s", err.text);
}

Test(image_reader, describes_a_file_as_an_entry_of_its_last_name)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(free) char *path = put_sparse(&tree, "disk.img", 12345);
    AUTO(image_reader) struct image_reader reader = {.fd = -1}, young = {.fd = -1};
    struct err err;
    cr_assert_eq(fchmodat(tree.fd, "disk.img", 0640, 0), 0);
    cr_assert(
        image_reader_open(path, IMAGE_LINKS_REFUSED, now_ns() + UINT64_C(3600000000000), &reader, &err));
    cr_assert(reader.kind == IMAGE_FILE && reader.size == 12345 && reader.entry.key.size == 12345);
    cr_assert(span_eq(reader.entry.name, span_str("disk.img")));
    cr_assert(reader.entry.depth == 1 && reader.entry.type == ENTRY_FILE && reader.entry.mode == 0640);
    cr_assert(reader.entry.cacheable);
    cr_assert(image_reader_open(path, IMAGE_LINKS_REFUSED, now_ns(), &young, &err));
    cr_assert_not(young.entry.cacheable, "it may change again within the clock's step");
}

Test(image_reader, tells_holes_from_data)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(free) char *path = put_sparse(&tree, "image", 10 << 20);
    put_bytes(&tree, "image", 4 << 20, "data");
    AUTO(image_reader) struct image_reader reader = {.fd = -1};
    struct err err;
    struct extent extent;
    uint64_t data = 0, at = 0;
    cr_assert(image_reader_open(path, IMAGE_LINKS_REFUSED, 0, &reader, &err), "%s", err.text);
    for (; at < reader.size; at += extent.length) {
        cr_assert(image_reader_extent(&reader, at, &extent, &err), "%s", err.text);
        cr_assert(extent.offset == at && extent.length > 0);
        if (extent.kind != EXTENT_DATA) continue;
        cr_assert(at <= 4 << 20 && at + extent.length > 4 << 20);
        data += extent.length;
    }
    cr_assert_eq(at, reader.size);
    cr_assert(data > 0 && data <= 1 << 20, "%llu", (unsigned long long)data);
}

Test(image_reader, names_the_offset_where_an_image_ends_early)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(free) char *path = put_sparse(&tree, "image", 1000);
    AUTO(image_reader) struct image_reader reader = {.fd = -1};
    char bytes[600];
    struct err err;
    cr_assert(image_reader_open(path, IMAGE_LINKS_REFUSED, 0, &reader, &err), "%s", err.text);
    cr_assert(image_reader_read(&reader, 400, bytes, 600, &err), "%s", err.text);
    cr_assert_eq(state_of(&reader), FILE_SAME);
    cr_assert_eq(truncate(path, 700), 0);
    cr_assert_not(image_reader_read(&reader, 400, bytes, 600, &err));
    cr_assert_eq(err.code, ERR_FAILED);
    cr_assert_not_null(strstr(err.text, "ends at offset 700: it had 1000 bytes"), "%s", err.text);
    cr_assert_eq(state_of(&reader), FILE_CHANGED);
}

Test(image_reader, names_the_offset_of_an_error)
{
    struct image_reader broken = {.fd = -1, .path = "/dev/broken", .size = 1 << 20};
    char bytes[16];
    struct err err;
    cr_assert_not(image_reader_read(&broken, 4096, bytes, 16, &err));
    cr_assert_eq(err.code, ERR_SYSTEM);
    cr_assert_not_null(strstr(err.text, "cannot read '/dev/broken' at offset 4096"), "%s", err.text);
}
