/* What the tests of checks share: reports, and repositories in which something is wrong. */
#ifndef SEALIFT_TESTS_CHECKING_H
#define SEALIFT_TESTS_CHECKING_H

#include "builder.h"
#include "transporter/repository/check.h"

/* What a check told. */
struct report {
    struct check_result result;
    struct buf lines;  /* "code object: text\n" each */
    struct buf points; /* of all findings, struct id each */
    size_t notes;
};

void report_deinit(struct report *report);
DEFINE_AUTO_IN_PLACE(report, struct report, report_deinit)

/* Into the report that `arg` is. */
void note_finding(void *arg, const struct check_finding *finding);

void check(struct repository *repository, enum check_level level, struct report *report);

/* Is the point among those that findings kill? */
bool kills(const struct report *report, uint8_t point);

const char *lines(const struct report *report);

/* The names of all objects of a repository. */
struct objects {
    char *names[64];
    uint64_t sizes[64];
    size_t count;
};

void objects_deinit(struct objects *objects);
DEFINE_AUTO_IN_PLACE(objects, struct objects, objects_deinit)

void list_objects(struct place *place, struct objects *objects);

/* The nth (from 0) whose name begins so. */
const char *find_object(const struct objects *objects, const char *prefix, int nth);

/* One point. */
struct place *small_repository(enum repository_kind kind);

struct progress {
    uint64_t done, total;
};

void ignore_finding(void *arg, const struct check_finding *finding);

#endif
