#include "sweeping.h"

#include "common/base/alloc.h"
#include "transporter/repository/care.h"
#include "transporter/repository/check.h"
#include "transporter/repository/sweep.h"

#include <criterion/criterion.h>

static void note_finding(void *arg, const struct check_finding *finding)
{
    if (finding->code != ERR_NONE) fprintf(stderr, "%s: %s\n", finding->object, finding->text);
}

uint64_t findings_of(struct repository *repository)
{
    struct err err;
    struct check_result result;
    struct check_sink sink = {.finding = note_finding};
    cr_assert(
        repository_check(repository, &(struct check_options){.level = CHECK_HASH}, &sink, &result, &err),
        "%s", err.text);
    return result.findings;
}

static struct care_rule rule_of(uint32_t last)
{
    return (struct care_rule){.job = "job", .retention.last = last};
}

void prune(struct place *place, uint32_t last, uint64_t removed)
{
    struct err err;
    struct prune_result result;
    struct care_rule rule = rule_of(last);
    cr_assert(repository_prune(place->repository, &rule, PRUNE_REMOVE, NULL, NULL, &result, &err), "%s",
              err.text);
    cr_assert_eq(result.removed, removed, "%llu", (unsigned long long)result.removed);
}

struct sweep_result sweep(struct place *place)
{
    struct err err;
    struct sweep_result result;
    cr_assert(repository_sweep(place->repository, &result, &err), "%s", err.text);
    return result;
}

uint64_t pack_bytes(struct place *place)
{
    struct repository_info info;
    repository_info(place->repository, &info);
    return info.pack_bytes;
}

void reopen(struct place *place, int rebuilt)
{
    place_close(place);
    if (rebuilt) shell("rm -r '%s/index'", place->state);
    place_open(place);
}

struct hash back_up_sharing(struct place *place, enum repository_kind kind, uint8_t seed, uint32_t content,
                            size_t own, uint32_t from, size_t shared)
{
    AUTO(writer) struct writer *writer = writer_new(kind, seed);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, seed);
    AUTO(free) struct hash *ids = xcalloc(own + shared + 1, sizeof(*ids));
    for (size_t i = 0; i < own; i++)
        ids[i] = writer_data(writer, content + (uint32_t)i, 1000);
    if (own) session_send(ingest, writer, PACK_DATA);
    for (size_t i = 0; i < shared; i++)
        ids[own + i] = writer_id(writer, FRAME_DATA, from + (uint32_t)i, 1000);
    struct hash root = writer_node(writer, content + 5000000, NULL, 0, ids, own + shared);
    session_send(ingest, writer, PACK_META);
    (void)session_commit(ingest, writer, seed, &root);
    return root;
}

size_t packs_in(struct place *place, enum index_state state)
{
    struct index_pack pack = {0};
    struct err err;
    size_t count = 0;
    for (uint32_t no = 0; index_pack_from(place->repository->index, no, &pack, &err); no = pack.no + 1)
        count += pack.state == state;
    return count;
}
