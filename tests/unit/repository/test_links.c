/* Somebody who may write into the repository's directory, but not where its owner may. */
#include "builder.h"

#include "common/base/alloc.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/stat.h>

static const char *const directories[] = {"log", "points", "packs", "open"};
enum { DIRECTORIES = sizeof(directories) / sizeof(directories[0]) };

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* Moves a directory of the repository out of it, and leaves a link. */
static char *lead_out(const struct place *place, const char *directory)
{
    char *outside = xasprintf("%s/outside", place->root);
    shell("mkdir -p '%s/%s' && mv '%s/%s' '%s' && ln -s '%s' '%s/%s'", place->path, directory, place->path,
          directory, outside, outside, place->path, directory);
    return outside;
}

Test(links, a_directory_that_leads_out_is_not_followed_and_nothing_is_removed_there)
{
    for (size_t i = 0; i < DIRECTORIES; i++) {
        struct err err = {0};
        struct repository *repository = NULL;
        AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
        (void)back_up(place->repository, 1, 0, 3);
        place_close(place);
        AUTO(free) char *outside = lead_out(place, directories[i]);
        AUTO(free) char *foreign = xasprintf("%s/.tmp-somebody", outside);
        shell("touch '%s'", foreign);
        if (repository_try_open(place, &repository, &err)) /* unfinished points do not keep it shut */
            repository_close(repository);
        else
            cr_expect_eq(err.code, ERR_DAMAGED, "%s: %s", directories[i], err.text);
        cr_expect(repository == NULL || strcmp(directories[i], "points") == 0, "%s", directories[i]);
        cr_expect(exists(foreign), "%s", directories[i]);
    }
}

/* Between two looks at a path. */
Test(links, nothing_is_written_behind_a_directory_that_became_a_link_meanwhile)
{
    for (size_t i = 0; i < DIRECTORIES; i++) {
        struct err err = {0};
        struct id point = id_of(1);
        struct ingest_receipt receipt;
        AUTO(buf) struct buf file = {0};
        AUTO(buf) struct buf missing = {0};
        AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
        AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
        struct hash root = session_tree(ingest, writer, 0, 3, 100);
        AUTO(free) char *outside = lead_out(place, directories[i]);
        shell("find '%s' | sort > '%s/before'", outside, place->root);
        writer_point(writer, &point, &root, &file);
        cr_expect_not(ingest_commit(ingest, &point, &root, buf_span(&file), &receipt, &missing, &err), "%s",
                      directories[i]);
        cr_expect(shell_works("find '%s' | sort | cmp -s - '%s/before'", outside, place->root), "%s",
                  directories[i]);
    }
}
