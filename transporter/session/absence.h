/* Why the other side of a run is not there, for as long as it is not: who has the connection says so, and the
 * run's own progress carries it to people. Nothing is told in the first second, which it takes two sides that
 * were told at different moments to meet. All functions: any thread. */
#ifndef SEALIFT_SESSION_ABSENCE_H
#define SEALIFT_SESSION_ABSENCE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define ABSENCE_TEXT_MAX 512
#define ABSENCE_TOLD_MS 1000

struct absence {
    pthread_mutex_t lock;
    bool gone;
    uint64_t since_ms;
    char text[ABSENCE_TEXT_MAX];
};

void absence_init(struct absence *absence);
void absence_deinit(struct absence *absence);

/* The other side is not there, for what is known now. Longer texts are cut; what is not printable ASCII
 * becomes '?': addresses and our own words are. */
void absence_say(struct absence *absence, const char *text, uint64_t now_ms);
/* It is there, or nobody waits for it. */
void absence_end(struct absence *absence);
/* The text, or "" while there is nothing to tell. */
void absence_read(struct absence *absence, uint64_t now_ms, char out[static ABSENCE_TEXT_MAX]);

#endif
