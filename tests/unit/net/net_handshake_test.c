#include "common/net/net_handshake.h"

#include <criterion/criterion.h>
#include <string.h>

/* a greeting, a command of 200 bytes and one of 300, whose length takes eight bytes; something behind */
enum { FIRST = 2 + 200, SECOND = 9 + 300, ALL = 64 + FIRST + SECOND, BEHIND = 20 };

static void say_all(uint8_t out[static ALL + BEHIND])
{
    memset(out, 0xff, ALL + BEHIND);
    memcpy(out + 64, "\x04\xc8", 2);
    memcpy(out + 64 + FIRST, "\x06\0\0\0\0\0\0\x01\x2c", 9);
}

Test(net_handshake, ends_with_the_last_byte_of_the_second_command_however_it_is_cut)
{
    uint8_t bytes[ALL + BEHIND];
    say_all(bytes);
    for (size_t part = 1; part <= ALL; part++) {
        struct net_handshake handshake;
        net_handshake_init(&handshake);
        for (size_t at = 0; at < ALL - 1; at += part) {
            const size_t len = at + part < ALL ? part : ALL - 1 - at;
            cr_assert(!net_handshake_read(&handshake, span_of(bytes + at, len)), "parts of %zu", part);
        }
        cr_assert(net_handshake_read(&handshake, span_of(bytes + ALL - 1, 1)), "parts of %zu", part);
        cr_assert(net_handshake_read(&handshake, span_of(bytes + ALL, BEHIND)));
    }
}

Test(net_handshake, takes_what_stands_behind_in_the_same_read)
{
    uint8_t bytes[ALL + BEHIND];
    struct net_handshake handshake;
    say_all(bytes);
    net_handshake_init(&handshake);
    cr_assert(net_handshake_read(&handshake, span_of(bytes, sizeof(bytes))));
}

Test(net_handshake, commands_may_be_empty)
{
    uint8_t bytes[64 + 4] = {0};
    struct net_handshake handshake;
    net_handshake_init(&handshake);
    cr_assert(!net_handshake_read(&handshake, span_of(bytes, sizeof(bytes) - 1)));
    cr_assert(net_handshake_read(&handshake, span_of(bytes + sizeof(bytes) - 1, 1)));
}

Test(net_handshake, a_command_of_any_length_is_waited_for)
{
    uint8_t bytes[64 + 9 + 1000];
    struct net_handshake handshake;
    memset(bytes, 0xff, sizeof(bytes));
    net_handshake_init(&handshake);
    for (int i = 0; i < 100; i++)
        cr_assert(!net_handshake_read(&handshake, span_of(bytes, sizeof(bytes))));
}
