/* A running director, an operator and two transporters over real sockets: what the tests of its loop begin
 * with. One at a time. */
#ifndef SEALIFT_TESTS_LOOP_SITE_H
#define SEALIFT_TESTS_LOOP_SITE_H

#include "dock.h"

#define STATE(name) SEALIFT__RUN_STATE__RUN_##name
#define SIDE(name) SEALIFT__RUN_SIDE__SIDE_##name

struct loop_site {
    struct dock dock;
    struct caller anna;     /* who has claimed the director */
    struct caller web, nas; /* not connected at the beginning */
};
extern struct loop_site loop;
/* ids of the repository on nas, and of the job that backs web up to it */
extern const struct id loop_store, loop_job;

void loop_setup(void);
void loop_teardown(void);

void loop_put_store(void);
void loop_put_job(void);
void loop_connect_hosts(void);
struct id loop_start_job(void);
/* Both hosts are at work on it. */
struct id loop_run_to_running(void);
void loop_follow(struct caller *caller, const struct id *run);
/* Events up to the one that shows the state. */
void loop_expect_event(struct caller *caller, Sealift__RunState state, struct heard *out);
/* What the director delivers to the caller, up to this statement. */
void loop_expect_delivered(struct caller *caller, Sealift__StatementType type, const struct id *id);
/* Free it by payload_status_free. */
Sealift__StatusAnswer *loop_status(void);

#endif
