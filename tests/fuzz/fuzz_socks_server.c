/* The first byte chooses a reader of the proxy's; the others are what a caller sent. What is read lies within
 * the bytes, a message is never longer than the longest, and each cut of it wants more. */
#include "transporter/proxy/core/rendezvous_name.h"
#include "transporter/proxy/core/socks_server.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

static enum socks_read read_one(uint8_t which, struct span in, size_t *used)
{
    struct socks_greeting greeting;
    struct socks_login login = {{NULL, 0}, {NULL, 0}};
    struct socks_request request = {.port = 0};
    enum socks_read read;
    if (which % 3 == 0) return socks_read_greeting(in, used, &greeting);
    if (which % 3 == 1) {
        read = socks_read_login(in, used, &login);
        if (read == SOCKS_READ) check(login.user.len + login.password.len + 3 == *used);
        return read;
    }
    read = socks_read_request(in, used, &request);
    if (read == SOCKS_BROKEN) check(request.reply != SOCKS_CONNECTED);
    if (read != SOCKS_READ) return read;
    check(request.address.len > 0 && request.address.data + request.address.len + 2 == in.data + *used);
    struct rendezvous_name name;
    char printed[RENDEZVOUS_NAME_LEN + 1];
    if (!rendezvous_name_parse(request.address, &name)) return read;
    rendezvous_name_print(&name, printed);
    check(span_eq(span_str(printed), request.address));
    return read;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t used = 0;
    if (size < 1) return 0;
    struct span in = span_of(data + 1, size - 1);
    enum socks_read read = read_one(data[0], in, &used);
    if (read == SOCKS_MORE) check(in.len < SOCKS_MESSAGE_MAX && used == 0);
    if (read != SOCKS_READ) return 0;
    check(used <= in.len && used <= SOCKS_MESSAGE_MAX);
    for (size_t cut = 0, other = 0; cut < used; cut++)
        check(read_one(data[0], span_of(in.data, cut), &other) == SOCKS_MORE);
    return 0;
}
