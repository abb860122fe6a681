#include "transporter/core/content_progress.h"

#include <criterion/criterion.h>

Test(content_progress, follows_what_is_durable_and_not_what_is_read)
{
    static const struct {
        struct content_progress progress;
        uint64_t done;
    } rows[] = {
        {{0}, 0},
        {{.found = 1000}, 0},
        {{.found = 1000, .read = 600}, 0}, /* nothing was sent yet */
        {{.found = 1000, .read = 600, .sent = 300, .waiting = 300}, 0},
        {{.found = 1000, .read = 600, .sent = 300, .waiting = 200}, 200},
        {{.found = 1000, .read = 1000, .sent = 500}, 1000},
        {{.found = 1000, .unread = 900, .deduplicated = 900}, 900}, /* needs no sending */
        {{.found = 1000, .read = 100, .unread = 900, .deduplicated = 900, .sent = 40, .waiting = 20}, 950},
        {{.found = 100, .read = 150, .sent = 75}, 100},                  /* one grew while it was read */
        {{.found = 100, .read = 50, .deduplicated = 90, .sent = 1}, 50}, /* told out of step */
        {{.found = 100, .read = 50, .sent = 5, .waiting = 7}, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        cr_expect_eq(content_done(&rows[i].progress), rows[i].done, "row %zu: %llu", i,
                     (unsigned long long)content_done(&rows[i].progress));
}
