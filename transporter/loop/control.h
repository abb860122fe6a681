/* The control loop: the conversation with the director (docs/protocol.md, control), and the runs that it
 * assigns. One thread owns the connection. The director is not trusted: whatever it delivers goes through
 * the authority, and every run checks its assignment itself. */
#ifndef SEALIFT_TLOOP_CONTROL_H
#define SEALIFT_TLOOP_CONTROL_H

#include "common/base/daemon.h"
#include "transporter/loop/director_link.h"
#include "transporter/session/run.h"

struct control;

struct control_options {
    struct run_environment environment; /* its hooks are filled in by the loop */
    struct director_way director;
    const uint8_t *director_key;  /* 32 bytes */
    const char *reverse_endpoint; /* HOST:PORT of the reverse port; NULL: none */
    uint32_t slots, kept_slots;   /* of the slots: for recoveries */
    uint64_t drain_ms;
    const struct hash *own_key_id; /* of the own-key file; NULL: none */
    const struct hash *own_domain_id;
    int wake_fd; /* readable: calls woken, which empties it */
    /* DAEMON_STOP: stop taking runs, wait for the running ones up to drain_ms, return. A second time: return
     * at once. */
    enum daemon_wish (*woken)(void *arg);
    void *woken_arg;
};

bool control_new(const struct control_options *options, struct control **out, struct err *err) MUST_CHECK;
void control_free(struct control *control);
DEFINE_AUTO(control, struct control *, control_free)
/* Runs until `woken` wants it to stop. */
bool control_run(struct control *control, struct err *err) MUST_CHECK;

#endif
