#include "transporter/session/absence.h"

#include <criterion/criterion.h>
#include <string.h>

static struct absence absence;
static char told[ABSENCE_TEXT_MAX];

static void setup(void)
{
    absence_init(&absence);
}

static void teardown(void)
{
    absence_deinit(&absence);
}

TestSuite(absence, .init = setup, .fini = teardown);

Test(absence, is_told_when_it_lasts_and_with_what_is_known_last)
{
    absence_say(&absence, "refused", 5000);
    absence_read(&absence, 5000 + ABSENCE_TOLD_MS - 1, told);
    cr_assert_str_eq(told, "", "two sides that meet at once wait for nobody");
    absence_say(&absence, "no answer", 5000 + ABSENCE_TOLD_MS - 1);
    absence_read(&absence, 5000 + ABSENCE_TOLD_MS, told);
    cr_assert_str_eq(told, "no answer");
}

Test(absence, that_ends_is_told_no_more_and_the_next_one_begins_anew)
{
    absence_say(&absence, "refused", 5000);
    absence_end(&absence);
    absence_read(&absence, 60000, told);
    cr_assert_str_eq(told, "");
    absence_say(&absence, "refused", 60000);
    absence_read(&absence, 60000, told);
    cr_assert_str_eq(told, "");
}

Test(absence, a_longer_text_is_cut)
{
    char text[2 * ABSENCE_TEXT_MAX];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    absence_say(&absence, text, 0);
    absence_read(&absence, ABSENCE_TOLD_MS, told);
    cr_assert_eq(strlen(told), ABSENCE_TEXT_MAX - 1);
}

Test(absence, is_told_in_plain_text_only)
{
    absence_say(&absence, "a\x1b[2J\nb\xc3\xa4", 0);
    absence_read(&absence, ABSENCE_TOLD_MS, told);
    cr_assert_str_eq(told, "a?[2J?b??");
}
