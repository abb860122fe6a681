#include "common/net/net_key.h"

#include <criterion/criterion.h>
#include <string.h>

/* the client's pair in libzmq's zmq_curve(7) */
static const char public_text[] = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID";
static const char secret_text[] = "D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs";

Test(net_key, derives_the_public_half_of_the_pair_in_the_libzmq_manual)
{
    struct err err;
    AUTO(net_key) struct net_key *key = NULL;
    uint8_t secret[NET_KEY_LEN];
    char text[NET_KEY_TEXT_LEN + 1];
    cr_assert(net_key_parse(secret_text, secret, &err));
    cr_assert(net_key_from_secret(secret, &key, &err), "%s", err.text);
    net_key_format(net_key_public(key), text);
    cr_assert_str_eq(text, public_text);
    cr_assert_eq(net_key_secret(key)->len, NET_KEY_LEN);
    cr_assert_eq(memcmp(net_key_secret(key)->data, secret, NET_KEY_LEN), 0);
}

Test(net_key, a_made_pair_comes_back_from_its_secret)
{
    struct err err;
    AUTO(net_key) struct net_key *made = NULL;
    AUTO(net_key) struct net_key *loaded = NULL;
    AUTO(net_key) struct net_key *other = NULL;
    cr_assert(net_key_make(&made, &err), "%s", err.text);
    cr_assert(net_key_make(&other, &err), "%s", err.text);
    cr_assert(net_key_from_secret(net_key_secret(made)->data, &loaded, &err), "%s", err.text);
    cr_assert_eq(memcmp(net_key_public(made), net_key_public(loaded), NET_KEY_LEN), 0);
    cr_assert_neq(memcmp(net_key_public(made), net_key_public(other), NET_KEY_LEN), 0);
}

Test(net_key, text_of_a_key_parses_to_the_same_key)
{
    struct err err;
    uint8_t key[NET_KEY_LEN];
    char text[NET_KEY_TEXT_LEN + 1];
    cr_assert(net_key_parse(public_text, key, &err), "%s", err.text);
    net_key_format(key, text);
    cr_assert_str_eq(text, public_text);
}

Test(net_key, refuses_text_of_every_other_length)
{
    struct err err;
    char text[64];
    for (size_t len = 0; len < sizeof(text); len++) {
        uint8_t key[NET_KEY_LEN] = {7};
        memset(text, 'a', len);
        text[len] = '\0';
        cr_assert_eq(net_key_parse(text, key, &err), len == NET_KEY_TEXT_LEN, "%zu characters", len);
        if (len == NET_KEY_TEXT_LEN) continue;
        cr_assert_eq(err.code, ERR_USAGE);
        cr_assert_eq(key[0], 7, "the output was touched");
    }
}

Test(net_key, refuses_what_is_not_z85_at_every_place)
{
    struct err err;
    static const char foreign[] = {' ', '"', '\'', ',',  ';',  '\\',      '_',
                                   '`', '|', '~',  '\n', 0x7f, (char)0xff};
    for (size_t at = 0; at < NET_KEY_TEXT_LEN; at++)
        for (size_t i = 0; i < sizeof(foreign); i++) {
            char text[NET_KEY_TEXT_LEN + 1];
            uint8_t key[NET_KEY_LEN];
            memcpy(text, public_text, sizeof(text));
            text[at] = foreign[i];
            cr_assert(!net_key_parse(text, key, &err), "0x%02x at %zu", (unsigned char)foreign[i], at);
        }
}

Test(net_key, refuses_z85_that_stands_for_more_than_32_bits)
{
    struct err err;
    uint8_t key[NET_KEY_LEN];
    cr_assert(!net_key_parse("########################################", key, &err));
    cr_assert_str_eq(err.text, "'########################################' is not a public key: "
                               "40 characters of Z85 are needed");
}
