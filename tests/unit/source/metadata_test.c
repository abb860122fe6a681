#include "transporter/source/metadata.h"

#include "transporter/source/xattrs.h"
#include "tree.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/limits.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

/* The entry of one name, encoded by its own look-up. */
struct encoded {
    struct buf bytes;
    struct entry entry;
};
static void encoded_deinit(struct encoded *encoded)
{
    buf_deinit(&encoded->bytes);
}
DEFINE_AUTO_IN_PLACE(encoded, struct encoded, encoded_deinit)

static struct encoded encode_kept(const struct walk_entry *entry, int fd)
{
    AUTO(metadata_names) struct metadata_names *names = metadata_names_new();
    const struct metadata_content empty = {0};
    struct encoded out = {0};
    struct err warning, err;
    cr_assert(metadata_encode(names, fd, entry, entry->type == ENTRY_FILE ? &empty : NULL, &out.bytes,
                              &warning, &err),
              "%s", err.text);
    cr_assert_eq(warning.code, ERR_NONE, "%s", warning.text);
    struct reader reader = reader_of(buf_span(&out.bytes));
    cr_assert(entry_decode(&reader, &out.entry, &err), "%s", err.text);
    return out;
}

static struct encoded encode_name(const struct tree *tree, const char *name)
{
    AUTO(kept) struct kept kept = keep_entry(tree, name);
    return encode_kept(kept.entry, -1);
}

static void set_xattr(const struct tree *tree, const char *name, const char *attribute, struct span value)
{
    AUTO(free) char *path = tree_path(tree, name);
    if (lsetxattr(path, attribute, value.data ? (const void *)value.data : "", value.len, 0) == 0) return;
    if (errno == ENOTSUP || errno == EPERM || errno == EOPNOTSUPP) cr_skip_test("no such attributes here");
    cr_assert_fail("%s on %s: %s", attribute, name, strerror(errno));
}

/* "name=value|…" of those with the prefix. */
static void xattr_text(const struct entry *entry, const char *prefix, struct buf *out)
{
    struct reader reader = reader_of(entry->xattrs);
    struct span name, value;
    unsigned count = 0;
    buf_clear(out);
    for (; xattr_next(&reader, &name, &value); count++) {
        if (name.len < strlen(prefix) || memcmp(name.data, prefix, strlen(prefix)) != 0) continue;
        buf_put_span(out, name);
        buf_put_u8(out, '=');
        buf_put_span(out, value);
        buf_put_u8(out, '|');
    }
    cr_assert_eq(count, entry->xattr_count);
}

Test(metadata, stat_goes_into_the_entry)
{
    AUTO(tree) struct tree tree = tree_make();
    put_dir(&tree, "dir");
    cr_assert_eq(fchmodat(tree.fd, "dir", 03751, 0), 0);
    set_mtime(&tree, "dir", 1234567890123456789);
    AUTO(encoded) struct encoded dir = encode_name(&tree, "dir");
    cr_assert_eq(dir.entry.type, ENTRY_DIRECTORY);
    cr_assert_eq(dir.entry.mode, 03751);
    cr_assert_eq(dir.entry.mtime_ns, 1234567890123456789);
    cr_assert_eq(dir.entry.depth, path_depth(span_str(tree.path)));
    cr_assert(span_eq(dir.entry.name, span_str("dir")));
    cr_assert_eq(dir.entry.size, 0);
}

Test(metadata, a_link_has_its_target_and_no_size)
{
    AUTO(tree) struct tree tree = tree_make();
    char target[4001];
    memset(target, 't', sizeof(target));
    target[4000] = 0;
    put_symlink(&tree, "link", target);
    put_symlink(&tree, "odd", "/\xff//..\n");
    AUTO(encoded) struct encoded link = encode_name(&tree, "link");
    cr_assert_eq(link.entry.type, ENTRY_SYMLINK);
    cr_assert(span_eq(link.entry.target, span_str(target)));
    AUTO(encoded) struct encoded odd = encode_name(&tree, "odd");
    cr_assert(span_eq(odd.entry.target, span_str("/\xff//..\n")));
}

