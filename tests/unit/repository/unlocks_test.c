/* Unlock sections that are added to a repository: written once, found again, named by checks, and left alone
 * by whatever takes things away. */
#include "builder.h"
#include "common/base/alloc.h"
#include "tests/support/flip.h"
#include "transporter/repository/care.h"
#include "transporter/repository/check.h"
#include "transporter/repository/sweep.h"
#include "transporter/repository/unlocks.h"

#include <criterion/criterion.h>
#include <string.h>

/* An order of `signer` to keep a section of the key with this wrap in it. */
static struct statement *order_of(const struct sign_pair *signer, const struct read_half *key, uint8_t number,
                                  const char *entry)
{
    struct err err;
    Sealift__KmsWrap wrap = SEALIFT__KMS_WRAP__INIT, *wraps[] = {&wrap};
    Sealift__UnlockSection section = SEALIFT__UNLOCK_SECTION__INIT;
    Sealift__OrderBody body = SEALIFT__ORDER_BODY__INIT;
    struct statement *order = NULL;
    struct id repository = id_of(1);
    uint8_t zeros[HASH_LEN] = {0};
    AUTO(buf) struct buf keyring = {0};
    AUTO(buf) struct buf bytes = {0};
    AUTO(buf) struct buf encoded = {0};
    AUTO(buf) struct buf signed_order = {0};
    keyring_seal(key, &keyring);
    wrap.entry = stored_lent(entry);
    wrap.kind = stored_lent("file");
    wrap.wrapped = stored_bytes(span_str("wrapped"));
    section.version = 1;
    section.key_id = stored_bytes(span_of(key->key_id.bytes, HASH_LEN));
    section.unlock_pk = stored_bytes(span_of(key->unlock_pk, 32));
    section.label = stored_lent("main");
    section.origin = SEALIFT__KEY_ORIGIN__KEY_GENERATED;
    section.keyring = stored_bytes(buf_span(&keyring));
    section.kms = wraps;
    section.n_kms = 1;
    cr_assert(stored_unlock_encode(&section, &bytes, &err), "%s", err.text);
    body.kind = SEALIFT__ORDER_KIND__ORDER_PROTECT;
    body.repository = stored_bytes(span_of(repository.bytes, ID_LEN));
    body.target = stored_bytes(span_of(zeros, SIGN_PK_LEN));
    body.point_hash = stored_bytes(span_of(zeros, HASH_LEN));
    body.key_id = section.key_id;
    body.section = stored_bytes(buf_span(&bytes));
    statement_body_encode(&body, &encoded);
    const struct statement_draft draft = {.type = SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER,
                                          .site = id_of(9),
                                          .id = id_of(number),
                                          .version = 1,
                                          .body = buf_span(&encoded)};
    cr_assert(statement_sign(signer, &draft, &signed_order, &err), "%s", err.text);
    cr_assert(statement_decode(buf_span(&signed_order), &order, &err), "%s", err.text);
    return order;
}

struct seen {
    const struct sign_pair *operator;
    char entries[64]; /* "1:a 2:?" */
    enum err_code worst;
};

static bool is_operators(void *arg, const struct statement *order)
{
    const struct seen *seen = arg;
    return memcmp(order->signer, seen->operator->pk, SIGN_PK_LEN) == 0;
}

static bool see(void *arg, uint32_t number, const Sealift__UnlockSection *section, const struct err *why)
{
    struct seen *seen = arg;
    size_t at = strlen(seen->entries);
    cr_assert((section == NULL) == (why != NULL));
    (void)snprintf(seen->entries + at, sizeof(seen->entries) - at, "%u:%s ", number,
                   section ? section->kms[0]->entry : "?");
    if (why) seen->worst = why->code;
    return true;
}

/* What the repository tells of a key, as "1:a 2:? ". */
static struct seen sections(struct repository *repository, const struct hash *key_id,
                            const struct sign_pair *operator)
{
    struct err err;
    struct seen seen = {.operator= operator};
    cr_assert(repository_unlock_sections(repository, key_id, is_operators, see, &seen, &err), "%s", err.text);
    return seen;
}

/* A repository, a key, an operator, and what he ordered. */
struct scene {
    struct place *place;
    struct read_half *key;
    struct sign_pair *operator, * stranger;
    struct statement *first, *second;
};

static void scene_init(struct scene *scene)
{
    scene->place = place_new(REPOSITORY_ENCRYPTED);
    uint8_t s[KEY_SECRET_LEN] = {5};
    scene->key = read_half_new(s);
    scene->operator= sign_pair_new(NULL);
    scene->stranger = sign_pair_new(NULL);
    scene->first = order_of(scene->operator, scene->key, 1, "a");
    scene->second = order_of(scene->operator, scene->key, 2, "b");
}

