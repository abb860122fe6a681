/* A check finds every damage, and has a sentence for each. */
#include "checking.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "tests/support/flip.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
        {CHECK_PRESENCE, "flip 33 packs/*/*", "the pack belongs to another repository"},
        {CHECK_PRESENCE,
         "mkdir packs/00; cp $(ls packs/*/* | head -1) packs/00/$(printf '00%062d' 0); "
         "flip 33 packs/00/0*",
         "the pack belongs to another repository"},
        {CHECK_HASH, "flip 50 packs/*/*", "its bytes are not those that its name says"},
        {CHECK_HASH, "flip 120 packs/*/*", "record 1 at offset 80, the envelope of seal"},
        {CHECK_HASH, "flip 460 packs/*/*", "record 2 at offset 448, the frame "},
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

/* What an attempt left that failed: its pack may go, and all points restore as ever. */
Test(check, that_a_pack_is_gone_which_no_point_needs_is_a_note)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    (void)back_up(place->repository, 1, 0, 3);
    shell("cd '%s' && ls packs/*/* > ../needed", place->path);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 2);
    {
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 2);
        (void)writer_data(writer, 1000, 5000);
        session_send(ingest, writer, PACK_DATA);
        ingest_close(ingest);
        ingest = NULL;
    }
    shell("cd '%s' && for p in packs/*/*; do grep -q $p ../needed || rm $p; done", place->path);
    AUTO(report) struct report report = {0};
    check(place->repository, CHECK_HASH, &report);
    cr_assert_eq(report.result.findings, 0, "%s", lines(&report));
    cr_assert_eq(report.notes, 1, "%s", lines(&report));
    cr_assert(strstr(lines(&report), "the pack is missing; no point needs what it held"), "%s",
              lines(&report));
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

/* A finding whose object is no text would make the whole report one that no message takes. */
Test(check, foreign_names_of_whatever_bytes_and_number_leave_the_report_legible)
{
    AUTO(place) struct place *place = small_repository(REPOSITORY_ENCRYPTED);
    AUTO(report) struct report report = {0};
    shell("cd '%s' && touch log/$(printf '\\377\\001') unlock$(printf '\\233') && mkdir -p unlock && "
          "touch unlock/$(printf '\\302\\205') && seq 300 | xargs touch",
          place->path);
    check(place->repository, CHECK_HASH, &report);
    cr_assert_eq(report.result.findings, 0, "%s", lines(&report));
    cr_assert_eq(report.notes, 101, "%s", lines(&report));
    cr_assert(strstr(lines(&report), "0 .: 203 more names that are no objects of a repository\n"), "%s",
              lines(&report));
    for (const char *at = lines(&report); *at; at++)
        cr_assert(*at == '\n' || (*at >= ' ' && *at < 0x7f), "byte %u", (unsigned char)*at);
}

/* Nor do names that look like those of objects: of a thousand findings that a report takes none must be lost
 * to them that is of a point. */
Test(check, foreign_objects_of_whatever_number_are_told_behind_what_concerns_points)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(report) struct report report = {0};
    (void)back_up(place->repository, 1, 0, 3);
    (void)back_up(place->repository, 2, 0, 3);
    shell("cd '%s' && rm points/01010101010101010101010101010101 && mkdir -p packs/00 && for i in $(seq "
          "115); do "
          "n=$(printf '%%032d' $i); echo x > packs/00/$n$n; echo x > points/$n; mkdir -p rewrap/$n "
          "unlock/$n$n; "
          "echo x > rewrap/$n/1; echo x > unlock/$n$n/1; done",
          place->path);
    check(place->repository, CHECK_PRESENCE, &report);
    const char *lost = strstr(lines(&report), "the point's file is missing");
    cr_assert(lost, "%s", lines(&report));
    cr_assert_lt(lost, strstr(lines(&report), "packs/00/"), "%s", lines(&report));
    static const char *const more[] = {
        "23 packs: 15 more packs that were not there when the repository was opened\n",
        "0 points: 15 more points that no log entry names\n", "67 rewrap: 15 more such rewraps\n",
        "67 unlock: 15 more such sections\n"};
    for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++)
        cr_assert(strstr(lines(&report), more[i]), "%s: %s", more[i], lines(&report));
    cr_assert_leq(report.result.findings, 304);
}

/* Not that it is gone, nor that it would be used again. */
Test(check, of_a_pack_that_was_cut_to_nothing_before_it_was_opened_says_its_length)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(report) struct report report = {0};
    (void)back_up(place->repository, 1, 0, 3);
    place_close(place);
    shell("f=$(ls -S '%s'/packs/*/* | head -1) && chmod u+w $f && truncate -s 0 $f", place->path);
    place_open(place);
    check(place->repository, CHECK_PRESENCE, &report);
    cr_assert(strstr(lines(&report), "the pack has 0 bytes instead of "), "%s", lines(&report));
    cr_assert_null(strstr(lines(&report), "is back"), "%s", lines(&report));
}