Test(metadata, a_device_has_its_number)
{
    AUTO(tree) struct tree tree = tree_make();
    if (mknodat(tree.fd, "device", S_IFCHR | 0640, makedev(300, 70000)) != 0)
        cr_skip_test("cannot make device nodes here");
    AUTO(encoded) struct encoded device = encode_name(&tree, "device");
    cr_assert_eq(device.entry.type, ENTRY_CHAR_DEVICE);
    cr_assert_eq(device.entry.device_major, 300);
    cr_assert_eq(device.entry.device_minor, 70000);
}

Test(metadata, a_hard_link_has_nothing_of_its_own)
{
    AUTO(tree) struct tree tree = tree_make();
    put_file(&tree, "a", "");
    put_hard_link(&tree, "b", "a");
    set_xattr(&tree, "a", "user.x", span_str("1"));
    AUTO(encoded) struct encoded link = encode_name(&tree, "b");
    AUTO(free) char *first = tree_path(&tree, "a");
    cr_assert_eq(link.entry.type, ENTRY_HARD_LINK);
    cr_assert(span_eq(link.entry.target, span_str(first + 1)));
    cr_assert_eq(link.entry.xattr_count, 0);
}

Test(metadata, owners_have_names_if_the_system_knows_them)
{
    AUTO(tree) struct tree tree = tree_make();
    put_file(&tree, "known", "");
    put_file(&tree, "unknown", "");
    if (fchownat(tree.fd, "unknown", 3999999999u, 3999999998u, 0) != 0)
        cr_skip_test("cannot give files away");
    AUTO(encoded) struct encoded known = encode_name(&tree, "known");
    cr_assert(span_eq(known.entry.owner, span_str(getpwuid(geteuid())->pw_name)));
    cr_assert(span_eq(known.entry.group, span_str(getgrgid(getegid())->gr_name)));
    AUTO(encoded) struct encoded unknown = encode_name(&tree, "unknown");
    cr_assert_eq(unknown.entry.uid, 3999999999u);
    cr_assert_eq(unknown.entry.gid, 3999999998u);
    cr_assert_eq(unknown.entry.owner.len, 0);
    cr_assert_eq(unknown.entry.group.len, 0);
}

Test(metadata, user_attributes_come_in_name_order)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(buf) struct buf text = {0};
    put_file(&tree, "file", "");
    put_dir(&tree, "dir");
    set_xattr(&tree, "file", "user.zz", span_str("last"));
    set_xattr(&tree, "file", "user.a", span_of("\0\xff", 2));
    set_xattr(&tree, "file", "user.empty", span_of(NULL, 0));
    set_xattr(&tree, "dir", "user.dir", span_str("yes"));
    static const char expected[] = "user.a=\0\xff|user.empty=|user.zz=last|";
    AUTO(kept) struct kept kept = keep_entry(&tree, "file");
    AUTO(fd) int fd = openat(tree.fd, "file", O_RDONLY | O_CLOEXEC);
    AUTO(encoded) struct encoded by_fd = encode_kept(kept.entry, fd);
    xattr_text(&by_fd.entry, "user.", &text);
    cr_assert(span_eq(buf_span(&text), span_of(expected, sizeof(expected) - 1)));
    AUTO(encoded) struct encoded by_name = encode_kept(kept.entry, -1);
    cr_assert(span_eq(buf_span(&by_fd.bytes), buf_span(&by_name.bytes)), "both ways give the same");
    AUTO(encoded) struct encoded dir = encode_name(&tree, "dir");
    xattr_text(&dir.entry, "user.", &text);
    expect_text(&text, "user.dir=yes|");
}

/* A file in memory, where attributes may be as many and as long as the system takes. */
static int open_in_memory(void)
{
    char path[] = "/dev/shm/sealift-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0) cr_skip_test("no file system in memory here");
    cr_assert_eq(unlink(path), 0);
    return fd;
}

static void give(int fd, const char *name, size_t len)
{
    static const uint8_t value[XATTR_SIZE_MAX];
    if (fsetxattr(fd, name, value, len, 0) != 0) cr_skip_test("no such attributes here");
}

