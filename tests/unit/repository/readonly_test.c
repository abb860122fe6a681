/* Reading a repository that must not be touched. */
#include "builder.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "tests/support/one_frame.h"
#include "transporter/repository/check.h"
#include "transporter/repository/fetch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static struct repository *open_read_only(const struct place *place, const char *state)
{
    struct err err;
    struct repository *repository = NULL;
    struct repository_options options = {.path = place->path, .state_dir = state};
    cr_assert(repository_open(&options, &repository, &err), "%s", err.text);
    return repository;
}

/* Names, sizes, times and contents of everything, as one text. */
static char *picture(const struct place *place, const char *path)
{
    struct err err;
    AUTO(buf) struct buf text = {0};
    AUTO(free) char *file = xasprintf("%s.picture", place->root);
    shell("cd '%s' && (find . -printf '%%p %%s %%T@ %%C@ %%m\\n' | sort; find . -type f -exec cksum {} + | "
          "sort) > '%s'",
          path, file);
    cr_assert(file_read(AT_FDCWD, file, 1 << 20, &text, &err), "%s", err.text);
    cr_assert_eq(unlink(file), 0);
    return xstrdup(buf_cstr(&text));
}

static void ignore_finding(void *arg, const struct check_finding *finding)
{
    size_t *count = arg;
    if (finding->code != ERR_NONE) (*count)++;
}

static void expect_readable(struct repository *repository, const struct hash *root)
{
    struct err err;
    size_t findings = 0;
    struct check_result result;
    struct check_sink sink = {.finding = ignore_finding, .arg = &findings};
    cr_expect(restores(repository, root, NULL));
    cr_expect(
        repository_check(repository, &(struct check_options){.level = CHECK_HASH}, &sink, &result, &err),
        "%s", err.text);
    cr_expect_eq(findings, 0);
    struct ingest *ingest;
    struct ingest_options options = {.session = id_of(1)};
    cr_expect_not(ingest_open(repository, &options, &ingest, &err));
    cr_expect_eq(err.code, ERR_POLICY);
}

Test(readonly, opening_reading_and_checking_change_nothing_in_the_directory)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash root = back_up(place->repository, 1, 0, 20);
    place_close(place);
    AUTO(free) char *before = picture(place, place->root);
    for (int with_state = 0; with_state < 2; with_state++) {
        struct repository *repository = open_read_only(place, with_state ? place->state : NULL);
        expect_readable(repository, &root);
        repository_close(repository);
        AUTO(free) char *after = picture(place, place->root);
        cr_assert_str_eq(before, after);
    }
}

Test(readonly, beside_its_owner)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash root = back_up(place->repository, 1, 0, 20);
    struct repository *repository = open_read_only(place, NULL);
    expect_readable(repository, &root);
    struct hash later = back_up(place->repository, 2, 100, 20);
    cr_assert(restores(place->repository, &later, NULL));
    expect_readable(repository, &root);
    repository_close(repository);
}

Test(readonly, journals_of_a_killed_owner_are_read_where_they_lie)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash root = back_up(place->repository, 1, 0, 20);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 2);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 2);
    struct hash data = writer_data(writer, 500, 100);
    session_send(ingest, writer, PACK_DATA);
    session_wait(ingest, 1);
    AUTO(free) char *before = picture(place, place->path);
    struct repository *repository = open_read_only(place, NULL);
    cr_assert(restores(repository, &root, NULL));
    struct err err;
    AUTO(buf) struct buf frame = {0};
    AUTO(buf) struct buf envelope = {0};
    cr_assert(one_frame(repository, &data, &frame, &envelope, &err), "%s", err.text);
    repository_close(repository);
    AUTO(free) char *after = picture(place, place->path);
    cr_assert_str_eq(before, after);
}

