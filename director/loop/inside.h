/* Inside the loop: the director's whole state, and what its parts offer each other. */
#ifndef SEALIFT_DIRECTOR_INSIDE_H
#define SEALIFT_DIRECTOR_INSIDE_H

#include "common/base/log_gate.h"
#include "common/crypto/identity.h"
#include "common/net/net_monitor.h"
#include "common/net/net_zap.h"
#include "common/wire/head.h"
#include "common/wire/lent.h"
#include "director/catalog/catalog.h"
#include "director/core/agenda_wanted.h"
#include "director/core/run_table.h"
#include "director/loop/director.h"
#include "director/loop/line.h"

#define OPERATOR_DOMAIN "operator"
#define CONTROL_DOMAIN "control"
#define OPERATORS_MAX 1024 /* connections that are remembered */
#define FOLLOWERS_MAX 1024
#define ANSWER_WINDOW 4                            /* unanswered RunAnswers of a run */
#define ANSWERS_KEPT 32                            /* of all runs, above which those of an ended run go */
#define LIST_BYTES (7u * 1024 * 1024 + 512 * 1024) /* of one list, so that its encoding stays below 8 MiB */
#define EVENT_PAUSE_MS 500                         /* between two events of a run that only report progress */
#define PROBE_PAUSE_MS 30000                       /* between two looks at whether connections still stand */

/* A question about a repository's log that was not answered to its end. */
struct log_question {
    struct id repository;
    uint64_t serial;
    bool refused; /* answered: the repository cannot be opened */
};

enum host_stage {
    HOST_AWAY,
    HOST_JOINING, /* admitted, and told so by the rosters; it has not said Hello yet */
    HOST_CONNECTED,
};

/* What a transporter calls a protector outside that it can ask. */
struct host_kms {
    char name[IDENTITY_NAME_MAX + 1];
    char kind[8];
};
#define HOST_KMS_MAX 16

/* A transporter of the roster. */
struct host_link {
    uint8_t sign_pk[SIGN_PK_LEN];
    char name[RUN_NAME_MAX + 1];
    enum host_stage stage;
    struct line line; /* unless away */
    uint64_t last_seen_ns;
    uint32_t slots;
    char reverse_endpoint[RUN_ENDPOINT_MAX + 1]; /* empty: it has none */
    char version[64];
    bool has_own_key;
    uint8_t own_key_id[32], own_domain_id[32];
    struct host_kms *kms; /* by its last Hello to this process */
    size_t kms_count;
    struct log_question *questions;
    size_t question_count, question_cap;
    struct log_gate lines;  /* that it causes as often as it likes */
    struct log_gate alarms; /* that it knows a newer roster */
    bool gave_back;         /* all that it holds, since this director began to reconcile */
};

struct operator_link {
    struct line line;
    uint64_t heard_ms;
};

/* An operator's connection that wants to hear of a run. */
struct follower {
    uint32_t route;
    struct id run;
    bool due; /* there is progress to report */
};

/* A browse answer that no operator's connection has taken yet. */
struct answer {
    struct id run;
    uint8_t host[SIGN_PK_LEN];
    /* whom the order names: the order itself is forgotten with its run's end */
    uint8_t operator[SIGN_PK_LEN];
    uint64_t serial;
    uint64_t number;
    uint32_t last;
    uint64_t since_ms;
    bool told; /* the transporter was, that it is off its hands */
    struct buf sealed;
};

/* A join that was written lately: repeated ones cost no write. */
struct join_note {
    uint8_t curve_pk[32];
    struct hash identity;
    uint64_t written_ms;
};

struct bundles;
struct reconcile;
struct probe;
struct dial_news;

struct director {
    struct director_settings settings;
    struct catalog *catalog;
    struct registry *registry;
    struct link_table pairs; /* links, as they are kept */
    struct run_table *runs;
    struct agenda *agenda;
    struct bundles *bundles;
    struct reconcile *reconcile;
    struct probe *probing; /* tests of ways that are under way */
    size_t probing_count;
    struct net_context *net;
    struct net_zap *zap;
    struct log_gate strangers; /* lines that anybody causes */
    struct said {
        const char *event;
        struct log_gate gate;
    } said[16]; /* of each event by itself: what a stranger causes silences nothing that a host does */
    struct net_socket *operators, *control;
    struct net_monitor *operator_monitor, *control_monitor;
    uint16_t control_port;       /* the real one */
    struct dial_news *dial_news; /* of each of settings.dials */

    struct host_link **hosts;
    size_t host_count, host_cap;
    struct operator_link **links;
    size_t link_count, link_cap;
    struct follower *followers;
    size_t follower_count, follower_cap;
    struct answer *answers;
    size_t answer_count, answer_cap;
    struct join_note joins[CATALOG_PENDING_MAX];

    struct moment now;
    uint64_t serial; /* of our own questions */
    uint64_t last_event_ms, last_probe_ms, last_sweep_ms, last_guard_ms;
    int probes;             /* looks at all connections that are still to be taken soon */
    struct hash logged[64]; /* of what was logged once */
    size_t logged_next;
    bool failed;
    struct err failure;
};

