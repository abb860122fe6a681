/* sealift key … */
#include "common/base/text.h"
#include "director/cli/confirm.h"
#include "director/cli/generations.h"
#include "director/cli/key_create.h"
#include "director/cli/key_explain.h"
#include "director/cli/key_export.h"
#include "director/cli/key_last.h"
#include "director/cli/key_masters.h"
#include "director/cli/key_protect.h"
#include "director/cli/key_protectors.h"
#include "director/cli/key_rewrap.h"
#include "director/cli/key_rotate.h"
#include "director/cli/key_subset.h"
#include "director/cli/key_witness.h"
#include "director/cli/member.h"
#include "director/cli/point.h"
#include "director/cli/verbs.h"

#include <stdio.h>
#include <string.h>

/* --- list, show --- */

/* Fingerprints of the generations before, the latest first. */
static json_t *earlier_json(const Sealift__UnlockSection *section)
{
    json_t *list = json_array();
    for (size_t i = 0; section && i < section->n_earlier; i++) {
        char fingerprint[KEY_FINGERPRINT_LEN];
        struct hash key_id = stored_hash(&section->earlier[i]);
        key_fingerprint(&key_id, fingerprint);
        (void)json_array_append_new(list, json_string(fingerprint));
    }
    return list;
}

static json_t *key_json(const struct cli *cli, const struct key_entry *key)
{
    char fingerprint[KEY_FINGERPRINT_LEN], source[IDENTITY_NAME_MAX + 1] = "";
    key_fingerprint(&key->key_id, fingerprint);
    if (key->own) access_name_of(cli, key->source, source);
    const Sealift__UnlockSection *section = key->section;
    const char *origin = key->own ? "own" : section ? key_origin_name(section->origin) : "?";
    json_t *object = json_pack("{s:s, s:o, s:s, s:s, s:o}", "name", key->label, "id",
                               json_hex(key->key_id.bytes, HASH_LEN), "fingerprint", fingerprint, "origin",
                               origin, "description", json_lossy(span_str(key->description)));
    (void)json_object_set_new(object, "source", key->own ? json_string(source) : json_null());
    (void)json_object_set_new(object, "dedup_domain",
                              section && section->shared_domain[0] ? json_string(section->shared_domain)
                                                                   : json_null());
    (void)json_object_set_new(object, "protectors", key_protectors_json(section));
    (void)json_object_set_new(object, "outside_protector",
                              json_boolean(key_has_outside_protector(cli->state, key)));
    (void)json_object_set_new(object, "have_copy", json_boolean(!id_is_zero(&key->read_grant)));
    (void)json_object_set_new(object, "generation", json_integer((json_int_t)generations_number(key)));
    (void)json_object_set_new(object, "earlier", earlier_json(section));
    return object;
}

static bool list(struct cli *cli, const struct args *args, struct err *err)
{
    static const struct column columns[] = {
        {"name", "NAME", COLUMN_TEXT},
        {"origin", "FROM", COLUMN_TEXT},
        {"generation", "GENERATION", COLUMN_NUMBER},
        {"protector_words", "PROTECTORS", COLUMN_TEXT},
        {"have_copy", "COPY HERE", COLUMN_YES},
        {"fingerprint", "FINGERPRINT", COLUMN_TEXT},
        {"description", "DESCRIPTION", COLUMN_TEXT},
        {0},
    };
    AUTO(keys) struct keys keys = {0};
    if (!keys_get(cli, &keys, err)) return false;
    json_t *rows = json_array();
    for (size_t i = 0; i < keys.count; i++) {
        if (generations_of_later(&keys, &keys.items[i])) continue; /* the newest generation of each */
        json_t *row = key_json(cli, &keys.items[i]);
        AUTO(buf) struct buf words = {0};
        key_protectors_words(keys.items[i].section, &words);
        if (cli->output.form == OUTPUT_TEXT)
            (void)json_object_set_new(row, "protector_words", json_string(buf_cstr(&words)));
        (void)json_array_append_new(rows, row);
    }
    output_table(&cli->output, "keys", columns, rows);
    return statements_believed(&keys.grants, err);
}

