#include "transporter/proxy/core/rendezvous_name.h"

#include <criterion/criterion.h>
#include <string.h>

static const char golden[] = "aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq.3.b.rendezvous.sealift";

static struct rendezvous_name sample(void)
{
    struct rendezvous_name name = {.stripe = 3, .side = RENDEZVOUS_B};
    for (size_t i = 0; i < RENDEZVOUS_ID_LEN; i++)
        name.id[i] = (uint8_t)i;
    return name;
}

Test(rendezvous_name, is_printed_and_read_as_it_always_was)
{
    char text[RENDEZVOUS_NAME_LEN + 1];
    struct rendezvous_name name = sample(), read;
    rendezvous_name_print(&name, text);
    cr_assert_str_eq(text, golden);
    cr_assert(rendezvous_name_parse(span_str(golden), &read));
    cr_assert_arr_eq(read.id, name.id, RENDEZVOUS_ID_LEN);
    cr_assert(read.stripe == 3 && read.side == RENDEZVOUS_B);
}

Test(rendezvous_name, of_all_ones_fills_every_bit)
{
    char text[RENDEZVOUS_NAME_LEN + 1];
    struct rendezvous_name name = {.stripe = 7}, read;
    memset(name.id, 0xff, sizeof(name.id));
    rendezvous_name_print(&name, text);
    cr_assert_eq(strspn(text, "7"), 51);
    cr_assert_eq(text[51], 'q');
    cr_assert(rendezvous_name_parse(span_str(text), &read));
    cr_assert_arr_eq(read.id, name.id, RENDEZVOUS_ID_LEN);
}

Test(rendezvous_name, has_one_spelling)
{
    static const struct {
        size_t at;
        char wrong;
    } slips[] = {{0, 'A'},  {0, '1'},  {0, '8'},  {51, 'r'}, {52, '-'}, {53, '8'}, {53, 'a'},
                 {54, '-'}, {55, 'c'}, {55, 'B'}, {56, '-'}, {60, 'E'}, {74, 'T'}};
    struct rendezvous_name read;
    for (size_t i = 0; i < sizeof(slips) / sizeof(slips[0]); i++) {
        char text[sizeof(golden)];
        memcpy(text, golden, sizeof(text));
        text[slips[i].at] = slips[i].wrong;
        cr_assert_not(rendezvous_name_parse(span_str(text), &read), "%s", text);
    }
    for (size_t cut = 0; cut < sizeof(golden) - 1; cut++) {
        cr_assert_not(rendezvous_name_parse(span_of(golden, cut), &read));
        cr_assert(cut == 0 || !rendezvous_name_parse(span_of(golden + cut, sizeof(golden) - 1 - cut), &read));
    }
    cr_assert(rendezvous_name_is_meant(span_str("x.rendezvous.sealift")));
    cr_assert_not(rendezvous_name_is_meant(span_str("rendezvous.sealift")));
}
