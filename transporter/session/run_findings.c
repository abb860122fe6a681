#include "transporter/session/run_findings.h"

#include "common/base/alloc.h"
#include "common/wire/stored.h"
#include "transporter/core/public_text.h"

#include <string.h>

struct run_findings {
    Sealift__CheckReport report;
    Sealift__Finding **items;
    size_t count, bytes;
    struct err worst;
    int gravity; /* its */
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

static void add_points(Sealift__Finding *item, const struct check_finding *finding)
{
    for (size_t i = 0; i < finding->point_count && item->n_points < RUN_FINDING_POINTS_MAX; i++) {
        uint8_t *id = xmalloc(ID_LEN);
        memcpy(id, finding->points[i].bytes, ID_LEN);
        item->points = xreallocarray(item->points, item->n_points + 1, sizeof(*item->points));
        item->points[item->n_points++] = stored_bytes(span_of(id, ID_LEN));
    }
}

void run_findings_add_to(struct run_findings *findings, const struct check_finding *finding, struct span path)
{
    AUTO(buf) struct buf text = {0};
    public_text(finding->text, &text);
    Sealift__Finding *known = known_as(findings, finding, buf_cstr(&text), path);
    if (known) {
        add_points(known, finding);
        return;
    }
    size_t before = findings->count;
    run_findings_add(findings, finding);
    if (findings->count == before || path.len == 0) return;
    Sealift__Finding *item = findings->items[before];
    uint8_t *bytes = xmalloc(path.len);
    memcpy(bytes, path.data, path.len);
    item->path = stored_bytes(span_of(bytes, path.len));
    findings->bytes += path.len;
}

void run_findings_add(void *arg, const struct check_finding *finding)
{
    struct run_findings *findings = arg;
    AUTO(buf) struct buf text = {0};
    public_text(finding->text, &text);
    if (finding->code != ERR_NONE) {
        findings->report.findings++;
        weigh(findings, finding, buf_cstr(&text));
    }
    size_t bytes = strlen(finding->object) + text.len + finding->point_count * (ID_LEN + 2) + 16;
    if (findings->count >= RUN_FINDINGS_MAX || findings->bytes + bytes > RUN_FINDINGS_BYTES) return;
    findings->items = xreallocarray(findings->items, findings->count + 1, sizeof(Sealift__Finding *));
    findings->items[findings->count++] = item_of(finding, buf_cstr(&text));
    findings->bytes += bytes;
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
    (void)err_wrap(err, "%llu finding%s, the worst", count, count == 1 ? "" : "s");
    return true;
}

void run_findings_fill(struct run_findings *findings, Sealift__Warnings *out)
{
    out->n_findings = findings->count;
    out->findings = findings->items;
    out->check = &findings->report;
}
