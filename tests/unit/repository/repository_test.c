#include "builder.h"

#include "common/base/alloc.h"
#include "common/base/file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool count_point(void *arg, const struct repository_point *point)
{
    size_t *count = arg;
    (*count)++;
    return true;
}

static size_t points_of(struct repository *repository)
{
    struct err err;
    size_t count = 0;
    cr_assert(repository_points(repository, count_point, &count, &err), "%s", err.text);
    return count;
}

Test(repository, create_refuses_a_directory_that_is_not_empty)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct err err;
    cr_assert_not(repository_create(place->path, &place->site, &place->id, REPOSITORY_ENCRYPTED,
                                    span_of(NULL, 0), place->owner, &err));
    cr_assert_eq(err.code, ERR_EXISTS, "%s", err.text);
}

Test(repository, a_new_one_is_what_was_asked_for)
{
    for (int kind = REPOSITORY_ENCRYPTED; kind <= REPOSITORY_PLAINTEXT; kind++) {
        AUTO(place) struct place *place = place_new((enum repository_kind)kind);
        struct repository_info info;
        repository_info(place->repository, &info);
        cr_assert(id_eq(&info.site, &place->site));
        cr_assert(id_eq(&info.repository, &place->id));
        cr_assert_eq((int)info.kind, kind);
        cr_assert_eq(info.head_number, 1);
        cr_assert_eq(info.points, 0);
        cr_assert_eq(info.pack_bytes, 0);
        cr_assert_arr_eq(info.owner, place->owner->pk, SIGN_PK_LEN);
    }
}

Test(repository, opening_a_directory_without_one_says_so)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct err err;
    struct repository *repository;
    place_close(place);
    AUTO(free) char *entry = xasprintf("%s/log/0000000001", place->path);
    cr_assert_eq(unlink(entry), 0);
    cr_assert_not(repository_try_open(place, &repository, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND, "%s", err.text);
}

Test(repository, a_committed_point_is_listed_and_restores_also_after_reopening)
{
    for (int kind = REPOSITORY_ENCRYPTED; kind <= REPOSITORY_PLAINTEXT; kind++) {
        AUTO(place) struct place *place = place_new((enum repository_kind)kind);
        struct hash root = back_up(place->repository, 1, 0, 20);
        size_t frames;
        for (int round = 0; round < 2; round++) {
            struct repository_info info;
            repository_info(place->repository, &info);
            cr_assert_eq(info.head_number, 2);
            cr_assert_eq(info.points, 1);
            cr_assert_eq(info.chunks, 22);
            cr_assert_eq(points_of(place->repository), 1);
            cr_assert(restores(place->repository, &root, &frames));
            cr_assert_eq(frames, 22);
            place_close(place);
            place_open(place);
        }
    }
}

Test(repository, a_second_owner_is_kept_out)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct err err;
    struct repository *second;
    cr_assert_not(repository_try_open(place, &second, &err));
    cr_assert_eq(err.code, ERR_BUSY, "%s", err.text);
    /* also one with another state directory */
    AUTO(free) char *state = xasprintf("%s/other", place->root);
    struct repository_options options = {.path = place->path, .state_dir = state, .owner = place->owner};
    cr_assert_not(repository_open(&options, &second, &err));
    cr_assert_eq(err.code, ERR_BUSY, "%s", err.text);
}

Test(repository, only_its_owner_opens_it_for_writing)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct err err;
    struct repository *second;
    uint8_t seed[32] = {3};
    AUTO(sign_pair) struct sign_pair *stranger = sign_pair_new(seed);
    place_close(place);
    struct repository_options options = {.path = place->path, .state_dir = place->state, .owner = stranger};
    cr_assert_not(repository_open(&options, &second, &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC, "%s", err.text);
}
