#include "checking.h"

#include "common/base/alloc.h"
#include "transporter/repository/check.h"

#include <criterion/criterion.h>
#include <string.h>

void report_deinit(struct report *report)
{
    buf_deinit(&report->lines);
    buf_deinit(&report->points);
}

void note_finding(void *arg, const struct check_finding *finding)
{
    struct report *report = arg;
    buf_printf(&report->lines, "%d %s: %s\n", finding->code, finding->object, finding->text);
    buf_put(&report->points, finding->points, finding->point_count * sizeof(struct id));
    if (finding->code == ERR_NONE) report->notes++;
}

void check(struct repository *repository, enum check_level level, struct report *report)
{
    struct err err;
    struct check_sink sink = {.finding = note_finding, .arg = report};
    buf_clear(&report->lines);
    buf_clear(&report->points);
    report->notes = 0;
    const struct check_options options = {.level = level};
    cr_assert(repository_check(repository, &options, &sink, &report->result, &err), "%s", err.text);
    (void)buf_cstr(&report->lines);
}

bool kills(const struct report *report, uint8_t point)
{
    struct id id = id_of(point);
    for (size_t at = 0; at < report->points.len; at += sizeof(id))
        if (memcmp(report->points.data + at, id.bytes, sizeof(id)) == 0) return true;
    return false;
}

const char *lines(const struct report *report)
{
    return (const char *)report->lines.data;
}

void objects_deinit(struct objects *objects)
{
    for (size_t i = 0; i < objects->count; i++)
        free(objects->names[i]);
}

static bool note_object(void *arg, const char *name, uint64_t size)
{
    struct objects *objects = arg;
    objects->names[objects->count] = xstrdup(name);
    objects->sizes[objects->count++] = size;
    return objects->count < 64;
}

void list_objects(struct place *place, struct objects *objects)
{
    struct err err;
    const struct storage *storage = &place->repository->storage;
    cr_assert(storage->ops->list(storage->self, "", note_object, objects, &err), "%s", err.text);
}

const char *find_object(const struct objects *objects, const char *prefix, int nth)
{
    for (size_t i = 0; i < objects->count; i++)
        if (strncmp(objects->names[i], prefix, strlen(prefix)) == 0 && nth-- == 0) return objects->names[i];
    cr_assert_fail("no object %s", prefix);
    return NULL;
}

struct place *small_repository(enum repository_kind kind)
{
    struct place *place = place_new(kind);
    AUTO(writer) struct writer *writer = writer_new(kind, 1);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 1);
    struct hash root = session_tree(ingest, writer, 0, 2, 30);
    (void)session_commit(ingest, writer, 1, &root);
    return place;
}

void ignore_finding(void *arg, const struct check_finding *finding)
{
}
