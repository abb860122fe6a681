/* Inside the catalog: a run as bytes. */
#ifndef SEALIFT_DIRECTOR_RUN_RECORD_H
#define SEALIFT_DIRECTOR_RUN_RECORD_H

#include "common/base/bytes.h"
#include "director/core/run.h"

/* Appends everything that is kept of a run. */
void run_record_encode(const struct run *run, struct buf *out);
/* ERR_DAMAGED, ERR_VERSION */
bool run_record_decode(struct span bytes, struct run *out, struct err *err) MUST_CHECK;

#endif
