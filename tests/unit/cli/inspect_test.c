#include "director/cli/inspect.h"

#include "common/wire/lent.h"

#include <criterion/criterion.h>
#include <string.h>

Test(inspect, reads_samples_of_percents_with_decimals)
{
    static const struct {
        const char *text;
        uint32_t ppm; /* 0: refused */
    } cases[] = {
        {"5%", 50000},
        {"5 %", 50000},
        {"100%", 1000000},
        {"0.5%", 5000},
        {"12.25%", 122500},
        {"0.0001%", 1},
        {".5%", 5000},
        {"5.%", 50000},
        {"0%", 0},
        {"101%", 0},
        {"100.1%", 0},
        {"5", 0},
        {"%", 0},
        {"", 0},
        {"-5%", 0},
        {"5%%", 0},
        {"1.2.3%", 0},
        {"five%", 0},
        {"0.00001%", 0},
        {".%", 0},
        {"99999999999999999999%", 0},
        {"5%x", 0},
        {" 5%", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t ppm = 7;
        struct err err = {0};
        bool taken = inspect_parse_sample(cases[i].text, &ppm, &err);
        cr_expect_eq(taken, cases[i].ppm != 0, "'%s'", cases[i].text);
        cr_expect_eq(ppm, taken ? cases[i].ppm : 7, "'%s': %u", cases[i].text, ppm);
        if (!taken) cr_expect_eq(err.code, ERR_USAGE);
    }
}

/* Runs of one repository, the newest first. */
struct runs {
    Sealift__RunRow rows[8], *list[8];
    Sealift__Maintenance works[8];
    Sealift__RunListAnswer answer;
};

static void add(struct runs *runs, Sealift__MaintenanceKind kind, Sealift__CheckLevel level,
                Sealift__RunState state, uint32_t code, uint64_t ended_s)
{
    size_t i = runs->answer.n_rows++;
    sealift__run_row__init(&runs->rows[i]);
    sealift__maintenance__init(&runs->works[i]);
    runs->works[i].kind = kind;
    runs->works[i].level = level;
    runs->rows[i].work = kind ? &runs->works[i] : NULL;
    runs->rows[i].state = state;
    runs->rows[i].code = code;
    runs->rows[i].ended_ns = ended_s * 1000000000;
    runs->list[i] = &runs->rows[i];
    runs->answer.rows = runs->list;
}

#define CHECK SEALIFT__MAINTENANCE_KIND__MAINTENANCE_CHECK
#define SWEEP SEALIFT__MAINTENANCE_KIND__MAINTENANCE_SWEEP
#define PRESENCE SEALIFT__CHECK_LEVEL__CHECK_LEVEL_PRESENCE
#define HASH SEALIFT__CHECK_LEVEL__CHECK_LEVEL_HASH
#define RUN(name) SEALIFT__RUN_STATE__RUN_##name

static void expect_age(const json_t *object, const char *key, uint64_t ended_s)
{
    json_t *expected = ended_s ? json_time(ended_s * 1000000000) : json_null();
    cr_expect(json_equal(json_object_get(object, key), expected), "%s", key);
    json_decref(expected);
}

Test(inspect, tells_the_age_of_what_came_to_its_end)
{
    struct runs runs = {.answer = SEALIFT__RUN_LIST_ANSWER__INIT};
    add(&runs, CHECK, HASH, RUN(RUNNING), 0, 0);
    add(&runs, CHECK, HASH, RUN(STOPPED), ERR_CANCELLED, 90);
    add(&runs, CHECK, HASH, RUN(FAILED), ERR_UNREACHABLE, 80);
    add(&runs, CHECK, PRESENCE, RUN(OK), 0, 70);
    add(&runs, CHECK, HASH, RUN(FAILED), ERR_DAMAGED, 60);
    add(&runs, CHECK, HASH, RUN(OK), 0, 50);
    add(&runs, 0, 0, RUN(OK), 0, 40);
    json_t *object = json_object();
    inspect_ages(&runs.answer, object);
    expect_age(object, "check_presence", 70);
    expect_age(object, "check_hash", 60);
    expect_age(object, "swept", 0);
    json_decref(object);
    add(&runs, SWEEP, 0, RUN(OK), 1, 30);
    object = json_object();
    inspect_ages(&runs.answer, object);
    expect_age(object, "swept", 30);
    json_decref(object);
}

/* The level and the time of what is told of; 0: of nothing. */
static void expect_damage(const struct runs *runs, const char *level, uint64_t ended_s)
{
    json_t *object = json_object();
    inspect_damage(&runs->answer, object);
    expect_age(object, "damage_found", ended_s);
    const char *told = json_string_value(json_object_get(object, "damage_level"));
    cr_expect_str_eq(told ? told : "none", level);
    json_decref(object);
}

Test(inspect, tells_of_damage_until_a_check_of_as_much_is_sound)
{
    struct runs runs = {.answer = SEALIFT__RUN_LIST_ANSWER__INIT};
    add(&runs, CHECK, HASH, RUN(FAILED), ERR_UNREACHABLE, 90);
    expect_damage(&runs, "none", 0);
    add(&runs, CHECK, PRESENCE, RUN(OK), 0, 80);
    add(&runs, CHECK, HASH, RUN(OK), 0, 70);
    runs.works[2].sample_ppm = 10000;
    add(&runs, CHECK, HASH, RUN(FAILED), ERR_DAMAGED, 60);
    expect_damage(&runs, "hash", 60);
    runs.works[2].sample_ppm = 0;
    expect_damage(&runs, "none", 0);
    static uint8_t point[] = {1};
    runs.works[2].about = (ProtobufCBinaryData){sizeof(point), point};
    expect_damage(&runs, "hash", 60);
    runs.works[3].about = runs.works[2].about;
    expect_damage(&runs, "none", 0);
}
