/* A commit takes only the point that this session may make. */
#include "builder.h"

#include "common/base/alloc.h"
#include "common/base/file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static enum err_code commit_file(struct ingest *ingest, const struct id *point, const struct hash *root,
                                 struct span file)
{
    struct err err = {0};
    struct ingest_receipt receipt;
    AUTO(buf) struct buf missing = {0};
    return ingest_commit(ingest, point, root, file, &receipt, &missing, &err) ? ERR_NONE : err.code;
}

static enum err_code commit_as(struct ingest *ingest, const struct writer *as, const struct hash *root)
{
    struct id point = id_of(1);
    AUTO(buf) struct buf file = {0};
    writer_point(as, &point, root, &file);
    return commit_file(ingest, &point, root, buf_span(&file));
}

Test(commit, a_point_of_another_writer_seal_domain_or_site_is_refused)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(writer) struct writer *stranger = writer_new(REPOSITORY_ENCRYPTED, 2);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    struct hash root = session_tree(ingest, writer, 0, 3, 100);
    struct writer as = *writer;
    as.pair = stranger->pair;
    cr_expect_eq(commit_as(ingest, &as, &root), ERR_NOT_AUTHENTIC);
    as = *writer;
    as.seal = id_of(0x44);
    cr_expect_eq(commit_as(ingest, &as, &root), ERR_POLICY);
    as = *writer;
    as.domain = root;
    cr_expect_eq(commit_as(ingest, &as, &root), ERR_POLICY);
    as = *writer;
    as.site = id_of(0x44);
    cr_expect_eq(commit_as(ingest, &as, &root), ERR_POLICY);
    cr_expect_eq(commit_as(ingest, writer, &root), ERR_NONE);
}

/* Else a source that was broken into could pass for the newest state of another host. */
Test(commit, a_point_under_the_name_of_another_job_or_run_is_refused)
{
    static const char *const jobs[] = {"payroll", "jo", "job"};
    for (size_t i = 0; i < 3; i++) {
        struct err err;
        AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
        AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
        AUTO(ingest) struct ingest *ingest = NULL;
        /* what commit_as makes is of the job 'job' and of run 1 */
        struct ingest_options options = {.session = id_of(1),
                                         .kind = INGEST_WRITER,
                                         .seal = writer->seal,
                                         .domain = writer->domain,
                                         .job = jobs[i],
                                         .min_free_bytes = 1};
        memcpy(options.writer, writer->pair->pk, SIGN_PK_LEN);
        cr_assert(ingest_open(place->repository, &options, &ingest, &err), "%s", err.text);
        cr_assert(ingest_envelope(ingest, span_of(writer->envelope, ENVELOPE_LEN), &err), "%s", err.text);
        struct hash root = session_tree(ingest, writer, 0, 3, 100);
        cr_expect_eq(commit_as(ingest, writer, &root), i < 2 ? ERR_POLICY : ERR_NONE);
        if (i < 2) continue;
        struct id other = id_of(2);
        AUTO(buf) struct buf file = {0};
        writer_point(writer, &other, &root, &file); /* of run 2 */
        cr_expect_eq(commit_file(ingest, &other, &root, buf_span(&file)), ERR_POLICY);
    }
}

Test(commit, a_point_file_of_another_point_or_root_than_asked_for_is_refused)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    struct hash root = session_tree(ingest, writer, 0, 3, 100);
    struct hash other = session_tree(ingest, writer, 50, 3, 100);
    struct id point = id_of(1);
    struct id other_point = id_of(2);
    AUTO(buf) struct buf file = {0};
    writer_point(writer, &point, &root, &file);
    cr_expect_eq(commit_file(ingest, &other_point, &root, buf_span(&file)), ERR_PROTOCOL);
    cr_expect_eq(commit_file(ingest, &point, &other, buf_span(&file)), ERR_PROTOCOL);
    for (size_t at = 0; at < file.len; at++) {
        file.data[at] ^= 4;
        cr_expect_neq(commit_file(ingest, &point, &root, buf_span(&file)), ERR_NONE, "byte %zu", at);
        file.data[at] ^= 4;
    }
    cr_expect_eq(commit_file(ingest, &point, &root, buf_span(&file)), ERR_NONE);
}

Test(commit, a_point_file_left_there_with_other_bytes_is_not_replaced)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    struct hash root = session_tree(ingest, writer, 0, 3, 100);
    struct err err;
    AUTO(free) char *dir = xasprintf("%s/points", place->path);
    AUTO(free) char *path = xasprintf("%s/01010101010101010101010101010101", dir);
    (void)mkdir(dir, 0700);
    cr_assert(file_create(AT_FDCWD, path, span_str("something else"), 0600, &err), "%s", err.text);
    cr_assert_eq(commit_as(ingest, writer, &root), ERR_EXISTS);
    struct repository_info info;
    repository_info(place->repository, &info);
    cr_assert_eq(info.head_number, 1);
}

