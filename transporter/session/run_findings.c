#include "transporter/session/run_findings.h"

#include "common/base/alloc.h"
#include "common/base/text.h"
#include "common/wire/stored.h"
#include "transporter/core/public_text.h"

#include <string.h>

/* What a point, and a finding around its texts, take as encoded. */
enum { POINT_BYTES = ID_LEN + 2, ITEM_BYTES = 32 };

struct run_findings {
    Sealift__CheckReport report;
    Sealift__Finding **items;
    size_t count, bytes;
    struct err worst;
    int gravity;               /* its */
    Sealift__Finding *foreign; /* of `items`, for all names that are no objects; or NULL */
    size_t foreign_count;
};

struct run_findings *run_findings_new(void)
{
    struct run_findings *findings = xcalloc(1, sizeof(*findings));
    sealift__check_report__init(&findings->report);
    return findings;
}

static void item_free(Sealift__Finding *item)
{
    for (size_t i = 0; i < item->n_points; i++)
        free(item->points[i].data);
    free(item->points);
    free(item->path.data);
    free(item->object);
    free(item->text);
    free(item);
}

void run_findings_free(struct run_findings *findings)
{
    if (!findings) return;
    for (size_t i = 0; i < findings->count; i++)
        item_free(findings->items[i]);
    free(findings->items);
    free(findings);
}

static Sealift__Finding *item_of(const struct check_finding *finding, const char *text)
{
    Sealift__Finding *item = xcalloc(1, sizeof(*item));
    sealift__finding__init(item);
    size_t points = finding->point_count;
    if (points > RUN_FINDING_POINTS_MAX) points = RUN_FINDING_POINTS_MAX;
    item->code = (uint32_t)finding->code;
    item->object = xstrdup(finding->object);
    item->text = xstrdup(text);
    item->points = xcalloc(points + 1, sizeof(*item->points));
    for (; item->n_points < points; item->n_points++) {
        uint8_t *id = xmalloc(ID_LEN);
        memcpy(id, finding->points[item->n_points].bytes, ID_LEN);
        item->points[item->n_points] = stored_bytes(span_of(id, ID_LEN));
    }
    return item;
}

static void weigh(struct run_findings *findings, const struct check_finding *finding, const char *text)
{
    if (check_gravity(finding->code) <= findings->gravity) return;
    findings->gravity = check_gravity(finding->code);
    (void)err_set(&findings->worst, check_code(finding->code), "%s: %s", finding->object, text);
}

static Sealift__Finding *known_as(struct run_findings *findings, const struct check_finding *finding,
                                  const char *text, struct span path)
{
    for (size_t i = 0; i < findings->count; i++) {
        Sealift__Finding *item = findings->items[i];
        if (strcmp(item->object, finding->object) == 0 && strcmp(item->text, text) == 0 &&
            span_eq(stored_span(&item->path), path))
            return item;
    }
    return NULL;
}

static void add_points(struct run_findings *findings, Sealift__Finding *item,
                       const struct check_finding *finding)
{
    for (size_t i = 0; i < finding->point_count && item->n_points < RUN_FINDING_POINTS_MAX &&
                       findings->bytes + POINT_BYTES <= RUN_FINDINGS_BYTES;
         i++) {
        uint8_t *id = xmalloc(ID_LEN);
        memcpy(id, finding->points[i].bytes, ID_LEN);
        item->points = xreallocarray(item->points, item->n_points + 1, sizeof(*item->points));
        item->points[item->n_points++] = stored_bytes(span_of(id, ID_LEN));
        findings->bytes += POINT_BYTES;
    }
}

static void add(struct run_findings *findings, const struct check_finding *finding, const char *text,
                struct span path)
{
    if (finding->code != ERR_NONE) {
        findings->report.findings++;
        weigh(findings, finding, text);
    }
    size_t bytes =
        strlen(finding->object) + strlen(text) + path.len + finding->point_count * POINT_BYTES + ITEM_BYTES;
    if (findings->count >= RUN_FINDINGS_MAX || findings->bytes + bytes > RUN_FINDINGS_BYTES) return;
    Sealift__Finding *item = item_of(finding, text);
    if (path.len) {
        uint8_t *copy = xmalloc(path.len);
        memcpy(copy, path.data, path.len);
        item->path = stored_bytes(span_of(copy, path.len));
    }
    findings->items = xreallocarray(findings->items, findings->count + 1, sizeof(Sealift__Finding *));
    findings->items[findings->count++] = item;
    findings->bytes += bytes;
}

/* How many there are, and not what they are called. */
static void add_foreign(struct run_findings *findings)
{
    const struct check_finding all = {.code = ERR_NONE, .object = "."};
    size_t count = ++findings->foreign_count;
    AUTO(free)
    char *text = xasprintf(
        "%zu %s", count,
        plural(count, "name that is no object of a repository", "names that are no objects of a repository"));
    if (!findings->foreign) {
        size_t before = findings->count;
        add(findings, &all, text, span_of(NULL, 0));
        if (findings->count > before) findings->foreign = findings->items[before];
    } else {
        free(findings->foreign->text);
        findings->foreign->text = text;
        text = NULL;
    }
}

void run_findings_add(void *arg, const struct check_finding *finding)
{
    AUTO(buf) struct buf text = {0};
    if (finding->about == CHECK_FOREIGN) {
        add_foreign(arg);
        return;
    }
    public_text(finding->text, &text);
    add(arg, finding, buf_cstr(&text), span_of(NULL, 0));
}

void run_findings_add_to(struct run_findings *findings, const struct check_finding *finding, struct span path)
{
    AUTO(buf) struct buf text = {0};
    public_text(finding->text, &text);
    Sealift__Finding *known = known_as(findings, finding, buf_cstr(&text), path);
    if (known)
        add_points(findings, known, finding);
    else
        add(findings, finding, buf_cstr(&text), path);
}

Sealift__CheckReport *run_findings_report(struct run_findings *findings)
{
    return &findings->report;
}

bool run_findings_worst(const struct run_findings *findings, struct err *err)
{
    unsigned long long count = findings->report.findings;
    if (count == 0) return false;
    *err = findings->worst;
    (void)err_wrap(err, "%llu %s", count, plural(count, "finding", "findings, the worst"));
    return true;
}

void run_findings_fill(struct run_findings *findings, Sealift__Warnings *out)
{
    out->n_findings = findings->count;
    out->findings = findings->items;
    out->check = &findings->report;
}
