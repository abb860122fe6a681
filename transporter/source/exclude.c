#include "transporter/source/exclude.h"

#include "common/base/alloc.h"
#include "transporter/core/path.h"

#include <string.h>

enum part_kind {
    PART_LITERAL,
    PART_GLOB,
    PART_ANY, /* "**" */
};

/* One component of a pattern, borrowed from its text. */
struct part {
    enum part_kind kind;
    struct span text;
};

struct pattern {
    char *text;
    bool takes_back;
    bool directories_only;
    bool anchored;
    bool has_any;
    struct part *parts;
    size_t count;
};

struct exclude {
    struct pattern *patterns;
    size_t count;
    bool name_only; /* no pattern has more than one component */
};

static void pattern_deinit(struct pattern *pattern)
{
    free(pattern->text);
    free(pattern->parts);
}
DEFINE_AUTO_IN_PLACE(pattern, struct pattern, pattern_deinit)

void exclude_free(struct exclude *exclude)
{
    if (!exclude) return;
    for (size_t i = 0; i < exclude->count; i++)
        pattern_deinit(&exclude->patterns[i]);
    free(exclude->patterns);
    free(exclude);
}

/* --- compiling --- */

/* Past one set, from behind its '['; NULL if it has no end. A ']' that comes first is a member. */
static const uint8_t *set_end(const uint8_t *at, const uint8_t *end)
{
    if (at < end && (*at == '!' || *at == '^')) at++;
    for (bool first = true; at < end; first = false) {
        if (*at == ']' && !first) return at + 1;
        if (*at == '\\' && ++at == end) return NULL;
        at++;
    }
    return NULL;
}

static const char *part_compile(struct span text, struct part *out)
{
    if (text.len == 0) return "it has an empty component";
    if (span_eq(text, span_str(".")) || span_eq(text, span_str("..")))
        return "a component '.' or '..' matches nothing";
    *out = (struct part){.kind = PART_LITERAL, .text = text};
    if (span_eq(text, span_str("**"))) {
        out->kind = PART_ANY;
        return NULL;
    }
    const uint8_t *end = text.data + text.len;
    for (const uint8_t *at = text.data; at < end;) {
        uint8_t c = *at++;
        if (c == '\\' && at++ == end) return "it ends in '\\'";
        if (c == '[' && !(at = set_end(at, end))) return "it has an open '['";
        if (strchr("*?[\\", c)) out->kind = PART_GLOB;
    }
    return NULL;
}

static void add_part(struct pattern *pattern, const struct part *part)
{
    pattern->parts = xreallocarray(pattern->parts, pattern->count + 1, sizeof(*part));
    pattern->parts[pattern->count++] = *part;
    if (part->kind == PART_ANY) pattern->has_any = true;
}