/* Killed between a point's file and its log entry, a copy that seals anew comes again under another seal. */
Test(commit, a_point_that_a_copy_had_begun_to_make_is_made_by_the_next_one)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *before = writer_new(REPOSITORY_ENCRYPTED, 2);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    struct hash root = session_tree(ingest, writer, 0, 3, 100), other_root = {{7}};
    const struct id point = id_of(1), origin = id_of(9), another = id_of(8);
    struct err err;
    AUTO(free) char *dir = xasprintf("%s/points", place->path);
    AUTO(free) char *path = xasprintf("%s/01010101010101010101010101010101", dir);
    (void)mkdir(dir, 0700);
    AUTO(buf) struct buf left = {0}, file = {0}, foreign = {0}, rooted = {0}, kept = {0};
    writer_point_anew(before, &point, &root, &origin, &left);
    writer_point_anew(writer, &point, &root, &origin, &file);
    writer_point_anew(before, &point, &root, &another, &foreign);
    writer_point_anew(before, &point, &other_root, &origin, &rooted);
    const struct buf *const others[] = {&foreign, &rooted};
    for (size_t i = 0; i < 2; i++) {
        cr_assert(file_replace(AT_FDCWD, path, buf_span(others[i]), 0600, &err), "%s", err.text);
        cr_assert_eq(commit_file(ingest, &point, &root, buf_span(&file)), ERR_EXISTS, "another point's");
    }
    cr_assert(file_replace(AT_FDCWD, path, buf_span(&left), 0600, &err), "%s", err.text);
    cr_assert_eq(commit_file(ingest, &point, &root, buf_span(&file)), ERR_NONE);
    cr_assert(repository_point_read(place->repository, &point, &kept, &err), "%s", err.text);
    cr_assert(span_eq(buf_span(&kept), buf_span(&file)));
}

Test(commit, of_a_point_that_a_copy_has_sealed_anew_once_more_keeps_what_is_there)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    struct hash root = session_tree(ingest, writer, 0, 3, 100);
    const struct id point = id_of(1), origin = id_of(9), another = id_of(8);
    struct err err;
    struct repository_info info;
    AUTO(buf) struct buf first = {0}, again = {0}, foreign = {0}, kept = {0};
    writer_point_anew(writer, &point, &root, &origin, &first);
    cr_assert_eq(commit_file(ingest, &point, &root, buf_span(&first)), ERR_NONE);
    writer->seal = id_of(77); /* which the signed body names */
    writer_point_anew(writer, &point, &root, &origin, &again);
    writer_point_anew(writer, &point, &root, &another, &foreign);
    ingest_close(ingest);
    struct ingest_options options = {.session = id_of(2), .kind = INGEST_COPY, .min_free_bytes = 1};
    ingest = NULL;
    cr_assert(ingest_open(place->repository, &options, &ingest, &err), "%s", err.text);
    cr_assert_eq(commit_file(ingest, &point, &root, buf_span(&again)), ERR_NONE);
    cr_assert_eq(commit_file(ingest, &point, &root, buf_span(&foreign)), ERR_EXISTS);
    cr_assert(repository_point_read(place->repository, &point, &kept, &err), "%s", err.text);
    cr_assert(span_eq(buf_span(&kept), buf_span(&first)), "write once");
    repository_info(place->repository, &info);
    cr_assert_eq(info.head_number, 2, "no second entry");
}

static bool admits_first_only(void *arg, const uint8_t writer[SIGN_PK_LEN])
{
    const struct writer *first = arg;
    return memcmp(writer, first->pair->pk, SIGN_PK_LEN) == 0;
}

/* One data batch with its envelope, as a copy sends it. */
static void copied_batch(struct writer *writer, uint32_t content, struct buf *out)
{
    if (writer->kind == REPOSITORY_ENCRYPTED)
        record_append(out, RECORD_ENVELOPE, span_of(writer->envelope, ENVELOPE_LEN));
    (void)writer_data(writer, content, 100);
    (void)writer_batch(writer, PACK_DATA, out);
}

