#include "director/cli/verify.h"

#include "common/base/alloc.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "common/wire/lent.h"
#include "director/cli/follow.h"
#include "director/cli/inspect.h"
#include "director/cli/recover.h"
#include "transporter/repository/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { POINTS_AN_ORDER = 500 }; /* an order has at most 1 MiB, with a copy of its plan for each operator */

/* Points that one order can be about. */
struct group {
    const Sealift__Member *opener;
    const struct point **points;
    size_t count;
};

/* One verb. */
struct verifying {
    struct cli *cli;
    const struct args *args;
    const struct verify_request *request;
    struct group *groups;
    size_t group_count;
    json_t *rows, *runs, *not_checked;
    uint64_t points, nodes, chunks, files, content_bytes, findings, links_unchecked, resumed_chunks,
        resumed_points;
    struct err worst;
    bool interrupted;
    /* of the order under way */
    const Sealift__Member *opener;
    struct order order;
    bool answered;
};

static void verifying_deinit(struct verifying *verifying)
{
    for (size_t i = 0; i < verifying->group_count; i++)
        free(verifying->groups[i].points);
    free(verifying->groups);
    json_decref(verifying->rows);
    json_decref(verifying->runs);
    json_decref(verifying->not_checked);
}
DEFINE_AUTO_IN_PLACE(verifying, struct verifying, verifying_deinit)

static void weigh(struct verifying *verifying, const struct err *why)
{
    if (verifying->worst.code == ERR_NONE || check_gravity(why->code) > check_gravity(verifying->worst.code))
        verifying->worst = *why;
}

/* --- which points --- */

