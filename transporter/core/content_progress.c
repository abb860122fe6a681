#include "transporter/core/content_progress.h"

static uint64_t less(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t content_done(const struct content_progress *progress)
{
    uint64_t handled = progress->read + progress->unread;
    uint64_t there = less(progress->deduplicated, handled), moved = handled - there;
    uint64_t waiting = less(progress->waiting, progress->sent);
    double durable = progress->sent ? (double)(progress->sent - waiting) / (double)progress->sent : 0;
    return less(there + (uint64_t)((double)moved * durable), progress->found);
}
