/* What repositories report: points, logs, and steps back. */
#include "loop_site.h"

#include "common/wire/lent.h"
#include "common/wire/stored.h"

#include <criterion/criterion.h>

TestSuite(loop_points, .init = loop_setup, .fini = loop_teardown, .timeout = 60);

/* What was sent before has been dealt with. */
static void settle(struct caller *caller)
{
    static const struct id nothing = {{0xaa}};
    caller_end(caller, &nothing, 1, SIDE(SOURCE), 0, "", (struct span){0});
}

static void send_point(struct caller *caller, const struct id *repository, uint64_t number, uint8_t log_hash,
                       const struct buf *file, bool ok)
{
    uint8_t hash[HASH_LEN] = {log_hash};
    Sealift__PointNews news = SEALIFT__POINT_NEWS__INIT;
    news.repository = lent_id(repository);
    news.number = number;
    news.time_ns = 5;
    news.log_hash = stored_bytes(span_of(hash, sizeof(hash)));
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_POINT_NEWS);
    head.point_news = &news;
    caller_send(caller, &head, buf_span(file));
    AUTO(heard) struct heard heard = {0};
    caller_await(caller, ok ? SEALIFT__HEAD__KIND_DONE : SEALIFT__HEAD__KIND_FAIL, &heard);
    cr_assert_eq(heard.head->serial, head.serial);
}

static void send_state(struct caller *caller, uint64_t serial, uint64_t number, uint8_t hash_byte)
{
    uint8_t hash[HASH_LEN] = {hash_byte};
    Sealift__RepositoryState state = SEALIFT__REPOSITORY_STATE__INIT;
    state.repository = lent_id(&loop_store);
    state.head_number = number;
    state.head_hash = stored_bytes(span_of(hash, sizeof(hash)));
    state.points = 1;
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_REPOSITORY_STATE);
    head.serial = serial;
    head.repository_state = &state;
    caller_send(caller, &head, (struct span){0});
}

static uint64_t expect_log_ask(struct caller *caller, uint64_t from)
{
    AUTO(heard) struct heard heard = {0};
    caller_await(caller, SEALIFT__HEAD__KIND_LOG_ASK, &heard);
    cr_assert_eq(heard.head->log_ask->from, from);
    return heard.head->serial;
}

static void expect_repository(uint32_t code, const char *text)
{
    AUTO(payload_status) Sealift__StatusAnswer *answer = loop_status();
    cr_assert_eq(answer->n_repositories, 1);
    cr_assert_eq(answer->repositories[0]->code, code, "%u: %s", answer->repositories[0]->code,
                 answer->repositories[0]->text);
    if (text) cr_assert_str_eq(answer->repositories[0]->text, text);
}

Test(loop_points, lists_the_points_that_repositories_report)
{
    loop_put_store();
    loop_connect_hosts();
    (void)expect_log_ask(&loop.nas, 1);
    AUTO(buf) struct buf file = {0};
    struct id point = {{0x70}}, run = {{0x71}};
    signing_point(&loop.dock.signing, WEB, &run, "web-daily", &point, &file);
    send_point(&loop.nas, &loop_store, 3, 1, &file, true);
    send_point(&loop.nas, &loop_store, 3, 1, &file, true);

    Sealift__PointList list = SEALIFT__POINT_LIST__INIT;
    list.repository = lent_id(&loop_store);
    list.job = lent_text("web-daily");
    Sealift__Head head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_POINT_LIST);
    head.point_list = &list;
    AUTO(heard) struct heard heard = {0};
    caller_ask(&loop.anna, &head, (struct span){0}, &heard);
    AUTO(payload_point_list) Sealift__PointListAnswer *rows = NULL;
    struct err err;
    cr_assert(payload_point_list_decode(buf_span(&heard.payload), &rows, &err), "%s", err.text);
    cr_assert_eq(rows->n_rows, 1);
    cr_assert_eq(rows->rows[0]->number, 3);
    cr_assert(span_eq(stored_span(&rows->rows[0]->point_file), buf_span(&file)), "the exact bytes");

    Sealift__Get get = SEALIFT__GET__INIT;
    get.what = SEALIFT__GET_KIND__GET_POINT;
    get.id = lent_id(&point);
    head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_GET);
    head.get = &get;
    caller_ask(&loop.anna, &head, (struct span){0}, &heard);
    cr_assert_eq(heard.head->done->count, 1);
}

