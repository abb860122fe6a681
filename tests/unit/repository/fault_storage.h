/* A disk that stops or fails at any of its calls, below the real directory driver.
 *
 * The C library's calls that change files (create, write, truncate, set aside, sync, link, rename, unlink,
 * mkdir, rmdir) are wrapped when this program is linked. Below a watched directory each is a *step*: it is
 * counted, done on the real files, and written into a trace that survives the process. A child process can be
 * told to die at step n (as by kill -9), or that step n fails. From the trace follows what a disk would hold
 * if the power had been cut: what was synced for certain, what was not perhaps, in part, or out of order; and
 * what a failed fsync left unwritten is never written by a later one that succeeds.
 *
 * How to use it, in the one thread of a test that runs no other:
 *
 *     fault_disk_watch(place->root);                   what is there now counts as synced
 *     struct fault_run run = fault_disk_run(FAULT_DISK_DIE, at, work, arg);
 *                                                      work(arg) in a child process; it opens, works, closes
 *     if (run.hits == 0) …                             `at` lies behind its last step: all were tried
 *     fault_disk_remains(FAULT_REMAINS_SYNCED, seed, other->root);
 *                                                      the tree after a power cut, in an empty directory
 *
 * and then whatever must hold is checked in the parent: of the watched directory (killed, or failed), and of
 * what remains. Further runs without a new watch go on with the same trace: a second process after the first
 * was killed, then a power cut. work() must assert nothing: what it has been promised (an acknowledgement, a
 * receipt) it notes with fault_disk_mark, and the parent asks fault_disk_marked.
 *
 * Files that other libraries write (the index's) are not seen; they are absent from what remains. */
#ifndef SEALIFT_TESTS_REPOSITORY_FAULT_STORAGE_H
#define SEALIFT_TESTS_REPOSITORY_FAULT_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault_disk_how {
    FAULT_DISK_NONE,
    FAULT_DISK_DIE,       /* the process ends before the step */
    FAULT_DISK_EIO,       /* the step fails and does nothing */
    FAULT_DISK_EIO_STAYS, /* and so do all that follow */
    FAULT_DISK_ENOSPC,    /* steps that need room fail from there on, a write after half of it */
    FAULT_DISK_SHORT,     /* a write takes only half of what it was given: no failure */
    FAULT_DISK_SYNC,      /* a sync fails: what it should have written is lost, though it can be read */
    FAULT_DISK_SYNC_DIE,  /* the same, and the process ends before the next step */
    FAULT_DISK_READ,      /* a read fails, of a file or a directory, or an open for it; in this and those that
                             follow, reads are steps too */
    FAULT_DISK_READ_HALF, /* a read gives only half of what was asked for: no failure */
    FAULT_DISK_READ_END,  /* a read finds the file's end where there is none */
    FAULT_DISK_DIE_READS, /* the process ends before the step */
    FAULT_DISK_HOWS
};
const char *fault_disk_how_name(enum fault_disk_how how);

/* Forgets the trace and begins a new one. */
void fault_disk_watch(const char *root);

struct fault_run {
    bool died;      /* at its step */
    bool succeeded; /* work returned true */
    int steps;      /* of this run, that can fail in this way */
    int hits;       /* steps that died or failed */
};
/* Aborts the test if the child ends in any other way. */
struct fault_run fault_disk_run(enum fault_disk_how how, int at, bool (*work)(void *arg), void *arg);

/* Notes that something numbered `what` (0 to 15) has come to `value`; marks only grow. Does nothing but in
 * work(). */
enum { FAULT_MARKS = 16 };
void fault_disk_mark(unsigned what, uint64_t value);
uint64_t fault_disk_marked(unsigned what);

/* Called in the child before step `at` of any kind, whichever thread it is in; NULL: none. */
void fault_disk_hook(void (*hook)(void *arg, int step, const char *call), void *arg);

enum fault_remains {
    FAULT_REMAINS_ALL,    /* everything that was done: equal to the watched directory */
    FAULT_REMAINS_SYNCED, /* what was synced, and nothing else */
    FAULT_REMAINS_PREFIX, /* of each file and directory some of the unsynced steps, the last one perhaps half
                           */
    FAULT_REMAINS_SOME,   /* any of them, in any order */
    FAULT_REMAINS_COUNT
};
/* Builds the tree in the existing, empty directory `into`. */
void fault_disk_remains(enum fault_remains which, uint32_t seed, const char *into);
const char *fault_remains_name(enum fault_remains which);

#endif
