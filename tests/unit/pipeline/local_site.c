#include "local_site.h"

#include "common/base/alloc.h"
#include "tests/support/fast_folder.h"
#include "tests/support/one_frame.h"
#include "tests/support/remove_tree.h"
#include "transporter/repository/fetch.h"
#include "tree.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct id site_id = {{1}};
static const struct id repository_id = {{4}};

void local_site_open(struct local_site *site)
{
    struct err err = {0};
    AUTO(free) char *path = xasprintf("%s/repo", site->dir);
    AUTO(free) char *state = xasprintf("%s/state", site->dir);
    struct repository_options options = {.path = path, .state_dir = state, .owner = site->owner};
    cr_assert(repository_open(&options, &site->repository, &err), "%s", err.text);
}

struct local_site *local_site_make(enum repository_kind kind)
{
    struct local_site *site = xcalloc(1, sizeof(*site));
    struct err err = {0};
    site->keys = keys_make();
    site->owner = sign_pair_new(NULL);
    (void)snprintf(site->dir, sizeof(site->dir), "%s/sealift-test-XXXXXX", fast_folder());
    cr_assert_not_null(mkdtemp(site->dir));
    AUTO(free) char *path = xasprintf("%s/repo", site->dir);
    cr_assert(repository_create(path, &site_id, &repository_id, kind, (struct span){0}, site->owner, &err),
              "%s", err.text);
    local_site_open(site);
    return site;
}

void local_site_end(struct local_site *site)
{
    outlet_repository_free(site->outlet);
    ingest_close(site->ingest);
    site->outlet = NULL;
    site->ingest = NULL;
}

void local_site_close(struct local_site *site)
{
    local_site_end(site);
    repository_close(site->repository);
    site->repository = NULL;
}

void local_site_free(struct local_site *site)
{
    local_site_close(site);
    sign_pair_free(site->owner);
    keys_drop(&site->keys);
    (void)remove_tree(site->dir);
    free(site);
}

struct outlet local_site_begin(struct local_site *site, uint8_t run)
{
    struct err err = {0};
    local_site_end(site);
    run_key_free(site->keys.run);
    site->keys.run = run_key_new();
    struct ingest_options options = {
        .session = {{run}},
        .kind = INGEST_WRITER,
        .seal = site->keys.run->seal,
        .domain = domain_id(site->keys.write->dedup_key->data),
        .min_free_bytes = 1,
    };
    memcpy(options.writer, site->keys.writer->pk, SIGN_PK_LEN);
    cr_assert(ingest_open(site->repository, &options, &site->ingest, &err), "%s", err.text);
    cr_assert(outlet_repository_new(site->ingest, OUTLET_REPOSITORY_QUEUE, &site->outlet, &err), "%s",
              err.text);
    return outlet_repository_outlet(site->outlet);
}

bool local_site_holds(struct local_site *site, const struct hash *id)
{
    AUTO(buf) struct buf frame = {0};
    AUTO(buf) struct buf envelope = {0};
    AUTO(buf) struct buf plain = {0};
    struct err err = {0};
    return one_frame(site->repository, id, &frame, &envelope, &err) &&
           keys_open(&site->keys, buf_span(&envelope), buf_span(&frame), &plain);
}