/* ---- director.c */
void director_fail(struct director *director, const struct err *err); /* the loop ends with it */

/* ---- startup.c */
bool startup_load(struct director *director, struct err *err) MUST_CHECK;
/* Who may connect, by today's roster. */
void startup_admit(struct director *director);

/* ---- said.c: logs and texts */
#define ID_TEXT_LEN 33
const char *id_text(const struct id *id, char out[static ID_TEXT_LEN]);
/* The gate of an event, which is a literal. */
struct log_gate *said_gate(struct director *director, const char *event);
/* One line for the same event, peer and text while it is among the last 64, through the event's gate. */
void say_once(struct director *director, const char *event, const struct net_peer *peer, const char *text);
Sealift__Head head_of(Sealift__Head__KindCase kind, uint64_t serial);

/* ---- apply.c */
/* Stores what the effects keep; inside a transaction of the caller. */
bool apply_keep(struct director *director, const struct effects *effects, struct err *err) MUST_CHECK;
/* Carries out the rest and empties the effects. */
void apply_act(struct director *director, struct effects *effects);
/* Both, with a transaction. False: the director has failed, which the loop will notice. */
bool apply(struct director *director, struct effects *effects);

/* ---- schedules.c */
bool schedules_load(struct director *director, struct err *err) MUST_CHECK;
/* By what is signed now. */
void schedules_plan(struct director *director);
/* Starts what is due. */
void schedules_tick(struct director *director);

/* ---- hosts.c */
struct host_link *hosts_find(struct director *director, const uint8_t sign_pk[SIGN_PK_LEN]);
struct host_link *hosts_of_peer(struct director *director, const struct net_peer *peer);
void hosts_join(struct director *director, const struct net_peer *peer, const Sealift__Head *head,
                struct span payload);
/* A member of the roster that still asks to join gets the rosters, in which it finds itself. */
void hosts_admitted(struct director *director, const struct net_peer *peer, const Sealift__Member *member,
                    const Sealift__Head *head);
void hosts_hello(struct director *director, const struct net_peer *peer, const Sealift__Member *member,
                 const Sealift__Head *head);
/* Connections that have ended are taken down. */
void hosts_reap(struct director *director);
void hosts_probe(struct director *director);
/* After a new roster: who is out of it. */
void hosts_expel(struct director *director);
void hosts_remember(struct director *director, const struct host_link *host);
void hosts_free(struct director *director);

/* ---- port.c */
struct port {
    struct net_socket *socket;
    enum channel channel;
    void (*take)(struct director *director, const struct net_peer *peer, const Sealift__Head *head,
                 struct span payload);
    void (*drop)(struct director *director, const struct net_peer *peer, const char *reason);
};
/* What has come, up to a limit that leaves the other port its turn. */
void port_receive(struct director *director, const struct port *port);

/* ---- control.c */
void control_receive(struct director *director);

/* ---- logs.c: repositories' logs */
/* The host is no owner of the repository any more: what it was asked, nobody answers. */
void logs_forget(struct host_link *host, const struct id *repository);
void logs_point(struct director *director, struct host_link *host, const Sealift__Head *message,
                struct span payload);
void logs_state(struct director *director, struct host_link *host, const Sealift__Head *message);
void logs_ask(struct director *director, struct host_link *host, const struct id *repository);
void logs_ask_all(struct director *director, struct host_link *host);

/* ---- deliver.c */
/* Everything that concerns a transporter which has just said Hello and has rosters up to `version`. */
void deliver_all(struct director *director, struct host_link *host, uint64_t version);
/* The chain after `version`. */
void deliver_rosters(struct director *director, struct host_link *host, uint64_t version);
/* The newest one, to everybody. */
void deliver_roster(struct director *director);
/* To the owner of the repository, what concerns it: he may be a new one. */
void deliver_jobs(struct director *director, const struct statement *repository);
/* To whom the statement, or the one that it replaces (or NULL), concerns. */
void deliver_statement(struct director *director, const struct statement *statement,
                       const struct statement *old);

/* ---- operator.c, put.c, lists.c */
void operator_receive(struct director *director);
struct operator_link *operator_link_at(struct director *director, uint32_t route);
/* The operator who speaks through it; NULL: none of today's roster. */
const Sealift__Member *operator_behind(const struct director *director, const struct operator_link *link);
void operator_reap(struct director *director);
/* After a new roster: who is out of it. */
void operator_expel(struct director *director);
void operator_free(struct director *director);
void operator_done(struct operator_link *link, uint64_t serial, const struct id *run, uint64_t count,
                   struct span payload);
void operator_fail(struct operator_link *link, uint64_t serial, const struct err *err);

/* The claim code; wrong ones are counted. */
bool put_check_code(struct director *director, const char *code, struct err *err) MUST_CHECK;
void put_claim(struct director *director, struct operator_link *link, const Sealift__Head *head,
               struct span payload);
