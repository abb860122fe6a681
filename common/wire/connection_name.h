/* What the ways to connect two transporters are called, wherever people say or read them. */
#ifndef SEALIFT_WIRE_CONNECTION_NAME_H
#define SEALIFT_WIRE_CONNECTION_NAME_H

#include "proto/statement.pb-c.h"

/* "direct", "reverse", "rendezvous"; "link" for none of its own; "?" for what is unknown. */
const char *connection_name(Sealift__Connection connection);

#endif
