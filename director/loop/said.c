#include "director/loop/inside.h"

#include "common/base/log.h"
#include "common/base/text.h"

#include <string.h>

const char *id_text(const struct id *id, char out[static ID_TEXT_LEN])
{
    hex_encode(id->bytes, ID_LEN, out);
    return out;
}

static bool was_logged(const struct director *director, const struct hash *what)
{
    for (size_t i = 0; i < sizeof(director->logged) / sizeof(director->logged[0]); i++)
        if (hash_eq(&director->logged[i], what)) return true;
    return false;
}

static void note_logged(struct director *director, const struct hash *what)
{
    size_t size = sizeof(director->logged) / sizeof(director->logged[0]);
    director->logged[director->logged_next++ % size] = *what;
}

struct log_gate *said_gate(struct director *director, const char *event)
{
    for (size_t i = 0; i < sizeof(director->said) / sizeof(director->said[0]); i++) {
        struct said *said = &director->said[i];
        if (!said->event) said->event = event;
        if (strcmp(said->event, event) == 0) return &said->gate;
    }
    return &director->strangers;
}

/* What was left out for the number of lines is not taken for logged: it is said when it comes again. */
void say_once(struct director *director, const char *event, const struct net_peer *peer, const char *text)
{
    const struct span parts[] = {span_str(event), span_of(peer->key, NET_KEY_LEN), span_str(text)};
    struct hash what = hash_of_parts(parts, 3);
    if (was_logged(director, &what) ||
        !log_gate_pass(said_gate(director, event), event, director->now.mono_ms))
        return;
    note_logged(director, &what);
    char key[2 * NET_KEY_LEN + 1];
    hex_encode(peer->key, NET_KEY_LEN, key);
    log_event(LOG_WARN, event, "peer", key, "address", peer->address, "reason", text, NULL);
}

Sealift__Head head_of(Sealift__Head__KindCase kind, uint64_t serial)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    head.kind_case = kind;
    head.serial = serial;
    return head;
}