static const char *split(struct pattern *pattern, const char *text)
{
    const char *end = text + strlen(text);
    for (const char *at = text; at <= end;) {
        const char *slash = strchr(at, '/');
        size_t len = (size_t)((slash ? slash : end) - at);
        struct part part;
        const char *fault = part_compile(span_of(at, len), &part);
        if (fault) return fault;
        add_part(pattern, &part);
        at += len + 1;
    }
    /* behind a "**" at the end there is at least one component */
    /* of which there is at least one: NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    if (pattern->parts[pattern->count - 1].kind == PART_ANY)
        add_part(pattern, &(struct part){.kind = PART_GLOB, .text = span_str("*")});
    return NULL;
}

static const char *pattern_compile(const char *text, struct pattern *out)
{
    AUTO(pattern) struct pattern pattern = {0};
    if (strlen(text) > EXCLUDE_PATTERN_MAX) return "it is too long";
    pattern.text = xstrdup(text);
    char *at = pattern.text;
    if (*at == '!') {
        pattern.takes_back = true;
        at++;
    }
    if (*at == '/') {
        pattern.anchored = true;
        at++;
    }
    size_t len = strlen(at);
    if (len > 0 && at[len - 1] == '/') {
        pattern.directories_only = true;
        at[len - 1] = 0;
    }
    const char *fault = split(&pattern, at);
    if (fault) return fault;
    *out = pattern;
    pattern = (struct pattern){0};
    return NULL;
}

bool exclude_new(const char *const *patterns, size_t count, struct exclude **out, struct err *err)
{
    AUTO(exclude) struct exclude *exclude = xcalloc(1, sizeof(*exclude));
    exclude->patterns = xcalloc(count ? count : 1, sizeof(*exclude->patterns));
    exclude->name_only = true;
    for (size_t i = 0; i < count; i++) {
        struct pattern *pattern = &exclude->patterns[i];
        const char *fault = pattern_compile(patterns[i], pattern);
        if (fault) return err_set(err, ERR_USAGE, "cannot exclude by '%.200s': %s", patterns[i], fault);
        if (pattern->anchored || pattern->count > 1) exclude->name_only = false;
        exclude->count++;
    }
    *out = exclude;
    exclude = NULL;
    return true;
}

/* --- matching --- */

/* One byte of a set at *at (behind '['), which is moved past the set. */
static bool set_matches(const uint8_t **at, uint8_t c)
{
    const uint8_t *p = *at;
    bool negated = *p == '!' || *p == '^';
    bool inside = false;
    if (negated) p++;
    for (bool first = true; first || *p != ']'; first = false) {
        if (*p == '\\') p++;
        uint8_t low = *p++, high = low;
        if (p[0] == '-' && p[1] != ']') {
            p++;
            if (*p == '\\') p++;
            high = *p++;
        }
        if (low <= c && c <= high) inside = true;
    }
    *at = p + 1;
    return inside != negated;
}

/* Whether the pattern at *at takes this byte; moves past what took it. Not for '*'. */
static bool one_matches(const uint8_t **at, uint8_t c)
{
    uint8_t p = *(*at)++;
    if (p == '?') return true;
    if (p == '[') return set_matches(at, c);
    if (p == '\\') p = *(*at)++;
    return p == c;
}

/* A '*' is first taken as empty, and takes one byte more each time that what follows fails; only the last
 * one needs to be tried again. */
static bool glob_matches(struct span pattern, struct span text)
{
    const uint8_t *p = pattern.data, *p_end = p + pattern.len;
    const uint8_t *t = text.data, *t_end = t + text.len;
    const uint8_t *retry_p = NULL, *retry_t = NULL;
    while (t < t_end) {
        if (p < p_end && *p == '*') {
            retry_p = ++p;
            retry_t = t;
        } else if (p < p_end && one_matches(&p, *t)) {
            t++;
        } else if (retry_p) {
            p = retry_p;
            t = ++retry_t;
        } else {
            return false;
        }
    }
    while (p < p_end && *p == '*')
        p++;
    return p == p_end;
}

static bool part_matches(const struct part *part, struct span component)
{
    return part->kind == PART_LITERAL ? span_eq(part->text, component) : glob_matches(part->text, component);
}

struct components {
    struct span path;
    unsigned count;
    uint32_t starts[DEPTH_MAX + 1]; /* one more: behind the end, as if a '/' stood there; of the longest
                                       path that is PATH_LEN_MAX + 1 */
};

static void components_of(struct span path, struct components *out)
{
    out->path = path;
    out->count = 1;
    out->starts[0] = 0;
    for (size_t i = 0; i < path.len && out->count < DEPTH_MAX; i++)
        if (path.data[i] == '/') out->starts[out->count++] = (uint32_t)(i + 1);
    out->starts[out->count] = (uint32_t)(path.len + 1);
}

static struct span component(const struct components *path, unsigned i)
{
    return span_of(path->path.data + path->starts[i], path->starts[i + 1] - path->starts[i] - 1u);
}

/* As glob_matches, with components for bytes and "**" for '*'. An unanchored pattern begins with one. */
static bool parts_match(const struct pattern *pattern, const struct components *path)
{
    size_t p = 0, retry_p = 0;
    unsigned t = 0, retry_t = 0;
    bool can_retry = !pattern->anchored;
    while (t < path->count) {
        if (p < pattern->count && pattern->parts[p].kind == PART_ANY) {
            can_retry = true;
            retry_p = ++p;
            retry_t = t;
        } else if (p < pattern->count && part_matches(&pattern->parts[p], component(path, t))) {
            p++;
            t++;
        } else if (can_retry) {
            p = retry_p;
            t = ++retry_t;
        } else {
            return false;
        }
    }
    return p == pattern->count;
}

static struct span last_component(struct span path)
{
    const uint8_t *slash = path.len ? memrchr(path.data, '/', path.len) : NULL;
    return slash ? span_of(slash + 1, (size_t)(path.data + path.len - slash) - 1) : path;
}

static bool pattern_matches(const struct pattern *pattern, const struct components *path, struct span name)
{
    if (!pattern->anchored && pattern->count == 1) return part_matches(&pattern->parts[0], name);
    if (!pattern->has_any && pattern->count > path->count) return false;
    return parts_match(pattern, path);
}

bool exclude_matches(const struct exclude *exclude, struct span path, enum exclude_kind kind)
{
    if (exclude->count == 0) return false;
    struct span name = last_component(path);
    struct components components;
    components.path = path;
    components.count = 0;
    if (!exclude->name_only) components_of(path, &components);
    for (size_t i = exclude->count; i-- > 0;) {
        const struct pattern *pattern = &exclude->patterns[i];
        if (pattern->directories_only && kind != EXCLUDE_DIRECTORY) continue;
        if (pattern_matches(pattern, &components, name)) return !pattern->takes_back;
    }
    return false;
}
