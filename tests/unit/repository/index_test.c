/* The index is a cache: whatever happens to it or to the packs, it comes to say what is there. */
#include "builder.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "tests/support/cpu_time.h"
#include "transporter/repository/closure.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* The script calls them $A and $B. */
static void accident(const char *script, const char *a, const char *b)
{
    shell("A='%s' B='%s'; %s", a, b ? b : "", script);
}

static void pack_path(struct place *place, uint32_t at, char **path, struct index_pack *out)
{
    struct err err;
    char name[BYTES_NAME_LEN];
    struct index_pack pack = {0};
    uint32_t no = 0;
    for (uint32_t i = 0; i <= at; i++) {
        cr_assert(index_pack_from(place->repository->index, no, &pack, &err), "%s", err.text);
        no = pack.no + 1;
    }
    bytes_name(&pack, name);
    *path = xasprintf("%s/%s", place->path, name);
    *out = pack;
}

static void expect_whole(struct place *place, const struct hash *root, const char *after)
{
    struct repository_info info;
    repository_info(place->repository, &info);
    cr_expect_eq(info.points, 1, "%s", after);
    cr_expect_eq(info.chunks, 12, "%s: %llu", after, (unsigned long long)info.chunks);
    cr_expect(restores(place->repository, root, NULL), "%s", after);
}

Test(index, is_built_again_when_lost_spoiled_or_not_known_to_have_survived)
{
    static const char *const accidents[] = {
        "rm -r \"$A/index\"",
        "rm \"$A/index/data.mdb\"",
        "rm \"$A/index/marker\"",
        "echo 00000000-0000-0000-0000-000000000000 > \"$A/index/marker\"", /* another boot */
        "echo clean > \"$A/index/marker\"; rm \"$A/index/data.mdb\"",
        "cd \"$A/index\"; printf x | dd of=data.mdb bs=1 seek=5000 conv=notrunc 2>/dev/null; rm marker",
        "true",
    };
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash root = back_up(place->repository, 1, 0, 10);
    for (size_t i = 0; i < sizeof(accidents) / sizeof(accidents[0]); i++) {
        place_close(place);
        accident(accidents[i], place->state, NULL);
        place_open(place);
        expect_whole(place, &root, accidents[i]);
    }
}

/* Something in the index that no reconciliation corrects shows whether it was believed. */
Test(index, is_believed_only_within_the_boot_or_after_an_orderly_end)
{
    static const struct {
        const char *accident;
        uint64_t points;
    } cases[] = {{"true", 2},
                 {"cat /proc/sys/kernel/random/boot_id > \"$A/index/marker\"", 2},
                 {"echo 00000000-0000-0000-0000-000000000000 > \"$A/index/marker\"", 1},
                 {": > \"$A/index/marker\"", 1},
                 {"rm \"$A/index/marker\"", 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err;
        AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
        (void)back_up(place->repository, 1, 0, 3);
        struct repository_point bogus = {.point = id_of(0x99), .number = 99};
        cr_assert(index_point_put(place->repository->index, &bogus, &err));
        place_close(place);
        accident(cases[i].accident, place->state, NULL);
        place_open(place);
        struct repository_info info;
        repository_info(place->repository, &info);
        cr_expect_eq(info.points, cases[i].points, "%s", cases[i].accident);
    }
}

Test(index, of_another_repository_is_thrown_away)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(place) struct place *other = place_new_as(REPOSITORY_ENCRYPTED, 0x77);
    struct hash root = back_up(place->repository, 1, 0, 10);
    (void)back_up(other->repository, 2, 100, 30);
    place_close(place);
    place_close(other);
    accident("rm -r \"$A/index\"; cp -r \"$B/index\" \"$A/index\"", place->state, other->state);
    place_open(place);
    expect_whole(place, &root, "foreign");
}

Test(index, survives_a_killed_process_within_one_boot)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash root = back_up(place->repository, 1, 0, 10);
    AUTO(place) struct place *crashed = place_copy(place);
    expect_whole(crashed, &root, "killed");
}

