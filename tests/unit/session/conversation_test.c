#include "transporter/session/conversation.h"

#include <criterion/criterion.h>
#include <string.h>

/* All that the tables allow, written a second time: kind, and for each state who may send it. Conversations
 * are S (sealed), U (unsealed), C (copy), R (recovery). */
struct allowed {
    Sealift__Head__KindCase kind;
    const char *in[CONVERSATION_STATES]; /* NEW, READY, STREAM, DONE, ENDED */
};

#define KIND(name) SEALIFT__HEAD__KIND_##name

static const struct allowed at_listener[] = {
    {KIND(OPEN), {"SUCRP", "", "", "", ""}},         {KIND(ENVELOPE), {"", "S", "", "", ""}},
    {KIND(ASK), {"", "SUC", "SUC", "C", ""}},        {KIND(BATCH), {"", "UC", "SUC", "C", ""}},
    {KIND(COMMIT), {"", "SUC", "SUC", "C", ""}},     {KIND(FRAMES), {"", "R", "R", "", ""}},
    {KIND(KEEP_UNLOCK), {"", "C", "C", "C", ""}},    {KIND(FETCH_END), {"", "R", "R", "", ""}},
    {KIND(FAIL), {"", "SUCRP", "SUCRP", "SUC", ""}}, {KIND(DONE), {"", "CRP", "R", "SUC", ""}},
};

static const struct allowed at_dialler[] = {
    {KIND(OPENED), {"SUCRP", "", "", "", ""}}, {KIND(FAIL), {"SUCRP", "", "SUCRP", "", ""}},
    {KIND(HAVE), {"", "", "SUC", "", ""}},     {KIND(ACK), {"", "", "SUCP", "", ""}},
    {KIND(RECEIPT), {"", "", "SUC", "", ""}},  {KIND(MISSING), {"", "", "SUC", "", ""}},
    {KIND(WANT), {"", "", "R", "", ""}},       {KIND(CREDIT), {"", "", "R", "", "R"}},
    {KIND(DONE), {"", "", "R", "", ""}},
};

typedef bool step_fn(enum conversation_kind, enum conversation_state, Sealift__Head__KindCase,
                     enum conversation_state *, struct err *);

static bool is_allowed(const struct allowed *rows, size_t count, enum conversation_kind conversation,
                       enum conversation_state state, Sealift__Head__KindCase kind)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].kind == kind) return strchr(rows[i].in[state], "SUCRP"[conversation]) != NULL;
    return false;
}

static void check_side(const struct allowed *rows, size_t count, step_fn *step)
{
    for (int kind = 0; kind <= 100; kind++)
        for (enum conversation_kind conversation = 0; conversation < CONVERSATION_KINDS; conversation++)
            for (enum conversation_state state = 0; state < CONVERSATION_STATES; state++) {
                struct err err = {0};
                enum conversation_state next = CONVERSATION_STATES;
                bool is = step(conversation, state, (Sealift__Head__KindCase)kind, &next, &err);
                bool ought = is_allowed(rows, count, conversation, state, (Sealift__Head__KindCase)kind);
                cr_assert_eq(is, ought, "kind %d, conversation %d, state %d", kind, conversation, state);
                if (is)
                    cr_assert(next < CONVERSATION_STATES);
                else
                    cr_assert(err.code == ERR_PROTOCOL && next == CONVERSATION_STATES);
            }
}

Test(conversation, a_listener_takes_what_the_table_says_and_nothing_else)
{
    check_side(at_listener, sizeof(at_listener) / sizeof(at_listener[0]), conversation_listener);
}

Test(conversation, a_dialler_takes_what_the_table_says_and_nothing_else)
{
    check_side(at_dialler, sizeof(at_dialler) / sizeof(at_dialler[0]), conversation_dialler);
}

Test(conversation, a_peer_is_told_no_names)
{
    struct err err = {0};
    (void)err_set(&err, ERR_SYSTEM, "cannot open '/home/secret'");
    cr_assert_str_eq(conversation_public_text(&err), "a system call failed");
    (void)err_set(&err, ERR_NO_SPACE, "cannot write '/srv/store/x'");
    cr_assert_str_eq(conversation_public_text(&err), "there is no space left");
    /* whose own texts say more, and usually have no path in them: a side without a key must not find out by
     * what it answers which file a chunk is of */
    static const enum err_code telling[] = {ERR_NOT_AUTHENTIC, ERR_VERSION, ERR_PROTOCOL};
    for (size_t i = 0; i < sizeof(telling) / sizeof(telling[0]); i++) {
        (void)err_set(&err, telling[i], "a 'want' message that tells more");
        cr_assert_str_eq(conversation_public_text(&err), "a 'want' message that tells more");
        (void)err_set(&err, telling[i], "a plain chunk in an encrypted backup");
        (void)err_wrap(&err, "'/%s'", "home/secret");
        (void)err_wrap(&err, "1 could not be restored, the first of them");
        cr_assert_null(strstr(conversation_public_text(&err), "secret"), "%s",
                       conversation_public_text(&err));
        cr_assert_null(strchr(conversation_public_text(&err), '/'));
        /* nor by a file whose name reads like something else */
        (void)err_set(&err, telling[i], "'/home/repository 'a': cannot open the repository '/secret': of it");
        cr_assert_null(strstr(conversation_public_text(&err), "secret"));
        /* but where a repository is and what ails it stands in nobody's backup */
        (void)err_set(&err, telling[i], "the log ends at entry 2, but entry 4 was seen before");
        (void)err_wrap(&err, "cannot open the repository '%s'", "/srv/store/offsite");
        (void)err_wrap(&err, "repository '%s'", "offsite");
        cr_assert_str_eq(conversation_public_text(&err), err.text);
    }
    cr_assert_eq(conversation_fail_code(0), ERR_FAILED);
    cr_assert_eq(conversation_fail_code(4000000000u), ERR_FAILED);
    cr_assert_eq(conversation_fail_code(ERR_NO_SPACE), ERR_NO_SPACE);
}
