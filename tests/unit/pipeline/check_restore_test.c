/* A restore into nothing finds what a restore would miss, names the file, and writes nothing. */
#include "transporter/pipeline/check_restore.h"

#include "restore_rig.h"
#include "spoiling_inlet.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

struct checking {
    struct check_restore_result result;
    size_t count;
    char path[4096]; /* of the last finding */
    struct err last;
    uint64_t files_told;
};

static void note(void *arg, struct span path, const struct err *what)
{
    struct checking *checking = arg;
    checking->count++;
    checking->last = *what;
    if (path.len) memcpy(checking->path, path.data, path.len);
    checking->path[path.len] = '\0';
}

static void note_progress(void *arg, uint64_t files, uint64_t bytes)
{
    struct checking *checking = arg;
    checking->files_told = files;
}

static bool try_point(struct restore_rig *rig, struct checking *checking)
{
    struct inlet inlet = restore_rig_inlet(rig);
    struct check_restore_sink sink = {.finding = note, .progress = note_progress, .arg = checking};
    *checking = (struct checking){0};
    return check_restore_point(rig->opener, &inlet, &rig->root, &sink, &checking->result, &rig->err);
}

static void check_point(struct restore_rig *rig, struct checking *checking)
{
    cr_assert(try_point(rig, checking), "%s", rig->err.text);
}

static struct restore_rig *make(enum repository_kind kind)
{
    struct restore_rig *rig = restore_rig_make(kind);
    tree_many(&rig->tree, 6, 30, 3000);
    tree_file(&rig->tree, "large", 7, 60 << 20); /* more chunks than one window takes */
    tree_file(&rig->tree, "empty", 8, 0);
    cr_assert_eq(linkat(rig->tree.fd, "empty", rig->tree.fd, "link", 0), 0);
    restore_rig_back_up(rig);
    return rig;
}

Test(check_restore, of_a_sound_point_puts_every_file_together, .timeout = 120)
{
    for (int kind = REPOSITORY_ENCRYPTED; kind <= REPOSITORY_PLAINTEXT; kind++) {
        AUTO(restore_rig) struct restore_rig *rig = make((enum repository_kind)kind);
        struct checking checking;
        check_point(rig, &checking);
        cr_assert_eq(checking.count, 0, "%s: %s", checking.path, checking.last.text);
        cr_assert_eq(checking.result.files, 182);
        cr_assert_eq(checking.files_told, 182);
        cr_assert_geq(checking.result.bytes, 60u << 20);
        cr_assert_gt(checking.result.entries, 188);
        cr_assert_lt(rig->faulty.ids, 400, "chunks that files share are fetched once");
    }
}

Test(check_restore, names_the_file_whose_chunk_does_not_open_and_no_other, .timeout = 120)
{
    AUTO(restore_rig) struct restore_rig *rig = make(REPOSITORY_ENCRYPTED);
    for (int missing = 0; missing < 2; missing++) {
        struct checking checking;
        rig->faulty.spoilt = rig->faulty.missing = (struct hash){{0}};
        *(missing ? &rig->faulty.missing : &rig->faulty.spoilt) = restore_rig_chunk_of(rig, "large");
        check_point(rig, &checking);
        cr_assert_eq(checking.count, 1);
        cr_assert_eq(checking.result.findings, 1);
        cr_assert_eq(checking.last.code, ERR_DAMAGED, "%s", checking.last.text);
        cr_assert_not_null(strstr(checking.path, "/large"), "%s", checking.path);
        cr_assert_eq(checking.result.files, 182, "the others are looked at all the same");
    }
}

Test(check_restore, names_every_file_of_a_chunk_that_they_share)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    struct checking checking;
    for (int i = 0; i < 5; i++) {
        char name[2] = {(char)('a' + i), '\0'};
        tree_file(&rig->tree, name, (uint64_t)i, 100);
    }
    restore_rig_back_up(rig);
    rig->faulty.spoilt = restore_rig_chunk_of(rig, "a");
    check_point(rig, &checking);
    cr_assert_eq(checking.count, 5);
    cr_assert_eq(checking.result.files, 5);
    cr_assert_eq(checking.result.bytes, 0);
}

Test(check_restore, tells_that_the_list_of_files_is_damaged)
{
    AUTO(restore_rig) struct restore_rig *rig = make(REPOSITORY_ENCRYPTED);
    struct checking checking;
    rig->faulty.missing = rig->root;
    check_point(rig, &checking);
    cr_assert_eq(checking.count, 1);
    cr_assert_str_eq(checking.path, "");
    cr_assert_eq(checking.last.code, ERR_DAMAGED, "%s", checking.last.text);
}

Test(check_restore, ends_when_a_fetch_fails, .timeout = 120)
{
    AUTO(restore_rig) struct restore_rig *rig = make(REPOSITORY_ENCRYPTED);
    struct checking checking;
    for (size_t at = 1; at < 6; at++) {
        rig->faulty.fetches = 0;
        rig->faulty.fail_at = at;
        cr_assert_not(try_point(rig, &checking));
        cr_assert_eq(rig->err.code, ERR_UNREACHABLE, "%s", rig->err.text);
        cr_assert_eq(checking.count, 0, "a lost connection is no damage");
    }
}

