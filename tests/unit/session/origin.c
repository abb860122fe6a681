#include "origin.h"

#include "cargo.h"
#include "common/base/alloc.h"
#include "transporter/pipeline/outlet_repository.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/stat.h>

void origin_add_point(struct origin *origin, uint8_t number)
{
    struct ends *ends = origin->ends;
    struct err err = {0};
    AUTO(ingest) struct ingest *ingest = NULL;
    AUTO(outlet_repository) struct outlet_repository *outlet = NULL;
    run_key_free(ends->keys.run);
    ends->keys.run = run_key_new();
    struct ingest_options options = {.session = {{number}},
                                     .kind = INGEST_WRITER,
                                     .seal = ends->keys.run->seal,
                                     .domain = domain_id(ends->keys.write->dedup_key->data),
                                     .min_free_bytes = 1};
    memcpy(options.writer, ends->keys.writer->pk, SIGN_PK_LEN);
    cr_assert(ingest_open(origin->repository, &options, &ingest, &err), "%s", err.text);
    cr_assert(outlet_repository_new(ingest, OUTLET_REPOSITORY_QUEUE, &outlet, &err), "%s", err.text);
    struct outlet to = outlet_repository_outlet(outlet);
    struct sealing_options sealing =
        ends->kind == REPOSITORY_PLAINTEXT ? keys_plain(&ends->keys, to) : keys_sealing(&ends->keys, to);
    AUTO(cargo) struct cargo cargo;
    AUTO(buf) struct buf missing = {0};
    cargo_open(&cargo, &sealing);
    struct commit_receipt receipt;
    const struct id point = {{number}};
    cr_assert(cargo_pack(&cargo, &origin->root), "%s", cargo.err.text);
    cr_assert(cargo_commit(&cargo, &ends->keys, &point, &origin->root, &receipt, &missing), "%s",
              cargo.err.text);
}

struct origin *origin_new(enum repository_kind kind)
{
    static const struct id site = {{1}}, id = {{8}};
    struct origin *origin = xcalloc(1, sizeof(*origin));
    struct err err = {0};
    origin->ends = ends_new(kind);
    AUTO(free) char *path = xasprintf("%s/origin", origin->ends->dir);
    AUTO(free) char *state = xasprintf("%s/origin-state", origin->ends->dir);
    cr_assert_eq(mkdir(state, 0700), 0);
    cr_assert(repository_create(path, &site, &id, kind, (struct span){0}, origin->ends->source->sign, &err));
    struct repository_options options = {
        .path = path, .state_dir = state, .owner = origin->ends->source->sign};
    cr_assert(repository_open(&options, &origin->repository, &err), "%s", err.text);
    origin_add_point(origin, 3);
    origin_add_point(origin, 4);
    return origin;
}

void origin_free(struct origin *origin)
{
    repository_close(origin->repository);
    ends_free(origin->ends);
    free(origin);
}

struct copy_options origin_copy_options(struct origin *origin, const struct outlet *outlet)
{
    return (struct copy_options){.from = origin->repository,
                                 .outlet = *outlet,
                                 .sent_bytes = &origin->sent,
                                 .points = &origin->points,
                                 .skipped = &origin->skipped,
                                 .cancelled = &origin->cancelled};
}
