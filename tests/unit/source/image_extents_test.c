#include "transporter/source/image_extents.h"

#include "tree.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

static char *put_sparse(const struct tree *tree, const char *name, off_t size)
{
    put_file(tree, name, "");
    AUTO(fd) int fd = openat(tree->fd, name, O_WRONLY);
    cr_assert_eq(ftruncate(fd, size), 0);
    return tree_path(tree, name);
}

static void put_data(const struct tree *tree, const char *name, off_t offset)
{
    AUTO(fd) int fd = openat(tree->fd, name, O_WRONLY);
    cr_assert_eq(pwrite(fd, "data", 4, offset), 4);
}

static int kind_at(struct image_extents *extents, uint64_t at, struct extent *out)
{
    struct err err;
    cr_assert(image_extents_find(extents, at, out, &err), "%s", err.text);
    cr_assert(out->offset <= at && at < out->offset + out->length);
    return out->kind;
}

Test(image_extents, asks_for_data_once_and_for_holes_each_time)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(free) char *path = put_sparse(&tree, "image", 10 * MIB);
    AUTO(image_reader) struct image_reader reader = {.fd = -1}, closed;
    struct extent extent;
    struct err err;
    put_data(&tree, "image", 4 * MIB);
    cr_assert(image_reader_open(path, IMAGE_LINKS_REFUSED, 0, &reader, &err), "%s", err.text);
    closed = reader;
    closed.fd = -1;
    AUTO(image_extents) struct image_extents extents;
    image_extents_init(&extents, &reader);
    cr_assert_eq(kind_at(&extents, 4 * MIB, &extent), EXTENT_DATA);
    cr_assert_eq(kind_at(&extents, MIB, &extent), EXTENT_HOLE);

    extents.reader = &closed;
    cr_assert_eq(kind_at(&extents, 4 * MIB, &extent), EXTENT_DATA);
    cr_assert_eq(kind_at(&extents, extent.offset + extent.length - 1, &extent), EXTENT_DATA);
    cr_assert_not(image_extents_find(&extents, MIB, &extent, &err));
    cr_assert_not(image_extents_find(&extents, extent.offset + extent.length, &extent, &err));
    extents.reader = &reader;

    put_data(&tree, "image", MIB);
    cr_assert_eq(kind_at(&extents, MIB, &extent), EXTENT_DATA, "it was written to since");
}
