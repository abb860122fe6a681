#include "transporter/session/run_unlock.h"

#include "common/base/alloc.h"
#include "common/wire/grant.h"
#include "common/wire/lent.h"
#include "transporter/kms/unlock.h"
#include "transporter/repository/unlocks.h"
#include "transporter/session/own_key.h"

#include <stdio.h>

enum {
    TOLD_MOST = 32, /* steps that are told one by one */
    SHOWN_MAX = 512 /* bytes of a name in a report */
};

struct unlocking {
    struct run *run;
    struct buf told[TOLD_MOST];
    size_t told_count;
    bool by_kms;
    bool worth_telling; /* more happened than that a known key opened it */
};

static void unlocking_deinit(struct unlocking *unlocking)
{
    for (size_t i = 0; i < unlocking->told_count; i++)
        buf_deinit(&unlocking->told[i]);
}
DEFINE_AUTO_IN_PLACE(unlocking, struct unlocking, unlocking_deinit)

/* --- what this host has --- */

static struct run *run_of(void *arg)
{
    return *(struct run **)arg; /* of both structs that are passed: their first field */
}

static bool get_own(void *arg, const struct hash *key_id, struct secret **s, struct err *err)
{
    const struct run *run = run_of(arg);
    AUTO(read_half) struct read_half *half = NULL;
    if (!run->environment.own_key_file) return err_set(err, ERR_NO_KEY, "this host has none");
    if (!own_key_load(run->environment.own_key_file, &half, err)) return false;
    if (!hash_eq(&half->key_id, key_id)) return err_set(err, ERR_NO_KEY, "it is another key");
    *s = secret_copy(half->s->data, half->s->len);
    return true;
}

static bool get_granted(void *arg, const struct hash *key_id, struct secret **s, struct err *err)
{
    struct authority *authority = run_of(arg)->environment.authority;
    AUTO(read_half) struct read_half *half = NULL;
    struct err none = {0};
    if (!authority_read_half(authority, key_id, &half, &none))
        return authority_read_secret(authority, key_id, s, err);
    *s = secret_copy(read_half_secret_of(half, key_id), KEY_SECRET_LEN);
    return true;
}

/* The later generation of the key that the order carries. */
static bool open_ordered(const struct run *run, struct read_half **half, struct err *err)
{
    AUTO(stored_unlock) Sealift__UnlockSection *section = NULL;
    AUTO(secret) struct secret *s = NULL;
    if (!stored_unlock_decode(stored_span(&run_order(run)->generation), &section, err))
        return err_wrap(err, "the unlock section in the order");
    struct hash key_id = stored_hash(&section->key_id);
    return run_order_secret(run, &key_id, &s, err) &&
           read_half_open(s->data, &key_id, stored_span(&section->keyring), half, err);
}

static bool get_ordered(void *arg, const struct hash *key_id, struct secret **s, struct err *err)
{
    const struct run *run = run_of(arg);
    AUTO(read_half) struct read_half *half = NULL;
    if (run_order(run)->secret.len == 0) return err_set(err, ERR_NO_KEY, "it carries none");
    if (run_order(run)->generation.len == 0) return run_order_secret(run, key_id, s, err);
    if (!open_ordered(run, &half, err)) return false;
    const uint8_t *found = read_half_secret_of(half, key_id);
    if (!found) return err_set(err, ERR_WRONG_KEY, "the generation that it carries does not hold this key");
    *s = secret_copy(found, KEY_SECRET_LEN);
    return true;
}

static bool going_on(void *arg, struct err *err)
{
    return run_going_on(run_of(arg), err);
}

static const struct unlock_known known_here[] = {
    {"own key", get_own},
    {"read grant", get_granted},
    {"secret in the order", get_ordered},
};
enum { KNOWN_ALL = 3, KNOWN_WITHOUT_ORDER = 2 };

