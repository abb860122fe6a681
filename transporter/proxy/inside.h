/* Private to transporter/proxy: what its parts share. All of it belongs to the loop's thread. */
#ifndef SEALIFT_PROXY_INSIDE_H
#define SEALIFT_PROXY_INSIDE_H

#include "transporter/proxy/core/rendezvous.h"
#include "transporter/proxy/core/socks_server.h"
#include "transporter/proxy/flow.h"
#include "transporter/proxy/proxy.h"
#include "transporter/proxy/reload.h"

#include <stddef.h>

enum watch_kind { WATCH_WAKE, WATCH_RELOAD, WATCH_LISTENER, WATCH_END, WATCH_INSIDE };

/* What epoll gives back: the first member of all that is waited for. */
struct watch {
    enum watch_kind kind;
    int fd;          /* -1: closed; the memory stays until the events at hand are done */
    uint32_t events; /* 0: epoll does not know it */
};

struct listener {
    struct watch watch;
    struct address asked; /* as in the settings: port 0 may stand for any */
    struct address bound;
};

enum phase {
    PHASE_GREETING,
    PHASE_LOGIN,
    PHASE_REQUEST,
    PHASE_HELD,     /* with a name that the program does not expect, yet */
    PHASE_DIALLING, /* a caller whose endpoint is dialled, and that endpoint */
    PHASE_WAITING,  /* at a rendezvous */
    PHASE_JOINED,
    PHASE_REFUSED, /* told so; until it has closed, for a reset could overtake the words */
};

enum role { ROLE_CALLER, ROLE_ENDPOINT };

#define END_IN_MAX 1024 /* more than a SOCKS message */

/* A connection that somebody made to us, or we to an endpoint. */
struct end {
    struct watch watch;
    enum role role;
    enum phase phase;
    struct address address; /* of the other side */
    uint64_t deadline_ms;   /* of the phase; PHASE_WAITING's is in the table */
    uint8_t in[END_IN_MAX]; /* read and not used: later the first bytes for the partner */
    size_t in_len;
    bool meets; /* `name` is what it asked for */
    struct rendezvous_name name;
    struct address candidates[ALLOW_ADDRESSES_MAX]; /* what a caller may be connected to */
    size_t candidate_count, next_candidate;
    struct end *partner;
    struct flow flow; /* from here to the partner */
    enum flow_state flow_state;
    uint64_t moved_ms;
    struct watch inside;         /* where its partner comes from inside the program; see host_end.h */
    struct end *before, *behind; /* in the list of its phase */
};

static inline struct end *end_of_inside(struct watch *inside)
{
    return (struct end *)(void *)((char *)inside - offsetof(struct end, inside));
}

/* The table of rendezvous knows ends by numbers. */
static inline uint64_t end_number(const struct end *end)
{
    return (uint64_t)(uintptr_t)end;
}
/* NULL for RENDEZVOUS_NOBODY */
static inline struct end *end_of_number(uint64_t number)
{
    return (struct end *)(uintptr_t)number;
}

struct end_list {
    struct end *first, *last;
};

struct proxy {
    struct proxy_options options;
    struct proxy_settings settings;
    int epoll;
    struct watch wake;
    struct watch reload_watch;
    struct reload *reload; /* NULL: none at work */
    bool reload_again;     /* asked for while one was at work */
    struct listener **listeners;
    size_t listener_count;
    struct end_list asking;  /* callers up to PHASE_REQUEST, oldest first */
    struct end_list held;    /* PHASE_HELD, oldest first */
    struct end_list refused; /* PHASE_REFUSED, oldest first */
    struct end_list settled; /* all others */
    struct end *dead;        /* closed during the events at hand, by `behind` */
    size_t callers, joined;
    size_t callers_most; /* settings.connections, or what descriptors allow */
    struct address_count *clients;
    struct rendezvous *meetings;
    struct flow_pipes pipes;
    uint64_t now_ms, last_look_ms, log_second;
    unsigned logged; /* lines about refused callers in that second */
    size_t unlogged;
    enum { LISTENING, PAUSED, DRAINING } state;
    uint64_t resume_ms; /* PAUSED until then; DRAINING ends then */
};

/* loop.c: what epoll waits for; 0 takes it out. false: the kernel refused. */
bool watch_set(struct proxy *proxy, struct watch *watch, uint32_t events);
/* Whether one more line about an unwelcome caller may be logged in this second. */
bool may_log(struct proxy *proxy);
/* The name of an event in the log: the port of another program puts "reverse_" before it. */
enum said { SAID_REFUSED, SAID_REFUSED_MORE, SAID_JOINED, SAID_ENDED, SAID_FEWER, SAID_NO_DESCRIPTORS };
const char *said(const struct proxy *proxy, enum said what);

/* end.c */
struct end *end_new(struct proxy *proxy, int fd, enum role role, const struct address *address);
/* Moves it into the list that its new phase belongs to. */
void end_enter(struct proxy *proxy, struct end *end, enum phase phase, uint64_t deadline_ms);
/* Closes it and its partner. */
void end_drop(struct proxy *proxy, struct end *end);
/* Answers a caller that gets nothing, and lets it go; its endpoint is closed. `reason` is logged. */
void end_refuse(struct proxy *proxy, struct end *caller, enum socks_reply reply, const char *reason,
                const char *asked);
/* After this answer it is heard no more, and closed when it has closed, or a second later: closed at once,
 * with bytes that were not read, it would be reset, and the answer could be lost. */
void end_say_last(struct proxy *proxy, struct end *caller, const void *bytes, size_t len);
bool end_send(const struct end *end, const void *bytes, size_t len);
/* Both ends have what they asked for. */
void end_join(struct proxy *proxy, struct end *one, struct end *other);
/* Passes on what there is, both ways. */
void end_pass(struct proxy *proxy, struct end *end);

/* caller.c: what came from a caller that has not been answered, step by step. */
void caller_ready(struct proxy *proxy, struct end *caller);
/* It has asked for `caller->name`, and may. */
void caller_meet(struct proxy *proxy, struct end *caller);
/* A rendezvous at which nobody came. */
void caller_alone(struct proxy *proxy, struct end *caller);
/* dial.c */
void dial_next(struct proxy *proxy, struct end *caller);
void dial_ready(struct proxy *proxy, struct end *endpoint);
/* The caller's endpoint did not answer in time. */
void dial_late(struct proxy *proxy, struct end *caller);

#endif
