#include "director/cli/config_status.h"

#include "common/base/text.h"
#include "director/cli/access.h"
#include "director/cli/time_word.h"
#include "director/core/schedule.h"

#include <string.h>

/* --- copies that it makes by itself --- */

/* Two periods without a good one. */
static bool overdue(const Sealift__SelfBackup *backup, uint64_t now_ns)
{
    static const struct id any = {{0}};
    struct schedule schedule;
    struct err err;
    if (!schedule_parse(backup->spec, &any, &schedule, &err) || schedule.period_s == 0) return false;
    uint64_t most_ns = 2 * schedule.period_s * 1000000000;
    return now_ns > backup->good_ns && now_ns - backup->good_ns > most_ns;
}

static void warn_of_copies(const struct cli *cli, const Sealift__SelfBackup *backup, uint64_t now_ns)
{
    char age[24] = "";
    if (backup->good_ns && now_ns > backup->good_ns) time_word_age(now_ns - backup->good_ns, age);
    if (!backup->locked)
        output_warning(&cli->output,
                       "the director makes no copies of its state: it has no password for them, "
                       "which 'sealift config set-password' sets");
    else if (backup->text[0])
        output_warning(&cli->output, "the director's last copy of its state failed: %s; the newest is %s%s",
                       backup->text, age[0] ? "of this age: " : "missing", age);
    else if (overdue(backup, now_ns))
        output_warning(&cli->output, "the director has made no copy of its state for %s",
                       age[0] ? age : "ever");
}

static json_t *copies_json(const Sealift__SelfBackup *backup)
{
    return json_pack("{s:s, s:s, s:i, s:b, s:o, s:o, s:o}", "directory", backup->directory, "schedule",
                     backup->spec, "keep", (int)backup->keep, "password_set", backup->locked != 0,
                     "last_good", json_time(backup->good_ns), "next", json_time(backup->next_ns), "text",
                     backup->text[0] ? json_string(backup->text) : json_null());
}

/* --- a state that was brought back --- */

static json_t *names_of(const struct cli *cli, const ProtobufCBinaryData *keys, size_t count)
{
    json_t *names = json_array();
    for (size_t i = 0; i < count; i++) {
        char name[IDENTITY_NAME_MAX + 1];
        access_name_of(cli, keys[i].data, name);
        (void)json_array_append_new(names, json_string(name));
    }
    return names;
}

/* " until it has heard of '%s'", and for how long at most. */
static void warn_of_wait(const struct cli *cli, const ProtobufCBinaryData *key, const char *name,
                         uint64_t until_ns)
{
    const Sealift__Member *member = roster_transporter(access_roster(cli), key->data);
    char until[64] = "", time[24];
    if (member && member->zone != SEALIFT__ZONE__ZONE_TRUSTED) {
        time_format(until_ns, time);
        (void)snprintf(until, sizeof(until), ", or until %s", time);
    }
    output_warning(&cli->output,
                   "the director's state was brought back from a copy: it starts nothing by itself until it "
                   "has heard of '%s'%s ('sealift config proceed' does not wait)",
                   name, until);
}

static json_t *restored_json(const struct cli *cli, const Sealift__Restored *restored)
{
    json_t *waits = names_of(cli, restored->waits_for, restored->n_waits_for);
    json_t *without = names_of(cli, restored->goes_without, restored->n_goes_without);
    for (size_t i = 0; i < restored->n_waits_for; i++)
        warn_of_wait(cli, &restored->waits_for[i], json_string_value(json_array_get(waits, i)),
                     restored->until_ns);
    for (size_t i = 0; i < restored->n_goes_without; i++)
        output_warning(&cli->output,
                       "the director's state was brought back from a copy, and '%s' has not given back all "
                       "that it knows: schedules go on without it ('sealift config proceed' asks it no more)",
                       json_string_value(json_array_get(without, i)));
    return json_pack("{s:o, s:o, s:o, s:o}", "copied", json_time(restored->copied_ns), "waits_for", waits,
                     "until", json_time(restored->until_ns), "goes_without", without);
}

void config_status_say(const struct cli *cli, const Sealift__StatusAnswer *status, uint64_t now_ns,
                       json_t *document)
{
    const Sealift__SelfBackup *backup = status->self_backup;
    const Sealift__Restored *restored = status->restored;
    if (backup) warn_of_copies(cli, backup, now_ns);
    (void)json_object_set_new(document, "self_backup", backup ? copies_json(backup) : json_null());
    (void)json_object_set_new(document, "restored", restored ? restored_json(cli, restored) : json_null());
}