static void scene_deinit(struct scene *scene)
{
    statement_free(scene->first);
    statement_free(scene->second);
    sign_pair_free(scene->operator);
    sign_pair_free(scene->stranger);
    read_half_free(scene->key);
    place_free(scene->place);
}
DEFINE_AUTO_IN_PLACE(scene, struct scene, scene_deinit)

static void add(struct repository *repository, const struct statement *order)
{
    struct err err;
    cr_assert(repository_unlock_add(repository, order, &err), "%s", err.text);
}

static char *object_of(const struct scene *scene, uint32_t number)
{
    char name[UNLOCK_NAME_LEN];
    unlock_name(&scene->key->key_id, number, name);
    return xasprintf("%s/%s", scene->place->path, name);
}

Test(unlocks, are_found_in_order_and_the_same_one_is_kept_once)
{
    AUTO(scene) struct scene scene;
    scene_init(&scene);
    const struct hash *key = &scene.key->key_id;
    struct hash other = {{7}};
    cr_assert_str_eq(sections(scene.place->repository, key, scene.operator).entries, "");
    add(scene.place->repository, scene.first);
    add(scene.place->repository, scene.second);
    add(scene.place->repository, scene.first);
    cr_assert_str_eq(sections(scene.place->repository, key, scene.operator).entries, "1:a 2:b ");
    cr_assert_str_eq(sections(scene.place->repository, &other, scene.operator).entries, "");
    place_close(scene.place);
    place_open(scene.place);
    cr_assert_str_eq(sections(scene.place->repository, key, scene.operator).entries, "1:a 2:b ");
}

/* By a key that nobody knows, under the name of another key, cut, and changed. */
Test(unlocks, are_believed_only_if_an_operator_signed_them)
{
    AUTO(scene) struct scene scene;
    scene_init(&scene);
    const struct hash *key = &scene.key->key_id;
    AUTO(statement) struct statement *planted = order_of(scene.stranger, scene.key, 3, "evil");
    add(scene.place->repository, planted);
    add(scene.place->repository, scene.second);
    struct seen seen = sections(scene.place->repository, key, scene.operator);
    cr_assert_str_eq(seen.entries, "1:? 2:b ");
    cr_assert_eq(seen.worst, ERR_NOT_AUTHENTIC);
    AUTO(free) char *from = object_of(&scene, 2);
    uint8_t dedup[32] = {1};
    AUTO(read_half) struct read_half *other = read_half_new(dedup);
    char name[UNLOCK_NAME_LEN];
    unlock_name(&other->key_id, 1, name);
    shell("mkdir -p \"$(dirname '%s/%s')\" && cp '%s' '%s/%s'", scene.place->path, name, from,
          scene.place->path, name);
    cr_assert_str_eq(sections(scene.place->repository, &other->key_id, scene.operator).entries, "1:? ");
    flip(from, 100);
    cr_assert_str_eq(sections(scene.place->repository, key, scene.operator).entries, "1:? 2:? ");
    shell("truncate -s 50 '%s'", from);
    cr_assert_str_eq(sections(scene.place->repository, key, scene.operator).entries, "1:? 2:? ");
}

Test(unlocks, names_are_exact)
{
    struct hash key_id = {{0xab}}, found;
    uint32_t number = 0;
    char name[UNLOCK_NAME_LEN], bad[UNLOCK_NAME_LEN + 8];
    static const char *const tails[] = {"", "0", "01", "1001", "-1", "1x", "1/1", "99999"};
    unlock_name(&key_id, UNLOCKS_MOST, name);
    cr_assert(unlock_parse_name(name, &found, &number));
    cr_assert(hash_eq(&found, &key_id) && number == UNLOCKS_MOST);
    for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
        (void)snprintf(bad, sizeof(bad), "%.72s%s", name, tails[i]);
        cr_assert_not(unlock_parse_name(bad, &found, &number), "%s", bad);
    }
    name[8] = 'A';
    cr_assert_not(unlock_parse_name(name, &found, &number), "upper case");
    cr_assert_not(unlock_parse_name("unlock", &found, &number));
}

/* --- what checks and sweeps make of them --- */

struct told {
    const struct sign_pair *operator;
    int findings;
    char object[128];
};

static void on_finding(void *arg, const struct check_finding *finding)
{
    struct told *told = arg;
    told->findings++;
    (void)snprintf(told->object, sizeof(told->object), "%s", finding->object);
}

static bool operator_has(void *arg, const uint8_t signer[SIGN_PK_LEN])
{
    const struct told *told = arg;
    return memcmp(signer, told->operator->pk, SIGN_PK_LEN) == 0;
}

