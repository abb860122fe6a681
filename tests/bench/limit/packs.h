/* Where the limit program's sealed bytes go: files of about 32 MiB, each hashed, and synced once. One
 * thread. */
#ifndef SEALIFT_BENCH_LIMIT_PACKS_H
#define SEALIFT_BENCH_LIMIT_PACKS_H

#include <blake3.h>
#include <stddef.h>
#include <stdint.h>

struct packs {
    int out_fd;      /* the directory, the caller's */
    unsigned writer; /* part of the files' names */
    unsigned count;
    int fd; /* -1: none is open */
    size_t len;
    blake3_hasher hash;
};

void packs_init(struct packs *packs, int out_fd, unsigned writer);
/* Before a write: a pack that is full is closed. */
void packs_write(struct packs *packs, const uint8_t *bytes, size_t len);
/* Everything is on the disk. */
void packs_finish(struct packs *packs);

#endif
