#include "transporter/core/public_text.h"

#include "common/base/auto.h"

#include <criterion/criterion.h>

Test(public_text, has_no_paths)
{
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"", ""},
        {"the log is full", "the log is full"},
        {"repository 'main': cannot open '/srv/salaries': Permission denied",
         "repository 'main': cannot open '…': Permission denied"},
        {"does not allow to keep a repository in '/srv/x' (setting 'repositories')",
         "does not allow to keep a repository in '…' (setting 'repositories')"},
        {"cannot publish 'open/1' as '/srv/x/packs/ab'", "cannot publish 'open/1' as '…'"},
        {"cannot open '/srv/anna's/x': gone", "cannot open '…': gone"},
        {"'/a' and '/b'", "'…' and '…'"},
        {"cannot open '/srv/a very long name that was cu...", "cannot open '…"},
        {"cannot open '/", "cannot open '…"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO(buf) struct buf out = {0};
        public_text(cases[i].text, &out);
        cr_expect_str_eq(buf_cstr(&out), cases[i].shown);
    }
}
