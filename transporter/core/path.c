#include "transporter/core/path.h"

#include <string.h>

bool name_valid(struct span name)
{
    if (name.len == 0 || name.len > PATH_LEN_MAX) return false;
    if (memchr(name.data, '/', name.len) || memchr(name.data, 0, name.len)) return false;
    if (name.data[0] != '.') return true;
    return !(name.len == 1 || (name.len == 2 && name.data[1] == '.'));
}

/* Splits off the first component. */
static struct span next_component(struct span *rest)
{
    const uint8_t *slash = rest->len ? memchr(rest->data, '/', rest->len) : NULL;
    if (!slash) {
        struct span all = *rest;
        *rest = span_of(NULL, 0);
        return all;
    }
    size_t len = (size_t)(slash - rest->data);
    struct span first = span_of(rest->data, len);
    *rest = span_of(slash + 1, rest->len - len - 1);
    return first;
}

bool path_valid(struct span path)
{
    if (path.len == 0 || path.len > PATH_LEN_MAX || path.data[path.len - 1] == '/') return false;
    unsigned depth = 0;
    for (struct span rest = path; rest.len > 0; depth++)
        if (!name_valid(next_component(&rest))) return false;
    return depth <= DEPTH_MAX;
}

unsigned path_depth(struct span path)
{
    if (path.len == 0) return 0;
    unsigned depth = 1;
    for (size_t i = 0; i < path.len; i++)
        depth += path.data[i] == '/';
    return depth;
}

int path_cmp(struct span a, struct span b)
{
    size_t shared = a.len < b.len ? a.len : b.len;
    size_t i = 0;
    while (i < shared && a.data[i] == b.data[i])
        i++;
    if (i == shared) return (a.len > b.len) - (a.len < b.len);
    /* no path holds NUL, so it can stand for '/' */
    int from_a = a.data[i] == '/' ? 0 : a.data[i];
    int from_b = b.data[i] == '/' ? 0 : b.data[i];
    return from_a - from_b;
}

bool path_within(struct span path, struct span dir)
{
    if (dir.len == 0) return true;
    if (path.len < dir.len || memcmp(path.data, dir.data, dir.len) != 0) return false;
    return path.len == dir.len || path.data[dir.len] == '/';
}

void trail_deinit(struct trail *trail)
{
    buf_deinit(&trail->path);
}

bool trail_begin(struct trail *trail, struct span parent)
{
    if (parent.len > 0 && !path_valid(parent)) return false;
    buf_clear(&trail->path);
    buf_put_span(&trail->path, parent);
    trail->depth = 0;
    trail->in_directory = true;
    for (size_t i = 0; i < parent.len; i++)
        if (parent.data[i] == '/') trail->ends[trail->depth++] = (uint16_t)i;
    if (parent.len > 0) trail->ends[trail->depth++] = (uint16_t)parent.len;
    return true;
}

bool trail_inside(const struct trail *trail, struct span parent)
{
    if (!path_within(buf_span(&trail->path), parent)) return false;
    return parent.len < trail->path.len || trail->in_directory;
}

/* Where the component at `depth` starts, which may be one after the last. */
static size_t component_start(const struct trail *trail, unsigned depth)
{
    return depth > 1 ? (size_t)trail->ends[depth - 2] + 1 : 0;
}

const char *trail_step(struct trail *trail, unsigned depth, struct span name, bool is_directory)
{
    if (depth == 0 || depth > DEPTH_MAX) return "its depth is out of range";
    if (depth > trail->depth + 1) return "it skips a directory level";
    if (depth == trail->depth + 1 && !trail->in_directory) return "it lies below what is no directory";
    size_t start = component_start(trail, depth);
    if (depth <= trail->depth) {
        struct span before = span_of(trail->path.data + start, trail->ends[depth - 1] - start);
        if (span_cmp(name, before) <= 0) return "it is out of order";
    }
    if (start + name.len > PATH_LEN_MAX) return "its path is too long";
    if (depth > 1) {
        trail->path.len = start - 1;
        buf_put_u8(&trail->path, '/');
    } else {
        buf_clear(&trail->path);
    }
    buf_put_span(&trail->path, name);
    trail->ends[depth - 1] = (uint16_t)trail->path.len;
    trail->depth = depth;
    trail->in_directory = is_directory;
    return NULL;
}

struct span trail_parent(const struct trail *trail)
{
    return span_of(trail->path.data, trail->depth > 1 ? trail->ends[trail->depth - 2] : 0);
}
