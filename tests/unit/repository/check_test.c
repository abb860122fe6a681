/* A check without a key finds every flipped byte and every lost object, and says which points die. */
#include "builder.h"

#include "common/base/alloc.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "tests/support/flip.h"
#include "transporter/repository/check.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a check told. */
struct report {
    struct check_result result;
    struct buf lines;  /* "code object: text\n" each */
    struct buf points; /* of all findings, struct id each */
    size_t notes;
};

static void report_deinit(struct report *report)
{
    buf_deinit(&report->lines);
    buf_deinit(&report->points);
}
DEFINE_AUTO_IN_PLACE(report, struct report, report_deinit)

static void note_finding(void *arg, const struct check_finding *finding)
{
    struct report *report = arg;
    buf_printf(&report->lines, "%d %s: %s\n", finding->code, finding->object, finding->text);
    buf_put(&report->points, finding->points, finding->point_count * sizeof(struct id));
    if (finding->code == ERR_NONE) report->notes++;
}

static void check(struct repository *repository, enum check_level level, struct report *report)
{
    struct err err;
    struct check_sink sink = {.finding = note_finding, .arg = report};
    buf_clear(&report->lines);
    buf_clear(&report->points);
    report->notes = 0;
    const struct check_options options = {.level = level};
    cr_assert(repository_check(repository, &options, &sink, &report->result, &err), "%s", err.text);
    (void)buf_cstr(&report->lines);
}

static bool kills(const struct report *report, uint8_t point)
{
    struct id id = id_of(point);
    for (size_t at = 0; at < report->points.len; at += sizeof(id))
        if (memcmp(report->points.data + at, id.bytes, sizeof(id)) == 0) return true;
    return false;
}

static const char *lines(const struct report *report)
{
    return (const char *)report->lines.data;
}

/* The names of all objects of a repository. */
struct objects {
    char *names[64];
    uint64_t sizes[64];
    size_t count;
};

static void objects_deinit(struct objects *objects)
{
    for (size_t i = 0; i < objects->count; i++)
        free(objects->names[i]);
}
DEFINE_AUTO_IN_PLACE(objects, struct objects, objects_deinit)

static bool note_object(void *arg, const char *name, uint64_t size)
{
    struct objects *objects = arg;
    objects->names[objects->count] = xstrdup(name);
    objects->sizes[objects->count++] = size;
    return objects->count < 64;
}

static void list_objects(struct place *place, struct objects *objects)
{
    struct err err;
    const struct storage *storage = &place->repository->storage;
    cr_assert(storage->ops->list(storage->self, "", note_object, objects, &err), "%s", err.text);
}

static const char *find_object(const struct objects *objects, const char *prefix, int nth)
{
    for (size_t i = 0; i < objects->count; i++)
        if (strncmp(objects->names[i], prefix, strlen(prefix)) == 0 && nth-- == 0) return objects->names[i];
    cr_assert_fail("no object %s", prefix);
    return NULL;
}

static struct place *small_repository(enum repository_kind kind)
{
    struct place *place = place_new(kind);
    AUTO(writer) struct writer *writer = writer_new(kind, 1);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    struct hash root = session_tree(ingest, writer, 0, 2, 30);
    (void)session_commit(ingest, writer, 1, &root);
    return place;
}

Test(check, a_sound_repository_has_nothing_to_find)
{
    for (int kind = REPOSITORY_ENCRYPTED; kind <= REPOSITORY_PLAINTEXT; kind++) {
        AUTO(place) struct place *place = place_new((enum repository_kind)kind);
        AUTO(report) struct report report = {0};
        check(place->repository, CHECK_HASH, &report);
        cr_assert_eq(report.lines.len, 0, "%s", lines(&report));
        for (uint8_t i = 1; i <= 3; i++)
            (void)back_up(place->repository, i, i * 50u, 30);
        check(place->repository, CHECK_PRESENCE, &report);
        cr_assert_eq(report.lines.len, 0, "%s", lines(&report));
        cr_assert_eq(report.result.points, 3);
        cr_assert_eq(report.result.bytes_read, 0);
        check(place->repository, CHECK_HASH, &report);
        cr_assert_eq(report.lines.len, 0, "%s", lines(&report));
        struct repository_info info;
        repository_info(place->repository, &info);
        cr_assert_eq(report.result.bytes_read, info.pack_bytes);
        cr_assert_eq(report.result.frames, 96);
        cr_assert_eq(report.result.packs, 6);
        cr_assert_eq(report.result.findings, 0);
    }
}