static bool same_bytes(const ProtobufCBinaryData *a, const ProtobufCBinaryData *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static bool fits(const struct group *group, const struct point *point, const Sealift__Member *opener)
{
    const Sealift__PointBody *body = group->points[0]->body;
    return group->opener == opener && same_bytes(&body->key_id, &point->body->key_id) &&
           same_bytes(&body->domain_id, &point->body->domain_id);
}

static void add_to_group(struct verifying *verifying, const struct point *point,
                         const Sealift__Member *opener)
{
    size_t i = 0;
    while (i < verifying->group_count && !fits(&verifying->groups[i], point, opener))
        i++;
    if (i == verifying->group_count) {
        verifying->groups = xreallocarray(verifying->groups, i + 1, sizeof(*verifying->groups));
        verifying->groups[verifying->group_count++] = (struct group){.opener = opener};
    }
    struct group *group = &verifying->groups[i];
    group->points = xreallocarray(group->points, group->count + 1, sizeof(struct point *));
    group->points[group->count++] = point;
}

static bool add_point(struct verifying *verifying, const struct point *point, struct err *err)
{
    const Sealift__Member *opener = NULL;
    if (!recover_opener(verifying->cli, point, verifying->request->at, &opener, err)) return false;
    add_to_group(verifying, point, opener);
    return true;
}

/* --- what is found --- */

static void say_not_checked(struct verifying *verifying, size_t count, const char *what, const char *why)
{
    (void)json_array_append_new(verifying->not_checked, json_sprintf("%zu %s: %s", count, what, why));
}

/* The points of an order that could not be carried out. */
static void give_up(struct verifying *verifying, const struct group *group, const struct err *why)
{
    const struct point *first = group->points[0];
    AUTO(buf) struct buf what = {0};
    if (first->body->key_id.len)
        buf_printf(&what, "points of the key '%s'", first->body->key_label);
    else
        buf_put_str(&what, "points that are not encrypted");
    say_not_checked(verifying, group->count, buf_cstr(&what), why->text);
    output_warning(&verifying->cli->output, "%zu %s are not checked: %s", group->count, buf_cstr(&what),
                   why->text);
    weigh(verifying, why);
}

/* By the transporter that was to open, for this order: no director can say that all is well. */
static bool open_verdict(const struct verifying *verifying, struct span bytes, struct span *out,
                         struct err *err)
{
    struct span verdict;
    uint8_t signer[SIGN_PK_LEN];
    if (!stored_verify(bytes, "verdict", &verdict, signer, err)) return false;
    if (memcmp(signer, verifying->opener->sign_pk.data, SIGN_PK_LEN) != 0 || verdict.len < ID_LEN ||
        memcmp(verdict.data, verifying->order.id.bytes, ID_LEN) != 0)
        return err_set(err, ERR_NOT_AUTHENTIC, "it is not signed by '%s', for this order",
                       verifying->opener->name);
    *out = span_of(verdict.data + ID_LEN, verdict.len - ID_LEN);
    return true;
}

/* The exit code follows from what was signed, whatever the director says of the run. */
static void weigh_findings(struct verifying *verifying, const Sealift__Warnings *found)
{
    struct err why = {0};
    bool told = false;
    (void)err_set(&why, ERR_DAMAGED, "findings");
    for (size_t i = 0; i < found->n_findings; i++) {
        if (found->findings[i]->code == 0) continue;
        told = true;
        why.code = check_code(client_code(found->findings[i]->code));
        weigh(verifying, &why);
    }
    if (!told && found->check->findings > 0) weigh(verifying, &why);
}

static bool take_answer(void *arg, uint64_t number, bool last, struct span sealed, struct err *err)
{
    struct verifying *verifying = arg;
    AUTO(secret) struct secret *plain = NULL;
    AUTO(payload_warnings) Sealift__Warnings *found = NULL;
    struct span verdict;
    if (!order_answer_open(verifying->cli, &verifying->order, number, last, sealed, &plain, err) ||
        !open_verdict(verifying, span_of(plain->data, plain->len), &verdict, err) ||
        !payload_warnings_decode(verdict, &found, err))
        return err_wrap(err, "what the check found");
    if (!found->check || verifying->answered)
        return err_set(err, ERR_PROTOCOL, "what the check found is not what was asked for");
    verifying->answered = true;
    inspect_add_findings(found, verifying->rows);
    weigh_findings(verifying, found);
    const Sealift__CheckReport *report = found->check;
    verifying->points += report->points;
    verifying->nodes += report->nodes;
    verifying->chunks += report->chunks;
    verifying->files += report->files;
    verifying->content_bytes += report->content_bytes;
    verifying->links_unchecked += report->links_unchecked;
    verifying->resumed_chunks += report->resumed_chunks;
    verifying->resumed_points += report->resumed_points;
    verifying->findings += report->findings;
    return true;
}

/* --- one order --- */

static void fill_plan(const struct verifying *verifying, const struct group *group,
                      Sealift__VerifyPoint *points, Sealift__VerifyPoint **list, Sealift__BrowsePlan *plan)
{
    plan->kind = SEALIFT__BROWSE_KIND__BROWSE_VERIFY;
    plan->level = verifying->request->level;
    plan->names = verifying->request->names;
    plan->afresh = verifying->request->afresh;
    for (size_t i = 0; i < group->count; i++) {
        sealift__verify_point__init(&points[i]);
        points[i].point = lent_id(&group->points[i]->id);
        points[i].root = group->points[i]->body->root;
        list[i] = &points[i];
    }
    plan->n_verify = group->count;
    plan->verify = list;
}

/* What is no reason not to look at the points of other keys. */
static bool is_of_this_key(enum err_code code)
{
    return code == ERR_NO_KEY || code == ERR_WRONG_KEY || code == ERR_SALT_MISSING || code == ERR_DAMAGED ||
           code == ERR_NOT_ENCRYPTED || code == ERR_POLICY || code == ERR_NOT_AUTHENTIC;
}

/* How the run ended, if that is not said by what it found: in *why. */
static bool follow(struct verifying *verifying, const struct group *group, struct err *why, struct err *err)
{
    char hex[2 * ID_LEN + 1], stop[64];
    hex_encode(verifying->order.run.bytes, ID_LEN, hex);
    (void)snprintf(stop, sizeof(stop), "sealift job stop %.12s", hex);
    (void)json_array_append_new(verifying->runs, json_string(hex));
    const struct follow_request request = {.run = verifying->order.run,
                                           .from = FOLLOW_ASK,
                                           .what = "the check",
                                           .stop = stop,
                                           .stats_s = verifying->request->stats_s,
                                           .answer = take_answer,
                                           .arg = verifying};
    AUTO(follow_result) struct follow_result result = {0};
    verifying->answered = false;
    if (!follow_run(verifying->cli, &request, &result, err)) return false;
    verifying->interrupted = result.interrupted;
    if (verifying->answered && !result.interrupted) {
        struct err found = {0};
        (void)err_set(&found, result.code, "what was found in %zu %s", group->count,
                      plural(group->count, "point", "points"));
        if (result.code != ERR_NONE && verifying->worst.code == ERR_NONE) weigh(verifying, &found);
        follow_take_key(verifying->cli, &result);
        return true;
    }
    if (follow_conclude(verifying->cli, &request, &result, why)) err_clear(why);
    return true;
}

/* By each step of the unlock order in turn; why the last one did not help is in *why. */
static bool check_part(struct verifying *verifying, const struct group *group, struct err *why,
                       struct err *err)
{
    Sealift__BrowsePlan plan = SEALIFT__BROWSE_PLAN__INIT;
    AUTO(free) Sealift__VerifyPoint *points = xcalloc(group->count, sizeof(*points));
    AUTO(free) Sealift__VerifyPoint **list = xcalloc(group->count, sizeof(*list));
    fill_plan(verifying, group, points, list, &plan);
    struct order_request request = {.kind = SEALIFT__ORDER_KIND__ORDER_BROWSE,
                                    .point = group->points[group->count - 1],
                                    .target = group->opener,
                                    .open_at = SEALIFT__OPEN_AT__OPEN_AT_TARGET,
                                    .plan = &plan};
    struct order *order = &verifying->order;
    verifying->opener = group->opener;
    if (!recover_order(verifying->cli, verifying->args, RECOVER_STAYS, &request, order, why)) {
        if (is_of_this_key(why->code)) return true;
        *err = *why;
        return false;
    }
    do {
        err_clear(why);
        if (!follow(verifying, group, why, err)) return false;
    } while (why->code != ERR_NONE && recover_again(verifying->cli, verifying->args, &request, order, why));
    return true;
}

static bool check_group(struct verifying *verifying, const struct group *group, struct err *err)
{
    for (size_t at = 0; at < group->count && !verifying->interrupted; at += POINTS_AN_ORDER) {
        size_t left = group->count - at;
        const struct group part = {.opener = group->opener,
                                   .points = group->points + at,
                                   .count = left < POINTS_AN_ORDER ? left : POINTS_AN_ORDER};
        struct err why = {0};
        if (!check_part(verifying, &part, &why, err)) return false;
        if (why.code != ERR_NONE) give_up(verifying, &part, &why);
    }
    return true;
}

/* --- the answer --- */

static void say_limits(struct verifying *verifying)
{
    json_t *lines = verifying->not_checked;
    if (verifying->request->level == SEALIFT__VERIFY_LEVEL__VERIFY_DECRYPT)
        (void)json_array_append_new(lines,
                                    json_string("that files are put together as they were: --level restore"));
    (void)json_array_append_new(
        lines,
        json_string("what no point refers to, signed lists, and the log: --level hash, without a key"));
    if (verifying->resumed_chunks)
        say_not_checked(verifying, (size_t)verifying->resumed_chunks, "chunks",
                        "a check that was interrupted opened them within the last day; --afresh opens all");
    if (verifying->resumed_points)
        say_not_checked(
            verifying, (size_t)verifying->resumed_points, "points",
            "a check that was interrupted put them together within the last day; --afresh takes all");
    if (verifying->links_unchecked)
        say_not_checked(verifying, (size_t)verifying->links_unchecked, "hard links",
                        "too many to look for the file of each");
}

#define WHAT_WAS_OPENED                                                                                      \
    {"repository", "repository", COLUMN_TEXT}, {"point", "point", COLUMN_TEXT},                              \
        {"level", "level", COLUMN_TEXT}, {"verdict", "verdict", COLUMN_TEXT},                                \
        {"finding_count", "findings", COLUMN_NUMBER}, {"points", "points checked", COLUMN_NUMBER},           \
    {                                                                                                        \
        "nodes", "nodes opened", COLUMN_NUMBER                                                               \
    }

static const struct column decrypt_columns[] = {
    WHAT_WAS_OPENED,
    {"chunks", "chunks opened", COLUMN_NUMBER},
    {"not_checked", "not checked", COLUMN_TEXT},
    {0},
};
static const struct column restore_columns[] = {
    WHAT_WAS_OPENED,
    {"files", "files put together", COLUMN_NUMBER},
    {"content_bytes", "their content", COLUMN_SIZE},
    {"not_checked", "not checked", COLUMN_TEXT},
    {0},
};

static bool answer(struct verifying *verifying, const char *kind, const char *name, struct err *err)
{
    bool whole = verifying->request->level == SEALIFT__VERIFY_LEVEL__VERIFY_RESTORE;
    if (verifying->interrupted) return true;
    say_limits(verifying);
    const char *verdict = verifying->findings                 ? "damaged"
                          : !verifying->points                ? "not known: nothing was opened"
                          : verifying->worst.code != ERR_NONE ? "sound as far as it was opened"
                                                              : "sound";
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:O, s:O, s:o, s:o}", kind, name, "level",
        whole ? "restore" : "decrypt", "verdict", verdict, "finding_count", json_count(verifying->findings),
        "points", json_count(verifying->points), "nodes", json_count(verifying->nodes), "chunks",
        json_count(verifying->chunks), "files", json_count(verifying->files), "content_bytes",
        json_count(verifying->content_bytes), "not_checked", verifying->not_checked, "runs", verifying->runs,
        "chunks_of_earlier_run", json_count(verifying->resumed_chunks), "points_of_earlier_run",
        json_count(verifying->resumed_points));
    inspect_put_findings(verifying->cli, json_incref(verifying->rows), object);
    output_record(&verifying->cli->output, whole ? restore_columns : decrypt_columns, object);
    if (verifying->worst.code == ERR_NONE) return true;
    *err = verifying->worst;
    if (verifying->findings)
        return err_set(err, verifying->worst.code, "%" PRIu64 " %s: %s", verifying->findings,
                       plural(verifying->findings, "finding", "findings, the worst of them"),
                       output_error_name(verifying->worst.code));
    return false;
}