static json_t *grants_json(const struct cli *cli, const struct keys *keys, const struct key_entry *key)
{
    json_t *list = json_array();
    for (size_t i = 0; i < keys->grants.count; i++) {
        const Sealift__GrantBody *body = keys->grants.items[i]->body.grant;
        char name[IDENTITY_NAME_MAX + 1];
        if (body->withdrawn || memcmp(body->key_id.data, key->key_id.bytes, HASH_LEN) != 0) continue;
        access_name_of(cli, body->recipient.data, name);
        bool write = body->half == SEALIFT__HALF__HALF_WRITE;
        AUTO(key_subset) struct key_subset subset = {0};
        key_subset_of(body, &subset);
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s, s:s?, s:o}", "recipient", name, "half", write ? "write" : "read",
                            "domain", write ? body->domain : NULL, "kms", key_subset_json(&subset)));
    }
    return list;
}

static json_t *grant_lines(json_t *grants)
{
    json_t *lines = json_array();
    for (size_t i = 0; i < json_array_size(grants); i++) {
        json_t *grant = json_array_get(grants, i);
        const char *domain = json_string_value(json_object_get(grant, "domain"));
        AUTO(buf) struct buf words = {0};
        buf_printf(&words, "%s: %s half%s%s", json_string_value(json_object_get(grant, "recipient")),
                   json_string_value(json_object_get(grant, "half")), domain ? ", domain " : "",
                   domain ? domain : "");
        if (json_is_array(json_object_get(grant, "kms"))) {
            buf_put_str(&words, ", points carry ");
            key_subset_words(json_object_get(grant, "kms"), &words);
        }
        (void)json_array_append_new(lines, json_string(buf_cstr(&words)));
    }
    return lines;
}

/* Those that nobody opens any more once the key is lost. */
static bool add_points(struct cli *cli, const struct args *args, const struct key_entry *key, json_t *object,
                       struct err *err)
{
    AUTO(points) struct points points = {0};
    AUTO(statements) struct statements repositories = {0};
    if (!statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &repositories, err) ||
        !key_points(cli, key, KEY_POINTS_OF_ALL, &points, err))
        return false;
    json_t *list = json_array(), *lines = json_array();
    for (size_t i = 0; i < points.count; i++) {
        const struct point *point = points.items[i];
        char repository[IDENTITY_NAME_MAX + 1], hex[2 * ID_LEN + 1], time[21];
        statements_name_of(&repositories, &point->repository, repository);
        hex_encode(point->id.bytes, ID_LEN, hex);
        time_format(point->time_ns, time);
        (void)json_array_append_new(list,
                                    json_pack("{s:s, s:s, s:s, s:o}", "point", hex, "repository", repository,
                                              "job", point->body->job, "time", json_time(point->time_ns)));
        (void)json_array_append_new(
            lines, json_sprintf("%.12s of '%s' in '%s', %s", hex, point->body->job, repository, time));
    }
    (void)json_object_set_new(object, "points", list);
    if (cli->output.form == OUTPUT_TEXT)
        (void)json_object_set_new(object, "point_list", lines);
    else
        json_decref(lines);
    if (args_flag(args, "ask")) key_masters_ask(cli, key, &points, args_value(args, "at"), object);
    if (points.doubt.code == ERR_NONE) return true;
    output_warning(&cli->output, "not every point can be believed: %s", points.doubt.text);
    return true;
}