Test(loop_points, takes_points_from_the_owner_and_by_admitted_writers_only)
{
    loop_put_store();
    loop_connect_hosts();
    AUTO(buf) struct buf file = {0};
    struct id point = {{0x70}}, run = {{0x71}}, other = {{0x72}};
    signing_point(&loop.dock.signing, EVE, &run, "web-daily", &point, &file);
    send_point(&loop.nas, &loop_store, 1, 1, &file, false);
    buf_clear(&file);
    signing_point(&loop.dock.signing, WEB, &run, "web-daily", &point, &file);
    send_point(&loop.web, &loop_store, 1, 1, &file, false);
    send_point(&loop.nas, &other, 1, 1, &file, false);
    send_point(&loop.nas, &loop_store, 0, 1, &file, false);
    send_point(&loop.nas, &loop_store, UINT64_MAX, 1, &file, false);
    for (size_t len = 0; len < file.len; len += 37) {
        struct buf cut = {.data = file.data, .len = len};
        send_point(&loop.nas, &loop_store, 1, 1, &cut, false);
    }
    for (size_t i = 0; i < file.len; i += 11) {
        file.data[i] ^= 1;
        send_point(&loop.nas, &loop_store, 1, 1, &file, false);
        file.data[i] ^= 1;
    }
    loop.dock.signing.site.bytes[0] ^= 1;
    buf_clear(&file);
    signing_point(&loop.dock.signing, WEB, &run, "web-daily", &point, &file);
    send_point(&loop.nas, &loop_store, 1, 1, &file, false);
}

Test(loop_points, shows_a_log_that_steps_back_or_forks_until_the_repository_is_signed_anew)
{
    static const char stepped[] = "the repository's log stepped back from entry 9 to entry 8";
    loop_put_store();
    loop_connect_hosts();
    send_state(&loop.nas, 0, 9, 1);
    settle(&loop.nas);
    expect_repository(0, NULL);
    send_state(&loop.nas, 0, 8, 1);
    settle(&loop.nas);
    expect_repository(ERR_NOT_AUTHENTIC, stepped);
    send_state(&loop.nas, 0, 12, 1);
    settle(&loop.nas);
    expect_repository(ERR_NOT_AUTHENTIC, stepped);
    AUTO(buf) struct buf bytes = {0};
    signing_repository(&loop.dock.signing, &loop_store, 2, "main", NAS, SEALIFT__STORE_KIND__STORE_ENCRYPTED,
                       &bytes);
    caller_put(&loop.anna, &bytes);
    expect_repository(0, NULL);
    send_state(&loop.nas, 0, 12, 1);
    send_state(&loop.nas, 0, 12, 2);
    settle(&loop.nas);
    expect_repository(ERR_NOT_AUTHENTIC, "the repository's log forked: entry 12 is another one than before");
}

Test(loop_points, shows_another_point_under_a_known_number_as_a_fork)
{
    loop_put_store();
    loop_connect_hosts();
    AUTO(buf) struct buf file = {0};
    struct id point = {{0x70}}, run = {{0x71}};
    signing_point(&loop.dock.signing, WEB, &run, "web-daily", &point, &file);
    send_point(&loop.nas, &loop_store, 3, 1, &file, true);
    send_point(&loop.nas, &loop_store, 3, 2, &file, false);
    expect_repository(ERR_NOT_AUTHENTIC, "the repository has reported another point as number 3");
}

Test(loop_points, asks_each_log_from_where_it_was_read)
{
    loop_put_store();
    loop_connect_hosts();
    uint64_t first = expect_log_ask(&loop.nas, 1);
    send_state(&loop.nas, 0, 5, 1); /* it was not open before: the question is put again */
    uint64_t second = expect_log_ask(&loop.nas, 1);
    send_state(&loop.nas, first, 6, 1); /* what answers the first one may not be all */
    send_state(&loop.nas, second, 7, 1);
    settle(&loop.nas);
    caller_hang_up(&loop.nas);
    caller_dial(&loop.nas, &loop.dock, CONTROL_PORT, NAS);
    caller_hello(&loop.nas, 1, 1, NULL);
    uint64_t third = expect_log_ask(&loop.nas, 8);
    send_state(&loop.nas, third, 7, 1);
    send_state(&loop.nas, 0, 7, 1);
    caller_expect_silence(&loop.nas);
    send_state(&loop.nas, 0, 9, 1); /* more has come: that is read too */
    (void)expect_log_ask(&loop.nas, 8);
}

Test(loop_points, ends_an_unknown_run_by_what_the_log_shows)
{
    dock_stop(&loop.dock);
    loop.dock.lease_ms = 300;
    caller_hang_up(&loop.anna);
    dock_start(&loop.dock);
    caller_dial(&loop.anna, &loop.dock, OPERATOR_PORT, ANNA);
    loop_put_store();
    loop_put_job();
    loop_connect_hosts();
    struct id run = loop_run_to_running();
    AUTO(heard) struct heard heard = {0};
    caller_hang_up(&loop.nas);
    caller_end(&loop.web, &run, 1, SIDE(SOURCE), ERR_UNREACHABLE, "the target is gone", (struct span){0});
    loop_expect_event(&loop.anna, STATE(UNKNOWN), &heard);
    cr_assert_eq(heard.head->run_event->ended, 1);
    caller_dial(&loop.nas, &loop.dock, CONTROL_PORT, NAS);
    caller_hello(&loop.nas, 2, 1, NULL);
    uint64_t serial = expect_log_ask(&loop.nas, 1);
    AUTO(buf) struct buf file = {0};
    struct id point = {{0x70}};
    signing_point(&loop.dock.signing, WEB, &run, "web-daily", &point, &file);
    send_point(&loop.nas, &loop_store, 3, 1, &file, true);
    send_state(&loop.nas, serial, 3, 1);
    caller_expect_silence(&loop.nas);
    loop_follow(&loop.anna, &run);
    loop_expect_event(&loop.anna, STATE(OK), &heard);
    cr_assert_eq(heard.head->run_event->row->point.len, ID_LEN);
}