/* Not every file system bounds them: whoever owns a file may give it more than memory has. */
Test(metadata, of_more_attributes_than_fit_into_an_entry_those_that_fit_are_read)
{
    enum { MANY = 100 };
    AUTO(xattrs) struct xattrs xattrs = {0};
    struct err warning = {0};
    AUTO(fd) int fd = open_in_memory();
    for (int i = 0; i < MANY; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "user.%02d", i);
        give(fd, name, XATTR_SIZE_MAX);
    }
    give(fd, "user.small", 10);
    xattrs_read(fd, XATTRS_OPEN, ENTRY_MAX_LEN - 200, &xattrs, &warning);
    cr_assert_leq(xattrs.encoded.len, ENTRY_MAX_LEN - 200);
    cr_assert_eq(xattrs.count, 15 + 1);
    cr_assert_eq(warning.code, ERR_LIMIT);
    cr_assert_str_eq(warning.text,
                     "backed up without the extended attributes 'user.15', 'user.16', 'user.17', "
                     "'user.18', 'user.19', 'user.20', 'user.21', 'user.22', 'user.23', 'user.24', "
                     "'user.25', 'user.26' and 73 more: there is room for 1 MiB of them");
}

Test(metadata, an_attribute_is_left_out_where_a_byte_of_room_is_missing)
{
    static const struct {
        size_t len, room;
        unsigned count;
    } cases[] = {{10, 21, 1}, {10, 20, 0}, {10, 11, 0}, {10, 10, 0}, {10, 0, 0}, {0, 11, 1}, {0, 10, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(xattrs) struct xattrs xattrs = {0};
        struct err warning = {0};
        AUTO(fd) int fd = open_in_memory();
        give(fd, "user.a", cases[i].len);
        xattrs_read(fd, XATTRS_OPEN, cases[i].room, &xattrs, &warning);
        cr_assert_eq(xattrs.count, cases[i].count, "case %zu", i);
        cr_assert_eq(xattrs.encoded.len, cases[i].count ? cases[i].room : 0, "case %zu", i);
        cr_assert_str_eq(warning.code == ERR_NONE ? "" : warning.text,
                         cases[i].count
                             ? ""
                             : "backed up without the extended attribute 'user.a': there is room for "
                               "1 MiB of them");
    }
}

/* To the byte: its name, owner and references are there anyway. */
Test(metadata, attributes_take_the_room_that_the_rest_of_an_entry_leaves)
{
    AUTO(tree) struct tree tree = tree_make();
    put_file(&tree, "file", "");
    AUTO(kept) struct kept kept = keep_entry(&tree, "file");
    AUTO(metadata_names) struct metadata_names *names = metadata_names_new();
    AUTO(fd) int fd = open_in_memory();
    const struct metadata_content empty = {0};
    size_t room = 0;
    for (int i = 0; i < 15; i++)
        give(fd, (const char[]){'u', 's', 'e', 'r', '.', (char)('a' + i), 0}, XATTR_SIZE_MAX);
    for (size_t more = 0; more < 3; more++) {
        AUTO(buf) struct buf out = {0};
        struct err warning, err;
        if (more > 0) give(fd, "user.last", room + more - 1);
        cr_assert(metadata_encode(names, fd, kept.entry, &empty, &out, &warning, &err), "%s", err.text);
        cr_assert_eq(warning.code, more == 2 ? ERR_LIMIT : ERR_NONE);
        cr_assert_eq(out.len == ENTRY_MAX_LEN, more == 1);
        if (more == 0) room = ENTRY_MAX_LEN - out.len - XATTR_HEAD_LEN - strlen("user.last");
    }
}

Test(metadata, attributes_of_links_and_devices_are_their_own)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(buf) struct buf text = {0};
    put_file(&tree, "target", "");
    put_symlink(&tree, "link", "target");
    if (mknodat(tree.fd, "device", S_IFCHR | 0600, makedev(1, 3)) != 0)
        cr_skip_test("cannot make device nodes here");
    set_xattr(&tree, "target", "trusted.x", span_str("target"));
    set_xattr(&tree, "link", "trusted.x", span_str("link"));
    set_xattr(&tree, "device", "trusted.x", span_str("device"));
    AUTO(encoded) struct encoded link = encode_name(&tree, "link");
    xattr_text(&link.entry, "trusted.", &text);
    expect_text(&text, "trusted.x=link|");
    AUTO(encoded) struct encoded device = encode_name(&tree, "device");
    xattr_text(&device.entry, "trusted.", &text);
    expect_text(&text, "trusted.x=device|");
}

