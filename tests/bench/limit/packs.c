#include "packs.h"

#include "die.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PACK ((size_t)32 * 1024 * 1024)

void packs_init(struct packs *packs, int out_fd, unsigned writer)
{
    *packs = (struct packs){.out_fd = out_fd, .writer = writer, .fd = -1};
}

static void open_next(struct packs *packs)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "pack-%u-%u", packs->writer, packs->count++);
    packs->fd = openat(packs->out_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (packs->fd < 0) die("cannot create '%s': %s", name, strerror(errno));
    packs->len = 0;
    blake3_hasher_init(&packs->hash);
}

void packs_finish(struct packs *packs)
{
    if (packs->fd < 0) return;
    uint8_t name[BLAKE3_OUT_LEN];
    blake3_hasher_finalize(&packs->hash, name, sizeof(name));
    if (fsync(packs->fd) || close(packs->fd)) die("cannot sync a pack: %s", strerror(errno));
    packs->fd = -1;
}

void packs_write(struct packs *packs, const uint8_t *bytes, size_t len)
{
    if (packs->fd >= 0 && packs->len >= PACK) packs_finish(packs);
    if (packs->fd < 0) open_next(packs);
    blake3_hasher_update(&packs->hash, bytes, len);
    for (size_t done = 0; done < len;) {
        ssize_t got = write(packs->fd, bytes + done, len - done);
        if (got < 0) die("cannot write a pack: %s", strerror(errno));
        done += (size_t)got;
    }
    /* starts the disk now, so that the fsync to come waits for little; no matter if it cannot */
    (void)sync_file_range(packs->fd, (off_t)packs->len, (off_t)len, SYNC_FILE_RANGE_WRITE);
    packs->len += len;
}