Test(readonly, a_rolled_back_log_is_seen_with_the_state_at_hand)
{
    struct err err;
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    (void)back_up(place->repository, 1, 0, 2);
    place_close(place);
    AUTO(free) char *entry = xasprintf("%s/log/0000000002", place->path);
    cr_assert_eq(unlink(entry), 0);
    struct repository *repository = NULL;
    struct repository_options options = {.path = place->path, .state_dir = place->state};
    cr_assert_not(repository_open(&options, &repository, &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC);
    options.state_dir = NULL;
    cr_assert(repository_open(&options, &repository, &err), "%s", err.text);
    repository_close(repository);
}

Test(readonly, on_a_mount_that_cannot_be_written)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash root = back_up(place->repository, 1, 0, 20);
    place_close(place);
    if (!shell_works("mount --bind '%s' '%s' 2>/dev/null && mount -o remount,ro,bind '%s' 2>/dev/null",
                     place->path, place->path, place->path)) {
        (void)shell_works("umount '%s' 2>/dev/null", place->path);
        cr_skip_test("this machine mounts nothing");
    }
    struct repository *repository = open_read_only(place, NULL);
    expect_readable(repository, &root);
    repository_close(repository);
    struct err err;
    bool owned = repository_try_open(place, &repository, &err);
    cr_expect(owned, "an owner with nothing to salvage writes nothing either: %s", err.text);
    if (owned) repository_close(repository);
    shell("umount '%s'", place->path);
}

static void note_object(void *arg, const struct check_finding *finding)
{
    struct buf *objects = arg;
    if (finding->code != ERR_NONE) buf_printf(objects, "%s\n", finding->object);
}

Test(readonly, of_a_log_with_holes_the_rest_is_read_and_the_holes_are_named)
{
    static const char *const damages[] = {"rm 0000000003", ": > 0000000003", "cp 0000000002 0000000003",
                                          "flip 40 0000000003"};
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        struct err err;
        AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
        struct hash first = back_up(place->repository, 1, 0, 3);
        (void)back_up(place->repository, 2, 50, 3);
        struct hash third = back_up(place->repository, 3, 100, 3);
        place_close(place);
        shell("cd '%s/log' && %s", place->path, damages[i]);
        struct repository *repository = NULL;
        struct repository_options options = {.path = place->path};
        cr_expect_not(repository_open(&options, &repository, &err), "%s", damages[i]);
        options.damage = REPOSITORY_READ_DAMAGED;
        cr_assert(repository_open(&options, &repository, &err), "%s: %s", damages[i], err.text);
        struct repository_info info;
        repository_info(repository, &info);
        cr_expect_eq(info.points, 2);
        cr_expect_eq(info.head_number, 4);
        cr_expect(restores(repository, &first, NULL));
        cr_expect(restores(repository, &third, NULL));
        AUTO(buf) struct buf objects = {0};
        struct check_result result;
        struct check_sink sink = {.finding = note_object, .arg = &objects};
        cr_expect(repository_check(repository, &(struct check_options){.level = CHECK_PRESENCE}, &sink,
                                   &result, &err));
        cr_expect_str_eq(buf_cstr(&objects), "log/0000000003\n");
        repository_close(repository);
        /* an owner is not to build on it */
        AUTO(free) char *state = xasprintf("%s/fresh", place->root);
        options.state_dir = state;
        options.owner = place->owner;
        cr_expect_not(repository_open(&options, &repository, &err));
    }
}

/* One empty file costs nothing: it must not cost those who need the rest a day. */
Test(readonly, an_entry_far_behind_the_others_is_named_and_holds_nothing_up, .timeout = 60)
{
    struct err err;
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash first = back_up(place->repository, 1, 0, 3);
    (void)back_up(place->repository, 2, 50, 3);
    place_close(place);
    shell("cd '%s/log' && : > 9999999999 && mv 0000000003 0000000007", place->path);
    struct repository *repository = NULL;
    struct repository_options options = {.path = place->path, .damage = REPOSITORY_READ_DAMAGED};
    cr_assert(repository_open(&options, &repository, &err), "%s", err.text);
    cr_expect(restores(repository, &first, NULL));
    AUTO(buf) struct buf objects = {0};
    struct check_result result;
    struct check_sink sink = {.finding = note_object, .arg = &objects};
    cr_expect(
        repository_check(repository, &(struct check_options){.level = CHECK_PRESENCE}, &sink, &result, &err));
    cr_expect_str_eq(buf_cstr(&objects), "log/0000000003\nlog/0000000007\nlog/0000000008\nlog/9999999999\n");
    repository_close(repository);
}