Test(metadata, acls_and_capabilities_are_attributes)
{
    /* linux/posix_acl_xattr.h: version 2; owner rw-, user 1 r--, group r--, mask r--, other --- */
    static const uint8_t acl[] = {2, 0, 0,   0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,  4,
                                  0, 1, 0,   0,   0,   4,   0,  4, 0,   255, 255, 255, 255, 16, 0,
                                  4, 0, 255, 255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255};
    /* linux/capability.h: VFS_CAP_REVISION_2, cap_net_raw permitted */
    static const uint8_t capability[20] = {1, 0, 0, 2, 0, 0x20};
    AUTO(tree) struct tree tree = tree_make();
    AUTO(buf) struct buf text = {0};
    put_file(&tree, "file", "");
    put_dir(&tree, "dir");
    set_xattr(&tree, "file", "system.posix_acl_access", span_of(acl, sizeof(acl)));
    set_xattr(&tree, "file", "security.capability", span_of(capability, sizeof(capability)));
    set_xattr(&tree, "dir", "system.posix_acl_default", span_of(acl, sizeof(acl)));
    AUTO(encoded) struct encoded file = encode_name(&tree, "file");
    cr_assert_geq(file.entry.xattr_count, 2);
    xattr_text(&file.entry, "system.posix_acl_access", &text);
    cr_assert_eq(text.len, strlen("system.posix_acl_access=|") + sizeof(acl));
    cr_assert_arr_eq(text.data + strlen("system.posix_acl_access="), acl, sizeof(acl));
    xattr_text(&file.entry, "security.capability", &text);
    cr_assert_arr_eq(text.data + strlen("security.capability="), capability, sizeof(capability));
    AUTO(encoded) struct encoded dir = encode_name(&tree, "dir");
    xattr_text(&dir.entry, "system.posix_acl_default", &text);
    cr_assert_gt(text.len, sizeof(acl));
}

Test(metadata, long_lists_of_attributes_are_read)
{
    AUTO(tree) struct tree tree = tree_make();
    AUTO(buf) struct buf expected = {0}, text = {0};
    put_file(&tree, "file", "");
    for (unsigned i = 0; i < 40; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "user.an-attribute-with-a-long-name-%02u", i);
        set_xattr(&tree, "file", name, span_str("v"));
        buf_printf(&expected, "%s=v|", name);
    }
    AUTO(encoded) struct encoded file = encode_name(&tree, "file");
    xattr_text(&file.entry, "user.", &text);
    cr_assert(span_eq(buf_span(&text), buf_span(&expected)));
}

Test(metadata, content_goes_into_the_entry)
{
    AUTO(tree) struct tree tree = tree_make();
    put_file(&tree, "file", "12345");
    AUTO(kept) struct kept kept = keep_entry(&tree, "file");
    AUTO(metadata_names) struct metadata_names *names = metadata_names_new();
    AUTO(buf) struct buf refs = {0}, out = {0};
    const struct ref ref = {.kind = REF_DATA, .length = 5, .offset = 3, .content = {{9}}};
    ref_encode(&ref, &refs);
    const struct metadata_content content = {
        .size = 5, .file_hash = {{7}}, .flags = ENTRY_INEXACT, .ref_count = 1, .refs = buf_span(&refs)};
    struct entry entry;
    struct err warning, err;
    cr_assert(metadata_encode(names, -1, kept.entry, &content, &out, &warning, &err), "%s", err.text);
    struct reader reader = reader_of(buf_span(&out));
    cr_assert(entry_decode(&reader, &entry, &err), "%s", err.text);
    cr_assert_eq(entry.size, 5);
    cr_assert_eq(entry.flags, ENTRY_INEXACT);
    cr_assert_eq(entry.file_hash.bytes[0], 7);
    cr_assert(span_eq(entry.refs, buf_span(&refs)));
}

static enum err_code encode_fails(const struct walk_entry *entry)
{
    AUTO(metadata_names) struct metadata_names *names = metadata_names_new();
    AUTO(buf) struct buf out = {0};
    struct err warning, err;
    cr_assert(!metadata_encode(names, -1, entry, NULL, &out, &warning, &err));
    cr_assert_eq(out.len, 0);
    return err.code;
}