static bool check_groups(struct verifying *verifying, struct err *err)
{
    for (size_t i = 0; i < verifying->group_count && !verifying->interrupted; i++)
        if (!check_group(verifying, &verifying->groups[i], err)) return false;
    return true;
}

static struct verifying begin(struct cli *cli, const struct args *args, const struct verify_request *request)
{
    return (struct verifying){.cli = cli,
                              .args = args,
                              .request = request,
                              .rows = json_array(),
                              .runs = json_array(),
                              .not_checked = json_array()};
}

/* --- the verbs --- */

/* Moves so many of them to the front, each set of them as likely as any other. */
static void draw(struct point **points, size_t count, size_t wanted)
{
    for (size_t i = 0; i < wanted; i++) {
        uint64_t number;
        random_bytes(&number, sizeof(number));
        size_t other = i + (size_t)(number % (count - i));
        struct point *chosen = points[other];
        points[other] = points[i];
        points[i] = chosen;
    }
}

static size_t choose(struct verifying *verifying, struct points *points)
{
    enum { ALL_PPM = 1000000 };
    uint32_t ppm = verifying->request->sample_ppm;
    if (ppm == 0 || ppm >= ALL_PPM) return points->count;
    size_t wanted = (size_t)(((uint64_t)points->count * ppm + ALL_PPM - 1) / ALL_PPM);
    draw(points->items, points->count, wanted);
    if (wanted < points->count)
        say_not_checked(verifying, points->count - wanted, "points", "another sample takes others");
    return wanted;
}

