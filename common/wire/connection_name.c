#include "common/wire/connection_name.h"

#include <stddef.h>

const char *connection_name(Sealift__Connection connection)
{
    static const char *const names[] = {
        [SEALIFT__CONNECTION__CONNECTION_NONE] = "link",
        [SEALIFT__CONNECTION__CONNECTION_DIRECT] = "direct",
        [SEALIFT__CONNECTION__CONNECTION_REVERSE] = "reverse",
        [SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS] = "rendezvous",
    };
    size_t count = sizeof(names) / sizeof(names[0]);
    return (size_t)connection < count ? names[connection] : "?";
}
