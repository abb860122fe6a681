/* Prune, delete, holds: who may take a point away, and what the log says of it. */
#include "builder.h"

#include "common/base/text.h"
#include "transporter/repository/care.h"

#include <criterion/criterion.h>
#include <string.h>

enum { POINTS = 5 };

static struct place *with_points(void)
{
    struct place *place = place_new(REPOSITORY_ENCRYPTED);
    for (uint8_t i = 1; i <= POINTS; i++)
        (void)back_up(place->repository, i, 100u * i, 2);
    return place;
}

static uint64_t points_of(struct place *place)
{
    struct repository_info info;
    repository_info(place->repository, &info);
    return info.points;
}

static enum err_code delete_code(struct place *place, uint8_t point, const struct care_rule *rule)
{
    struct err err = {0};
    struct id id = id_of(point);
    return repository_delete(place->repository, &id, rule, &err) ? ERR_NONE : err.code;
}

static enum err_code hold_code(struct place *place, uint8_t point, enum repository_hold hold)
{
    struct err err = {0};
    struct id id = id_of(point);
    return repository_hold(place->repository, &id, hold, span_str("order"), &err) ? ERR_NONE : err.code;
}

static uint64_t prune(struct place *place, const struct care_rule *rule, enum prune_mode mode)
{
    struct err err;
    struct prune_result result;
    cr_assert(repository_prune(place->repository, rule, mode, NULL, NULL, &result, &err), "%s", err.text);
    return result.removed;
}

Test(care, prune_removes_by_rule_and_only_points_of_its_job)
{
    AUTO(place) struct place *place = with_points();
    struct care_rule rule = {.job = "another", .retention.last = 1};
    cr_assert_eq(prune(place, &rule, PRUNE_REMOVE), 0);
    rule.job = "job";
    cr_assert_eq(prune(place, &rule, PRUNE_TELL), 4);
    cr_assert_eq(points_of(place), POINTS);
    rule.floor.keep_least = 3;
    cr_assert_eq(prune(place, &rule, PRUNE_REMOVE), 2);
    cr_assert_eq(prune(place, &rule, PRUNE_REMOVE), 0);
    rule.floor.keep_least = 0;
    rule.floor.keep_age_s = 3600;
    cr_assert_eq(prune(place, &rule, PRUNE_REMOVE), 0, "they are younger than that");
    rule.floor.keep_age_s = 0;
    rule.retention.immutable_s = 3600;
    cr_assert_eq(prune(place, &rule, PRUNE_REMOVE), 0);
    place_close(place);
    shell("rm -r '%s/index'", place->state);
    place_open(place);
    cr_assert_eq(points_of(place), 3);
}

/* A point of a host, sealed anew of one of another host, or of none. */
static void make_point(struct place *place, uint8_t host, uint8_t origin, uint8_t point)
{
    struct err err;
    struct ingest_receipt receipt;
    struct id id = id_of(point), made_from = id_of(0x60);
    uint8_t seed[32];
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, host);
    AUTO(sign_pair) struct sign_pair *first = NULL;
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, point);
    AUTO(buf) struct buf file = {0}, missing = {0};
    memset(seed, origin, sizeof(seed));
    first = sign_pair_new(seed);
    struct hash root = session_tree(ingest, writer, 100u * point, 2, 1000);
    writer->origin_pk = first->pk;
    writer_point_anew(writer, &id, &root, origin ? &made_from : NULL, &file);
    cr_assert(ingest_commit(ingest, &id, &root, buf_span(&file), &receipt, &missing, &err), "%s", err.text);
}

/* Host 3 took over from host 1; who sealed anew, or of whom, changes nothing. */
static void take_over(const void *arg, uint64_t time_ns, struct care_line *line, struct care_line *heir)
{
    const struct sign_pair *const *hosts = arg;
    cr_assert_gt(time_ns, 0);
    *heir = *line;
    if (memcmp(line->signer, hosts[0]->pk, SIGN_PK_LEN) == 0) memcpy(heir->signer, hosts[1]->pk, SIGN_PK_LEN);
}

