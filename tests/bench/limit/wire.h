/* The limit program in two processes: what one has sealed the other hashes, writes and syncs. Between them
 * libzmq with CURVE over TCP and the loopback, a connection for each sending thread. */
#ifndef SEALIFT_BENCH_LIMIT_WIRE_H
#define SEALIFT_BENCH_LIMIT_WIRE_H

#include <semaphore.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { WIRE_SENDERS = 2, WIRE_BUFFERS = 8, WIRE_KEY_LEN = 40 + 1, WIRE_NAME_LEN = 64 };

struct wire {
    pid_t receiver;
    void *context;
    char key[WIRE_KEY_LEN]; /* the receiver's public one, as Z85 */
    char endpoints[WIRE_SENDERS][WIRE_NAME_LEN];
};

struct wire_buffer {
    struct wire_sender *sender;
    uint8_t *bytes;
    int busy; /* atomic: libzmq has it */
};

struct wire_sender {
    void *socket;
    struct wire_buffer buffers[WIRE_BUFFERS];
    sem_t free;
};

/* Starts the receiver, which writes below the directory out_fd. Before any thread is started. */
void wire_start(struct wire *wire, int out_fd);
/* Waits until the receiver has ended. After the last wire_finish. */
void wire_stop(struct wire *wire);

void wire_connect(struct wire_sender *sender, const struct wire *wire, unsigned number, size_t buffer_len);
/* A buffer to fill, the sender's own; waits until one is free. */
uint8_t *wire_take(struct wire_sender *sender);
/* `bytes`, from wire_take, are the socket's now. */
void wire_send(struct wire_sender *sender, uint8_t *bytes, size_t len);
/* Waits until the receiver has synced all of it. `spare`: a buffer that was taken and not sent. */
void wire_finish(struct wire_sender *sender, uint8_t *spare);

#endif
