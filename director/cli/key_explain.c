#include "director/cli/key_explain.h"

#include "common/base/text.h"
#include "director/cli/key_material.h"
#include "director/cli/recover.h"
#include "director/cli/unlock_ask.h"

#include <stdio.h>
#include <string.h>

const struct option_spec key_explain_options[] = {
    {"at", "TRANSPORTER", "which trusted transporter would open (default: the one that wrote the point)"},
    {"repository", "R", "of the copy in this repository, where there are several"},
    {"password-file", "FILE", "try this password too: the first line of FILE"},
    {"password-fd", "N", "the same, read from an open descriptor"},
    KIT_OPTIONS,
    {0},
};

struct explaining {
    struct cli *cli;
    const struct args *args;
    struct secret_source password; /* to try */
    struct kit *kit;               /* to try; NULL: none */
    struct point *point;
    const Sealift__Member *opener;
    struct key_material material;
    json_t *steps;
    bool opens;
    struct err wrong; /* of what was given by hand */
};

static void explaining_deinit(struct explaining *explaining)
{
    point_free(explaining->point);
    kit_free(explaining->kit);
    key_material_deinit(&explaining->material);
    json_decref(explaining->steps);
}
DEFINE_AUTO_IN_PLACE(explaining, struct explaining, explaining_deinit)

/* --- rows --- */

/* What a step has come to: ERR_NONE, it opens; `tried` false, it was not asked. */
struct verdict {
    bool tried;
    enum err_code code;
    const char *reason;
};

static json_t *add_step(struct explaining *explaining, enum unlock_step step, const char *from,
                        const struct verdict *verdict)
{
    bool opens = verdict->tried && verdict->code == ERR_NONE;
    json_t *row = json_pack("{s:s, s:s, s:o, s:o, s:o}", "step", unlock_step_name(step), "from", from,
                            "opens", verdict->tried ? json_boolean(opens) : json_null(), "code",
                            json_integer(verdict->tried ? err_exit_code(verdict->code) : 0), "reason",
                            verdict->reason[0] ? json_lossy(span_str(verdict->reason)) : json_null());
    if (opens) explaining->opens = true;
    (void)json_array_append(explaining->steps, row);
    json_decref(row);
    return row; /* the array has it */
}

static void add_tried(struct explaining *explaining, enum unlock_step step, const char *from,
                      const struct err *why)
{
    const struct verdict verdict = {.tried = true, .code = why->code, .reason = why->text};
    (void)add_step(explaining, step, from, &verdict);
}

/* --- step 1: what is known --- */

static void explain_copy(struct explaining *explaining)
{
    struct err why = {0};
    AUTO(secret) struct secret *s = NULL;
    struct hash key_id = stored_hash(&explaining->point->body->key_id);
    if (keys_own_secret(explaining->cli, &key_id, &s, &why)) err_clear(&why);
    add_tried(explaining, UNLOCK_KNOWN, "this operator's copy", &why);
}

/* --- steps 1 and 2: at the opener --- */

static void add_kms(struct explaining *explaining, const Sealift__UnlockStep *step,
                    const struct verdict *verdict)
{
    AUTO(buf) struct buf from = {0};
    if (step->name[0])
        buf_printf(&from, "KMS '%s' of '%s'", step->name, explaining->opener->name);
    else
        buf_printf(&from, "'%s'", explaining->opener->name);
    json_t *row = add_step(explaining, UNLOCK_KMS, buf_cstr(&from), verdict);
    if (step->entry[0] == '\0') return;
    (void)json_object_set_new(row, "asked", step->name[0] ? json_lossy(span_str(step->name)) : json_null());
    (void)json_object_set_new(row, "entry", json_lossy(span_str(step->entry)));
    (void)json_object_set_new(row, "kind", json_lossy(span_str(step->kind)));
    (void)json_object_set_new(row, "master_key", json_lossy(span_str(step->master_key)));
}

static void add_opener_step(struct explaining *explaining, const Sealift__UnlockStep *step)
{
    enum err_code code = step->code ? client_code(step->code) : ERR_NONE;
    const struct verdict verdict = {.tried = true, .code = code, .reason = step->text};
    AUTO(buf) struct buf from = {0};
    if (step->step == UNLOCK_KMS) {
        add_kms(explaining, step, &verdict);
        return;
    }
    buf_printf(&from, "%s of '%s'", step->name, explaining->opener->name);
    (void)add_step(explaining, UNLOCK_KNOWN, buf_cstr(&from), &verdict);
}