static struct unlock_sources sources_of(const struct run *run, size_t known_count)
{
    return (struct unlock_sources){
        .known = known_here, .known_count = known_count, .kms = run->environment.kms, .going_on = going_on};
}

/* --- what is known of the key beside the point --- */

struct kept {
    const struct run *run;
    Sealift__UnlockSection **sections;
    size_t count;
};

static void kept_deinit(struct kept *kept)
{
    for (size_t i = 0; i < kept->count; i++)
        stored_unlock_free(kept->sections[i]);
    free(kept->sections);
}
DEFINE_AUTO_IN_PLACE(kept, struct kept, kept_deinit)

static bool believe(void *arg, const struct statement *order)
{
    const struct run *run = ((const struct kept *)arg)->run;
    return id_eq(&order->site, run_site(run)) && roster_ever_operator(run->roster, order->signer);
}

static bool keep(void *arg, uint32_t number, const Sealift__UnlockSection *section, const struct err *why)
{
    struct kept *kept = arg;
    struct err ignored;
    AUTO(buf) struct buf bytes = {0};
    Sealift__UnlockSection *copy = NULL;
    (void)number;
    (void)why;
    if (!section || !stored_unlock_encode(section, &bytes, &ignored) ||
        !stored_unlock_decode(buf_span(&bytes), &copy, &ignored))
        return true;
    kept->sections = xreallocarray(kept->sections, kept->count + 1, sizeof(Sealift__UnlockSection *));
    kept->sections[kept->count++] = copy;
    return true;
}

/* What cannot be read is one way less. */
static void read_kept(struct run *run, struct repository *repository, struct kept *kept)
{
    struct err why = {0};
    struct hash key_id = stored_hash(&run_order(run)->key_id);
    kept->run = run;
    if (repository && !repository_unlock_sections(repository, &key_id, believe, keep, kept, &why))
        run_note(run, why.text);
}

static struct unlock_more more_of(const struct run *run, const struct kept *kept)
{
    const Sealift__OrderBody *order = run_order(run);
    return (struct unlock_more){.sections = (const Sealift__UnlockSection *const *)kept->sections,
                                .section_count = kept->count,
                                .wraps = order->kms,
                                .wrap_count = order->n_kms};
}

/* --- unlocking --- */

/* The last steps belong to the command line: they are not told from here. */
static bool is_ours(const struct unlock_result *result)
{
    return result->step == UNLOCK_KNOWN || result->step == UNLOCK_KMS;
}

static void describe(const struct unlock_result *result, struct buf *out)
{
    if (result->step == UNLOCK_KNOWN)
        buf_put_str(out, result->name);
    else if (!result->wrap)
        buf_put_str(out, "KMS");
    else
        buf_printf(out, "KMS '%s'", result->name ? result->name : result->wrap->entry);
    buf_printf(out, ": %s", result->why ? result->why->text : "it opens the recovery point");
}

static void note_step(void *arg, const struct unlock_result *result)
{
    struct unlocking *unlocking = arg;
    if (!is_ours(result)) return;
    if (result->step == UNLOCK_KMS && !result->why) unlocking->by_kms = true;
    if (result->step == UNLOCK_KMS ? result->wrap != NULL : result->why && result->why->code != ERR_NO_KEY)
        unlocking->worth_telling = true;
    if (unlocking->told_count < TOLD_MOST) describe(result, &unlocking->told[unlocking->told_count++]);
}

static void tell(struct unlocking *unlocking)
{
    for (size_t i = 0; unlocking->worth_telling && i < unlocking->told_count; i++)
        run_note(unlocking->run, buf_cstr(&unlocking->told[i]));
}

/* By a later generation of the key that the order carries, or that we have a grant of: it opens what the
 * point's own opens, and what was stored since. ERR_NO_KEY: there is none. */
static bool open_generation(struct run *run, const struct hash *key_id, struct read_half **half,
                            struct err *err)
{
    return run_order(run)->generation.len
               ? open_ordered(run, half, err)
               : authority_read_half(run->environment.authority, key_id, half, err);
}

