#include "common/net/net_key.h"

#include "common/base/alloc.h"
#include "common/net/net_zmq.h"

#include <errno.h>

#define Z85_LEN 40 /* of a key as libzmq's calls take it (https://rfc.zeromq.org/spec/32/) */

struct net_key {
    uint8_t public_key[NET_KEY_LEN];
    struct secret *secret;
};

/* The Z85 form of a secret, on the stack. */
struct secret_text {
    char text[Z85_LEN + 1];
};

static void wipe_secret_text(struct secret_text *text)
{
    wipe(text, sizeof(*text));
}
DEFINE_AUTO_IN_PLACE(secret_text, struct secret_text, wipe_secret_text)

static struct net_key *key_of(const char *public_text, const uint8_t *secret)
{
    struct net_key *key = xmalloc(sizeof(*key));
    (void)zmq_z85_decode(key->public_key, public_text);
    key->secret = secret_copy(secret, NET_KEY_LEN);
    return key;
}

bool net_key_make(struct net_key **out, struct err *err)
{
    char public_text[Z85_LEN + 1];
    AUTO(secret_text) struct secret_text secret_text = {{0}};
    AUTO(wipe32) uint8_t secret[NET_KEY_LEN];
    if (zmq_curve_keypair(public_text, secret_text.text) != 0)
        return net_zmq_fail(err, errno, "cannot make a transport key");
    (void)zmq_z85_decode(secret, secret_text.text);
    *out = key_of(public_text, secret);
    return true;
}

bool net_key_from_secret(const uint8_t secret[static NET_KEY_LEN], struct net_key **out, struct err *err)
{
    char public_text[Z85_LEN + 1];
    AUTO(secret_text) struct secret_text secret_text = {{0}};
    (void)zmq_z85_encode(secret_text.text, secret, NET_KEY_LEN);
    if (zmq_curve_public(public_text, secret_text.text) != 0)
        return net_zmq_fail(err, errno, "cannot derive the public half of a transport key");
    *out = key_of(public_text, secret);
    return true;
}

void net_key_free(struct net_key *key)
{
    if (!key) return;
    secret_free(key->secret);
    free(key);
}

const uint8_t *net_key_public(const struct net_key *key)
{
    return key->public_key;
}

const struct secret *net_key_secret(const struct net_key *key)
{
    return key->secret;
}