Test(index, forgets_a_deleted_pack_and_takes_it_back_when_it_returns)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 9);
    struct hash root = back_up(place->repository, 1, 0, 10);
    struct hash data = writer_id(writer, FRAME_DATA, 0, 1000);
    struct index_pack pack;
    AUTO(free) char *path = NULL;
    pack_path(place, 0, &path, &pack);
    cr_assert_eq(pack.class_, PACK_DATA);
    place_close(place);
    accident("mv \"$A\" \"$B\"", path, place->root);
    place_open(place);
    struct repository_info info;
    repository_info(place->repository, &info);
    cr_expect_eq(info.chunks, 2);
    cr_expect_eq(info.points, 1, "the log still names it");
    cr_expect_not(restores(place->repository, &root, NULL));
    struct err err;
    uint8_t have = 1;
    {
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 9);
        cr_assert(ingest_has(ingest, &data, 1, &have, &err));
        cr_expect_eq(have, 0);
        /* nor does a node that was whole once hide what is missing now */
        struct id point = id_of(9);
        struct ingest_receipt receipt;
        AUTO(buf) struct buf file = {0};
        AUTO(buf) struct buf missing = {0};
        writer_point(writer, &point, &root, &file);
        cr_expect_not(ingest_commit(ingest, &point, &root, buf_span(&file), &receipt, &missing, &err));
        cr_expect_eq(err.code, ERR_NOT_FOUND);
        cr_expect_eq(missing.len, 10 * HASH_LEN);
    }
    place_close(place);
    accident("mv \"$B\"/$(basename \"$A\") \"$A\"", path, place->root);
    place_open(place);
    expect_whole(place, &root, "back again");
}

Test(index, sees_packs_that_somebody_else_added)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash first = back_up(place->repository, 1, 0, 10);
    AUTO(place) struct place *copy = place_copy(place);
    struct hash second = back_up(copy->repository, 2, 100, 10);
    place_close(place);
    accident("cp -a \"$B/.\" \"$A/\"", place->path, copy->path);
    place_open(place);
    cr_assert(restores(place->repository, &first, NULL));
    cr_assert(restores(place->repository, &second, NULL));
}

Test(index, reads_what_it_can_of_packs_whose_end_is_damaged)
{
    static const char *const damages[] = {
        "truncate -s -1 \"$A\"",
        "truncate -s -100 \"$A\"",
        "printf xxx | dd of=\"$A\" bs=1 seek=$(($(stat -c %s \"$A\") - 300)) conv=notrunc 2>/dev/null",
    };
    for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
        AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
        struct hash root = back_up(place->repository, 1, 0, 10);
        struct index_pack pack;
        AUTO(free) char *path = NULL;
        pack_path(place, 0, &path, &pack);
        place_close(place);
        accident(damages[i], path, NULL);
        accident("rm -r \"$A/index\"", place->state, NULL);
        place_open(place);
        cr_expect(restores(place->repository, &root, NULL), "%s", damages[i]);
    }
}

Test(index, ignores_a_pack_of_another_repository)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(place) struct place *other = place_new_as(REPOSITORY_ENCRYPTED, 0x77);
    struct hash root = back_up(place->repository, 1, 0, 10);
    (void)back_up(other->repository, 2, 50, 10);
    place_close(place);
    place_close(other);
    accident("cp -a \"$B/packs/.\" \"$A/packs/\"", place->path, other->path);
    place_open(place);
    expect_whole(place, &root, "with foreign packs");
}

Test(index, holds_more_than_its_first_map)
{
    struct err err;
    AUTO(place) struct place *place = place_new(REPOSITORY_PLAINTEXT);
    struct index *index = place->repository->index;
    enum { COUNT = 100000, ROUNDS = 12 };
    AUTO(free) struct pack_entry *entries = xcalloc(COUNT, sizeof(*entries));
    struct index_pack pack = {.state = INDEX_PACK, .class_ = PACK_DATA, .size = 1};
    cr_assert(index_pack_add(index, &pack, &err), "%s", err.text);
    uint32_t domains[1] = {0};
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < COUNT; i++) {
            uint32_t number = round * COUNT + i;
            entries[i] =
                (struct pack_entry){.kind = RECORD_FRAME, .type = FRAME_DATA, .len = 1, .offset = number};
            entries[i].id = hash_of(span_of(&number, sizeof(number)));
        }
        cr_assert(index_add(index, pack.no, entries, COUNT, domains, 0, &err), "%s", err.text);
    }
    AUTO(index_view) struct index_view *view = NULL;
    cr_assert(index_view_open(index, &view, &err));
    for (uint32_t number = 0; number < ROUNDS * COUNT; number += 997) {
        struct hash id = hash_of(span_of(&number, sizeof(number)));
        struct index_location at[INDEX_MAX_LOCATIONS];
        cr_assert_eq(index_locate(view, &id, 0, INDEX_FOR_KEEPING, at), 1);
        cr_assert_eq(at[0].offset, number);
    }
}