static void expect_every_flip_found(enum repository_kind kind)
{
    AUTO(place) struct place *place = small_repository(kind);
    AUTO(objects) struct objects objects = {0};
    AUTO(report) struct report report = {0};
    list_objects(place, &objects);
    cr_assert_eq(objects.count, 5, "two log entries, one point, two packs");
    for (size_t i = 0; i < objects.count; i++) {
        AUTO(free) char *path = xasprintf("%s/%s", place->path, objects.names[i]);
        for (uint64_t at = 0; at < objects.sizes[i]; at++) {
            flip(path, at);
            check(place->repository, CHECK_HASH, &report);
            cr_assert_gt(report.result.findings, 0, "%s at %llu", path, (unsigned long long)at);
            cr_assert(strstr(lines(&report), objects.names[i]), "%s at %llu: %s", objects.names[i],
                      (unsigned long long)at, lines(&report));
            flip(path, at);
        }
    }
    check(place->repository, CHECK_HASH, &report);
    cr_assert_eq(report.result.findings, 0);
}

Test(check, every_flipped_byte_of_an_encrypted_repository_is_found, .timeout = 300)
{
    expect_every_flip_found(REPOSITORY_ENCRYPTED);
}

Test(check, every_flipped_byte_of_a_plaintext_repository_is_found, .timeout = 300)
{
    expect_every_flip_found(REPOSITORY_PLAINTEXT);
}

Test(check, every_deleted_or_cut_object_is_found_at_presence_level, .timeout = 300)
{
    AUTO(place) struct place *place = small_repository(REPOSITORY_ENCRYPTED);
    AUTO(objects) struct objects objects = {0};
    AUTO(report) struct report report = {0};
    list_objects(place, &objects);
    for (size_t i = 0; i < objects.count; i++) {
        AUTO(free) char *path = xasprintf("%s/%s", place->path, objects.names[i]);
        AUTO(free) char *aside = xasprintf("%s/aside", place->root);
        bool log = strncmp(objects.names[i], "log/", 4) == 0;
        cr_assert_eq(rename(path, aside), 0);
        check(place->repository, CHECK_PRESENCE, &report);
        cr_assert_gt(report.result.findings, 0, "%s", path);
        cr_assert(strstr(lines(&report), "missing"), "%s", lines(&report));
        cr_assert_eq(kills(&report, 1), !log, "%s", lines(&report));
        struct err err;
        AUTO(buf) struct buf bytes = {0};
        cr_assert(file_read(AT_FDCWD, aside, 1 << 20, &bytes, &err));
        for (size_t len = 0; len < bytes.len; len += 7) {
            (void)unlink(path);
            cr_assert(file_create(AT_FDCWD, path, span_of(bytes.data, len), 0600, &err), "%s", err.text);
            check(place->repository, CHECK_PRESENCE, &report);
            cr_assert_gt(report.result.findings, 0, "%s cut to %zu", path, len);
            cr_assert(strstr(lines(&report), objects.names[i]), "%s", lines(&report));
        }
        cr_assert_eq(rename(aside, path), 0);
    }
    check(place->repository, CHECK_PRESENCE, &report);
    cr_assert_eq(report.result.findings, 0);
}

/* After a damage the repository is opened anew: its index no longer knows what was there. */
Test(check, what_was_lost_before_the_repository_was_opened_is_found_too)
{
    for (int lost_index = 0; lost_index < 2; lost_index++) {
        for (int cut = 0; cut < 2; cut++) {
            AUTO(place) struct place *place = small_repository(REPOSITORY_ENCRYPTED);
            AUTO(objects) struct objects objects = {0};
            AUTO(report) struct report report = {0};
            list_objects(place, &objects);
            AUTO(free) char *path = xasprintf("%s/%s", place->path, find_object(&objects, "packs/", 0));
            place_close(place);
            if (lost_index) shell("rm -r '%s/index'", place->state);
            if (cut)
                cr_assert_eq(truncate(path, 500), 0);
            else
                cr_assert_eq(unlink(path), 0);
            place_open(place);
            check(place->repository, CHECK_PRESENCE, &report);
            cr_assert_gt(report.result.findings, 0);
            cr_assert(kills(&report, 1), "%s", lines(&report));
        }
    }
}

/* --- each damage has its own sentence --- */

static void expect_line(struct place *place, enum check_level level, const char *script, const char *sentence)
{
    AUTO(report) struct report report = {0};
    shell("cd '%s' && %s", place->path, script);
    check(place->repository, level, &report);
    cr_expect(strstr(lines(&report), sentence), "%s: '%s' is not in:\n%s", script, sentence, lines(&report));
    cr_expect_gt(report.result.findings, 0, "%s", script);
}