static void add_opener_steps(struct explaining *explaining, const Sealift__UnlockReport *report,
                             uint32_t kind)
{
    for (size_t i = 0; i < report->n_steps; i++)
        if (report->steps[i]->step == kind) add_opener_step(explaining, report->steps[i]);
}

/* In the order in which they are taken: the opener's own, this operator's copy, then KMS. */
static bool ask_opener(struct explaining *explaining, struct err *err)
{
    AUTO(payload_unlock) Sealift__UnlockReport *report = NULL;
    if (!unlock_ask(explaining->cli, explaining->point, explaining->opener, &explaining->material, &report,
                    err))
        return false;
    add_opener_steps(explaining, report, UNLOCK_KNOWN);
    explain_copy(explaining);
    add_opener_steps(explaining, report, UNLOCK_KMS);
    return true;
}

/* --- steps 3 and 4 --- */

static bool give_password(void *arg, const char *label, struct secret **password, struct err *err)
{
    const struct explaining *explaining = arg;
    enum password_strength strength;
    (void)label;
    return secret_password(&explaining->password, "", SECRET_ONCE, password, &strength, err);
}

static const char *salt_place(const struct explaining *explaining)
{
    const struct unlock_more more = key_material_more(&explaining->material);
    if (unlock_takes_password(explaining->point->unlock, NULL)) return "the recovery point";
    return unlock_takes_password(explaining->point->unlock, &more) ? "elsewhere: the point has no salt"
                                                                   : NULL;
}

static void note_password(void *arg, const struct unlock_result *result)
{
    struct explaining *explaining = arg;
    struct err none = {0};
    if (result->step != UNLOCK_PASSWORD) return;
    add_tried(explaining, UNLOCK_PASSWORD, salt_place(explaining), result->why ? result->why : &none);
}

static void try_password(struct explaining *explaining)
{
    struct err why = {0};
    const struct unlock_more more = key_material_more(&explaining->material);
    const struct unlock_sources sources = {
        .password = give_password, .report = note_password, .arg = explaining};
    if (!unlock_explain(stored_span(&explaining->point->file->unlock), &more, &sources, &why))
        explaining->wrong = why;
}

static bool is_of_password(const struct explaining *explaining)
{
    return explaining->point->unlock->origin == SEALIFT__KEY_ORIGIN__KEY_FROM_PASSWORD;
}

static void explain_password(struct explaining *explaining)
{
    struct err why = {0};
    const char *place = salt_place(explaining);
    if (!place && is_of_password(explaining)) {
        (void)err_set(&why, ERR_SALT_MISSING, "the salt is missing, in the point and wherever it could be");
        add_tried(explaining, UNLOCK_PASSWORD, "nowhere", &why);
    } else if (!place) {
        (void)err_set(&why, ERR_NO_KEY, "the key has no password");
        add_tried(explaining, UNLOCK_PASSWORD, "-", &why);
    } else if (explaining->password.file || explaining->password.fd >= 0) {
        try_password(explaining);
    } else {
        const struct verdict verdict = {.reason = "a restore asks for it; --password-file tries it here"};
        (void)add_step(explaining, UNLOCK_PASSWORD, place, &verdict);
    }
}

static void explain_kit(struct explaining *explaining)
{
    struct err why = {0};
    AUTO(secret) struct secret *s = NULL;
    struct hash key_id = stored_hash(&explaining->point->body->key_id);
    const struct verdict none = {.reason = "none was given: --kit FILE tries one"};
    if (!explaining->kit) {
        (void)add_step(explaining, UNLOCK_KIT, "-", &none);
        return;
    }
    if (kit_secret(explaining->kit, &key_id, &s, &why)) err_clear(&why);
    add_tried(explaining, UNLOCK_KIT, args_value(explaining->args, "kit"), &why);
    if (why.code != ERR_NONE && explaining->wrong.code == ERR_NONE) explaining->wrong = why;
}

/* --- the answer --- */