static bool group_points(struct verifying *verifying, struct points *points, struct err *err)
{
    size_t revoked = 0, wanted = choose(verifying, points), shut = 0;
    struct err why = {0};
    for (size_t i = 0; i < wanted; i++) {
        if (point_is_revoked(points->items[i]) && !args_flag(verifying->args, "accept-revoked")) {
            revoked++;
        } else if (!add_point(verifying, points->items[i], &why)) {
            if (why.code != ERR_POLICY) {
                *err = why;
                return false;
            }
            shut++;
        }
    }
    if (revoked)
        say_not_checked(verifying, revoked, "points",
                        "their writer had been revoked: --accept-revoked takes them");
    if (shut) {
        say_not_checked(verifying, shut, "points", why.text);
        weigh(verifying, &why);
    }
    return true;
}

bool verify_repository(struct cli *cli, const struct args *args, const struct verify_request *request,
                       const struct statement *repository, struct err *err)
{
    AUTO(points) struct points points = {0};
    AUTO(verifying) struct verifying verifying = begin(cli, args, request);
    const struct identity *identity = NULL;
    if (!access_identity(cli, &identity, err) ||
        !points_get(cli, &repository->id, NULL, POINTS_THERE, &points, err) ||
        !group_points(&verifying, &points, err))
        return false;
    if (points.doubt.code != ERR_NONE) {
        (void)json_array_append_new(verifying.not_checked,
                                    json_sprintf("points that cannot be believed: %s", points.doubt.text));
        weigh(&verifying, &points.doubt);
    }
    return check_groups(&verifying, err) && answer(&verifying, "repository", statement_name(repository), err);
}

bool verify_point(struct cli *cli, const struct args *args, const struct verify_request *request,
                  const struct point *point, struct err *err)
{
    AUTO(verifying) struct verifying verifying = begin(cli, args, request);
    const struct identity *identity = NULL;
    char hex[2 * ID_LEN + 1];
    hex_encode(point->id.bytes, ID_LEN, hex);
    return access_identity(cli, &identity, err) && add_point(&verifying, point, err) &&
           check_groups(&verifying, err) && answer(&verifying, "point", hex, err);
}