Test(check, each_damage_has_its_own_sentence)
{
    static const struct {
        enum check_level level;
        const char *script;
        const char *sentence;
    } cases[] = {
        {CHECK_PRESENCE, "rm log/0000000002", "4 log/0000000002: log entry 2 is missing"},
        {CHECK_PRESENCE, "cp log/0000000003 log/0000000002",
         "26 log/0000000002: log entry 2 says that it is number 3"},
        {CHECK_PRESENCE, "mv log/0000000002 x && mv log/0000000003 log/0000000002 && mv x log/0000000003",
         "26 log/0000000003: log entry 3 says that it is number 2"},
        {CHECK_PRESENCE, "cp log/0000000003 log/0000000009",
         "26 log/0000000009: log entry 9 is behind the head"},
        {CHECK_PRESENCE, ": > log/0000000002", "22 log/0000000002: log entry 2: "},
        {CHECK_PRESENCE, "rm points/01010101010101010101010101010101",
         "4 points/01010101010101010101010101010101: the point's file is missing"},
        {CHECK_PRESENCE, "cp points/02* points/01010101010101010101010101010101",
         "22 points/01010101010101010101010101010101: 'points/01010101010101010101010101010101' is not the "
         "file"},
        {CHECK_PRESENCE, "rm packs/*/*", "the pack is missing"},
        {CHECK_PRESENCE, "truncate -s 700 packs/*/*", "bytes instead of"},
        {CHECK_PRESENCE,
         "for p in packs/*/*; do printf 2 | dd of=$p bs=1 seek=6 conv=notrunc 2>/dev/null; done",
         "67 packs/"},
        {CHECK_PRESENCE,
         "for p in packs/*/*; do printf 2 | dd of=$p bs=1 seek=33 conv=notrunc 2>/dev/null; done",
         "the pack belongs to another repository"},
        {CHECK_PRESENCE,
         "mkdir packs/00; cp $(ls packs/*/* | head -1) packs/00/$(printf '00%062d' 0); for p in "
         "packs/00/0*; do printf 2 | dd of=$p bs=1 seek=33 conv=notrunc 2>/dev/null; done",
         "the pack belongs to another repository"},
        {CHECK_HASH, "for p in packs/*/*; do printf 2 | dd of=$p bs=1 seek=50 conv=notrunc 2>/dev/null; done",
         "its bytes are not those that its name says"},
        {CHECK_HASH,
         "for p in packs/*/*; do printf 2 | dd of=$p bs=1 seek=120 conv=notrunc 2>/dev/null; done",
         "record 1 at offset 80, the envelope of seal"},
        {CHECK_HASH,
         "for p in packs/*/*; do printf 22 | dd of=$p bs=1 seek=460 conv=notrunc 2>/dev/null; done",
         "record 2 at offset 448, the frame "},
        {CHECK_HASH,
         "for p in packs/*/*; do printf xx | dd of=$p bs=1 seek=$(($(stat -c %s $p) - 4)) conv=notrunc "
         "2>/dev/null; done",
         "the pack has no end"},
        {CHECK_PRESENCE, "D=rewrap/00112233445566778899aabbccddeeff; mkdir -p $D; echo no > $D/1",
         "22 rewrap/00112233445566778899aabbccddeeff/1: "},
        {CHECK_PRESENCE, "d=unlock/$(printf '%064d' 0); mkdir -p $d; echo no > $d/1",
         "unlock/0000000000000000000000000000000000000000000000000000000000000000/1: "},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
        (void)back_up(place->repository, 1, 0, 3);
        (void)back_up(place->repository, 2, 0, 3);
        expect_line(place, cases[i].level, cases[i].script, cases[i].sentence);
    }
}

Test(check, foreign_files_are_notes)
{
    AUTO(place) struct place *place = small_repository(REPOSITORY_ENCRYPTED);
    AUTO(report) struct report report = {0};
    shell("cd '%s' && touch README packs/x points/y log/.tmp-1 && mkdir -p a/b && touch a/b/c", place->path);
    check(place->repository, CHECK_HASH, &report);
    cr_assert_eq(report.result.findings, 0, "%s", lines(&report));
    cr_assert_eq(report.notes, 5, "%s", lines(&report));
}

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

struct progress {
    uint64_t done, total;
};

static void note_progress(void *arg, uint64_t done, uint64_t total)
{
    struct progress *progress = arg;
    cr_expect_geq(done, progress->done);
    *progress = (struct progress){.done = done, .total = total};
}