static bool show(struct cli *cli, const struct args *args, struct err *err)
{
    static const struct column columns[] = {
        {"name", "name", COLUMN_TEXT},
        {"description", "description", COLUMN_TEXT},
        {"origin", "comes from", COLUMN_TEXT},
        {"source", "source", COLUMN_TEXT},
        {"fingerprint", "fingerprint", COLUMN_TEXT},
        {"id", "id", COLUMN_TEXT},
        {"generation", "generation", COLUMN_NUMBER},
        {"earlier_list", "earlier ones", COLUMN_TEXT},
        {"dedup_domain", "dedup domain", COLUMN_TEXT},
        {"have_copy", "copy here", COLUMN_TEXT},
        {"protector_list", "protectors", COLUMN_SOME},
        {"grant_list", "granted to", COLUMN_TEXT},
        {"point_list", "points that are lost with it", COLUMN_TEXT},
        {"master_list", "master keys", COLUMN_TEXT},
        {0},
    };
    AUTO(keys) struct keys keys = {0};
    const struct key_entry *key = NULL;
    bool ask = args_flag(args, "ask");
    if (args_value(args, "at") && !ask) return err_set(err, ERR_USAGE, "--at goes with --ask");
    if (!keys_get(cli, &keys, err) || !keys_named(&keys, args_operand(args, 0), &key, err)) return false;
    json_t *object = key_json(cli, key);
    json_t *grants = grants_json(cli, &keys, key);
    (void)json_object_set_new(object, "grants", grants);
    if (cli->output.form == OUTPUT_TEXT) {
        (void)json_object_set_new(object, "grant_list", grant_lines(grants));
        (void)json_object_set_new(object, "earlier_list", earlier_json(key->section));
        (void)json_object_set_new(object, "protector_list", key_protectors_lines(key->section));
    }
    if ((ask || args_flag(args, "points")) && !add_points(cli, args, key, object, err)) {
        json_decref(object);
        return false;
    }
    output_record(&cli->output, columns, object);
    key_warn_unprotected(cli, key);
    return true;
}

/* --- the warning --- */

static bool dismiss(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(keys) struct keys keys = {0};
    const struct key_entry *key = NULL;
    if (!keys_get(cli, &keys, err) || !keys_named(&keys, args_operand(args, 0), &key, err)) return false;
    if (key_has_outside_protector(cli->state, key))
        return err_set(err, ERR_NOT_FOUND,
                       "there is no warning about the key '%s': something outside brings it back",
                       key->label);
    if (!state_accept_risk(cli->state, &key->key_id, err)) return false;
    output_line(&cli->output, json_pack("{s:s, s:b}", "key", key->label, "dismissed", 1),
                "%s: this operator is not warned any more that nothing outside brings it back", key->label);
    return true;
}

/* --- grant, withdraw --- */

/* A transporter, or else an operator, of this name. */
static bool find_recipient(struct cli *cli, const char *name, const Sealift__Member **out, struct err *err)
{
    const Sealift__Member *host = roster_transporter_named(access_roster(cli), name);
    const Sealift__Member *person = roster_operator_named(access_roster(cli), name);
    if (host && person)
        return err_set(err, ERR_USAGE,
                       "'%s' is a transporter and an operator: say transporter:%s or operator:%s", name, name,
                       name);
    if (strncmp(name, "operator:", 9) == 0) person = roster_operator_named(access_roster(cli), name + 9);
    if (strncmp(name, "transporter:", 12) == 0)
        host = roster_transporter_named(access_roster(cli), name + 12);
    *out = host ? host : person;
    if (*out) return true;
    if (access_is_pending(cli, strncmp(name, "transporter:", 12) == 0 ? name + 12 : name, err)) return false;
    return err_set(err, ERR_NOT_FOUND, "there is neither a transporter nor an operator '%s'", name);
}

struct grant_words {
    const struct key_entry *key;
    const Sealift__Member *recipient;
    bool write;
    char domain[IDENTITY_NAME_MAX + 3]; /* write */
};