/* How many points the director lists. */
static size_t listed(uint32_t removed, uint32_t *held)
{
    Sealift__PointList list = SEALIFT__POINT_LIST__INIT;
    list.removed = removed;
    Sealift__Head head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_POINT_LIST);
    head.point_list = &list;
    AUTO(heard) struct heard heard = {0};
    caller_ask(&loop.anna, &head, (struct span){0}, &heard);
    AUTO(payload_point_list) Sealift__PointListAnswer *rows = NULL;
    struct err err;
    cr_assert(payload_point_list_decode(buf_span(&heard.payload), &rows, &err), "%s", err.text);
    if (held) *held = rows->n_rows ? rows->rows[0]->held : 0;
    return rows->n_rows;
}

static void send_news(struct caller *caller, const struct id *point, uint64_t number, uint32_t removed,
                      bool ok)
{
    static const uint8_t hash[HASH_LEN] = {5};
    Sealift__PointNews news = SEALIFT__POINT_NEWS__INIT;
    news.repository = lent_id(&loop_store);
    news.number = number;
    news.time_ns = 5;
    news.log_hash = stored_bytes(span_of(hash, sizeof(hash)));
    news.removed = removed;
    if (point) news.point = lent_id(point);
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_POINT_NEWS);
    head.point_news = &news;
    caller_send(caller, &head, (struct span){0});
    AUTO(heard) struct heard heard = {0};
    caller_await(caller, ok ? SEALIFT__HEAD__KIND_DONE : SEALIFT__HEAD__KIND_FAIL, &heard);
}

static void send_held(struct caller *caller, const struct buf *file)
{
    static const uint8_t hash[HASH_LEN] = {1};
    Sealift__PointNews news = SEALIFT__POINT_NEWS__INIT;
    news.repository = lent_id(&loop_store);
    news.number = 3;
    news.time_ns = 5;
    news.log_hash = stored_bytes(span_of(hash, sizeof(hash)));
    news.held = 1;
    Sealift__Head head = caller_head(caller, SEALIFT__HEAD__KIND_POINT_NEWS);
    head.point_news = &news;
    caller_send(caller, &head, buf_span(file));
    AUTO(heard) struct heard heard = {0};
    caller_await(caller, SEALIFT__HEAD__KIND_DONE, &heard);
}

Test(loop_points, a_removed_point_is_listed_apart_until_it_comes_back_or_is_swept)
{
    uint32_t held = 0;
    loop_put_store();
    loop_connect_hosts();
    AUTO(buf) struct buf file = {0};
    struct id point = {{0x70}}, run = {{0x71}}, unknown = {{0x79}};
    signing_point(&loop.dock.signing, WEB, &run, "web-daily", &point, &file);
    send_point(&loop.nas, &loop_store, 3, 1, &file, true);
    send_news(&loop.nas, &point, 4, 1, true);
    send_news(&loop.nas, &unknown, 5, 1, true);
    cr_assert_eq(listed(0, NULL), 0);
    cr_assert_eq(listed(1, NULL), 1);
    send_point(&loop.nas, &loop_store, 3, 1, &file, true); /* undeleted */
    cr_assert_eq(listed(0, NULL), 1);
    cr_assert_eq(listed(1, NULL), 0);
    send_held(&loop.nas, &file);
    cr_assert_eq(listed(0, &held), 1);
    cr_assert_eq(held, 1);
    send_news(&loop.nas, &point, 7, 1, true);
    send_news(&loop.nas, NULL, 6, 2, true); /* the sweep was before that */
    cr_assert_eq(listed(1, NULL), 1);
    send_news(&loop.nas, NULL, 8, 2, true);
    cr_assert_eq(listed(0, NULL) + listed(1, NULL), 0);
}

Test(loop_points, nobody_but_the_owner_removes_points_and_only_by_their_ids)
{
    loop_put_store();
    loop_connect_hosts();
    AUTO(buf) struct buf file = {0};
    struct id point = {{0x70}}, run = {{0x71}};
    signing_point(&loop.dock.signing, WEB, &run, "web-daily", &point, &file);
    send_point(&loop.nas, &loop_store, 3, 1, &file, true);
    send_news(&loop.web, &point, 4, 1, false);
    send_news(&loop.nas, NULL, 4, 1, false);
    send_news(&loop.nas, &point, 4, 2, false);
    send_news(&loop.nas, &point, 4, 3, false);
    send_news(&loop.nas, &point, 0, 1, false);
    cr_assert_eq(listed(0, NULL), 1);
}
