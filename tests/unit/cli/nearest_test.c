#include "director/cli/nearest.h"

#include <criterion/criterion.h>
#include <string.h>

static const char *const words[] = {"create", "list", "show", "rotate", "run", "repository"};
enum { WORDS = sizeof(words) / sizeof(words[0]) };

/* What is meant is two edits away at most: a swap of neighbours is one, not two. */
Test(nearest, counts_a_swap_of_neighbours_as_one_edit)
{
    static const char *const word[] = {"abcdef"};
    cr_assert_str_eq(nearest_word("abcdef", word, 1), "abcdef");
    cr_assert_str_eq(nearest_word("badcef", word, 1), "abcdef", "two swaps");
    cr_assert_null(nearest_word("badcfe", word, 1), "three swaps");
    cr_assert_str_eq(nearest_word("abcd", word, 1), "abcdef", "two missing");
    cr_assert_null(nearest_word("abxyz", word, 1), "more than two");
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
    const char *const one[] = {longest};
    cr_assert_str_eq(nearest_word(longest, one, 1), longest);
}
