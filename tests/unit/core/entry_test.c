#include "transporter/core/entry.h"

#include "golden.h"
#include "transporter/core/path.h"

#include <criterion/criterion.h>
#include <string.h>

/* A regular file with everything that an entry can have. */
static void rich_entry(struct buf *xattrs, struct buf *refs, struct entry *out)
{
    xattr_encode(span_str("security.capability"), span_of("\0\1\2", 3), xattrs);
    xattr_encode(span_str("user.empty"), span_str(""), xattrs);
    struct ref data = {.length = 1000, .offset = 24, .kind = REF_DATA};
    memset(data.content.bytes, 8, HASH_LEN);
    const struct ref hole = {.length = 4000, .kind = REF_HOLE};
    ref_encode(&data, refs);
    ref_encode(&hole, refs);
    *out = (struct entry){.type = ENTRY_FILE,
                          .flags = ENTRY_INEXACT,
                          .depth = 3,
                          .mode = 04755,
                          .uid = 1,
                          .gid = 2,
                          .mtime_ns = 1700000000123456789,
                          .size = 5000,
                          .name = span_str("sparse"),
                          .owner = span_str("daemon"),
                          .group = span_str("adm"),
                          .xattr_count = 2,
                          .xattrs = buf_span(xattrs),
                          .ref_count = 2,
                          .refs = buf_span(refs)};
    memset(out->file_hash.bytes, 7, HASH_LEN);
}

static bool decode(struct span bytes, struct entry *out, struct err *err)
{
    struct reader reader = reader_of(bytes);
    return entry_decode(&reader, out, err);
}

Test(entry, comes_back_as_it_was)
{
    AUTO(buf) struct buf xattrs = {0}, refs = {0}, bytes = {0};
    struct entry in, out;
    struct err err;
    rich_entry(&xattrs, &refs, &in);
    cr_assert(entry_encode(&in, &bytes, &err), "%s", err.text);
    cr_assert(decode(buf_span(&bytes), &out, &err), "%s", err.text);
    cr_assert_eq(out.type, in.type);
    cr_assert_eq(out.flags, in.flags);
    cr_assert_eq(out.depth, in.depth);
    cr_assert_eq(out.mode, in.mode);
    cr_assert_eq(out.uid, in.uid);
    cr_assert_eq(out.gid, in.gid);
    cr_assert_eq(out.mtime_ns, in.mtime_ns);
    cr_assert_eq(out.size, in.size);
    cr_assert(span_eq(out.name, in.name));
    cr_assert(span_eq(out.owner, in.owner));
    cr_assert(span_eq(out.group, in.group));
    cr_assert(span_eq(out.xattrs, in.xattrs));
    cr_assert(span_eq(out.refs, in.refs));
    cr_assert(hash_eq(&out.file_hash, &in.file_hash));
    struct reader reader = reader_of(out.xattrs);
    struct span name, value;
    cr_assert(xattr_next(&reader, &name, &value));
    cr_assert(span_eq(name, span_str("security.capability")));
    cr_assert(span_eq(value, span_of("\0\1\2", 3)));
    cr_assert(xattr_next(&reader, &name, &value));
    cr_assert_eq(value.len, 0);
    cr_assert(!xattr_next(&reader, &name, &value));
}

Test(entry, is_refused_when_cut_at_any_length)
{
    AUTO(buf) struct buf xattrs = {0}, refs = {0}, bytes = {0};
    struct entry in, out;
    struct err err;
    rich_entry(&xattrs, &refs, &in);
    cr_assert(entry_encode(&in, &bytes, &err), "%s", err.text);
    for (size_t len = 0; len < bytes.len; len++) {
        AUTO(free) uint8_t *exact = malloc(len ? len : 1);
        memcpy(exact, bytes.data, len);
        cr_assert(!decode(span_of(exact, len), &out, &err), "at %zu", len);
        cr_assert_eq(err.code, ERR_TRUNCATED, "at %zu", len);
    }
}