static void ignore_finding(void *arg, const struct check_finding *finding)
{
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

/* --- in parts, slowly, cancelled --- */

/* Six packs; each check_some reads some of them. */
struct course {
    struct hash passed[32];
    size_t count;
    _Atomic bool cancelled;
    size_t cancel_after;
};

static void note_passed(void *arg, const struct hash *name)
{
    struct course *course = arg;
    course->passed[course->count++] = *name;
    if (course->count == course->cancel_after) atomic_store(&course->cancelled, true);
}

static bool check_some(struct repository *repository, const struct hash *from, uint64_t packs,
                       struct course *course, struct check_result *result, struct err *err)
{
    struct check_sink sink = {.finding = ignore_finding, .passed = note_passed, .arg = course};
    struct check_options options = {
        .level = CHECK_HASH, .from = *from, .packs = packs, .readers = 1, .cancelled = &course->cancelled};
    return repository_check(repository, &options, &sink, result, err);
}

static struct hash after(const struct hash *name)
{
    struct hash next = *name;
    for (size_t at = HASH_LEN; at > 0 && ++next.bytes[at - 1] == 0; at--)
        ;
    return next;
}

Test(check, samples_that_follow_each_other_read_every_pack_once)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct course course = {0};
    struct check_result result;
    struct err err;
    for (uint8_t i = 1; i <= 3; i++)
        (void)back_up(place->repository, i, i * 50u, 30);
    cr_assert_eq(repository_pack_count(place->repository), 6);
    struct hash from = {{0x80}};
    for (int i = 0; i < 3; i++) {
        cr_assert(check_some(place->repository, &from, 2, &course, &result, &err), "%s", err.text);
        cr_assert_eq(result.packs, 6, "the others are there");
        cr_assert_eq(result.packs_read, 2);
        cr_assert_eq(result.packs_total, 6);
        cr_assert_lt(result.bytes_read, result.bytes_total);
        from = after(&course.passed[course.count - 1]);
    }
    cr_assert_eq(course.count, 6);
    for (size_t i = 0; i < 6; i++)
        for (size_t j = 0; j < i; j++)
            cr_assert(!hash_eq(&course.passed[i], &course.passed[j]));
}

Test(check, that_is_cancelled_says_how_far_it_was)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct course course = {.cancel_after = 2};
    struct check_result result;
    struct err err;
    static const struct hash lowest = {{0}};
    for (uint8_t i = 1; i <= 3; i++)
        (void)back_up(place->repository, i, i * 50u, 30);
    cr_assert(!check_some(place->repository, &lowest, 0, &course, &result, &err));
    cr_assert_eq(err.code, ERR_CANCELLED);
    cr_assert_eq(course.count, 2);
    cr_assert_eq(result.packs_read, 2);
    struct course rest = {0};
    struct hash from = after(&course.passed[1]);
    cr_assert(check_some(place->repository, &from, 4, &rest, &result, &err), "%s", err.text);
    cr_assert_eq(rest.count, 4);
}

/* The pack with the lowest name is read last, whichever reader has taken it. */
struct straggler {
    const struct storage_ops *real;
    char name[BYTES_NAME_LEN];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t others; /* packs that are done */
    size_t passed_before;
    struct course course;
};
static struct straggler straggler;

static bool get_range_late(void *self, const char *name, uint64_t offset, void *out, size_t len,
                           struct err *err)
{
    (void)pthread_mutex_lock(&straggler.lock);
    while (strcmp(name, straggler.name) == 0 && straggler.others < 5)
        (void)pthread_cond_wait(&straggler.changed, &straggler.lock);
    (void)pthread_mutex_unlock(&straggler.lock);
    return straggler.real->get_range(self, name, offset, out, len, err);
}

static void count_others(void *arg, uint64_t done_bytes, uint64_t total_bytes)
{
    (void)pthread_mutex_lock(&straggler.lock);
    straggler.others++;
    if (straggler.others <= 5) straggler.passed_before += straggler.course.count;
    (void)pthread_cond_broadcast(&straggler.changed);
    (void)pthread_mutex_unlock(&straggler.lock);
}

