#include "director/cli/nearest.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *const words[] = {"create", "list", "show", "rotate", "run", "repository"};
enum { WORDS = sizeof(words) / sizeof(words[0]) };

Test(nearest, distance_counts_edits_and_a_swap_as_one)
{
    cr_assert_eq(nearest_distance("rotate", "rotate"), 0);
    cr_assert_eq(nearest_distance("rottae", "rotate"), 1);
    cr_assert_eq(nearest_distance("kitten", "sitting"), 3);
    cr_assert_eq(nearest_distance("", "abc"), 3);
}

Test(nearest, finds_the_word_that_was_meant)
{
    cr_assert_str_eq(nearest_word("creat", words, WORDS), "create");
    cr_assert_str_eq(nearest_word("shwo", words, WORDS), "show");
    cr_assert_str_eq(nearest_word("repositroy", words, WORDS), "repository");
}

Test(nearest, does_not_guess_at_what_is_far_from_all)
{
    cr_assert_null(nearest_word("xyzzyx", words, WORDS));
    cr_assert_null(nearest_word("zq", words, WORDS));
    cr_assert_null(nearest_word("", words, WORDS));
}

Test(nearest, long_words_do_not_overrun)
{
    char longest[300];
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    cr_assert_null(nearest_word(longest, words, WORDS));
    cr_assert_eq(nearest_distance(longest, longest), 0);
}