static struct told check(const struct scene *scene)
{
    struct err err;
    struct told told = {.operator= scene->operator};
    struct check_sink sink = {.finding = on_finding, .is_operator = operator_has, .arg = &told};
    struct check_result result;
    cr_assert(repository_check(scene->place->repository, &(struct check_options){.level = CHECK_PRESENCE},
                               &sink, &result, &err),
              "%s", err.text);
    return told;
}

Test(unlocks, a_check_names_one_that_no_operator_signed_or_that_was_damaged)
{
    AUTO(scene) struct scene scene;
    scene_init(&scene);
    add(scene.place->repository, scene.first);
    cr_assert_eq(check(&scene).findings, 0);
    AUTO(statement) struct statement *planted = order_of(scene.stranger, scene.key, 3, "evil");
    add(scene.place->repository, planted);
    struct told told = check(&scene);
    cr_assert_eq(told.findings, 1);
    cr_assert(strstr(told.object, "unlock/") && strcmp(told.object + strlen(told.object) - 2, "/2") == 0);
    AUTO(free) char *path = object_of(&scene, 1);
    shell("truncate -s 50 '%s'", path);
    cr_assert_eq(check(&scene).findings, 2);
}

Test(unlocks, stay_when_points_are_removed_and_swept)
{
    AUTO(scene) struct scene scene;
    struct err err;
    struct sweep_result result = {.outcome = SWEEP_DONE};
    struct prune_result pruned;
    scene_init(&scene);
    (void)back_up(scene.place->repository, 1, 0, 3);
    (void)back_up(scene.place->repository, 2, 100, 3);
    add(scene.place->repository, scene.first);
    struct care_rule rule = {.job = "job", .retention.last = 1};
    cr_assert(repository_prune(scene.place->repository, &rule, PRUNE_REMOVE, NULL, NULL, &pruned, &err), "%s",
              err.text);
    cr_assert_eq(pruned.removed, 1);
    for (int i = 0; i < 4 && result.outcome != SWEEP_CLEAN; i++)
        cr_assert(repository_sweep(scene.place->repository, &result, &err), "%s", err.text);
    place_close(scene.place);
    place_open(scene.place);
    cr_assert_str_eq(sections(scene.place->repository, &scene.key->key_id, scene.operator).entries, "1:a ");
}

/* --- storage that fails --- */

/* Stopped at each change: afterwards the object is whole or absent, and the same call makes it whole. */
static void stop_everywhere(enum fault_how how, const char *what)
{
    int at = 0;
    for (int hits = 1; hits > 0; at++) {
        AUTO(scene) struct scene scene;
        struct err err;
        scene_init(&scene);
        add(scene.place->repository, scene.first);
        place_close(scene.place);
        struct fault *fault = place_open_faulty(scene.place);
        fault->how = how;
        fault->sticky = 1;
        fault->calls = 0;
        fault->fail_at = at;
        bool done = repository_unlock_add(scene.place->repository, scene.second, &err);
        hits = fault->hits;
        cr_assert(hits > 0 || done, "%s: nothing failed", what);
        place_close(scene.place);
        place_open(scene.place);
        const struct hash *key = &scene.key->key_id;
        struct seen seen = sections(scene.place->repository, key, scene.operator);
        cr_assert(strcmp(seen.entries, "1:a 2:b ") == 0 || (!done && strcmp(seen.entries, "1:a ") == 0),
                  "%s at %d: %s", what, at, seen.entries);
        add(scene.place->repository, scene.second);
        cr_assert_str_eq(sections(scene.place->repository, key, scene.operator).entries, "1:a 2:b ",
                         "%s at %d", what, at);
        cr_assert_eq(check(&scene).findings, 0, "%s at %d", what, at);
    }
    cr_assert_gt(at, 1, "%s: no call was tried", what);
}

Test(unlocks, stopped_at_any_write_one_is_whole_or_absent)
{
    stop_everywhere(FAULT_EIO, "EIO");
    stop_everywhere(FAULT_SHORT, "short write");
    stop_everywhere(FAULT_AFTER, "failed after the fact");
}

Test(unlocks, are_not_added_to_what_is_open_for_reading)
{
    AUTO(scene) struct scene scene;
    struct err err;
    scene_init(&scene);
    place_close(scene.place);
    struct repository_options options = {.path = scene.place->path};
    AUTO(repository) struct repository *repository = NULL;
    cr_assert(repository_open(&options, &repository, &err), "%s", err.text);
    cr_assert_not(repository_unlock_add(repository, scene.first, &err));
    cr_assert_eq(err.code, ERR_POLICY);
}
