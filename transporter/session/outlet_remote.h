/* An outlet into the repository at the other end of a data connection. A lost connection shows only as
 * time that calls take (dialler.h). Beside frames it can be asked about points (ASKED_POINT). */
#ifndef SEALIFT_SESSION_OUTLET_REMOTE_H
#define SEALIFT_SESSION_OUTLET_REMOTE_H

#include "transporter/pipeline/outlet.h"
#include "transporter/session/dialler.h"

/* The dialler must outlive it. */
struct outlet outlet_remote(struct dialler *dialler);

#endif
