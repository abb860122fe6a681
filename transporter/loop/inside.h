/* Inside the control loop: its whole state, and what its parts offer each other. One thread. */
#ifndef SEALIFT_TLOOP_INSIDE_H
#define SEALIFT_TLOOP_INSIDE_H

#include "common/base/log_gate.h"
#include "transporter/loop/attach.h"
#include "transporter/loop/control.h"
#include "transporter/loop/director_link.h"
#include "transporter/loop/log_answers.h"
#include "transporter/loop/outbox.h"
#include "transporter/loop/probes.h"
#include "transporter/loop/repository_news.h"
#include "transporter/loop/run_news.h"
#include "transporter/loop/run_table.h"

struct control {
    struct control_options options;
    struct run_environment environment; /* of every run */
    struct net_wake wake;
    struct outbox *outbox;
    struct run_table *runs;
    struct run_news *run_news;
    struct repository_news repositories;
    struct log_answers *log_answers;
    struct attach *attach;
    struct probes *probes;
    struct director_link *link;
    struct id incarnation;

    bool greeted;          /* Hello was sent on the connection that stands */
    bool gave_back;        /* on the connection that stands, since the director wanted it last */
    uint64_t gave_back_ms; /* when, on the connection that stands; 0: not yet */
    bool told_pending;
    struct log_gate refusals; /* of what the director says */
    uint64_t joined_ms, join_pause_ms, ends_told_ms;
    bool draining;
};

/* ---- greeting.c: how a connection begins */
/* Hello to a director whose roster has us, else Join. */
void greeting_say(struct control *control);
/* Ends go with every Hello, and again until they are acknowledged. */
void greeting_tell_ends(struct control *control);

/* ---- give_back.c */
/* To a director that may know less than this transporter and has rosters up to `roster_version`: all that
 * this one holds of what operators signed. */
void give_back_all(struct control *control, uint64_t roster_version);

/* ---- dispatch.c: what the director says; `arg` is the control */
void dispatch(void *arg, const Sealift__Head *head, struct span payload);
/* The repositories that are ours by the statements of an earlier life. */
void dispatch_attach_known(struct control *control);

#endif
