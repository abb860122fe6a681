/* sealift transporter … */
#include "common/base/clock.h"
#include "common/base/text.h"
#include "director/cli/catalog_ask.h"
#include "director/cli/confirm.h"
#include "director/cli/generations.h"
#include "director/cli/keys.h"
#include "director/cli/member.h"
#include "director/cli/put.h"
#include "director/cli/time_word.h"
#include "director/cli/verbs.h"

#include <stdio.h>
#include <string.h>

/* --- pending --- */

static bool pending(struct cli *cli, const struct args *args, struct err *err)
{
    static const struct column columns[] = {
        {"name", "NAME", COLUMN_TEXT},
        {"fingerprint", "FINGERPRINT", COLUMN_TEXT},
        {0},
    };
    AUTO(pending_list) struct pending_list list = {0};
    if (!ask_pending(cli, &list, err)) return false;
    json_t *rows = json_array();
    for (size_t i = 0; i < list.count; i++) {
        char fingerprint[FINGERPRINT_TEXT_LEN];
        identity_fingerprint(&list.items[i], fingerprint);
        (void)json_array_append_new(
            rows, json_pack("{s:s, s:s}", "name", list.items[i].name, "fingerprint", fingerprint));
    }
    output_table(&cli->output, "pending", columns, rows);
    if (list.count)
        output_note(
            &cli->output,
            "'sealift transporter approve NAME --zone trusted' lets one in that may hold keys, '--zone "
            "untrusted' one that may not");
    else
        output_note(&cli->output,
                    "nobody asks to join: 'sealift-transporter --init' with the site line, then "
                    "start it");
    return true;
}

/* --- list, show --- */

static json_t *own_key_json(const Sealift__TransporterStatus *status)
{
    if (!status || !status->own_key || status->own_key->key_id.len != HASH_LEN) return json_null();
    struct hash key_id = stored_hash(&status->own_key->key_id);
    char fingerprint[KEY_FINGERPRINT_LEN];
    key_fingerprint(&key_id, fingerprint);
    return json_string(fingerprint);
}

/* Names with their kinds. What a director says is not believed to be names. */
static json_t *kms_json(const Sealift__TransporterStatus *status)
{
    struct err err;
    json_t *object = json_object();
    for (size_t i = 0; status && i < status->n_kms; i++)
        if (identity_name_check(status->kms[i]->name, &err) &&
            identity_name_check(status->kms[i]->kind, &err))
            (void)json_object_set_new(object, status->kms[i]->name, json_string(status->kms[i]->kind));
    return object;
}

static json_t *transporter_json(const Sealift__Member *member, const Sealift__TransporterStatus *status)
{
    char fingerprint[FINGERPRINT_TEXT_LEN];
    member_fingerprint(member, fingerprint);
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:o}", "name", member->name, "zone", zone_name(member->zone),
                  "fingerprint", fingerprint, "key", json_hex(member->sign_pk.data, SIGN_PK_LEN));
    (void)json_object_set_new(object, "connected", json_boolean(status && status->connected));
    (void)json_object_set_new(object, "last_seen", json_time(status ? status->last_seen_ns : 0));
    (void)json_object_set_new(object, "version",
                              status && status->version[0] ? json_string(status->version) : json_null());
    (void)json_object_set_new(object, "busy_slots", json_integer(status ? status->busy_slots : 0));
    (void)json_object_set_new(object, "slots", json_integer(status ? status->slots : 0));
    (void)json_object_set_new(object, "address",
                              status && status->address[0] ? json_string(status->address) : json_null());
    (void)json_object_set_new(object, "reverse_port",
                              status && status->reverse_endpoint[0] ? json_string(status->reverse_endpoint)
                                                                    : json_null());
    (void)json_object_set_new(object, "own_key", own_key_json(status));
    (void)json_object_set_new(object, "kms", kms_json(status));
    return object;
}

static json_t *revoked_json(const Sealift__Revocation *revocation)
{
    char fingerprint[FINGERPRINT_TEXT_LEN];
    member_fingerprint(revocation->member, fingerprint);
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:b}", "name", revocation->member->name, "zone", "revoked",
                     "fingerprint", fingerprint, "key",
                     json_hex(revocation->member->sign_pk.data, SIGN_PK_LEN), "revoked_since",
                     json_time(revocation->since_ns), "connected", 0);
}

