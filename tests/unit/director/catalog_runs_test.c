/* Runs in the catalog, and the bytes that they are kept as. */
#include "open_catalog.h"

#include "director/catalog/run_record.h"
#include "stage.h"

#include <criterion/criterion.h>
#include <string.h>

/* ---- runs */

static struct run some_run(uint8_t id, Sealift__RunState state)
{
    struct run run = {.id = {{id}},
                      .subject = SEALIFT__STATEMENT_TYPE__STATEMENT_JOB,
                      .subject_id = {{(uint8_t)(id % 2)}},
                      .subject_version = 7,
                      .kind = RUN_COPY,
                      .repository = {{4}},
                      .state = state,
                      .attempt = 3,
                      .ticket = {5},
                      .endpoint = "tcp://x:1",
                      .stopping = true,
                      .in_log = true,
                      .started_ns = 11,
                      .ended_ns = 12,
                      .code = 26,
                      .text = "why",
                      .point = {{6}}};
    run.source = (struct run_side){.host = {1},
                                   .name = "web",
                                   .state = SIDE_LIVE,
                                   .incarnation = {{8}},
                                   .code = 9,
                                   .text = "side",
                                   .counters = {.entries = 1, .failed = 2, .total_bytes = UINT64_MAX}};
    run.target = (struct run_side){.host = {2}, .name = "nas", .state = SIDE_LOST};
    run.work.kind = SEALIFT__MAINTENANCE_KIND__MAINTENANCE_CHECK;
    run.work.level = SEALIFT__CHECK_LEVEL__CHECK_LEVEL_HASH;
    run.work.sample_ppm = 123456;
    run.work.about = (struct id){{7}};
    run.work.dry_run = true;
    run.own_way = (struct way_wish){.connection = SEALIFT__CONNECTION__CONNECTION_REVERSE};
    run.way = (struct way_wish){.connection = SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS, .proxy = "p:1"};
    run.rendezvous[31] = 9;
    return run;
}

static bool collect_run(void *arg, const struct run *run, struct err *unused)
{
    buf_put_u8(arg, run->id.bytes[0]);
    return true;
}

Test(catalog, gives_a_run_back_as_it_was)
{
    struct run run = some_run(1, STATE(RUNNING)), out;
    FAILS(catalog_run_get(catalog, &run.id, &out, &err), ERR_NOT_FOUND);
    MUST(catalog_run_put(catalog, &run, &err));
    reopen();
    MUST(catalog_run_get(catalog, &run.id, &out, &err));
    /* all bytes are set, padding too: NOLINTNEXTLINE */
    cr_assert_eq(memcmp(&run, &out, sizeof(run)), 0);
}

Test(catalog, lists_runs_that_are_open_and_runs_of_a_job)
{
    for (uint8_t i = 1; i <= 8; i++) {
        struct run run = some_run(i, (Sealift__RunState)i);
        MUST(catalog_run_put(catalog, &run, &err));
    }
    struct run ended = some_run(1, STATE(FAILED));
    MUST(catalog_run_put(catalog, &ended, &err));
    reopen();
    AUTO(buf) struct buf ids = {0};
    MUST(catalog_runs_open(catalog, collect_run, &ids, &err));
    cr_assert(span_eq(buf_span(&ids), span_of("\2\3\4\10", 4)), "assigned, running, committing, unknown");
    buf_clear(&ids);
    MUST(catalog_runs(catalog, NULL, 3, collect_run, &ids, &err));
    cr_assert(span_eq(buf_span(&ids), span_of("\10\7\6", 3)));
    buf_clear(&ids);
    MUST(catalog_runs(catalog, &(struct id){{1}}, 100, collect_run, &ids, &err));
    cr_assert(span_eq(buf_span(&ids), span_of("\7\5\3\1", 4)));
}

