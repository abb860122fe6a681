#include "director/cli/member.h"

#include <criterion/criterion.h>

Test(member, fingerprints_compare_without_regard_to_case_and_dashes)
{
    const char *shown = "ABCD-EFGH-IJKL-MNOP-QRST-UVWX-YZ23-4567";
    cr_assert(fingerprint_matches(shown, shown));
    cr_assert(fingerprint_matches(shown, "abcdefghijklmnopqrstuvwxyz234567"));
    cr_assert(fingerprint_matches(shown, "abcd efgh ijkl mnop qrst uvwx yz23 4567"));
}

Test(member, every_part_of_a_fingerprint_counts)
{
    const char *shown = "ABCD-EFGH-IJKL-MNOP-QRST-UVWX-YZ23-4567";
    cr_assert_not(fingerprint_matches(shown, ""));
    cr_assert_not(fingerprint_matches(shown, "ABCD-EFGH-IJKL-MNOP-QRST-UVWX-YZ23-456"));
    cr_assert_not(fingerprint_matches(shown, "ABCD-EFGH-IJKL-MNOP-QRST-UVWX-YZ23-4567-A"));
    cr_assert_not(fingerprint_matches(shown, "BBCD-EFGH-IJKL-MNOP-QRST-UVWX-YZ23-4567"));
    cr_assert_not(fingerprint_matches(shown, "ABCD-EFGH-IJKL-MNOP-QRST-UVWX-YZ23-4568"));
}
