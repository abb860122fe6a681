/* What something costs, whatever else the machine does meanwhile. */
#ifndef SEALIFT_TESTS_CPU_TIME_H
#define SEALIFT_TESTS_CPU_TIME_H

/* Seconds of processors that this process has used so far, all its threads together: where a test bounds the
 * cost of work, a machine that stands still in between does not count. */
double cpu_seconds(void);

#endif
