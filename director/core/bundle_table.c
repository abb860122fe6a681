#include "director/core/bundle_table.h"

#include <string.h>

/* The largest that each may be. */
static const struct {
    const char *name;
    uint64_t most;
} members[BUNDLE_MEMBERS] = {
    [BUNDLE_KEY] = {"director.key", 4096},
    [BUNDLE_CONF] = {"director.conf", UINT64_C(1) << 20},
    [BUNDLE_CATALOG] = {"catalog.sqlite", UINT64_C(1) << 43},
};

const char *bundle_member_name(enum bundle_member member)
{
    return members[member].name;
}

void bundle_table_encode(const struct bundle_table *table, struct buf *out)
{
    uint8_t count = 0;
    for (int i = 0; i < BUNDLE_MEMBERS; i++)
        count += table->sizes[i] > 0;
    buf_put_u8(out, count);
    for (int i = 0; i < BUNDLE_MEMBERS; i++) {
        if (table->sizes[i] == 0) continue;
        buf_put_u8(out, (uint8_t)strlen(members[i].name));
        buf_put_str(out, members[i].name);
        buf_put_u64(out, table->sizes[i]);
    }
}

/* The member that a name means, after those that came before; BUNDLE_MEMBERS: none. */
static int member_named(struct span name, int from)
{
    while (from < BUNDLE_MEMBERS && !span_eq(name, span_str(members[from].name)))
        from++;
    return from;
}

static bool read_row(struct reader *reader, int *from, struct bundle_table *table, uint64_t *total)
{
    struct span name = reader_bytes(reader, reader_u8(reader));
    uint64_t size = reader_u64(reader);
    if (!reader_ok(reader)) return false;
    int member = member_named(name, *from);
    if (member == BUNDLE_MEMBERS || size == 0 || size > members[member].most) return false;
    *from = member + 1;
    table->sizes[member] = size;
    return add_u64(*total, size, total);
}

bool bundle_table_decode(struct span front, uint64_t content_len, struct bundle_table *out, size_t *used,
                         struct err *err)
{
    struct reader reader = reader_of(front);
    struct bundle_table table = {0};
    uint64_t total = 0;
    int from = 0;
    bool ok = true;
    for (uint8_t left = reader_u8(&reader); ok && left > 0; left--)
        ok = read_row(&reader, &from, &table, &total);
    if (!ok || !reader_ok(&reader) || !table.sizes[BUNDLE_KEY] || !table.sizes[BUNDLE_CATALOG] ||
        !add_u64(total, reader.pos, &total) || total != content_len)
        return err_set(err, ERR_DAMAGED, "the bundle does not hold a director's state");
    *out = table;
    *used = reader.pos;
    return true;
}