Test(check_restore, reads_images_and_their_references, .timeout = 120)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    struct checking checking;
    char path[128];
    tree_file(&rig->tree, "disk", 7, 9 << 20);
    (void)snprintf(path, sizeof(path), "%s/disk", rig->tree.path);
    rig->image = path;
    restore_rig_back_up(rig);
    check_point(rig, &checking);
    cr_assert_eq(checking.count, 0, "%s: %s", checking.path, checking.last.text);
    cr_assert_eq(checking.result.files, 1);
    cr_assert_eq(checking.result.bytes, 9u << 20);
}

/* A writer names the length of a hole: nothing else would end a check of one that never does. */
Test(check_restore, of_a_hole_can_be_cancelled, .timeout = 120)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    static const _Atomic bool cancelled = true;
    struct checking checking = {0};
    int fd = openat(rig->tree.fd, "sparse", O_WRONLY | O_CREAT | O_EXCL, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(ftruncate(fd, 64 << 20), 0);
    cr_assert_eq(close(fd), 0);
    restore_rig_back_up(rig);
    struct inlet inlet = restore_rig_inlet(rig);
    struct check_restore_sink sink = {.finding = note, .arg = &checking, .cancelled = &cancelled};
    cr_assert_not(check_restore_point(rig->opener, &inlet, &rig->root, &sink, &checking.result, &rig->err));
    cr_assert_eq(rig->err.code, ERR_CANCELLED, "%s", rig->err.text);
    cr_assert_eq(checking.count, 0);
    sink.cancelled = NULL;
    cr_assert(check_restore_point(rig->opener, &inlet, &rig->root, &sink, &checking.result, &rig->err), "%s",
              rig->err.text);
    cr_assert_eq(checking.result.files, 1);
}

Test(check_restore, spends_no_time_on_the_holes_of_images_and_can_be_cancelled, .timeout = 120)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    struct checking checking;
    char path[128];
    tree_file(&rig->tree, "disk", 7, 0);
    (void)snprintf(path, sizeof(path), "%s/disk", rig->tree.path);
    cr_assert_eq(truncate(path, (off_t)1 << 40), 0);
    rig->image = path;
    restore_rig_back_up(rig);
    check_point(rig, &checking);
    cr_assert_eq(checking.count, 0, "%s: %s", checking.path, checking.last.text);
    cr_assert_eq(checking.result.files, 1);
    cr_assert_eq(checking.result.bytes, 0);
    /* but there may be more of them than can be counted */
    static const _Atomic bool cancelled = true;
    struct inlet inlet = restore_rig_inlet(rig);
    struct check_restore_sink sink = {.finding = note, .arg = &checking, .cancelled = &cancelled};
    cr_assert_not(check_restore_point(rig->opener, &inlet, &rig->root, &sink, &checking.result, &rig->err));
    cr_assert_eq(rig->err.code, ERR_CANCELLED, "%s", rig->err.text);
}

Test(check_restore, takes_another_copy_for_one_that_was_planted)
{
    AUTO(restore_rig) struct restore_rig *rig = restore_rig_make(REPOSITORY_ENCRYPTED);
    struct checking checking;
    tree_file(&rig->tree, "large", 7, 9 << 20);
    restore_rig_back_up(rig);
    (void)restore_rig_plant_before(rig, "large", 1);
    check_point(rig, &checking);
    cr_assert_eq(checking.count, 0, "%s: %s", checking.path, checking.last.text);
    cr_assert_eq(checking.result.files, 1);
}

static void note_path(void *arg, struct span path, const struct err *what)
{
    buf_put_span(arg, path);
    buf_printf(arg, ": %s\n", what->text);
}

Test(check_restore, names_files_in_their_order_whatever_opens_first, .timeout = 120)
{
    AUTO(restore_rig) struct restore_rig *rig = make(REPOSITORY_ENCRYPTED);
    AUTO(buf) struct buf first = {0};
    for (unsigned i = 1; i <= 6; i++) {
        AUTO(buf) struct buf text = {0};
        struct spoiling_inlet spoiling = {.inner = rig->faulty.inner, .fetches = i};
        struct inlet inlet = spoiling_inlet_inlet(&spoiling);
        struct check_restore_sink sink = {.finding = note_path, .arg = &text};
        struct check_restore_result result = {0};
        cr_assert(check_restore_point(rig->opener, &inlet, &rig->root, &sink, &result, &rig->err), "%s",
                  rig->err.text);
        cr_assert_gt(result.findings, 0);
        cr_assert_eq(result.files, 182);
        if (i == 1) buf_put_span(&first, buf_span(&text));
        cr_assert(span_eq(buf_span(&first), buf_span(&text)), "%u fetches", i);
    }
}