/* With the length field made to fit, so that the lengths inside are what is checked. */
Test(entry, is_refused_when_its_end_is_missing_and_its_length_says_so)
{
    AUTO(buf) struct buf xattrs = {0}, refs = {0}, bytes = {0};
    struct entry in, out;
    struct err err;
    rich_entry(&xattrs, &refs, &in);
    cr_assert(entry_encode(&in, &bytes, &err), "%s", err.text);
    for (size_t len = ENTRY_FIXED_LEN; len < bytes.len; len++) {
        le32_put(bytes.data, (uint32_t)len);
        cr_assert(!decode(span_of(bytes.data, len), &out, &err), "at %zu", len);
        cr_assert_eq(err.code, ERR_DAMAGED, "at %zu", len);
    }
}

/* What every decoded entry must hold, whatever the bytes were. */
static void expect_sound(const struct entry *entry)
{
    cr_assert(name_valid(entry->name));
    cr_assert(entry->depth >= 1 && entry->depth <= DEPTH_MAX);
    cr_assert(entry->mode <= 07777);
    cr_assert_eq(entry->refs.len, (size_t)entry->ref_count * REF_LEN);
    if (entry->type == ENTRY_HARD_LINK) cr_assert(path_valid(entry->target));
    if (entry->type != ENTRY_FILE) cr_assert_eq(entry->size, 0);
}