static bool list(struct cli *cli, const struct args *args, struct err *err)
{
    static const struct column columns[] = {
        {"name", "NAME", COLUMN_TEXT},          {"zone", "ZONE", COLUMN_TEXT},
        {"connected", "CONNECTED", COLUMN_YES}, {"last_seen", "LAST SEEN", COLUMN_TEXT},
        {"version", "VERSION", COLUMN_TEXT},    {"busy_slots", "BUSY", COLUMN_NUMBER},
        {"slots", "SLOTS", COLUMN_NUMBER},      {0},
    };
    AUTO(payload_status) Sealift__StatusAnswer *status = NULL;
    AUTO(pending_list) struct pending_list pending = {0};
    if (!ask_status(cli, &status, err) || !ask_pending(cli, &pending, err)) return false;
    const Sealift__RosterBody *roster = roster_body(access_roster(cli));
    json_t *rows = json_array();
    for (size_t i = 0; i < roster->n_transporters; i++) {
        const Sealift__Member *member = roster->transporters[i];
        (void)json_array_append_new(
            rows, transporter_json(member, status_of_transporter(status, member->sign_pk.data)));
    }
    for (size_t i = 0; i < roster->n_revoked; i++)
        (void)json_array_append_new(rows, revoked_json(roster->revoked[i]));
    output_table(&cli->output, "transporters", columns, rows);
    access_note_pending(cli, pending.count);
    return true;
}

static bool show(struct cli *cli, const struct args *args, struct err *err)
{
    static const struct column columns[] = {
        {"name", "name", COLUMN_TEXT},
        {"zone", "trust zone", COLUMN_TEXT},
        {"fingerprint", "fingerprint", COLUMN_TEXT},
        {"connected", "connected", COLUMN_TEXT},
        {"last_seen", "last seen", COLUMN_WHEN},
        {"version", "version", COLUMN_TEXT},
        {"busy_slots", "busy slots", COLUMN_NUMBER},
        {"slots", "slots", COLUMN_NUMBER},
        {"address", "address", COLUMN_TEXT},
        {"reverse_port", "reverse port", COLUMN_TEXT},
        {"own_key", "own key", COLUMN_TEXT},
        {"kms", "KMS", COLUMN_TEXT},
        {0},
    };
    AUTO(payload_status) Sealift__StatusAnswer *status = NULL;
    const Sealift__Member *member = NULL;
    if (!ask_status(cli, &status, err)) return false;
    if (!access_transporter(cli, args_operand(args, 0), &member, err)) return false;
    output_record(&cli->output, columns,
                  transporter_json(member, status_of_transporter(status, member->sign_pk.data)));
    return true;
}

/* --- approve --- */

/* Anybody may ask to join under any name: where several wait under this one, the fingerprint chooses. */
static bool find_pending(const struct pending_list *list, const char *name, const char *fingerprint,
                         const struct identity_public **out, struct err *err)
{
    const struct identity_public *found = NULL;
    char shown[FINGERPRINT_TEXT_LEN] = "";
    size_t named = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].name, name) != 0) continue;
        named++;
        identity_fingerprint(&list->items[i], shown);
        if (fingerprint && !fingerprint_matches(shown, fingerprint)) continue;
        if (found)
            return err_set(err, ERR_USAGE,
                           "several hosts wait under the name '%s': say --fingerprint, as the right one "
                           "shows it",
                           name);
        found = &list->items[i];
    }
    if (!named)
        return err_set(err, ERR_NOT_FOUND,
                       "no transporter '%s' waits to be approved; 'sealift transporter pending' "
                       "lists those that do",
                       name);
    if (!found)
        return err_set(err, ERR_NOT_AUTHENTIC, "the fingerprint of '%s' is %s, not %s", name, shown,
                       fingerprint);
    *out = found;
    return true;
}