Test(catalog, forgets_old_runs_that_have_ended_and_their_warnings)
{
    for (uint8_t i = 1; i <= 6; i++) {
        struct run run = some_run(i, i == 2 ? STATE(UNKNOWN) : STATE(OK));
        MUST(catalog_run_put(catalog, &run, &err));
        MUST(catalog_warnings_put(catalog, &run.id, SIDE(SOURCE), span_str("w"), &err));
    }
    MUST(catalog_runs_forget(catalog, 2, &err));
    AUTO(buf) struct buf ids = {0};
    MUST(catalog_runs(catalog, NULL, 100, collect_run, &ids, &err));
    cr_assert(span_eq(buf_span(&ids), span_of("\6\5\2", 3)), "the newest two, and the one that is open");
    struct collected warnings = {0};
    MUST(catalog_warnings(catalog, &(struct id){{3}}, collect, &warnings, &err));
    cr_assert_eq(warnings.count, 0);
    MUST(catalog_warnings(catalog, &(struct id){{2}}, collect, &warnings, &err));
    cr_assert_eq(warnings.count, 1);
    buf_deinit(&warnings.bytes);
}

Test(catalog, keeps_the_warnings_of_each_side)
{
    struct id run = {{1}};
    MUST(catalog_warnings_put(catalog, &run, SIDE(TARGET), span_str("b"), &err));
    MUST(catalog_warnings_put(catalog, &run, SIDE(SOURCE), span_str("x"), &err));
    MUST(catalog_warnings_put(catalog, &run, SIDE(SOURCE), span_str("a"), &err));
    struct collected all = {0};
    MUST(catalog_warnings(catalog, &run, collect, &all, &err));
    cr_assert_str_eq(buf_cstr(&all.bytes), "ab");
    buf_deinit(&all.bytes);
}

Test(run_record, cut_or_lengthened_anywhere_is_damaged)
{
    struct run run = some_run(1, STATE(OK)), out;
    AUTO(buf) struct buf record = {0};
    run_record_encode(&run, &record);
    for (size_t len = 0; len < record.len; len++)
        FAILS(run_record_decode(span_of(record.data, len), &out, &err), ERR_DAMAGED);
    MUST(run_record_decode(buf_span(&record), &out, &err));
    buf_put_u8(&record, 0);
    FAILS(run_record_decode(buf_span(&record), &out, &err), ERR_DAMAGED);
    static const uint8_t unknown[] = {0, 4, 255};
    for (size_t i = 0; i < sizeof(unknown); i++) {
        record.data[0] = unknown[i];
        FAILS(run_record_decode(buf_span(&record), &out, &err), ERR_VERSION);
    }
}

/* The wish of the job, that of the attempt with its proxy "p:1", the rendezvous name, and the priority. */
enum { WAY_LEN = (1 + 2) + (1 + 2 + 3) + WAY_NAME_LEN + 1 };

Test(run_record, of_a_director_that_knew_no_ways_is_read_as_direct)
{
    struct run run = some_run(1, STATE(OK)), out;
    AUTO(buf) struct buf record = {0};
    run_record_encode(&run, &record);
    record.data[0] = 2;
    FAILS(run_record_decode(buf_span(&record), &out, &err), ERR_DAMAGED);
    record.len -= WAY_LEN;
    MUST(run_record_decode(buf_span(&record), &out, &err));
    cr_assert_eq(out.way.connection, SEALIFT__CONNECTION__CONNECTION_DIRECT);
    cr_assert_eq(out.own_way.connection, SEALIFT__CONNECTION__CONNECTION_NONE);
    cr_assert(out.work.dry_run);
}

Test(run_record, of_a_director_that_knew_no_maintenance_is_read)
{
    enum { WORK_LEN = WAY_LEN + 1 + 1 + 4 + ID_LEN + 1 };
    struct run run = some_run(1, STATE(OK)), out;
    AUTO(buf) struct buf record = {0};
    run_record_encode(&run, &record);
    record.data[0] = 1;
    FAILS(run_record_decode(buf_span(&record), &out, &err), ERR_DAMAGED);
    record.len -= WORK_LEN;
    MUST(run_record_decode(buf_span(&record), &out, &err));
    cr_assert(id_eq(&out.point, &run.point));
    cr_assert_eq(out.work.kind, 0);
}

Test(run_record, survives_every_flipped_bit)
{
    struct run run = some_run(1, STATE(OK));
    AUTO(buf) struct buf record = {0};
    run_record_encode(&run, &record);
    for (size_t bit = 0; bit < record.len * 8; bit++) {
        record.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct run out;
        if (run_record_decode(buf_span(&record), &out, &err)) {
            cr_assert_leq((int)out.state, STATE(UNKNOWN));
            cr_assert(out.kind >= RUN_BACKUP && out.kind <= RUN_RECOVERY);
            cr_assert_leq((int)out.source.state, SIDE_LOST);
        }
        record.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}