bool run_unlock(struct run *run, struct repository *repository, struct span unlock_section_bytes,
                struct read_half **half, struct err *err)
{
    struct hash key_id = stored_hash(&run_order(run)->key_id);
    if (open_generation(run, &key_id, half, err)) return true;
    if (err->code != ERR_NO_KEY) run_note(run, err->text);
    err_clear(err);
    AUTO(unlocking) struct unlocking unlocking = {.run = run};
    AUTO(read_half) struct read_half *opened = NULL;
    struct unlock_sources sources = sources_of(run, KNOWN_ALL);
    AUTO(kept) struct kept kept = {0};
    read_kept(run, repository, &kept);
    const struct unlock_more more = more_of(run, &kept);
    sources.report = note_step;
    sources.arg = &unlocking;
    bool done = unlock_section(unlock_section_bytes, &more, &sources, &opened, err);
    tell(&unlocking);
    if (!done) return false;
    if (unlocking.by_kms) run_give_key_back(run, opened);
    *half = opened;
    opened = NULL;
    return true;
}

/* --- explaining --- */

struct reporting {
    struct run *run;
    Sealift__UnlockReport report;
};

static void reporting_deinit(struct reporting *reporting)
{
    for (size_t i = 0; i < reporting->report.n_steps; i++) {
        free(reporting->report.steps[i]->name);
        free(reporting->report.steps[i]->text);
        free(reporting->report.steps[i]->entry);
        free(reporting->report.steps[i]->kind);
        free(reporting->report.steps[i]->master_key);
        free(reporting->report.steps[i]);
    }
    free(reporting->report.steps);
}
DEFINE_AUTO_IN_PLACE(reporting, struct reporting, reporting_deinit)

/* Names may be long, and a reason may quote what a KMS said: enough of it to know it by, in plain text. */
static char *shown(const char *text)
{
    char *copy = xasprintf("%.*s", SHOWN_MAX, text ? text : "");
    for (char *at = copy; *at; at++)
        if (*at < ' ' || *at > '~') *at = '?';
    return copy;
}

static void report_step(void *arg, const struct unlock_result *result)
{
    struct reporting *reporting = arg;
    Sealift__UnlockReport *report = &reporting->report;
    if (!is_ours(result)) return;
    Sealift__UnlockStep *step = xcalloc(1, sizeof(*step));
    sealift__unlock_step__init(step);
    step->step = (uint32_t)result->step;
    step->name = shown(result->name);
    step->entry = shown(result->wrap ? result->wrap->entry : NULL);
    step->kind = shown(result->wrap ? result->wrap->kind : NULL);
    step->master_key = shown(result->wrap ? result->wrap->master_key : NULL);
    step->code = result->why ? (uint32_t)result->why->code : 0;
    step->text = shown(result->why ? result->why->text : NULL);
    report->steps = xreallocarray(report->steps, report->n_steps + 1, sizeof(Sealift__UnlockStep *));
    report->steps[report->n_steps++] = step;
}

bool run_unlock_report(struct run *run, struct repository *repository, struct span unlock_section_bytes,
                       struct buf *out, struct err *err)
{
    AUTO(reporting) struct reporting reporting = {.run = run, .report = SEALIFT__UNLOCK_REPORT__INIT};
    struct unlock_sources sources = sources_of(run, KNOWN_WITHOUT_ORDER);
    AUTO(kept) struct kept kept = {0};
    read_kept(run, repository, &kept);
    const struct unlock_more more = more_of(run, &kept);
    struct err nothing_opens = {0};
    sources.report = report_step;
    sources.arg = &reporting;
    if (!unlock_explain(unlock_section_bytes, &more, &sources, &nothing_opens) &&
        (reporting.report.n_steps == 0 || nothing_opens.code == ERR_CANCELLED)) {
        *err = nothing_opens;
        return false;
    }
    payload_unlock_encode(&reporting.report, out);
    return true;
}