Test(care, prune_counts_the_points_of_each_signer_and_origin_by_themselves)
{
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    uint8_t first[32], third[32];
    memset(first, 1, sizeof(first));
    memset(third, 3, sizeof(third));
    AUTO(sign_pair) struct sign_pair *one = sign_pair_new(first);
    AUTO(sign_pair) struct sign_pair *three = sign_pair_new(third);
    const struct sign_pair *hosts[] = {one, three};
    struct care_rule rule = {
        .job = "job", .retention.last = 2, .line = take_over, .line_arg = (const void *)hosts};
    static const uint8_t made[][2] = {{1, 0}, {1, 0}, {2, 0}, {2, 0}, {2, 0}, {2, 1}, {2, 1}, {2, 1}, {2, 4}};
    for (uint8_t i = 0; i < 9; i++)
        make_point(place, made[i][0], made[i][1], (uint8_t)(10 + i));
    cr_assert_eq(prune(place, &rule, PRUNE_REMOVE), 2, "one of host 2, one that it sealed of host 1");
    make_point(place, 3, 0, 20);
    cr_assert_eq(prune(place, &rule, PRUNE_REMOVE), 1, "the older of host 1");
    make_point(place, 1, 0, 21);
    make_point(place, 3, 0, 22);
    make_point(place, 1, 0, 23);
    make_point(place, 1, 0, 24);
    cr_assert_eq(prune(place, &rule, PRUNE_REMOVE), 2, "what host 1 had, and one that came after");
    cr_assert_eq(points_of(place), 2 + 2 + 1 + 2 + 2);
}

struct entry_seen {
    Sealift__LogKind kind;
    struct id point;
    char statement[16];
};

static bool note_entry(void *arg, uint64_t number, struct span file)
{
    struct err err;
    struct entry_seen *seen = arg;
    struct span payload;
    uint8_t signer[SIGN_PK_LEN];
    AUTO(stored_log) Sealift__LogEntry *entry = NULL;
    cr_assert(stored_verify(file, "log", &payload, signer, &err), "%s", err.text);
    cr_assert(stored_log_decode(payload, &entry, &err), "%s", err.text);
    seen->kind = entry->kind;
    seen->point = stored_id(&entry->object);
    cr_assert_lt(entry->statement.len, sizeof(seen->statement));
    memcpy(seen->statement, entry->statement.data, entry->statement.len);
    seen->statement[entry->statement.len] = 0;
    return true;
}

static struct entry_seen last_entry(struct place *place)
{
    struct err err;
    struct entry_seen seen = {0};
    cr_assert(repository_log(place->repository, place->repository->chain.number, note_entry, &seen, &err));
    return seen;
}

Test(care, every_act_quotes_the_statement_that_allows_it)
{
    struct err err;
    AUTO(place) struct place *place = with_points();
    struct id first = id_of(1);
    struct care_rule rule = {.job = "job", .retention.last = 4, .statement = span_str("job 7")};
    cr_assert_eq(prune(place, &rule, PRUNE_REMOVE), 1);
    struct entry_seen seen = last_entry(place);
    cr_assert_eq(seen.kind, SEALIFT__LOG_KIND__LOG_REMOVED);
    cr_assert(id_eq(&seen.point, &first));
    cr_assert_str_eq(seen.statement, "job 7");
    cr_assert(repository_undelete(place->repository, &first, span_str("order 1"), &err), "%s", err.text);
    seen = last_entry(place);
    cr_assert_eq(seen.kind, SEALIFT__LOG_KIND__LOG_UNDELETED);
    cr_assert_str_eq(seen.statement, "order 1");
    rule.statement = span_str("order 2");
    cr_assert_eq(delete_code(place, 1, &rule), ERR_NONE);
    seen = last_entry(place);
    cr_assert_eq(seen.kind, SEALIFT__LOG_KIND__LOG_REMOVED);
    cr_assert_str_eq(seen.statement, "order 2");
    cr_assert_eq(hold_code(place, 2, REPOSITORY_HELD), ERR_NONE);
    cr_assert_eq(last_entry(place).kind, SEALIFT__LOG_KIND__LOG_HELD);
    cr_assert_eq(hold_code(place, 2, REPOSITORY_RELEASED), ERR_NONE);
    cr_assert_eq(last_entry(place).kind, SEALIFT__LOG_KIND__LOG_RELEASED);
}

