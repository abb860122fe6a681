/* Which points a check says are dead: those that need what is damaged, and no others. */
#include "checking.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "tests/support/cpu_time.h"
#include "tests/support/flip.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>

/* --- which points die --- */

Test(check, damage_to_what_two_points_share_kills_both_and_to_what_one_has_only_that)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *one = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(writer) struct writer *two = writer_new(REPOSITORY_ENCRYPTED, 2);
    struct hash shared;
    {
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, one, 1);
        shared = writer_data(one, 1, 100);
        session_send(ingest, one, PACK_DATA);
        struct hash root = writer_node(one, 2, NULL, 0, &shared, 1);
        session_send(ingest, one, PACK_META);
        (void)session_commit(ingest, one, 1, &root);
    }
    struct hash own;
    {
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, two, 2);
        own = writer_data(two, 3, 100);
        session_send(ingest, two, PACK_DATA);
        struct hash both[2] = {own, shared};
        struct hash root = writer_node(two, 4, NULL, 0, both, 2);
        session_send(ingest, two, PACK_META);
        (void)session_commit(ingest, two, 2, &root);
    }
    for (int which = 0; which < 2; which++) {
        AUTO(index_view) struct index_view *view = NULL;
        struct index_location at[INDEX_MAX_LOCATIONS];
        struct index_pack pack;
        struct err err;
        char name[BYTES_NAME_LEN];
        cr_assert(index_view_open(place->repository->index, &view, &err));
        cr_assert_eq(index_locate(view, which ? &own : &shared, INDEX_ANY_DOMAIN, INDEX_FOR_READING, at), 1);
        cr_assert(index_view_pack(view, at[0].pack, &pack));
        index_view_close(view);
        view = NULL;
        bytes_name(&pack, name);
        AUTO(free) char *path = xasprintf("%s/%s", place->path, name);
        AUTO(report) struct report report = {0};
        flip(path, at[0].offset + 90);
        check(place->repository, CHECK_HASH, &report);
        cr_assert_eq(report.result.findings, 1, "%s", lines(&report));
        cr_assert_eq(kills(&report, 1), which == 0, "%s", lines(&report));
        cr_assert(kills(&report, 2), "%s", lines(&report));
        check(place->repository, CHECK_PRESENCE, &report);
        cr_assert_eq(report.result.findings, 0, "presence does not read data");
        flip(path, at[0].offset + 90);
    }
}

Test(check, damage_to_a_frame_that_is_stored_twice_kills_nothing)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash root = back_up(place->repository, 1, 0, 3);
    struct hash again = back_up(place->repository, 2, 0, 3);
    AUTO(objects) struct objects objects = {0};
    AUTO(report) struct report report = {0};
    list_objects(place, &objects);
    for (int nth = 0; nth < 4; nth++) {
        AUTO(free) char *path = xasprintf("%s/%s", place->path, find_object(&objects, "packs/", nth));
        flip(path, 500);
        check(place->repository, CHECK_HASH, &report);
        cr_assert_gt(report.result.findings, 0);
        cr_assert_eq(report.points.len, 0, "%s", lines(&report));
        cr_assert(restores(place->repository, &root, NULL));
        cr_assert(restores(place->repository, &again, NULL));
        flip(path, 500);
    }
}

Test(check, of_one_point_looks_at_what_it_needs_and_at_nothing_else)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(objects) struct objects objects = {0};
    (void)back_up(place->repository, 1, 0, 20);
    (void)back_up(place->repository, 2, 500, 20);
    list_objects(place, &objects);
    for (uint8_t seed = 1; seed <= 2; seed++) {
        struct id point = id_of(seed);
        const struct check_options options = {.level = CHECK_HASH, .point = &point};
        for (int nth = -1; nth < 4; nth++) {
            AUTO(report) struct report report = {0};
            struct check_sink sink = {.finding = note_finding, .arg = &report};
            struct err err;
            AUTO(free)
            char *path = xasprintf("%s/%s", place->path, find_object(&objects, "packs/", nth < 0 ? 0 : nth));
            if (nth >= 0) flip(path, 500);
            cr_assert(repository_check(place->repository, &options, &sink, &report.result, &err), "%s",
                      err.text);
            (void)buf_cstr(&report.lines);
            if (nth >= 0) flip(path, 500);
            if (nth < 0) cr_assert_eq(report.result.packs_read, 2, "of the four there are");
            cr_assert_eq(report.result.points, 1);
            cr_assert_eq(kills(&report, seed), report.result.findings > 0, "%s", lines(&report));
            cr_assert_not(kills(&report, (uint8_t)(3 - seed)));
        }
    }
    struct id none = id_of(9);
    struct check_result result;
    struct check_sink sink = {.finding = note_finding};
    struct err err;
    const struct check_options options = {.level = CHECK_PRESENCE, .point = &none};
    cr_assert_not(repository_check(place->repository, &options, &sink, &result, &err));
    cr_assert_eq(err.code, ERR_NOT_FOUND);
}