Test(check, by_several_readers_tells_no_name_before_all_lower_ones_are_read, .timeout = 60)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct check_result result;
    struct index_pack lowest;
    struct err err;
    static const struct hash from = {{0}};
    for (uint8_t i = 1; i <= 3; i++)
        (void)back_up(place->repository, i, i * 50u, 30);
    cr_assert(index_pack_by_name(place->repository->index, &from, &lowest, &err), "%s", err.text);
    bytes_name(&lowest, straggler.name);
    (void)pthread_mutex_init(&straggler.lock, NULL);
    (void)pthread_cond_init(&straggler.changed, NULL);
    straggler.real = place->repository->storage.ops;
    struct storage_ops late = *straggler.real;
    late.get_range = get_range_late;
    place->repository->storage.ops = &late;

    struct check_sink sink = {
        .finding = ignore_finding, .passed = note_passed, .progress = count_others, .arg = &straggler.course};
    struct check_options options = {.level = CHECK_HASH, .readers = 3};
    bool done = repository_check(place->repository, &options, &sink, &result, &err);
    place->repository->storage.ops = straggler.real;
    cr_assert(done, "%s", err.text);
    cr_assert_eq(straggler.passed_before, 0);
    cr_assert_eq(straggler.course.count, 6);
    cr_assert(hash_eq(&straggler.course.passed[0], &lowest.name));
    for (size_t i = 1; i < 6; i++)
        cr_assert_lt(hash_cmp(&straggler.course.passed[i - 1], &straggler.course.passed[i]), 0);
}

Test(check, reads_no_faster_than_it_may)
{
    AUTO(place) struct place *place = small_repository(REPOSITORY_ENCRYPTED);
    struct repository_info info;
    struct check_sink sink = {.finding = ignore_finding};
    struct check_result result;
    struct err err;
    repository_info(place->repository, &info);
    struct check_options options = {.level = CHECK_HASH, .bytes_per_s = info.pack_bytes * 5};
    uint64_t before_ms = clock_steady_ms();
    cr_assert(repository_check(place->repository, &options, &sink, &result, &err), "%s", err.text);
    cr_assert_geq(clock_steady_ms() - before_ms, 150, "a fifth of a second for all");
}

static bool has_frames(struct repository *repository, const struct hash *root)
{
    size_t frames;
    return restores(repository, root, &frames);
}

Test(check, of_a_damaged_pack_makes_the_next_backup_bring_it_again, .timeout = 60)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(objects) struct objects objects = {0};
    AUTO(report) struct report report = {0};
    struct hash root = back_up(place->repository, 1, 0, 30);
    list_objects(place, &objects);
    for (size_t i = 0; i < objects.count; i++) {
        if (strncmp(objects.names[i], "packs/", 6) != 0) continue;
        AUTO(free) char *path = xasprintf("%s/%s", place->path, objects.names[i]);
        flip(path, objects.sizes[i] / 2);
    }
    check(place->repository, CHECK_HASH, &report);
    cr_assert_eq(report.result.findings, 2, "%s", lines(&report));
    cr_assert(!has_frames(place->repository, &root));

    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    {
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 2);
        uint8_t have = 1;
        struct err err;
        cr_assert(ingest_has(ingest, &root, 1, &have, &err));
        cr_assert_eq(have, 0, "what is damaged is wanted");
    }
    struct hash again = back_up(place->repository, 3, 0, 30);
    cr_assert(hash_eq(&again, &root), "the same contents under the same ids");
    cr_assert(has_frames(place->repository, &root));
    check(place->repository, CHECK_HASH, &report);
    cr_assert_eq(report.result.findings, 2, "the bad packs are still there");
    cr_assert(!kills(&report, 1), "but nothing depends on them: %s", lines(&report));
    cr_assert(!kills(&report, 3));
}

Test(check, relies_again_on_a_pack_that_turns_out_well)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(objects) struct objects objects = {0};
    AUTO(report) struct report report = {0};
    struct hash root = back_up(place->repository, 1, 0, 30);
    list_objects(place, &objects);
    const char *name = find_object(&objects, "packs/", 0);
    AUTO(free) char *path = xasprintf("%s/%s", place->path, name);
    struct hash hash;
    struct index_pack pack;
    struct err err;
    cr_assert(pack_parse_name(name, &hash));
    flip(path, 200);
    check(place->repository, CHECK_HASH, &report);
    cr_assert(index_pack_find(place->repository->index, &hash, &pack, &err));
    cr_assert_eq(pack.state, INDEX_DAMAGED);
    flip(path, 200);
    check(place->repository, CHECK_PRESENCE, &report);
    cr_assert(index_pack_find(place->repository->index, &hash, &pack, &err));
    cr_assert_eq(pack.state, INDEX_DAMAGED, "that it is there says nothing about its bytes");
    check(place->repository, CHECK_HASH, &report);
    cr_assert_eq(report.result.findings, 0);
    cr_assert(index_pack_find(place->repository->index, &hash, &pack, &err));
    cr_assert_eq(pack.state, INDEX_PACK);
    cr_assert(has_frames(place->repository, &root));
}