Test(care, a_held_point_stays_until_it_is_released_also_after_a_start)
{
    for (int rebuilt = 0; rebuilt < 2; rebuilt++) {
        AUTO(place) struct place *place = with_points();
        struct care_rule rule = {.job = "job", .retention.last = 1};
        cr_assert_eq(hold_code(place, 2, REPOSITORY_HELD), ERR_NONE);
        uint64_t head = place->repository->chain.number;
        cr_assert_eq(hold_code(place, 2, REPOSITORY_HELD), ERR_NONE);
        cr_assert_eq(place->repository->chain.number, head, "once is enough");
        place_close(place);
        if (rebuilt) shell("rm -r '%s/index'", place->state);
        place_open(place);
        cr_assert_eq(prune(place, &rule, PRUNE_REMOVE), 3);
        cr_assert_eq(delete_code(place, 2, &rule), ERR_POLICY);
        cr_assert_eq(hold_code(place, 2, REPOSITORY_RELEASED), ERR_NONE);
        cr_assert_eq(delete_code(place, 2, &rule), ERR_NONE);
        cr_assert_eq(hold_code(place, 2, REPOSITORY_HELD), ERR_NOT_FOUND, "it is removed");
        cr_assert_eq(hold_code(place, 99, REPOSITORY_HELD), ERR_NOT_FOUND);
    }
}

Test(care, an_order_deletes_what_nothing_protects)
{
    AUTO(place) struct place *place = with_points();
    struct care_rule rule = {.job = "job", .floor.keep_least = 4};
    cr_assert_eq(delete_code(place, 99, &rule), ERR_NOT_FOUND);
    cr_assert_eq(delete_code(place, 3, &rule), ERR_NONE);
    cr_assert_eq(delete_code(place, 3, &rule), ERR_NOT_FOUND);
    cr_assert_eq(delete_code(place, 4, &rule), ERR_POLICY, "the floor");
    rule.floor.keep_least = 0;
    rule.retention.immutable_s = 3600;
    cr_assert_eq(delete_code(place, 4, &rule), ERR_POLICY, "immutable");
    rule.retention.immutable_s = 0;
    for (uint8_t i = 1; i <= POINTS; i++)
        cr_assert_eq(delete_code(place, i, &rule), i == 3        ? ERR_NOT_FOUND
                                                   : i == POINTS ? ERR_POLICY
                                                                 : ERR_NONE);
    cr_assert_eq(points_of(place), 1, "the last one");
}

Test(care, a_damaged_point_is_neither_removed_nor_counted)
{
    AUTO(place) struct place *place = with_points();
    char id[2 * ID_LEN + 1];
    struct id last = id_of(POINTS);
    hex_encode(last.bytes, ID_LEN, id);
    shell("chmod u+w '%s/points/%s'; printf x > '%s/points/%s'", place->path, id, place->path, id);
    struct care_rule rule = {.job = "job", .retention.last = 1};
    cr_assert_eq(prune(place, &rule, PRUNE_REMOVE), POINTS - 2);
    cr_assert_eq(points_of(place), 2);
    AUTO(buf) struct buf label = {0};
    struct err err;
    struct id good = id_of(POINTS - 1);
    cr_assert(repository_point_job(place->repository, &good, &label, &err), "the last good one is there");
    cr_assert(span_eq(buf_span(&label), span_str("job")));
}