void put_adopt(struct director *director, struct operator_link *link, const Sealift__Head *head,
               struct span payload);
void put_statement(struct director *director, struct operator_link *link, const Sealift__Head *head,
                   struct span payload);
void put_unlock(struct director *director, struct operator_link *link, const Sealift__Head *head,
                struct span payload);
bool put_unlock_bytes(struct director *director, struct span bytes, struct err *err) MUST_CHECK;
/* Any statement but an order, by whatever way it came. The registry takes it if it is kept there. */
bool put_given_back(struct director *director, struct statement **statement, struct err *err) MUST_CHECK;

void list_get(struct director *director, struct operator_link *link, const Sealift__Head *head);
void list_pending(struct director *director, struct operator_link *link, const Sealift__Head *head);
void list_runs(struct director *director, struct operator_link *link, const Sealift__Head *head);
void list_points(struct director *director, struct operator_link *link, const Sealift__Head *head);
void list_status(struct director *director, struct operator_link *link, const Sealift__Head *head);

/* ---- links.c */
bool links_load(struct director *director, struct err *err) MUST_CHECK;
/* The two of a request. ERR_NOT_FOUND: not both are transporters of the roster. Borrows from it. */
bool links_ends(const struct director *director, const Sealift__Link *link, struct way_ends *out,
                struct err *err) MUST_CHECK;
/* Of a job that an operator puts: could its hosts meet as it says? Other statements are fine. What is given
 * back is not asked: it was signed, and its link may be lost. ERR_USAGE. */
bool links_check_job(const struct director *director, const struct statement *statement,
                     struct err *err) MUST_CHECK;
void links_put(struct director *director, struct operator_link *link, const Sealift__Head *head);
void links_list(struct director *director, struct operator_link *link, const Sealift__Head *head);
/* After a new roster: those of who is out of it. */
void links_expel(struct director *director);

/* ---- probes.c */
void probes_start(struct director *director, struct operator_link *link, const Sealift__Head *head);
void probes_ready(struct director *director, struct host_link *host, const Sealift__Head *head);
void probes_end(struct director *director, struct host_link *host, const Sealift__Head *head);
/* What takes too long, or lost a host. */
void probes_tick(struct director *director);
/* Nobody waits for its answers any more. */
void probes_forget(struct director *director, uint32_t route);
void probes_free(struct director *director);

/* ---- dials.c */
bool dials_open(struct director *director, struct err *err) MUST_CHECK;
void dials_free(struct director *director);
void dials_event(struct director *director, const struct net_monitor_event *event);

/* ---- bundles.c */
bool bundles_open(struct director *director, struct err *err) MUST_CHECK;
void bundles_free(struct director *director);
/* A step of what is being made, and what is due. */
void bundles_tick(struct director *director);
bool bundles_busy(const struct director *director);
void bundles_export(struct director *director, struct operator_link *link, const Sealift__Head *head);
void bundles_read(struct director *director, struct operator_link *link, const Sealift__Head *head);
void bundles_lock(struct director *director, struct operator_link *link, const Sealift__Head *head);
/* False: none are configured. Borrows from the director. */
bool bundles_status(const struct director *director, Sealift__SelfBackup *out);

/* ---- reconcile.c */
bool reconcile_open(struct director *director, struct err *err) MUST_CHECK;
void reconcile_free(struct director *director);
bool reconcile_active(const struct director *director);
/* Do schedules wait? */
bool reconcile_holds(struct director *director);
/* From now on: the state turns out to be older than what others have seen. */
void reconcile_begin(struct director *director);
/* Is it over? */
void reconcile_tick(struct director *director);
void reconcile_take(struct director *director, struct host_link *host, const Sealift__Head *head,
                    struct span payload);
/* An unlock section came by another way, with a point: what was given back may have waited for it. */
void reconcile_section(struct director *director, const struct hash *section);
void reconcile_proceed(struct director *director, struct operator_link *link, const Sealift__Head *head);
/* False: it is over. `keys`: room for every transporter of the roster. Borrows. */
bool reconcile_status(struct director *director, Sealift__Restored *out, ProtobufCBinaryData *keys);

/* ---- follow.c */
/* Tells at once how the run stands, and from then on. */
void follow_add(struct director *director, struct operator_link *link, const struct run *run);
void follow_moved(struct director *director, const struct run *run);
void follow_progress(struct director *director, const struct id *run);
/* What is due, at its pace. */
void follow_tick(struct director *director);
void follow_forget(struct director *director, uint32_t route);

/* ---- answers.c */
void answers_take(struct director *director, struct host_link *host, const Sealift__Head *head,
                  struct span payload);
/* Hands out what can be. True if something still waits. */
bool answers_pump(struct director *director);
/* The run has ended: what still waits goes to its follower before the end does, or is kept for as long as a
 * lease, for an operator who follows a moment after the end. */
void answers_ended(struct director *director, const struct run *run);
/* All that waits to whoever follows, if it is the operator whom the order names. */
void answers_hand_over(struct director *director, const struct run *run);
void answers_free(struct director *director);

#endif
