/* The reverse port of a transporter: where the targets of its runs come to that cannot, or shall not, be
 * dialled themselves. It is the proxy's loop on a thread of its own, and joins nobody but them with the
 * transporter's own ends: it dials nothing, and turns every name away that no run waits under. What passes it
 * is CURVE's ciphertext. */
#ifndef SEALIFT_PROXY_REVERSE_PORT_H
#define SEALIFT_PROXY_REVERSE_PORT_H

#include "transporter/proxy/proxy.h"

struct reverse_port;

/* Listens where the settings say, as proxy_new does, and takes them. `advertise`: HOST:PORT that targets
 * dial; NULL: where it listens. */
bool reverse_port_open(struct proxy_settings *settings, const char *advertise, struct reverse_port **out,
                       struct err *err) MUST_CHECK;
/* What is joined is cut. Nobody may use it any more. NULL is allowed. */
void reverse_port_close(struct reverse_port *port);
DEFINE_AUTO(reverse_port, struct reverse_port *, reverse_port_close)

/* HOST:PORT that targets dial; borrowed. */
const char *reverse_port_endpoint(const struct reverse_port *port);

/* From now on a target that brings this name may come. The own end dials `address` with the digit of the
 * stripe behind it: nobody is there until the target waits. The same name may be expected more than once. Any
 * thread. */
#define REVERSE_ADDRESS_MAX 80
void reverse_port_expect(struct reverse_port *port, const uint8_t name[static RENDEZVOUS_ID_LEN],
                         char address[static REVERSE_ADDRESS_MAX]);
/* As often as it was expected. What is joined stays so until an end leaves. */
void reverse_port_forget(struct reverse_port *port, const uint8_t name[static RENDEZVOUS_ID_LEN]);

#endif