static bool confirm_approval(struct cli *cli, const struct args *args, const struct identity_public *known,
                             Sealift__Zone zone, struct err *err)
{
    char fingerprint[FINGERPRINT_TEXT_LEN], question[256];
    identity_fingerprint(known, fingerprint);
    output_note(&cli->output, "%s has the fingerprint %s", known->name, fingerprint);
    if (args_value(args, "fingerprint")) return true; /* find_pending compared */
    (void)snprintf(question, sizeof(question),
                   "does '%s' itself show the fingerprint %s, and shall it be in the %s zone", known->name,
                   fingerprint, zone_name(zone));
    if (confirm(args, question, err)) return true;
    return err->code == ERR_USAGE && err_set(err, ERR_USAGE,
                                             "there is no terminal to ask: say --fingerprint with what '%s' "
                                             "itself shows (its --init printed it), or --yes to believe the "
                                             "director",
                                             known->name);
}

static bool approve(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(pending_list) struct pending_list list = {0};
    const struct identity_public *known = NULL;
    Sealift__Zone zone;
    const char *name = args_operand(args, 0);
    if (!args_value(args, "zone"))
        return err_set(err, ERR_USAGE,
                       "--zone trusted or --zone untrusted is needed: may '%s' ever hold keys?", name);
    if (!zone_parse(args_value(args, "zone"), &zone, err) || !ask_pending(cli, &list, err)) return false;
    const Sealift__Member *there = roster_transporter_named(access_roster(cli), name);
    if (there)
        return err_set(err, ERR_EXISTS, "there is a transporter '%s' already, in the %s zone", name,
                       zone_name(there->zone));
    if (!find_pending(&list, name, args_value(args, "fingerprint"), &known, err) ||
        !confirm_approval(cli, args, known, zone, err))
        return false;
    Sealift__Member member;
    member_init(&member, known);
    member.zone = zone;
    AUTO(roster_edit) struct roster_edit edit;
    roster_edit_init(&edit, roster_body(access_roster(cli)));
    edit.transporters[edit.body.n_transporters++] = &member;
    if (!put_roster(cli, &edit.body, err)) return false;
    output_line(&cli->output,
                json_pack("{s:s, s:s, s:o}", "transporter", name, "zone", zone_name(zone), "roster",
                          json_count(roster_version(access_roster(cli)))),
                "%s is a transporter in the %s zone", name, zone_name(zone));
    return true;
}

/* --- revoke --- */

/* All that it was granted, of every generation of every key. */
static bool withdraw_all(struct cli *cli, const uint8_t host[SIGN_PK_LEN], struct err *err)
{
    AUTO(keys) struct keys keys = {0};
    size_t count = 0;
    if (!keys_get(cli, &keys, err)) return false;
    for (size_t i = 0; i < keys.grants.count; i++) {
        const Sealift__GrantBody *body = keys.grants.items[i]->body.grant;
        if (body->withdrawn || memcmp(body->recipient.data, host, SIGN_PK_LEN) != 0) continue;
        if (!keys_withdraw(cli, keys.grants.items[i], err)) return false;
        const struct hash key_id = stored_hash(&body->key_id);
        const struct key_entry *key = keys_with_id(&keys, &key_id);
        if (key && !generations_of_later(&keys, key))
            output_warning(&cli->output,
                           "it had the %s half of the key '%s', and keeps what it copied: sealift key "
                           "rotate %s",
                           body->half == SEALIFT__HALF__HALF_WRITE ? "write" : "read", body->key_label,
                           body->key_label);
        count++;
    }
    if (count)
        output_note(&cli->output, "%zu %s withdrawn", count,
                    plural(count, "grant of a key is", "grants of keys are"));
    return true;
}

static void move_to_revoked(struct roster_edit *edit, const Sealift__Member *member,
                            Sealift__Revocation *revocation)
{
    size_t kept = 0;
    for (size_t i = 0; i < edit->body.n_transporters; i++)
        if (edit->transporters[i] == member)
            revocation->member = edit->transporters[i];
        else
            edit->transporters[kept++] = edit->transporters[i];
    edit->body.n_transporters = kept;
    edit->revoked[edit->body.n_revoked++] = revocation;
}