Test(metadata, what_vanished_or_was_replaced_is_not_encoded)
{
    AUTO(tree) struct tree tree = tree_make();
    put_symlink(&tree, "link", "a");
    put_symlink(&tree, "other", "b");
    put_dir(&tree, "dir");
    put_symlink(&tree, "dir/link", "a");
    AUTO(kept) struct kept kept = keep_entry(&tree, "link");
    AUTO(kept) struct kept deeper = keep_entry(&tree, "dir/link");
    cr_assert_eq(unlinkat(tree.fd, "link", 0), 0);
    cr_assert_eq(encode_fails(kept.entry), ERR_NOT_FOUND);
    cr_assert_eq(renameat(tree.fd, "other", tree.fd, "link"), 0);
    cr_assert_eq(encode_fails(kept.entry), ERR_NOT_FOUND);
    cr_assert_eq(unlinkat(tree.fd, "dir/link", 0), 0);
    cr_assert_eq(encode_fails(deeper.entry), ERR_NOT_FOUND);
}

Test(metadata, attributes_that_cannot_be_read_are_a_warning)
{
    AUTO(tree) struct tree tree = tree_make();
    put_file(&tree, "file", "");
    set_xattr(&tree, "file", "user.x", span_str("1"));
    cr_assert_eq(fchmodat(tree.fd, "file", 0, 0), 0);
    AUTO(kept) struct kept kept = keep_entry(&tree, "file");
    AUTO(metadata_names) struct metadata_names *names = metadata_names_new();
    AUTO(buf) struct buf out = {0};
    const struct metadata_content empty = {0};
    struct entry entry;
    struct err warning, err;
    if (geteuid() != 0 || seteuid(65534) != 0) cr_skip_test("needs root, to become somebody else");
    cr_assert(metadata_encode(names, -1, kept.entry, &empty, &out, &warning, &err), "%s", err.text);
    cr_assert_eq(seteuid(0), 0);
    cr_assert_str_eq(warning.text, "cannot read the extended attribute 'user.x': Permission denied");
    struct reader reader = reader_of(buf_span(&out));
    cr_assert(entry_decode(&reader, &entry, &err), "%s", err.text);
    cr_assert_eq(entry.xattr_count, 0);
}

Test(metadata, a_directory_that_may_not_be_opened_is_asked_by_its_path)
{
    static const uint8_t acl[] = {2, 0, 0,   0,   1,   0,   7,  0, 255, 255, 255, 255, 4,   0,
                                  5, 0, 255, 255, 255, 255, 32, 0, 5,   0,   255, 255, 255, 255};
    AUTO(tree) struct tree tree = tree_make();
    put_dir(&tree, "dir");
    set_xattr(&tree, "dir", "system.posix_acl_default", span_of(acl, sizeof(acl)));
    cr_assert_eq(fchmodat(tree.fd, "dir", 0, 0), 0);
    AUTO(kept) struct kept kept = keep_entry(&tree, "dir");
    AUTO(metadata_names) struct metadata_names *names = metadata_names_new();
    AUTO(buf) struct buf out = {0};
    struct entry entry;
    struct err warning, err;
    if (geteuid() != 0 || seteuid(65534) != 0) cr_skip_test("needs root, to become somebody else");
    cr_assert(metadata_encode(names, -1, kept.entry, NULL, &out, &warning, &err), "%s", err.text);
    cr_assert_eq(seteuid(0), 0);
    struct reader reader = reader_of(buf_span(&out));
    cr_assert(entry_decode(&reader, &entry, &err), "%s", err.text);
    cr_assert_eq(entry.xattr_count, 1);
}

Test(metadata, metadata_beyond_the_limit_is_an_error)
{
    AUTO(tree) struct tree tree = tree_make();
    put_file(&tree, "file", "");
    AUTO(kept) struct kept kept = keep_entry(&tree, "file");
    AUTO(metadata_names) struct metadata_names *names = metadata_names_new();
    AUTO(buf) struct buf out = {0};
    const struct metadata_content content = {.ref_count = REFS_INLINE_MAX + 1};
    struct err warning, err;
    cr_assert(!metadata_encode(names, -1, kept.entry, &content, &out, &warning, &err));
    cr_assert_eq(err.code, ERR_LIMIT);
}