/* Who writes in a domain may put in a chunk as often as it likes, and then ask for it. */
Test(index, a_chunk_that_is_there_very_often_costs_no_more_to_ask_for)
{
    struct err err;
    AUTO(place) struct place *place = place_new(REPOSITORY_PLAINTEXT);
    struct index *index = place->repository->index;
    enum { COPIES = 100000, ASKED = 50000 };
    AUTO(free) struct pack_entry *entries = xcalloc(COPIES, sizeof(*entries));
    const struct hash id = hash_of(span_str("everywhere"));
    struct index_pack open = {.state = INDEX_OPEN, .class_ = PACK_DATA, .size = 1};
    struct index_pack pack = {.state = INDEX_PACK, .class_ = PACK_DATA, .size = 1};
    struct index_location at;
    uint32_t domains[1] = {0};
    for (uint32_t i = 0; i < COPIES; i++)
        entries[i] =
            (struct pack_entry){.kind = RECORD_FRAME, .type = FRAME_DATA, .len = 1, .offset = i, .id = id};
    cr_assert(index_pack_add(index, &open, &err), "%s", err.text);
    cr_assert(index_add(index, open.no, entries, 2, domains, 0, &err), "%s", err.text);
    {
        AUTO(index_view) struct index_view *view = NULL;
        cr_assert(index_view_open(index, &view, &err));
        cr_assert(index_has(view, &id, 0, INDEX_FOR_KEEPING));
        cr_assert_not(index_has(view, &id, 1, INDEX_FOR_KEEPING), "of another domain");
        cr_assert_not(index_locate_type(view, &id, 0, INDEX_FOR_KEEPING, FRAME_NODE, &at));
        cr_assert(index_locate_type(view, &id, 0, INDEX_FOR_KEEPING, FRAME_DATA, &at));
        cr_assert_eq(at.state, INDEX_OPEN);
    }
    cr_assert(index_pack_add(index, &pack, &err), "%s", err.text);
    cr_assert(index_add(index, pack.no, entries, COPIES, domains, 0, &err), "%s", err.text);
    AUTO(index_view) struct index_view *view = NULL;
    cr_assert(index_view_open(index, &view, &err));
    double before = cpu_seconds();
    for (uint32_t i = 0; i < ASKED; i++) {
        cr_assert(index_has(view, &id, 0, INDEX_FOR_KEEPING));
        cr_assert(index_locate_type(view, &id, 0, INDEX_FOR_KEEPING, FRAME_DATA, &at));
        cr_assert_eq(at.state, INDEX_PACK);
        cr_assert_lt(cpu_seconds() - before, 5, "only %u questions answered", i);
    }
}

/* Whoever may write makes nodes that name what is nowhere, for little: that takes no memory for each. */
Test(index, nodes_that_are_nowhere_are_not_remembered_by_a_commit)
{
    struct err err;
    AUTO(place) struct place *place = place_new(REPOSITORY_PLAINTEXT);
    enum { NAMED = 16000, PARENTS = 4 };
    AUTO(free) struct hash *nowhere = xcalloc(NAMED, sizeof(*nowhere));
    struct hash parents[PARENTS], root;
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_PLAINTEXT, 1);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    for (uint32_t i = 0; i < PARENTS; i++) {
        for (uint32_t n = 0; n < NAMED; n++)
            nowhere[n] = hash_of(span_of(&(uint32_t){i * NAMED + n}, 4));
        parents[i] = writer_node(writer, i, nowhere, NAMED, NULL, 0);
    }
    root = writer_node(writer, PARENTS, parents, PARENTS, NULL, 0);
    session_send(ingest, writer, PACK_META);
    ingest_close(ingest);
    ingest = NULL;
    AUTO(closure) struct closure closure = {0};
    cr_assert(closure_walk(place->repository, &root, 0, INDEX_FOR_KEEPING, &closure, &err), "%s", err.text);
    cr_assert_leq(closure.node_count, PARENTS + 1);
    cr_assert_leq(closure.met.count, PARENTS + 1);
    cr_assert_eq(closure.missing.len, (size_t)CLOSURE_MAX_MISSING * HASH_LEN);
}