/* KEY RECIPIENT --half write|read [--for SOURCE] */
static bool read_words(struct cli *cli, const struct args *args, const struct keys *keys,
                       struct grant_words *out, struct err *err)
{
    const char *half = args_value(args, "half"), *source = args_value(args, "for");
    if (!half || (strcmp(half, "write") != 0 && strcmp(half, "read") != 0))
        return err_set(err, ERR_USAGE, "--half write or --half read is needed");
    out->write = strcmp(half, "write") == 0;
    if (source && !out->write) return err_set(err, ERR_USAGE, "--for goes with --half write");
    if (!keys_named(keys, args_operand(args, 0), &out->key, err) ||
        !find_recipient(cli, args_operand(args, 1), &out->recipient, err))
        return false;
    const Sealift__Member *from = out->recipient;
    if (source && !access_transporter(cli, source, &from, err)) return false;
    if (out->write) keys_domain_of(out->key, from->name, out->domain);
    return true;
}

static void say_grant(const struct cli *cli, const struct grant_words *words, const char *verb)
{
    output_line(&cli->output,
                json_pack("{s:s, s:s, s:s, s:s?}", "key", words->key->label, "recipient",
                          words->recipient->name, "half", words->write ? "write" : "read", "domain",
                          words->write ? words->domain : NULL),
                "%s the %s half of %s: %s%s%s", verb, words->write ? "write" : "read", words->key->label,
                words->recipient->name, words->write ? ", domain " : "", words->write ? words->domain : "");
}

static bool grant(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(keys) struct keys keys = {0};
    AUTO(read_half) struct read_half *half = NULL;
    struct grant_words words;
    if (!keys_get_newest(cli, args, &keys, err) || !read_words(cli, args, &keys, &words, err)) return false;
    AUTO(key_subset) struct key_subset subset = {0};
    if (words.write)
        key_subset_of(
            key_subset_grant(&keys, &words.key->key_id, words.recipient->sign_pk.data, words.domain),
            &subset);
    if (!keys_open(cli, words.key, &half, err) ||
        !keys_grant_writer(cli, words.key, half, words.recipient, words.write ? words.domain : NULL, &subset,
                           err))
        return false;
    say_grant(cli, &words, "granted");
    return true;
}

static bool withdraw(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(keys) struct keys keys = {0};
    struct grant_words words;
    size_t count = 0;
    if (!keys_get(cli, &keys, err) || !read_words(cli, args, &keys, &words, err) ||
        (!words.write && !key_last_confirm(cli, args, &keys, words.key, words.recipient->sign_pk.data, err)))
        return false;
    for (size_t i = 0; i < keys.grants.count; i++) {
        const struct statement *statement = keys.grants.items[i];
        const Sealift__GrantBody *body = statement->body.grant;
        bool write = body->half == SEALIFT__HALF__HALF_WRITE;
        struct hash key_id = stored_hash(&body->key_id);
        if (body->withdrawn || write != words.write || !generations_has(words.key, &key_id) ||
            memcmp(body->recipient.data, words.recipient->sign_pk.data, SIGN_PK_LEN) != 0 ||
            (write && strcmp(body->domain, words.domain) != 0))
            continue;
        if (!keys_withdraw(cli, statement, err)) return false;
        count++;
    }
    if (!count)
        return err_set(err, ERR_NOT_FOUND, "'%s' has no such grant of the key '%s'", words.recipient->name,
                       words.key->label);
    say_grant(cli, &words, "withdrew");
    output_note(&cli->output, "a recipient that kept a copy still has it: only a new key takes it away");
    return true;
}

static const struct option_spec grant_options[] = {
    {"half", "HALF", "write: seal new points, read nothing back; read: open what was sealed"},
    {"for", "SOURCE", "write: the source whose deduplication domain it is (a target that seals for SOURCE)"},
    UNWITNESSED_OPTION,
    {0},
};
static const struct option_spec withdraw_options[] = {
    {"half", "HALF", "write or read"},
    {"for", "SOURCE", "write: the source whose deduplication domain it is"},
    CONFIRM_OPTION,
    {0},
};

