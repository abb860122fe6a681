#include "wire.h"

#include "die.h"
#include "packs.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

struct receiver {
    pthread_t thread;
    void *socket;
    int out_fd;
    unsigned number;
};

static void *receiver_main(void *arg)
{
    struct receiver *receiver = arg;
    struct packs packs;
    packs_init(&packs, receiver->out_fd, receiver->number);
    zmq_msg_t message;
    for (;;) {
        zmq_msg_init(&message);
        if (zmq_msg_recv(&message, receiver->socket, 0) < 0) die("cannot receive: %s", zmq_strerror(errno));
        size_t len = zmq_msg_size(&message);
        if (len == 0) break;
        packs_write(&packs, zmq_msg_data(&message), len);
        zmq_msg_close(&message);
    }
    zmq_msg_close(&message);
    packs_finish(&packs);
    if (zmq_send(receiver->socket, "", 0, 0) != 0) die("cannot answer: %s", zmq_strerror(errno));
    zmq_close(receiver->socket);
    return NULL;
}

static void *bind_socket(void *context, const char *secret, char endpoint[WIRE_NAME_LEN])
{
    int yes = 1;
    size_t len = WIRE_NAME_LEN;
    void *socket = zmq_socket(context, ZMQ_PAIR);
    if (!socket || zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &yes, sizeof(yes)) ||
        zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret, WIRE_KEY_LEN) ||
        zmq_bind(socket, "tcp://127.0.0.1:*") || zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &len))
        die("cannot listen: %s", zmq_strerror(errno));
    return socket;
}

/* The second process. */
static void receive_all(int out_fd, int tell_fd)
{
    char secret[WIRE_KEY_LEN];
    struct wire told = {0};
    struct receiver receivers[WIRE_SENDERS];
    void *context = zmq_ctx_new();
    if (!context || zmq_curve_keypair(told.key, secret)) die("cannot set up CURVE");
    for (unsigned i = 0; i < WIRE_SENDERS; i++)
        receivers[i] = (struct receiver){
            .socket = bind_socket(context, secret, told.endpoints[i]), .out_fd = out_fd, .number = i};
    if (write(tell_fd, &told, sizeof(told)) != (ssize_t)sizeof(told)) die("cannot tell where it listens");
    for (unsigned i = 0; i < WIRE_SENDERS; i++)
        if (pthread_create(&receivers[i].thread, NULL, receiver_main, &receivers[i]))
            die("cannot start a thread");
    for (unsigned i = 0; i < WIRE_SENDERS; i++)
        pthread_join(receivers[i].thread, NULL);
    if (fsync(out_fd)) die("cannot sync the packs' directory: %s", strerror(errno));
    zmq_ctx_term(context);
}

void wire_start(struct wire *wire, int out_fd)
{
    int ends[2];
    if (pipe(ends)) die("cannot make a pipe: %s", strerror(errno));
    pid_t receiver = fork();
    if (receiver < 0) die("cannot fork: %s", strerror(errno));
    if (receiver == 0) {
        receive_all(out_fd, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    if (read(ends[0], wire, sizeof(*wire)) != (ssize_t)sizeof(*wire)) die("the receiver did not start");
    close(ends[0]);
    wire->receiver = receiver;
    wire->context = zmq_ctx_new();
    if (!wire->context) die("cannot set up libzmq");
}

void wire_stop(struct wire *wire)
{
    int status = 0;
    zmq_ctx_term(wire->context);
    if (waitpid(wire->receiver, &status, 0) < 0 || status != 0) die("the receiver failed");
}

void wire_connect(struct wire_sender *sender, const struct wire *wire, unsigned number, size_t buffer_len)
{
    char public[WIRE_KEY_LEN], secret[WIRE_KEY_LEN];
    sender->socket = zmq_socket(wire->context, ZMQ_PAIR);
    if (!sender->socket || zmq_curve_keypair(public, secret) ||
        zmq_setsockopt(sender->socket, ZMQ_CURVE_SERVERKEY, wire->key, WIRE_KEY_LEN) ||
        zmq_setsockopt(sender->socket, ZMQ_CURVE_PUBLICKEY, public, WIRE_KEY_LEN) ||
        zmq_setsockopt(sender->socket, ZMQ_CURVE_SECRETKEY, secret, WIRE_KEY_LEN) ||
        zmq_connect(sender->socket, wire->endpoints[number]))
        die("cannot connect: %s", zmq_strerror(errno));
    for (unsigned i = 0; i < WIRE_BUFFERS; i++)
        sender->buffers[i] = (struct wire_buffer){.sender = sender, .bytes = must_alloc(buffer_len)};
    if (sem_init(&sender->free, 0, WIRE_BUFFERS)) die("cannot make a semaphore: %s", strerror(errno));
}

uint8_t *wire_take(struct wire_sender *sender)
{
    while (sem_wait(&sender->free) != 0)
        if (errno != EINTR) die("cannot wait: %s", strerror(errno));
    for (unsigned i = 0;; i = (i + 1) % WIRE_BUFFERS)
        if (!__atomic_exchange_n(&sender->buffers[i].busy, 1, __ATOMIC_ACQUIRE))
            return sender->buffers[i].bytes;
}

static struct wire_buffer *buffer_of(struct wire_sender *sender, const uint8_t *bytes)
{
    unsigned i = 0;
    while (sender->buffers[i].bytes != bytes)
        i++;
    return &sender->buffers[i];
}

static void give_back(struct wire_buffer *buffer)
{
    __atomic_store_n(&buffer->busy, 0, __ATOMIC_RELEASE);
    (void)sem_post(&buffer->sender->free);
}

static void sent(void *bytes, void *hint)
{
    (void)bytes;
    give_back(hint);
}

void wire_send(struct wire_sender *sender, uint8_t *bytes, size_t len)
{
    zmq_msg_t message;
    if (zmq_msg_init_data(&message, bytes, len, sent, buffer_of(sender, bytes)) ||
        zmq_msg_send(&message, sender->socket, 0) < 0)
        die("cannot send: %s", zmq_strerror(errno));
}

void wire_finish(struct wire_sender *sender, uint8_t *spare)
{
    char answer;
    if (zmq_send(sender->socket, "", 0, 0) != 0 || zmq_recv(sender->socket, &answer, sizeof(answer), 0) != 0)
        die("the receiver does not answer: %s", zmq_strerror(errno));
    zmq_close(sender->socket);
    give_back(buffer_of(sender, spare));
    for (unsigned i = 0; i < WIRE_BUFFERS; i++) { /* libzmq gives back what it has sent */
        while (sem_wait(&sender->free) != 0)
            if (errno != EINTR) die("cannot wait: %s", strerror(errno));
    }
    for (unsigned i = 0; i < WIRE_BUFFERS; i++)
        free(sender->buffers[i].bytes);
    (void)sem_destroy(&sender->free);
}