/* In another domain, and before ours, somebody names a node by the id of ours, with nothing below it. */
Test(check, a_node_planted_in_another_domain_hides_no_damage)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *stranger = writer_new_in(REPOSITORY_ENCRYPTED, 3, "t:stranger");
    AUTO(writer) struct writer *ours = writer_new(REPOSITORY_ENCRYPTED, 2);
    AUTO(report) struct report report = {0};
    {
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, stranger, 3);
        memcpy(stranger->dedup, ours->dedup, HASH_LEN); /* ids as in our domain, in the stranger's */
        struct hash leaf = writer_node(stranger, 1000500, NULL, 0, NULL, 0);
        struct hash root = writer_node(stranger, 4000000, &leaf, 1, NULL, 0);
        session_send(ingest, stranger, PACK_META);
        (void)session_commit(ingest, stranger, 3, &root);
    }
    (void)back_up(place->repository, 2, 500, 20);
    shell("f=$(ls -S '%s'/packs/*/* | head -1); rm $f", place->path); /* the data */
    check(place->repository, CHECK_PRESENCE, &report);
    cr_assert(kills(&report, 2), "%s", lines(&report));
    cr_assert(!kills(&report, 3), "%s", lines(&report));
}

/* What a check says of points is what a restore finds. */
Test(check, a_point_dies_exactly_where_its_restore_fails, .timeout = 300)
{
    AUTO(place) struct place *place = small_repository(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    struct hash root = writer_id(writer, FRAME_NODE, 2000000, 40);
    AUTO(objects) struct objects objects = {0};
    AUTO(report) struct report report = {0};
    list_objects(place, &objects);
    for (size_t i = 0; i < objects.count; i++) {
        if (strncmp(objects.names[i], "packs/", 6) != 0) continue;
        AUTO(free) char *path = xasprintf("%s/%s", place->path, objects.names[i]);
        for (uint64_t at = 0; at < objects.sizes[i]; at += 3) {
            flip(path, at);
            check(place->repository, CHECK_HASH, &report);
            cr_assert_eq(kills(&report, 1), !restores(place->repository, &root, NULL), "%s at %llu: %s",
                         objects.names[i], (unsigned long long)at, lines(&report));
            flip(path, at);
        }
    }
}

/* Bytes that hash and parse as they should, in the place of what the writer sent. */
Test(check, a_frame_put_in_the_place_of_another_is_found_by_its_signed_list)
{
    for (int kind = REPOSITORY_ENCRYPTED; kind <= REPOSITORY_PLAINTEXT; kind++) {
        AUTO(place) struct place *place = small_repository((enum repository_kind)kind);
        AUTO(objects) struct objects objects = {0};
        AUTO(report) struct report report = {0};
        struct err err;
        list_objects(place, &objects);
        for (int nth = 0; nth < 2; nth++) {
            const char *name = find_object(&objects, "packs/", nth);
            AUTO(free) char *path = xasprintf("%s/%s", place->path, name);
            AUTO(buf) struct buf bytes = {0};
            AUTO(pack_toc) struct pack_toc toc;
            pack_toc_init(&toc);
            cr_assert(file_read(AT_FDCWD, path, 1 << 20, &bytes, &err));
            cr_assert(pack_toc_read_tail(&place->repository->storage, name, bytes.len, &toc, &err));
            const struct pack_entry *frame = &toc.entries[kind == REPOSITORY_ENCRYPTED ? 1 : 0];
            cr_assert_eq(frame->kind, RECORD_FRAME);
            bytes.data[frame->offset + frame->len - 20] ^= 1; /* in the body */
            struct hash hash = hash_of(span_of(bytes.data + frame->offset, frame->len));
            record_header(RECORD_FRAME, frame->len, &hash, bytes.data + frame->offset - RECORD_HEADER_LEN);
            AUTO(fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
            cr_assert(fd_pwrite_all(fd, buf_span(&bytes), 0, path, &err));
            check(place->repository, CHECK_HASH, &report);
            cr_assert(strstr(lines(&report), "its signed list does not name it"), "%s", lines(&report));
            cr_assert(kills(&report, 1), "%s", lines(&report));
            bytes.data[frame->offset + frame->len - 20] ^= 1;
            hash = hash_of(span_of(bytes.data + frame->offset, frame->len));
            record_header(RECORD_FRAME, frame->len, &hash, bytes.data + frame->offset - RECORD_HEADER_LEN);
            cr_assert(fd_pwrite_all(fd, buf_span(&bytes), 0, path, &err));
        }
        check(place->repository, CHECK_HASH, &report);
        cr_assert_eq(report.result.findings, 0, "%s", lines(&report));
    }
}

static bool nobody(void *arg, const uint8_t writer[SIGN_PK_LEN])
{
    return false;
}

Test(check, writers_that_were_never_admitted_are_found)
{
    AUTO(place) struct place *place = small_repository(REPOSITORY_ENCRYPTED);
    AUTO(report) struct report report = {0};
    struct err err;
    struct check_sink sink = {.finding = note_finding, .admitted = nobody, .arg = &report};
    cr_assert(repository_check(place->repository, &(struct check_options){.level = CHECK_PRESENCE}, &sink,
                               &report.result, &err));
    cr_assert(kills(&report, 1));
    cr_assert(strstr(lines(&report), "its writer was never admitted"));
}

static void note_progress(void *arg, uint64_t done, uint64_t total)
{
    struct progress *progress = arg;
    cr_expect_geq(done, progress->done);
    *progress = (struct progress){.done = done, .total = total};
}

Test(check, progress_ends_at_the_total)
{
    AUTO(place) struct place *place = small_repository(REPOSITORY_ENCRYPTED);
    struct progress progress = {0};
    struct check_result result;
    struct err err;
    struct check_sink sink = {.finding = ignore_finding, .progress = note_progress, .arg = &progress};
    cr_assert(repository_check(place->repository, &(struct check_options){.level = CHECK_HASH}, &sink,
                               &result, &err));
    cr_assert_gt(progress.total, 0);
    cr_assert_eq(progress.done, progress.total);
}

/* One seal's envelope stands in its data pack and in its metadata pack. */
Test(check, frames_die_with_the_last_good_envelope_of_their_seal)
{
    AUTO(place) struct place *place = small_repository(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    struct hash root = writer_id(writer, FRAME_NODE, 2000000, 40);
    AUTO(objects) struct objects objects = {0};
    AUTO(report) struct report report = {0};
    list_objects(place, &objects);
    for (int nth = 0; nth < 2; nth++) {
        AUTO(free) char *path = xasprintf("%s/%s", place->path, find_object(&objects, "packs/", nth));
        flip(path, 150);
        check(place->repository, CHECK_HASH, &report);
        cr_assert_gt(report.result.findings, 0);
        cr_assert_eq(kills(&report, 1), nth == 1, "%s", lines(&report));
        cr_assert_eq(restores(place->repository, &root, NULL), nth == 0);
    }
}

Test(check, a_chunk_that_is_there_very_often_is_looked_up_once_however_many_nodes_name_it)
{
    struct err err;
    enum { COPIES = 100000, NAMED = 3000 };
    AUTO(place) struct place *place = place_new(REPOSITORY_PLAINTEXT);
    AUTO(free) struct pack_entry *entries = xcalloc(COPIES, sizeof(*entries));
    AUTO(free) struct hash *nodes = xcalloc(NAMED, sizeof(*nodes));
    struct hash id;
    struct index_pack pack = {0};
    uint32_t domains[1] = {0};
    {
        AUTO(writer) struct writer *writer = writer_new(REPOSITORY_PLAINTEXT, 1);
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
        id = writer_data(writer, 1, 100);
        session_send(ingest, writer, PACK_DATA);
        for (uint32_t i = 0; i < NAMED; i++)
            nodes[i] = writer_node(writer, i, NULL, 0, &id, 1);
        struct hash root = writer_node(writer, NAMED, nodes, NAMED, NULL, 0);
        session_send(ingest, writer, PACK_META);
        (void)session_commit(ingest, writer, 1, &root);
    }
    for (uint32_t i = 0; i < COPIES; i++)
        entries[i] = (struct pack_entry){
            .kind = RECORD_FRAME, .type = FRAME_DATA, .len = 1, .offset = 1 << 24 | i, .id = id};
    cr_assert(index_pack_from(place->repository->index, 0, &pack, &err), "%s", err.text);
    cr_assert(index_add(place->repository->index, pack.no, entries, COPIES, domains, 0, &err), "%s",
              err.text);
    AUTO(report) struct report report = {0};
    double before = cpu_seconds();
    check(place->repository, CHECK_PRESENCE, &report);
    cr_assert_lt(cpu_seconds() - before, 4);
    cr_assert_eq(report.result.findings, 0, "%s", lines(&report));
}
