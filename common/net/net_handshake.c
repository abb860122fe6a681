#include "common/net/net_handshake.h"

enum { GREETING_LEN = 64, COMMANDS = 2, FLAG_LONG = 2 };

void net_handshake_init(struct net_handshake *handshake)
{
    *handshake = (struct net_handshake){.greeting_left = GREETING_LEN, .commands_left = COMMANDS};
}

/* flags, then a length of one byte or of eight */
static unsigned head_size(const struct net_handshake *handshake)
{
    return handshake->head_len > 0 && (handshake->head[0] & FLAG_LONG) ? 9 : 2;
}

static uint64_t body_len(const struct net_handshake *handshake)
{
    uint64_t len = 0;
    for (unsigned i = 1; i < handshake->head_len; i++)
        len = len << 8 | handshake->head[i];
    return len;
}

static void end_command_if_over(struct net_handshake *handshake)
{
    if (handshake->body_left > 0) return;
    handshake->head_len = 0;
    handshake->commands_left--;
}

static void read_head(struct net_handshake *handshake, uint8_t byte)
{
    handshake->head[handshake->head_len++] = byte;
    if (handshake->head_len < head_size(handshake)) return;
    handshake->body_left = body_len(handshake);
    end_command_if_over(handshake);
}

bool net_handshake_read(struct net_handshake *handshake, struct span bytes)
{
    for (size_t at = 0; at < bytes.len && handshake->commands_left > 0;) {
        const size_t left = bytes.len - at;
        if (handshake->greeting_left > 0) {
            const size_t taken = left < handshake->greeting_left ? left : handshake->greeting_left;
            handshake->greeting_left -= (unsigned)taken;
            at += taken;
        } else if (handshake->body_left > 0) {
            const size_t taken = left < handshake->body_left ? left : (size_t)handshake->body_left;
            handshake->body_left -= taken;
            at += taken;
            end_command_if_over(handshake);
        } else {
            read_head(handshake, bytes.data[at++]);
        }
    }
    return handshake->commands_left == 0;
}