static bool conclude(const struct explaining *explaining, struct err *err)
{
    const struct unlock_more more = key_material_more(&explaining->material);
    const char *label = explaining->point->body->key_label;
    if (explaining->opens) return true;
    if (is_of_password(explaining) && !unlock_takes_password(explaining->point->unlock, &more))
        return err_set(err, ERR_SALT_MISSING,
                       "nothing opens the recovery point: it is corrupted, the salt of key '%s' is missing",
                       label);
    if (explaining->wrong.code != ERR_NONE) {
        *err = explaining->wrong;
        return err_wrap(err, "nothing opens the recovery point");
    }
    if (unlock_takes_password(explaining->point->unlock, &more))
        return err_set(err, ERR_NO_KEY, "only the password of key '%s' may open the recovery point", label);
    return err_set(err, ERR_NO_KEY,
                   "nothing opens the recovery point: bring back a KMS, a copy of key '%s' at an operator "
                   "('sealift key grant'), or its file",
                   label);
}

/* Tables show what was not asked as such, and what a wrap was made by. */
static void add_shown(json_t *steps)
{
    size_t i;
    json_t *row;
    json_array_foreach(steps, i, row)
    {
        const json_t *opens = json_object_get(row, "opens");
        const char *entry = json_string_value(json_object_get(row, "entry"));
        (void)json_object_set_new(row, "shown",
                                  json_string(json_is_null(opens)   ? "not asked"
                                              : json_is_true(opens) ? "opens"
                                                                    : "no"));
        if (!entry) continue;
        (void)json_object_set_new(row, "wrap",
                                  json_sprintf("%s (%s) %s", entry,
                                               json_string_value(json_object_get(row, "kind")),
                                               json_string_value(json_object_get(row, "master_key"))));
    }
}

static void answer(struct explaining *explaining)
{
    static const struct column columns[] = {
        {"step", "STEP", COLUMN_TEXT}, {"from", "FROM", COLUMN_TEXT},     {"shown", "RESULT", COLUMN_TEXT},
        {"wrap", "WRAP", COLUMN_TEXT}, {"reason", "REASON", COLUMN_TEXT}, {0},
    };
    const struct output *output = &explaining->cli->output;
    if (output->form == OUTPUT_TEXT) {
        add_shown(explaining->steps);
        output_table(output, "steps", columns, json_incref(explaining->steps));
        return;
    }
    char fingerprint[KEY_FINGERPRINT_LEN];
    struct hash key_id = stored_hash(&explaining->point->body->key_id);
    key_fingerprint(&key_id, fingerprint);
    output_line(output,
                json_pack("{s:o, s:s, s:s, s:s, s:b, s:O}", "point",
                          json_hex(explaining->point->id.bytes, ID_LEN), "key",
                          explaining->point->body->key_label, "fingerprint", fingerprint, "opener",
                          explaining->opener->name, "opens", explaining->opens, "steps", explaining->steps),
                "%s", "");
}

static bool take_steps(struct explaining *explaining, struct err *err)
{
    if (!key_material_get(explaining->cli, explaining->point, &explaining->material, err) ||
        !key_material_find_salt(explaining->cli, explaining->point, &explaining->material, err) ||
        !ask_opener(explaining, err))
        return false;
    explain_password(explaining);
    explain_kit(explaining);
    answer(explaining);
    return conclude(explaining, err);
}

bool key_explain(struct cli *cli, const struct args *args, struct err *err)
{
    const struct identity *identity = NULL;
    AUTO(explaining) struct explaining explaining = {.cli = cli, .args = args, .steps = json_array()};
    if (!secret_source_of(args, "password-file", "password-fd", &explaining.password, err) ||
        !kit_take(args, &explaining.kit, err) ||
        !point_resolve(cli, args_operand(args, 0), args_value(args, "repository"), &explaining.point, err) ||
        !access_identity(cli, &identity, err))
        return false;
    if (!explaining.point->unlock) {
        output_line(&cli->output,
                    json_pack("{s:o, s:n, s:b, s:[]}", "point", json_hex(explaining.point->id.bytes, ID_LEN),
                              "key", "opens", 1, "steps"),
                    "the recovery point is not encrypted: it needs no key");
        return true;
    }
    return recover_opener(cli, explaining.point, args_value(args, "at"), &explaining.opener, err) &&
           take_steps(&explaining, err);
}
