/* A director that lies about recovery points. */
#include "director/cli/point.h"

#include "common/wire/lent.h"
#include "tests/unit/base/capture.h"
#include "tests/unit/cli/small_site.h"

#include <criterion/criterion.h>
#include <string.h>

static struct small_site site;
static const struct id offsite = {{1}}, elsewhere = {{2}};

/* What the director answers, whatever it was asked for. */
static struct buf file;
static const struct id *place;

static const struct {
    uint64_t number, time_ns;
} places[] = {{3, 7}, {2, 9}};
static size_t told = 1;
static struct buf older; /* the second one that is told */

static void answers(const struct request *request)
{
    Sealift__PointRow row = SEALIFT__POINT_ROW__INIT, second = SEALIFT__POINT_ROW__INIT;
    Sealift__PointRow *rows[] = {&row, &second};
    Sealift__PointListAnswer list = SEALIFT__POINT_LIST_ANSWER__INIT;
    AUTO(buf) struct buf payload = {0};
    for (size_t i = 0; i < told; i++) {
        rows[i]->repository = lent_bytes(place->bytes, ID_LEN);
        rows[i]->number = places[i].number;
        rows[i]->time_ns = places[i].time_ns;
    }
    row.point_file = lent_bytes(file.data, file.len);
    second.point_file = lent_bytes(older.data, older.len);
    list.n_rows = told;
    list.rows = rows;
    payload_point_list_encode(&list, &payload);
    answer_done(request, told, buf_span(&payload));
}

/* A genuine point in a plaintext repository. */
static uint64_t written_ns;
static const char *calls_itself = "";
static void make_point(const struct identity *writer, const char *job)
{
    static uint8_t point[ID_LEN] = {9}, root[HASH_LEN] = {8};
    struct err err = {0};
    AUTO(buf) struct buf payload = {0};
    AUTO(buf) struct buf body = {0};
    Sealift__PointCounts counts = SEALIFT__POINT_COUNTS__INIT;
    Sealift__PointBody plain = SEALIFT__POINT_BODY__INIT;
    Sealift__PointFile whole = SEALIFT__POINT_FILE__INIT;
    plain.version = 1;
    plain.point = plain.run = plain.seal = lent_bytes(point, ID_LEN);
    plain.site = lent_bytes(site.id.bytes, ID_LEN);
    plain.job = (char *)(uintptr_t)job;
    plain.writer = lent_bytes(writer->known.sign_pk, SIGN_PK_LEN);
    plain.root = lent_bytes(root, HASH_LEN);
    plain.writer_name = (char *)(uintptr_t)calls_itself;
    plain.counts = &counts;
    plain.writer_time_ns = written_ns;
    plain.object_kind = (char *)(uintptr_t) "tree";
    cr_assert(stored_body_encode(&plain, &payload, &err), "%s", err.text);
    stored_sign(writer->sign, "point", buf_span(&payload), &body);
    whole.body = lent_bytes(body.data, body.len);
    buf_clear(&file);
    point[1]++;
    cr_assert(stored_point_encode(&whole, &file, &err), "%s", err.text);
}

static void setup(void)
{
    place = &offsite;
    small_site_init(&site, answers);
}

static void teardown(void)
{
    small_site_deinit(&site);
    buf_deinit(&file);
    buf_deinit(&older);
}

TestSuite(point, .init = setup, .fini = teardown, .timeout = 30);

static void is_left_out(const struct id *repository, const char *job, const char *text)
{
    AUTO(points) struct points points = {0};
    struct err err = {0};
    cr_assert(points_get(&site.cli, repository, job, POINTS_THERE, &points, &err), "%s", err.text);
    cr_expect_eq(points.count, 0);
    cr_expect_eq(points.doubt.code, ERR_NOT_AUTHENTIC);
    cr_expect_not_null(strstr(points.doubt.text, text), "%s", points.doubt.text);
}

Test(point, what_was_asked_for_is_believed)
{
    AUTO(points) struct points points = {0};
    struct err err = {0};
    make_point(site.web, "web");
    cr_assert(points_get(&site.cli, &offsite, "web", POINTS_THERE, &points, &err), "%s", err.text);
    cr_assert_eq(points.count, 1);
    cr_assert_eq(points.doubt.code, ERR_NONE);
}

Test(point, one_of_another_job_than_was_asked_for_is_left_out)
{
    make_point(site.web, "salaries");
    is_left_out(NULL, "web", "it is of the job 'salaries', not of 'web'");
}

Test(point, one_in_another_repository_than_was_asked_for_is_left_out)
{
    make_point(site.web, "web");
    place = &elsewhere;
    is_left_out(&offsite, "web", "it is in another repository");
}

Test(point, one_that_a_host_outside_the_trusted_zone_wrote_is_left_out)
{
    make_point(site.vault, "web");
    is_left_out(&offsite, "web", "was never admitted");
}

/* Else a host that was broken into would pass for another. */
Test(point, the_name_of_its_writer_is_the_one_in_the_roster)
{
    AUTO(points) struct points points = {0};
    struct err err = {0};
    calls_itself = "mail";
    make_point(site.web, "web");
    cr_assert(points_get(&site.cli, &offsite, "web", POINTS_THERE, &points, &err), "%s", err.text);
    cr_assert_eq(points.count, 1);
    cr_assert_str_eq(points.items[0]->writer, site.web->known.name);
    cr_assert_str_neq(points.items[0]->writer, calls_itself);
}

Test(point, one_that_a_stranger_wrote_is_left_out)
{
    make_point(site.stranger, "web");
    is_left_out(&offsite, "web", "was never admitted");
}

/* The one that is listed with the later time, and the one that the log has last. */
static void make_two(void)
{
    make_point(site.web, "web");
    buf_put_span(&older, buf_span(&file));
    make_point(site.web, "web");
    told = 2;
}

static uint64_t latest(void)
{
    struct err err = {0};
    AUTO(point) struct point *point = NULL;
    cr_assert(point_resolve(&site.cli, "web@latest", NULL, &point, &err), "%s", err.text);
    return point->number;
}

Test(point, the_latest_is_the_last_of_the_log_whatever_times_are_told)
{
    make_two();
    cr_assert_eq(latest(), 3);
}

static const char *said_of_latest(struct buf *text)
{
    struct capture capture = capture_start();
    (void)latest();
    return capture_stop(&capture, text);
}

Test(point, a_time_that_is_more_than_a_day_from_the_writers_is_told)
{
    AUTO(buf) struct buf text = {0};
    written_ns = UINT64_C(86400) * 1000000000 + places[0].time_ns;
    make_point(site.web, "web");
    cr_assert_str_empty(said_of_latest(&text));
    written_ns++;
    make_point(site.web, "web");
    const char *said = said_of_latest(&text);
    cr_assert_not_null(strstr(said, "written at 1970-01-02T00:00:00Z"), "%s", said);
}