static const struct option_spec show_options[] = {
    {"points", NULL, "also the points that nobody can open any more once the key is lost"},
    {"ask", NULL,
     "and have the KMS asked for each wrap: which master keys are gone, and what is lost with them"},
    {"at", "TRANSPORTER", "who asks (default: the one that would open the point)"},
    {0},
};

const struct command key_commands[] = {
    {"key", "create",
     "NAME --description TEXT (--password | --from-file F | --generate | --own T) [--kms ENTRY] "
     "[--dedup-domain D]",
     "Makes a key and gives its read half to every operator. Transporters get a half only by 'key grant', "
     "or\n"
     "when a job needs it.\n"
     "With --dedup-domain all sources that use the key deduplicate against each other. The price: a member "
     "that is\n"
     "taken over can test guesses at what others store, and plant a false chunk that others would refer to\n"
     "(a restore detects it).",
     "$ sealift key create main --description 'all servers, kept by anna' --generate\n"
     "main is a key, fingerprint ABCD-EFGH-IJKL-MNOP-QRST-UVWX-YZ23-4567",
     key_create_options, 1, 1, key_create},
    {"key", "list", "", "Lists the keys.",
     "$ sealift key list\n"
     "NAME  FROM       GENERATION  PROTECTORS  COPY HERE  FINGERPRINT                              "
     "DESCRIPTION\n"
     "main  generated           1  -           yes        ABCD-EFGH-IJKL-MNOP-QRST-UVWX-YZ23-4567  all "
     "servers, kept by anna",
     NULL, 0, 0, list},
    {"key", "show", "KEY",
     "Shows one key and who has which half of it. KEY is its name, or the start of its fingerprint.",
     "$ sealift key show main\n"
     "name:        main\n"
     "granted to:  anna: read half\n"
     "             web1: write half, domain t:web1",
     show_options, 1, 1, show},
    {"key", "explain", "POINT [--at TRANSPORTER] [--repository R] [--password-file F] [--kit F]",
     "Says what each step of the unlock order comes to for a recovery point.\n"
     "All are tried: grants, this operator's copy, every KMS entry of the opener that fits a wrap, and a "
     "password or\n"
     "recovery kit if one is given. Nothing is restored or changed. Succeeds if a step opens the point.",
     "$ sealift key explain web@latest\n"
     "STEP       FROM                  RESULT     WRAP  REASON\n"
     "known key  own key of 'web'      no         -     this host has none\n"
     "known key  read grant of 'web'   no         -     no read grant\n"
     "known key  this operator's copy  opens      -     -\n"
     "password   the recovery point    not asked  -     a restore asks for it; --password-file tries it here",
     key_explain_options, 1, 1, key_explain},
    {"key", "protect", "KEY (--kms ENTRY [--at T] | --password --description TEXT) [--existing]",
     "Adds a way to bring a key back: a KMS entry, or a further password.\n"
     "A KMS entry of a trusted transporter wraps the key once, now. New points carry the wrap; with "
     "--existing it "
     "is also\n"
     "kept beside those that are there. Any one protector is enough, and none of them is asked for a backup.",
     "$ sealift key protect main --kms eu --at web1 --existing\n"
     "main is protected by: KMS eu",
     key_protect_options, 1, 1, key_protect},
    {"key", "unprotect", "KEY (--kms ENTRY | --password DESCRIPTION) [--dry-run] [--yes]",
     "Takes a protector off a key: new points come without it. Points that are there keep it until the "
     "master key\n"
     "is disabled in the KMS or they are encrypted again. The last protector stays (exit code 5).",
     "$ sealift key unprotect main --kms eu --dry-run\n"
     "main: new points would be without the KMS 'eu'\n"
     "  job web",
     key_unprotect_options, 1, 1, key_unprotect},
    {"key", "dismiss-warning", "KEY",
     "Ends the warning that nothing outside the operators' copies brings a key back. It is this operator's "
     "answer,\n"
     "once for each key; other operators are warned as before.",
     "$ sealift key dismiss-warning main\n"
     "main: this operator is not warned any more that nothing outside brings it back",
     NULL, 1, 1, dismiss},
    {"key", "grant", "KEY TRANSPORTER|OPERATOR --half write|read [--for SOURCE]",
     "Gives a half of a key to a transporter in the trusted zone, or the read half to an operator.",
     "$ sealift key grant main restorer --half read\n"
     "granted the read half of main: restorer",
     grant_options, 2, 2, grant},
    {"key", "withdraw", "KEY TRANSPORTER|OPERATOR --half write|read [--for SOURCE] [--yes]",
     "Takes a grant back, of all generations of the key.\n"
     "Where it is the last copy, and nothing outside brings the key back, the points that are lost with it "
     "are "
     "named\n"
     "and it has to be confirmed.",
     "$ sealift key withdraw main restorer --half read\n"
     "withdrew the read half of main: restorer",
     withdraw_options, 2, 2, withdraw},
    {"key", "rotate",
     "KEY (--password | --from-file F | --generate) [--new-dedup] [--rewrap [--at T]] [--without-kms "
     "NAME]...",
     "Makes a new generation of a key under the same name; points that are there stay readable.\n"
     "Grants of it go to all who have the one before, jobs are signed again with it, and write grants of the "
     "one\n"
     "before are withdrawn. The new generation holds the secrets of all earlier ones. What was interrupted "
     "is\n"
     "finished by the same command. The deduplication secret is kept, and nothing is stored again, but with\n"
     "the option --new-dedup. The KMS entries that protect the key must protect the new generation too, or "
     "are\n"
     "left out by name.",
     "$ sealift key rotate main --generate --yes\n"
     "main is rotated: generation 2, fingerprint ABCD-EFGH-IJKL-MNOP-QRST-UVWX-YZ23-4567; 3 jobs signed "
     "again",
     key_rotate_options, 1, 1, key_rotate},
    {"key", "rewrap", "KEY [--at TRANSPORTER]",
     "Has a trusted transporter seal what the old seals of a rotated key hold to its newest generation.\n"
     "In each repository that has points of earlier generations; afterwards the earlier secrets are needed "
     "no more\n"
     "for them. What was interrupted is finished by the same command. It takes nothing from who copied an "
     "earlier\n"
     "secret, or the run keys of a point: only a copy with --reencrypt does.",
     "$ sealift key rewrap main --at web1\n"
     "REPOSITORY  AT    STATE  WHAT WAS DONE\n"
     "offsite     web1  ok     30 seals rewrapped, 0 were before",
     key_rewrap_options, 1, 1, key_rewrap},
    {"key", "export", "KEY (--out FILE | --print)",
     "Makes a recovery kit: the key with all its generations, as text.\n"
     "Under a password of its own, for a file or for paper. The kit and its password open every recovery "
     "point of\n"
     "the key, with nothing else of the site. Make a new one after each rotation.",
     "$ sealift key export main --out main.kit\n"
     "the recovery kit of 'main' is in 'main.kit'",
     key_export_options, 1, 1, key_export},
    {"key", "import", "--kit FILE",
     "Gives the key of a recovery kit to the operators of this site: those who have no copy of it get one.",
     "$ sealift key import --kit main.kit\n"
     "main is here, fingerprint ABCD-EFGH-IJKL-MNOP-QRST-UVWX-YZ23-4567; 2 operators got a copy",
     key_import_options, 0, 0, key_import},
    {"key", "delete", "KEY [--yes]",
     "Takes every copy of a key back that this site has handed out. Refused while a job uses the key, or a "
     "recovery\npoint needs it.",
     "$ sealift key delete old --yes\n"
     "old is deleted: 3 grants are withdrawn",
     key_delete_options, 1, 1, key_delete},
    {0},
};