Test(entry, any_bit_flipped_is_refused_or_still_sound)
{
    AUTO(buf) struct buf xattrs = {0}, refs = {0}, bytes = {0};
    struct entry in, out;
    struct err err;
    rich_entry(&xattrs, &refs, &in);
    cr_assert(entry_encode(&in, &bytes, &err), "%s", err.text);
    size_t refused = 0;
    for (size_t bit = 0; bit < bytes.len * 8; bit++) {
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (decode(buf_span(&bytes), &out, &err))
            expect_sound(&out);
        else
            refused++;
        bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    cr_assert_gt(refused, 400, "%zu", refused);
}

static const uint8_t *put_ref(struct buf *refs, enum ref_kind kind, uint64_t length, uint32_t offset)
{
    struct ref ref = {.length = length, .offset = offset, .kind = kind};
    ref_encode(&ref, refs);
    return refs->data;
}

Test(entry, rules_of_types_are_kept)
{
    AUTO(buf) struct buf data = {0}, hole = {0}, node = {0}, attribute = {0};
    (void)put_ref(&data, REF_DATA, 10, 0);
    (void)put_ref(&hole, REF_HOLE, 10, 0);
    (void)put_ref(&node, REF_NODE, 10, 0);
    xattr_encode(span_str("user.a"), span_str(""), &attribute);
    struct hash hash = {{1}};
#define NAMED .depth = 1, .name = span_str("n")
#define REFS(of) .ref_count = 1, .refs = buf_span(of)
    const struct {
        struct entry entry;
        const char *fault; /* NULL: fine */
    } cases[] = {
        {{.type = ENTRY_DIRECTORY, NAMED}, NULL},
        {{.type = ENTRY_FILE, NAMED}, NULL},
        {{.type = ENTRY_FILE, NAMED, .size = 10, REFS(&data)}, NULL},
        {{.type = ENTRY_FILE, NAMED, .size = 10, REFS(&hole)}, NULL},
        {{.type = ENTRY_FILE, NAMED, .size = 10, .flags = ENTRY_REFS_IN_NODES, REFS(&node)}, NULL},
        {{.type = ENTRY_SYMLINK, NAMED, .target = span_str("/x/../y")}, NULL},
        {{.type = ENTRY_HARD_LINK, NAMED, .target = span_str("a")}, NULL},
        {{.type = ENTRY_CHAR_DEVICE, NAMED, .device_major = 1, .device_minor = 2}, NULL},
        {{.type = 0, NAMED}, "an unknown type"},
        {{.type = 8, NAMED}, "an unknown type"},
        {{.type = ENTRY_FILE, NAMED, .flags = 4}, "an unknown flag"},
        {{.type = ENTRY_FILE, .depth = 0, .name = span_str("n")}, "a depth out of range"},
        {{.type = ENTRY_FILE, .depth = DEPTH_MAX + 1, .name = span_str("n")}, "a depth out of range"},
        {{.type = ENTRY_FILE, NAMED, .mode = 010000}, "a mode out of range"},
        {{.type = ENTRY_FILE, .depth = 1}, "an improper name"},
        {{.type = ENTRY_FILE, .depth = 1, .name = span_str("..")}, "an improper name"},
        {{.type = ENTRY_FILE, .depth = 1, .name = span_str("a/b")}, "an improper name"},
        {{.type = ENTRY_FILE, .depth = 1, .name = span_of("a\0", 2)}, "an improper name"},
        {{.type = ENTRY_FILE, NAMED, .owner = span_of("\0", 1)}, "an improper owner's name"},
        {{.type = ENTRY_FILE, NAMED, .target = span_str("t")}, "a target where there can be none"},
        {{.type = ENTRY_SYMLINK, NAMED}, "a symbolic link without a proper target"},
        {{.type = ENTRY_SYMLINK, NAMED, .target = span_of("\0", 1)},
         "a symbolic link without a proper target"},
        {{.type = ENTRY_HARD_LINK, NAMED}, "a hard link without a proper path"},
        {{.type = ENTRY_HARD_LINK, NAMED, .target = span_str("../a")}, "a hard link without a proper path"},
        {{.type = ENTRY_HARD_LINK, NAMED, .target = span_str("/a")}, "a hard link without a proper path"},
        {{.type = ENTRY_HARD_LINK,
          NAMED,
          .target = span_str("a"),
          .xattr_count = 1,
          .xattrs = buf_span(&attribute)},
         "a hard link with attributes of its own"},
        {{.type = ENTRY_DIRECTORY, NAMED, .size = 1}, "content where there can be none"},
        {{.type = ENTRY_DIRECTORY, NAMED, .flags = ENTRY_INEXACT}, "content where there can be none"},
        {{.type = ENTRY_FIFO, NAMED, .file_hash = hash}, "content where there can be none"},
        {{.type = ENTRY_FIFO, NAMED, REFS(&data)}, "content where there can be none"},
        {{.type = ENTRY_FILE, NAMED, .size = 11, REFS(&data)}, "references that do not add up to its size"},
        {{.type = ENTRY_FILE, NAMED, .size = 1}, "references that do not add up to its size"},
        {{.type = ENTRY_FILE, NAMED, .size = 10, REFS(&node)}, "references and refs nodes mixed"},
        {{.type = ENTRY_FILE, NAMED, .size = 10, .flags = ENTRY_REFS_IN_NODES, REFS(&data)},
         "references and refs nodes mixed"},
        {{.type = ENTRY_FILE, NAMED, .flags = ENTRY_REFS_IN_NODES},
         "no reference to the refs nodes that it announces"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(buf) struct buf bytes = {0};
        struct entry out;
        struct err err;
        cr_assert(entry_encode(&cases[i].entry, &bytes, &err), "%s", err.text);
        bool ok = decode(buf_span(&bytes), &out, &err);
        cr_assert_eq(ok, cases[i].fault == NULL, "case %zu: %s", i, ok ? "accepted" : err.text);
        if (ok) continue;
        cr_assert_eq(err.code, ERR_DAMAGED);
        cr_assert_str_eq(err.text + strlen("damaged manifest entry: "), cases[i].fault, "case %zu", i);
    }
}

Test(entry, attributes_must_rise_and_have_names)
{
    static const struct {
        const char *first, *second;
    } bad[] = {{"user.b", "user.a"}, {"user.a", "user.a"}, {"", "user.a"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        AUTO(buf) struct buf xattrs = {0}, bytes = {0};
        xattr_encode(span_str(bad[i].first), span_str("1"), &xattrs);
        xattr_encode(span_str(bad[i].second), span_str("2"), &xattrs);
        const struct entry in = {
            .type = ENTRY_DIRECTORY, NAMED, .xattr_count = 2, .xattrs = buf_span(&xattrs)};
        struct entry out;
        struct err err;
        cr_assert(entry_encode(&in, &bytes, &err), "%s", err.text);
        cr_assert(!decode(buf_span(&bytes), &out, &err));
        cr_assert_eq(err.code, ERR_DAMAGED);
    }
}

Test(entry, limits_are_told_with_the_name)
{
    AUTO(buf) struct buf big = {0}, out = {0};
    memset(buf_grow(&big, ENTRY_MAX_LEN), 'v', ENTRY_MAX_LEN);
    struct err err;
    struct entry entry = {.type = ENTRY_DIRECTORY, NAMED, .xattrs = buf_span(&big), .xattr_count = 1};
    cr_assert(!entry_encode(&entry, &out, &err));
    cr_assert_eq(err.code, ERR_LIMIT);
    cr_assert_str_eq(err.text, "the metadata of 'n' is too large (at least 1048657 bytes)");
    cr_assert_eq(out.len, 0);
    entry = (struct entry){.type = ENTRY_SYMLINK, NAMED, .target = span_of(big.data, 65536)};
    cr_assert(!entry_encode(&entry, &out, &err));
    entry = (struct entry){.type = ENTRY_FILE, NAMED, .owner = span_of(big.data, 256)};
    cr_assert(!entry_encode(&entry, &out, &err));
    cr_assert_eq(out.len, 0);
}

Test(entry, the_largest_goes_through)
{
    AUTO(buf) struct buf value = {0}, xattrs = {0}, bytes = {0};
    size_t len = ENTRY_MAX_LEN - ENTRY_FIXED_LEN - 1 - 5 - 6;
    memset(buf_grow(&value, len), 'v', len);
    xattr_encode(span_str("user.x"), buf_span(&value), &xattrs);
    const struct entry in = {.type = ENTRY_DIRECTORY, NAMED, .xattr_count = 1, .xattrs = buf_span(&xattrs)};
    struct entry out;
    struct err err;
    cr_assert(entry_encode(&in, &bytes, &err), "%s", err.text);
    cr_assert_eq(bytes.len, ENTRY_MAX_LEN);
    cr_assert(decode(buf_span(&bytes), &out, &err), "%s", err.text);
    buf_put_u8(&bytes, 0);
    le32_put(bytes.data, ENTRY_MAX_LEN + 1);
    cr_assert(!decode(buf_span(&bytes), &out, &err));
    cr_assert_eq(err.code, ERR_DAMAGED);
}

Test(ref, rules_are_kept)
{
    static const struct {
        struct ref ref;
        bool fine;
    } cases[] = {
        {{.kind = REF_DATA, .length = REF_DATA_MAX}, true},
        {{.kind = REF_DATA, .length = 1, .offset = REF_DATA_MAX - 1}, true},
        {{.kind = REF_HOLE, .length = UINT64_MAX}, true},
        {{.kind = REF_NODE, .length = UINT64_MAX, .content = {{1}}}, true},
        {{.kind = REF_DATA}, false},
        {{.kind = REF_HOLE}, false},
        {{.kind = REF_NODE}, false},
        {{.kind = REF_DATA, .length = REF_DATA_MAX + 1}, false},
        {{.kind = REF_DATA, .length = 2, .offset = REF_DATA_MAX - 1}, false},
        {{.kind = REF_DATA, .length = UINT64_MAX, .offset = 2}, false},
        {{.kind = REF_HOLE, .length = 1, .offset = 1}, false},
        {{.kind = REF_HOLE, .length = 1, .content = {{1}}}, false},
        {{.kind = REF_NODE, .length = 1, .offset = 1}, false},
        {{.kind = 3, .length = 1}, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(buf) struct buf bytes = {0};
        struct ref out;
        struct err err;
        ref_encode(&cases[i].ref, &bytes);
        struct reader reader = reader_of(buf_span(&bytes));
        cr_assert_eq(ref_decode(&reader, &out, &err), cases[i].fine, "case %zu", i);
        for (size_t reserved = 45; reserved < REF_LEN; reserved++) {
            bytes.data[reserved] = 1;
            reader = reader_of(buf_span(&bytes));
            cr_assert(!ref_decode(&reader, &out, &err), "case %zu", i);
            bytes.data[reserved] = 0;
        }
    }
}

Test(ref, sums_that_overflow_are_refused)
{
    AUTO(buf) struct buf refs = {0}, bytes = {0};
    (void)put_ref(&refs, REF_HOLE, UINT64_MAX, 0);
    (void)put_ref(&refs, REF_HOLE, 11, 0);
    const struct entry in = {.type = ENTRY_FILE, NAMED, .size = 10, .ref_count = 2, .refs = buf_span(&refs)};
    struct entry out;
    struct err err;
    cr_assert(entry_encode(&in, &bytes, &err), "%s", err.text);
    cr_assert(!decode(buf_span(&bytes), &out, &err));
    cr_assert_str_eq(err.text, "damaged manifest entry: references that overflow");
}
