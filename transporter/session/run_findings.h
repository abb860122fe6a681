/* What a check has found, as it is told at the end of its run: in clear, so without paths and names of files.
 * Private to run*.c. One thread. */
#ifndef SEALIFT_SESSION_RUN_FINDINGS_H
#define SEALIFT_SESSION_RUN_FINDINGS_H

#include "common/base/auto.h"
#include "common/wire/head.h"
#include "transporter/repository/check.h"

#define RUN_FINDINGS_MAX 1000            /* that are told one by one */
#define RUN_FINDINGS_BYTES (512u * 1024) /* of all of them */
#define RUN_FINDING_POINTS_MAX 100       /* points that one names */

struct run_findings;
struct run_findings *run_findings_new(void);
void run_findings_free(struct run_findings *findings);
DEFINE_AUTO(run_findings, struct run_findings *, run_findings_free)

/* For check_sink.finding. What is CHECK_FOREIGN is counted, and no name of it kept. */
void run_findings_add(void *findings, const struct check_finding *finding);
/* The same of a file, or of what is told of each point in turn: one that is told again with the same object,
 * text and path is one finding, of more points. `path` may be empty. */
void run_findings_add_to(struct run_findings *findings, const struct check_finding *finding,
                         struct span path);
/* What was looked at; to be filled in. */
Sealift__CheckReport *run_findings_report(struct run_findings *findings);
/* False: nothing but remarks was found. Else *err has the code of the worst. */
bool run_findings_worst(const struct run_findings *findings, struct err *err);
/* Pointers are borrowed. */
void run_findings_fill(struct run_findings *findings, Sealift__Warnings *out);

#endif