/* Those that are there are bounded, and the walk ends where it is told to. */
Test(index, a_commit_remembers_a_bounded_number_of_nodes_and_can_be_cancelled)
{
    struct err err;
    AUTO(place) struct place *place = place_new(REPOSITORY_PLAINTEXT);
    enum { NAMED = 20 };
    struct hash nodes[NAMED], root;
    _Atomic bool cancelled = false;
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_PLAINTEXT, 1);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    for (uint32_t i = 0; i < NAMED; i++)
        nodes[i] = writer_node(writer, i, NULL, 0, NULL, 0);
    root = writer_node(writer, NAMED, nodes, NAMED, NULL, 0);
    session_send(ingest, writer, PACK_META);
    ingest_close(ingest);
    ingest = NULL;
    AUTO(closure) struct closure few = {.most_nodes = NAMED};
    cr_assert_not(closure_walk(place->repository, &root, 0, INDEX_FOR_KEEPING, &few, &err));
    cr_assert_eq(err.code, ERR_LIMIT, "%s", err.text);
    AUTO(closure) struct closure enough = {.most_nodes = NAMED + 1, .cancelled = &cancelled};
    cr_assert(closure_walk(place->repository, &root, 0, INDEX_FOR_KEEPING, &enough, &err), "%s", err.text);
    cr_assert_eq(enough.node_count, NAMED + 1);
    cancelled = true;
    AUTO(closure) struct closure ended = {.cancelled = &cancelled};
    cr_assert_not(closure_walk(place->repository, &root, 0, INDEX_FOR_KEEPING, &ended, &err));
    cr_assert_eq(err.code, ERR_CANCELLED, "%s", err.text);
}

/* ... nor to commit what names it, as what it is not. */
Test(index, a_chunk_that_is_there_very_often_is_looked_up_once_by_a_commit)
{
    struct err err;
    AUTO(place) struct place *place = place_new(REPOSITORY_PLAINTEXT);
    struct index *index = place->repository->index;
    enum { COPIES = 100000, NAMED = 2000 };
    AUTO(free) struct pack_entry *entries = xcalloc(COPIES, sizeof(*entries));
    AUTO(free) struct hash *nodes = xcalloc(NAMED, sizeof(*nodes));
    const struct hash id = hash_of(span_str("everywhere"));
    struct hash root;
    struct index_pack pack = {0};
    uint32_t domains[1] = {0};
    {
        AUTO(writer) struct writer *writer = writer_new(REPOSITORY_PLAINTEXT, 1);
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
        for (uint32_t i = 0; i < NAMED; i++)
            nodes[i] = writer_node(writer, i, NULL, 0, &id, 1);
        root = writer_node(writer, NAMED, nodes, NAMED, NULL, 0);
        session_send(ingest, writer, PACK_META);
    }
    for (uint32_t i = 0; i < COPIES; i++)
        entries[i] = (struct pack_entry){
            .kind = RECORD_FRAME, .type = FRAME_NODE, .len = 1, .offset = 1 << 24 | i, .id = id};
    cr_assert(index_pack_from(index, 0, &pack, &err), "%s", err.text);
    cr_assert(index_add(index, pack.no, entries, COPIES, domains, 0, &err), "%s", err.text);
    AUTO(closure) struct closure closure = {0};
    double before = cpu_seconds();
    cr_assert(closure_walk(place->repository, &root, 0, INDEX_FOR_KEEPING, &closure, &err), "%s", err.text);
    cr_assert_lt(cpu_seconds() - before, 5);
    cr_assert_eq(closure.node_count, NAMED + 1);
    cr_assert_eq(closure.missing.len, HASH_LEN);
}
