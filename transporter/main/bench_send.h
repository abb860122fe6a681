/* The network's part of `--bench`: frames over loopback TCP, encrypted by CURVE, from one thread to another.
 */
#ifndef SEALIFT_TRANSPORTER_BENCH_SEND_H
#define SEALIFT_TRANSPORTER_BENCH_SEND_H

#include "common/base/bytes.h"
#include "common/base/err.h"

/* Sends the payloads over and over for `length_ms`; counts what has arrived by then, and until when that
 * took. The payloads are copied once, as long as it lasts. */
bool bench_send(const struct span *payloads, size_t count, uint64_t length_ms, uint64_t *bytes,
                uint64_t *took_ms, struct err *err) MUST_CHECK;

#endif
