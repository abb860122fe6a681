#include "transporter/proxy/core/socks_server.h"

#include <string.h>

enum { VERSION = 5, LOGIN_VERSION = 1, CONNECT = 1 };

enum socks_read socks_read_greeting(struct span in, size_t *used, struct socks_greeting *out)
{
    struct socks_greeting greeting = {false, false};
    if (in.len >= 1 && in.data[0] != VERSION) return SOCKS_BROKEN;
    if (in.len < 2 || in.len < 2 + (size_t)in.data[1]) return SOCKS_MORE;
    size_t count = in.data[1];
    for (size_t i = 0; i < count; i++) {
        if (in.data[2 + i] == SOCKS_PLAIN) greeting.plain = true;
        if (in.data[2 + i] == SOCKS_LOGIN) greeting.login = true;
    }
    *used = 2 + count;
    *out = greeting;
    return SOCKS_READ;
}

enum socks_read socks_read_login(struct span in, size_t *used, struct socks_login *out)
{
    struct reader reader = reader_of(in);
    if (in.len >= 1 && in.data[0] != LOGIN_VERSION) return SOCKS_BROKEN;
    (void)reader_u8(&reader);
    struct socks_login login;
    login.user = reader_bytes(&reader, reader_u8(&reader));
    login.password = reader_bytes(&reader, reader_u8(&reader));
    if (!reader_ok(&reader)) return SOCKS_MORE;
    *used = reader.pos;
    *out = login;
    return SOCKS_READ;
}

static enum socks_read broken(enum socks_reply reply, struct socks_request *out)
{
    *out = (struct socks_request){.reply = reply};
    return SOCKS_BROKEN;
}

/* How long the address is, from its first byte; 0 for a type that is none. */
static size_t address_len(uint8_t type, uint8_t first)
{
    switch (type) {
    case SOCKS_IPV4:
        return 4;
    case SOCKS_IPV6:
        return 16;
    case SOCKS_NAME:
        return first;
    default:
        return 0;
    }
}

enum socks_read socks_read_request(struct span in, size_t *used, struct socks_request *out)
{
    if (in.len >= 1 && in.data[0] != VERSION) return broken(SOCKS_GENERAL_FAILURE, out);
    if (in.len >= 2 && in.data[1] != CONNECT) return broken(SOCKS_NO_COMMAND, out);
    if (in.len >= 3 && in.data[2] != 0) return broken(SOCKS_GENERAL_FAILURE, out);
    if (in.len < 5) return SOCKS_MORE;
    uint8_t type = in.data[3];
    if (type != SOCKS_IPV4 && type != SOCKS_IPV6 && type != SOCKS_NAME)
        return broken(SOCKS_NO_ADDRESS_TYPE, out);
    size_t len = address_len(type, in.data[4]);
    if (len == 0) return broken(SOCKS_GENERAL_FAILURE, out); /* a name without a letter */
    size_t at = type == SOCKS_NAME ? 5 : 4;
    if (in.len < at + len + 2) return SOCKS_MORE;
    const uint8_t *port = in.data + at + len;
    *out = (struct socks_request){.type = (enum socks_address)type,
                                  .address = span_of(in.data + at, len),
                                  .port = (uint16_t)(port[0] << 8 | port[1])};
    *used = at + len + 2;
    return SOCKS_READ;
}

void socks_write_choice(enum socks_method method, uint8_t out[static SOCKS_CHOICE_LEN])
{
    out[0] = VERSION;
    out[1] = (uint8_t)method;
}

void socks_write_verdict(enum socks_verdict verdict, uint8_t out[static SOCKS_CHOICE_LEN])
{
    out[0] = LOGIN_VERSION;
    out[1] = (uint8_t)verdict;
}

void socks_write_reply(enum socks_reply reply, uint8_t out[static SOCKS_REPLY_LEN])
{
    memset(out, 0, SOCKS_REPLY_LEN);
    out[0] = VERSION;
    out[1] = (uint8_t)reply;
    out[3] = SOCKS_IPV4;
}
