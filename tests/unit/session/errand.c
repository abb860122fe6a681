#include "errand.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "tests/unit/pipeline/chunks.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const struct id repository_id = {{4}}, job_id = {{7}};

static void make_tree(const struct errand *errand)
{
    struct err err = {0};
    cr_assert_eq(mkdir(errand->tree, 0700), 0);
    for (unsigned i = 0; i < ERRAND_FILES; i++) {
        AUTO(free) char *path = xasprintf("%s/%u", errand->tree, i);
        AUTO(buf) struct buf bytes = {0};
        chunk_fill(&bytes, i, ERRAND_FILE_LEN);
        cr_assert(file_replace(AT_FDCWD, path, buf_span(&bytes), 0600, &err), "%s", err.text);
    }
}

void errand_init(struct errand *errand, struct host *source, struct host *target,
                 const struct write_half *half, struct hosts *hosts)
{
    *errand = (struct errand){.hosts = hosts, .source = source, .target = target, .half = half};
    errand->tree = xasprintf("%s/tree", hosts->dir);
    errand->store = xasprintf("%s/repository", hosts->dir);
    if (half) errand->key_id = half->key_id;
    make_tree(errand);
    hosts_tell(hosts,
               site_repository(&hosts->site, &(struct repository_draft){
                                                 .id = repository_id,
                                                 .name = "main",
                                                 .path = errand->store,
                                                 .owner = target->self,
                                                 .kind = half ? SEALIFT__STORE_KIND__STORE_ENCRYPTED
                                                              : SEALIFT__STORE_KIND__STORE_PLAINTEXT}));
    hosts_tell(hosts, site_backup(&hosts->site, &(struct backup_draft){.id = job_id,
                                                                       .repository = repository_id,
                                                                       .version = 1,
                                                                       .source = source->self,
                                                                       .half = half,
                                                                       .path = errand->tree}));
}

void errand_deinit(struct errand *errand)
{
    free(errand->tree);
    free(errand->store);
}

void errand_back_up(struct errand *errand, struct trip *trip)
{
    const struct assignment assignment = {
        SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, job_id, errand->source, errand->target, 0, false};
    trip_run(errand->hosts, &assignment, trip);
    if (trip->source.code > 1) return;
    errand->point = trip->source.point;
    errand->point_hash = trip_end(trip)->point_hash;
    errand->time_ns = trip_end(trip)->time_ns;
}

void errand_make_point(struct errand *errand)
{
    AUTO(trip) struct trip trip = {.relay = NULL};
    errand_back_up(errand, &trip);
    cr_assert_eq(trip.source.code, 0, "%s", trip.source.text);
    cr_assert_eq(trip_end(&trip)->code, 0, "%s", trip_end(&trip)->text);
}

char *errand_destination(const struct errand *errand, uint8_t number)
{
    return xasprintf("%s/restored-%u", errand->hosts->dir, number);
}

void errand_order(struct errand *errand, uint8_t number, struct host *to, uint32_t accept_revoked)
{
    AUTO(free) char *destination = errand_destination(errand, number);
    hosts_tell(errand->hosts,
               site_restore(&errand->hosts->site,
                            &(struct restore_draft){.id = {{number}},
                                                    .repository = repository_id,
                                                    .point = errand->point,
                                                    .point_hash = errand->point_hash,
                                                    .target = to->self,
                                                    .key_id = errand->half ? &errand->key_id : NULL,
                                                    .destination = destination,
                                                    .accept_revoked = accept_revoked}));
}

struct assignment errand_recovery(const struct errand *errand, uint8_t number, struct host *to)
{
    return (struct assignment){
        SEALIFT__STATEMENT_TYPE__STATEMENT_ORDER, {{number}}, errand->target, to, 0, false};
}

void errand_assert_restored(const struct errand *errand, uint8_t number)
{
    AUTO(free) char *destination = errand_destination(errand, number);
    struct err err = {0};
    for (unsigned i = 0; i < ERRAND_FILES; i++) {
        AUTO(free) char *path = xasprintf("%s%s/%u", destination, errand->tree, i);
        AUTO(buf) struct buf expected = {0};
        AUTO(buf) struct buf restored = {0};
        chunk_fill(&expected, i, ERRAND_FILE_LEN);
        cr_assert(file_read(AT_FDCWD, path, ERRAND_FILE_LEN, &restored, &err), "%s", err.text);
        cr_assert(span_eq(buf_span(&expected), buf_span(&restored)), "%s", path);
    }
}
