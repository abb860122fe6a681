#include "transporter/core/node.h"
#include "transporter/core/policy.h"

#include <criterion/criterion.h>
#include <string.h>

static char db[] = "db", gone[] = "gone", freeze[] = "freeze", program[] = "/bin/true";
static char *argv[] = {program, NULL};
static struct policy_command streams[] = {
    {.name = db, .argv = argv},
    {.name = gone, .restore = argv},
};
static struct policy_command scripts[] = {{.name = freeze, .argv = argv}};
static const struct policy policy = {
    .streams = streams, .stream_count = 2, .scripts = scripts, .script_count = 1};

static void assert_refused(enum policy_use use, const char *name, const char *words)
{
    const struct policy_command *command = NULL;
    struct err err = {0};
    cr_assert_not(policy_command(&policy, use, name, &command, &err));
    cr_expect_eq(err.code, ERR_POLICY);
    cr_expect(strstr(err.text, words), "%s", err.text);
    cr_expect_null(command);
}

Test(policy_command, is_found_by_its_name_and_use)
{
    const struct policy_command *command = NULL;
    struct err err = {0};
    cr_assert(policy_command(&policy, POLICY_STREAM_BACKUP, "db", &command, &err), "%s", err.text);
    cr_assert_eq(command, &streams[0]);
    cr_assert(policy_command(&policy, POLICY_STREAM_RESTORE, "gone", &command, &err), "%s", err.text);
    cr_assert_eq(command, &streams[1]);
    cr_assert(policy_command(&policy, POLICY_SCRIPT, "freeze", &command, &err), "%s", err.text);
    cr_assert_eq(command, &scripts[0]);
}

Test(policy_command, that_is_not_configured_is_refused_by_name)
{
    assert_refused(POLICY_STREAM_BACKUP, "freeze", "no stream 'freeze' (setting 'streams')");
    assert_refused(POLICY_SCRIPT, "db", "no script 'db' (setting 'scripts')");
    assert_refused(POLICY_STREAM_BACKUP, "gone", "the stream 'gone' no 'command'");
    assert_refused(POLICY_STREAM_RESTORE, "db", "the stream 'db' no 'restore'");
}

Test(object_kind, is_parsed_as_it_is_named_and_others_are_refused_by_name)
{
    struct err err = {0};
    for (int kind = OBJECT_TREE; kind <= OBJECT_STREAM; kind++) {
        enum object_kind parsed = 0;
        cr_assert(object_kind_parse(object_kind_name((enum object_kind)kind), &parsed, &err), "%s", err.text);
        cr_assert_eq((int)parsed, kind);
    }
    enum object_kind untouched = OBJECT_TREE;
    cr_assert_not(object_kind_parse("video", &untouched, &err));
    cr_assert_eq(err.code, ERR_VERSION);
    cr_assert(strstr(err.text, "'video'"));
    cr_assert_eq(untouched, OBJECT_TREE);
}
