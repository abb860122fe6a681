#include "tree.h"

#include "common/base/alloc.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

struct tree tree_make(void)
{
    struct tree tree;
    char made[PATH_MAX], real[PATH_MAX];
    const char *base = getenv("TMPDIR");
    (void)snprintf(made, sizeof(made), "%s/sealift-XXXXXX", base ? base : "/tmp");
    cr_assert_not_null(mkdtemp(made));
    cr_assert_not_null(realpath(made, real));
    cr_assert_lt((size_t)snprintf(tree.path, sizeof(tree.path), "%s", real), sizeof(tree.path));
    cr_assert_eq(chmod(tree.path, 0755), 0);
    tree.fd = open(tree.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert(tree.fd >= 0);
    return tree;
}

/* rm goes as deep as a path may, and further. */
void tree_remove(struct tree *tree)
{
    char *argv[] = {(char[]){"rm"}, (char[]){"-rf"}, (char[]){"--"}, tree->path, NULL};
    pid_t child;
    int status;
    (void)close(tree->fd);
    if (posix_spawnp(&child, "rm", NULL, NULL, argv, environ) == 0) (void)waitpid(child, &status, 0);
}

void put_dir(const struct tree *tree, const char *name)
{
    cr_assert_eq(mkdirat(tree->fd, name, 0755), 0, "%s", name);
}

void put_file(const struct tree *tree, const char *name, const char *content)
{
    AUTO(fd) int fd = openat(tree->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    cr_assert(fd >= 0, "%s", name);
    cr_assert_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
}

void put_symlink(const struct tree *tree, const char *name, const char *target)
{
    cr_assert_eq(symlinkat(target, tree->fd, name), 0, "%s", name);
}

void put_hard_link(const struct tree *tree, const char *name, const char *existing)
{
    cr_assert_eq(linkat(tree->fd, existing, tree->fd, name, 0), 0, "%s", name);
}

char *tree_path(const struct tree *tree, const char *name)
{
    return xasprintf("%s/%s", tree->path, name);
}

void set_mtime(const struct tree *tree, const char *name, int64_t mtime_ns)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                      {.tv_sec = mtime_ns / 1000000000, .tv_nsec = mtime_ns % 1000000000}};
    cr_assert_eq(utimensat(tree->fd, name, times, AT_SYMLINK_NOFOLLOW), 0, "%s", name);
}

uint64_t now_ns(void)
{
    struct timespec time;
    cr_assert_eq(clock_gettime(CLOCK_REALTIME, &time), 0);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

struct walk_options whole_tree(const struct tree *tree, const char **paths)
{
    paths[0] = tree->path;
    return (struct walk_options){.paths = paths, .path_count = 1, .now_ns = now_ns()};
}

/* Whether it is at or below the tree, and the part below. */
static bool below(const struct tree *tree, struct span path, struct span *rest)
{
    struct span top = span_str(tree->path + 1);
    if (!path_within(path, top)) return false;
    *rest = path.len == top.len ? span_str(".") : span_of(path.data + top.len + 1, path.len - top.len - 1);
    return true;
}

void append_event(const struct tree *tree, enum walk_event event, const struct walk_entry *entry,
                  const struct err *note, struct buf *out)
{
    static const char letters[] = "?DFLPCBH";
    struct span path, target;
    if (event == WALK_END || !below(tree, entry->path, &path)) return;
    char letter = 'S';
    if (event == WALK_ENTRY) letter = letters[entry->type];
    if (event == WALK_LEAVE) letter = '-';
    if (event == WALK_WARNING) letter = 'W';
    buf_printf(out, "%c %.*s", letter, (int)path.len, (const char *)path.data);
    if (event == WALK_ENTRY && entry->type == ENTRY_HARD_LINK) {
        cr_assert(below(tree, entry->target, &target));
        buf_printf(out, " -> %.*s", (int)target.len, (const char *)target.data);
    }
    if (event == WALK_WARNING || event == WALK_SKIPPED) {
        /* without the path, which is in the line already */
        const char *text = strstr(note->text, "' ");
        const char *reading = strstr(note->text, "': ");
        buf_printf(out, ": %s", strncmp(note->text, "cannot read", 11) == 0 ? reading + 3 : text + 2);
    }
    buf_put_str(out, "\n");
}

static void expect_sound(const struct walk_entry *entry)
{
    cr_assert(path_valid(entry->path));
    cr_assert_eq(path_depth(entry->path), entry->depth);
    cr_assert_eq(path_depth(entry->parent) + 1, entry->depth);
    cr_assert(path_within(entry->path, entry->parent));
    cr_assert_not_null(entry->dir);
}

void walk_text(const struct tree *tree, const struct walk_options *options, struct buf *out)
{
    AUTO(walk) struct walk *walk = NULL;
    AUTO(buf) struct buf last = {0};
    struct walk_entry entry;
    enum walk_event event;
    struct err note, err;
    size_t open = 1;
    buf_clear(out);
    cr_assert(walk_new(options, &walk, &err), "%s", err.text);
    do {
        cr_assert(walk_next(walk, &event, &entry, &note, &err), "%s", err.text);
        append_event(tree, event, &entry, &note, out);
        if (event == WALK_LEAVE) open--;
        if (event != WALK_ENTRY) continue;
        if (entry.type == ENTRY_DIRECTORY) open++;
        expect_sound(&entry);
        cr_assert(path_cmp(entry.path, buf_span(&last)) > 0, "path order");
        buf_clear(&last);
        buf_put_span(&last, entry.path);
    } while (event != WALK_END);
    cr_assert_eq(open, 0, "each directory is left");
    cr_assert(walk_next(walk, &event, &entry, &note, &err) && event == WALK_END, "the end stays");
}

void expect_text(const struct buf *text, const char *expected)
{
    if (!span_eq(buf_span(text), span_str(expected)))
        cr_assert_fail("got:\n%.*s\nexpected:\n%s", (int)text->len, (const char *)text->data, expected);
}

void kept_deinit(struct kept *kept)
{
    walk_entry_free(kept->entry);
    walk_free(kept->walk);
}

struct kept keep_entry(const struct tree *tree, const char *name)
{
    const char *paths[1];
    struct walk_options options = whole_tree(tree, paths);
    options.now_ns += 10000000000u; /* everything is old enough */
    AUTO(free) char *wanted = tree_path(tree, name);
    struct kept kept = {0};
    struct walk_entry entry;
    enum walk_event event;
    struct err note, err;
    cr_assert(walk_new(&options, &kept.walk, &err), "%s", err.text);
    while (!kept.entry) {
        cr_assert(walk_next(kept.walk, &event, &entry, &note, &err), "%s", err.text);
        cr_assert_neq(event, WALK_END, "no %s", name);
        if (event == WALK_ENTRY && span_eq(entry.path, span_str(wanted + 1)))
            kept.entry = walk_entry_keep(&entry);
    }
    return kept;
}

void expect_walk(const struct tree *tree, const struct walk_options *options, const char *expected)
{
    AUTO(buf) struct buf text = {0};
    walk_text(tree, options, &text);
    expect_text(&text, expected);
}

void expect_whole(const struct tree *tree, const char *expected)
{
    const char *paths[1];
    struct walk_options options = whole_tree(tree, paths);
    expect_walk(tree, &options, expected);
}

void expect_part(const struct buf *text, const char *part)
{
    cr_assert(memmem(text->data, text->len, part, strlen(part)), "no '%s'", part);
}