static bool revoke_transporter(struct cli *cli, const struct args *args, struct err *err)
{
    struct client *client = NULL;
    const Sealift__Member *member = NULL;
    char question[256], since[21];
    uint64_t since_ns = clock_real_ns();
    const char *name = args_operand(args, 0);
    if (args_value(args, "since") && !time_word_parse(args_value(args, "since"), since_ns, &since_ns, err))
        return false;
    if (!access_director(cli, &client, err) || !access_transporter(cli, name, &member, err)) return false;
    time_format(since_ns, since);
    (void)snprintf(question, sizeof(question),
                   "revoke '%s': trust nothing that it wrote since %s, and let it in no more", name, since);
    if (!confirm(args, question, err)) return false;

    /* first, while it is in the roster: what fails is found and done by the same again, and holds up nothing
     */
    struct err why = {0};
    if (!withdraw_all(cli, member->sign_pk.data, &why))
        output_warning(&cli->output, "its grants of keys could not all be withdrawn: %s", why.text);
    Sealift__Revocation revocation = SEALIFT__REVOCATION__INIT;
    revocation.since_ns = since_ns;
    AUTO(roster_edit) struct roster_edit edit;
    roster_edit_init(&edit, roster_body(access_roster(cli)));
    move_to_revoked(&edit, member, &revocation);
    if (!put_roster(cli, &edit.body, err)) return false;
    output_line(&cli->output, json_pack("{s:s, s:s}", "transporter", name, "revoked_since", since),
                "%s is revoked, not trusted since %s", name, since);
    return true;
}

static const struct option_spec approve_options[] = {
    {"zone", "ZONE", "trusted: it may be given keys; untrusted: it never holds any"},
    {"fingerprint", "F", "as the transporter itself shows it: then nobody is asked"},
    CONFIRM_OPTION,
    {0},
};
static const struct option_spec revoke_options[] = {
    {"since", "TIME",
     "since when it is not trusted: 2026-11-20, 2026-11-20T03:00 (UTC) or 12h ago (default: now)"},
    CONFIRM_OPTION,
    {0},
};

const struct command transporter_commands[] = {
    {"transporter", "pending", "", "Lists the transporters that ask to join, with their fingerprints.",
     "$ sealift transporter pending\n"
     "NAME  FINGERPRINT\n"
     "web1  ABCD-EFGH-IJKL-MNOP-QRST-UVWX-YZ23-4567",
     NULL, 0, 0, pending},
    {"transporter", "list", "", "Lists the transporters of the site.",
     "$ sealift transporter list\n"
     "NAME   ZONE       CONNECTED  LAST SEEN             VERSION  BUSY  SLOTS\n"
     "web1   trusted    yes        2026-11-20T03:00:07Z  0.1.0       1      6\n"
     "vault  untrusted  yes        2026-11-20T03:00:05Z  0.1.0       1      6",
     NULL, 0, 0, list},
    {"transporter", "show", "NAME", "Shows one transporter.",
     "$ sealift transporter show web1\n"
     "name:        web1\n"
     "trust zone:  trusted",
     NULL, 1, 1, show},
    {"transporter", "approve", "NAME --zone trusted|untrusted [--fingerprint F] [--yes]",
     "Admits a transporter that asks to join. Compare the fingerprint with the one that it shows itself: "
     "only that\n"
     "tells it from a stranger under the same name. Then the next roster is signed.",
     "$ sealift transporter approve web1 --zone trusted\n"
     "does 'web1' itself show the fingerprint ABCD-…-4567, and shall it be in the trusted zone? [y/N] y\n"
     "web1 is a transporter in the trusted zone",
     approve_options, 1, 1, approve},
    {"transporter", "revoke", "NAME [--since TIME] [--yes]",
     "Lets a transporter in no more. What it wrote before is restored as ever; what it wrote since then is "
     "listed,\n"
     "and restored only with --accept-revoked.",
     "$ sealift transporter revoke web1 --since 2026-11-18\n"
     "web1 is revoked, not trusted since 2026-11-18T00:00:00Z",
     revoke_options, 1, 1, revoke_transporter},
    {0},
};