Test(commit, a_copy_takes_only_what_admitted_writers_signed)
{
    for (int kind = REPOSITORY_ENCRYPTED; kind <= REPOSITORY_PLAINTEXT; kind++) {
        struct err err;
        AUTO(place) struct place *place = place_new((enum repository_kind)kind);
        AUTO(writer) struct writer *writer = writer_new((enum repository_kind)kind, 1);
        AUTO(writer) struct writer *stranger = writer_new((enum repository_kind)kind, 2);
        AUTO(ingest) struct ingest *ingest = NULL;
        struct ingest_options options = {.session = id_of(5),
                                         .kind = INGEST_COPY,
                                         .admitted = admits_first_only,
                                         .arg = writer,
                                         .min_free_bytes = 1};
        cr_assert(ingest_open(place->repository, &options, &ingest, &err), "%s", err.text);
        AUTO(buf) struct buf foreign = {0};
        AUTO(buf) struct buf own = {0};
        copied_batch(stranger, 1, &foreign);
        cr_expect_not(ingest_batch(ingest, 1, buf_span(&foreign), &err));
        cr_expect_eq(err.code, ERR_NOT_AUTHENTIC, "%s", err.text);
        copied_batch(writer, 1, &own);
        cr_expect(ingest_batch(ingest, 1, buf_span(&own), &err), "%s", err.text);
        struct hash root = writer_node(writer, 2, NULL, 0, NULL, 0);
        AUTO(buf) struct buf nodes = {0};
        (void)writer_batch(writer, PACK_META, &nodes);
        cr_expect(ingest_batch(ingest, 2, buf_span(&nodes), &err), "%s", err.text);
        struct writer as = *writer;
        as.pair = stranger->pair;
        cr_expect_eq(commit_as(ingest, &as, &root), ERR_NOT_AUTHENTIC);
        cr_expect_eq(commit_as(ingest, writer, &root), ERR_NONE);
    }
}

/* An admitted writer cannot vouch for frames under the seal of another. */
Test(commit, a_copy_refuses_a_list_that_the_seals_writer_did_not_sign)
{
    struct err err;
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(writer) struct writer *other = writer_new(REPOSITORY_ENCRYPTED, 2);
    AUTO(ingest) struct ingest *ingest = NULL;
    struct ingest_options options = {.session = id_of(5), .kind = INGEST_COPY, .min_free_bytes = 1};
    cr_assert(ingest_open(place->repository, &options, &ingest, &err), "%s", err.text);
    struct sign_pair *own = writer->pair;
    AUTO(buf) struct buf batch = {0};
    writer->pair = other->pair;
    copied_batch(writer, 1, &batch);
    writer->pair = own;
    cr_assert_not(ingest_batch(ingest, 1, buf_span(&batch), &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC, "%s", err.text);
}

/* Nor does a list of another seal count, though the same writer signed it. */
Test(commit, a_copy_refuses_a_list_of_another_seal_than_its_frames)
{
    struct err err;
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(ingest) struct ingest *ingest = NULL;
    struct ingest_options options = {.session = id_of(5), .kind = INGEST_COPY, .min_free_bytes = 1};
    cr_assert(ingest_open(place->repository, &options, &ingest, &err), "%s", err.text);
    struct id own = writer->seal;
    AUTO(buf) struct buf batch = {0};
    writer->seal = id_of(0x44);
    copied_batch(writer, 1, &batch);
    writer->seal = own;
    cr_assert_not(ingest_batch(ingest, 1, buf_span(&batch), &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC, "%s", err.text);
}

/* A copy commits the same signed bytes again: what the log says of them is what they are held against. */
Test(commit, of_a_point_that_is_there_brings_its_lost_or_damaged_file_back)
{
    static const char *const accidents[] = {"true", "rm $f", "echo x > $f", "head -c 2000000 /dev/zero > $f",
                                            "rm $f; ln -s /etc/hostname $f"};
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 1);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    struct hash root = session_tree(ingest, writer, 0, 3, 100);
    struct ingest_receipt first = session_commit(ingest, writer, 1, &root);
    struct id point = id_of(1);
    struct err err;
    AUTO(buf) struct buf before = {0};
    cr_assert(repository_point_read(place->repository, &point, &before, &err));
    for (size_t i = 0; i < sizeof(accidents) / sizeof(accidents[0]); i++) {
        AUTO(buf) struct buf after = {0};
        shell("f=$(ls '%s'/points/*); %s", place->path, accidents[i]);
        struct ingest_receipt again = session_commit(ingest, writer, 1, &root);
        cr_assert_eq(again.number, first.number, "no second entry");
        cr_assert(repository_point_read(place->repository, &point, &after, &err), "accident %zu: %s", i,
                  err.text);
        cr_assert(span_eq(buf_span(&before), buf_span(&after)));
    }
}
