/* Scans run ahead by threads, the ones that are due first before the others. The consumer that needs a
 * scan which nobody has begun runs it itself: so neither the budget nor slow threads can stop it. */
#ifndef SEALIFT_SOURCE_SCAN_POOL_H
#define SEALIFT_SOURCE_SCAN_POOL_H

#include "transporter/source/scan.h"

struct scan_pool;

/* `rules` must outlive it. The threads pause while finished scans hold more than `ahead_bytes`. */
struct scan_pool *scan_pool_new(struct scan_rules *rules, unsigned threads, size_t ahead_bytes);
/* Stops the threads; before any scan that it has met is freed. */
void scan_pool_free(struct scan_pool *pool);
DEFINE_AUTO(scan_pool, struct scan_pool *, scan_pool_free)

/* The rest is for one thread. */
/* Runs the scan, or waits until it was run; those below it are then due next. False is for the temporary
 * file, in any thread. */
bool scan_pool_need(struct scan_pool *pool, struct scan *scan, struct err *err) MUST_CHECK;
/* Its next batch. */
bool scan_pool_more(struct scan_pool *pool, struct scan *scan, struct err *err) MUST_CHECK;
/* Frees a scan that was needed, and gives its memory back to the budget. */
void scan_pool_drop(struct scan_pool *pool, struct scan *scan);

#endif
