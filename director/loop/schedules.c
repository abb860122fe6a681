/* What the director starts by itself: the agenda's due items become runs. */
#include "director/loop/inside.h"

#include "common/base/log.h"

#include <string.h>

static bool load_item(void *arg, const struct agenda_item *item, struct err *err)
{
    struct director *director = arg;
    agenda_load(director->agenda, item);
    return true;
}

static bool keep_changed(struct director *director, struct err *err)
{
    const struct agenda_item *item;
    while ((item = agenda_take_changed(director->agenda)))
        if (!catalog_agenda_put(director->catalog, item, err)) return false;
    return true;
}

/* What nobody wants any more is forgotten now and then: here. */
static bool keep_all(struct director *director, struct err *err)
{
    if (!catalog_begin(director->catalog, err) || !catalog_agenda_drop(director->catalog, err)) return false;
    for (size_t i = 0; i < agenda_count(director->agenda); i++)
        if (!catalog_agenda_put(director->catalog, agenda_at(director->agenda, i), err)) return false;
    return catalog_commit(director->catalog, err);
}

bool schedules_load(struct director *director, struct err *err)
{
    if (!catalog_agenda(director->catalog, load_item, director, err)) return false;
    agenda_plan_registry(director->agenda, &director->now, director->registry);
    if (keep_all(director, err)) return true;
    catalog_rollback(director->catalog);
    return false;
}

void schedules_plan(struct director *director)
{
    agenda_plan_registry(director->agenda, &director->now, director->registry);
}

/* ---- starting */

static bool plan_of(struct director *director, const struct agenda_item *item, struct run_plan *out,
                    struct err *err)
{
    struct run_work work = agenda_work(item);
    bool planned = item->kind == AGENDA_JOB
                       ? registry_plan_job(director->registry, &item->job, out, err)
                       : registry_plan_maintenance(director->registry, &item->repository, &work, out, err);
    if (planned) out->id = id_random();
    return planned;
}

static void say_not_started(const struct agenda_item *item, const struct err *err)
{
    char id[ID_TEXT_LEN];
    const struct id *subject = item->kind == AGENDA_JOB ? &item->job : &item->repository;
    log_event(LOG_WARN, "not_started", "subject", id_text(subject, id), "schedule", item->spec, "reason",
              err->text, "next", "it is tried again at its next time", NULL);
}

/* The run and the item's next moment are kept together: neither is done twice nor forgotten. */
static bool start(struct director *director, const struct agenda_item *item)
{
    struct err err;
    struct run_plan plan;
    AUTO(effects) struct effects effects = {0};
    struct agenda_item copy = *item;
    agenda_started(director->agenda, &director->now, &copy);
    bool started = plan_of(director, &copy, &plan, &err) &&
                   run_table_start(director->runs, &director->now, &plan, &effects, &err);
    if (!started) say_not_started(&copy, &err);
    if (catalog_begin(director->catalog, &err) && apply_keep(director, &effects, &err) &&
        keep_changed(director, &err) && catalog_commit(director->catalog, &err)) {
        apply_act(director, &effects);
        return true;
    }
    catalog_rollback(director->catalog);
    director_fail(director, &err);
    return false;
}

void schedules_tick(struct director *director)
{
    struct err err;
    const struct agenda_item *item;
    if (director->failed || !registry_roster(director->registry)) return;
    if (reconcile_holds(director)) return;
    while ((item = agenda_due(director->agenda, &director->now, director->runs)))
        if (!start(director, item)) return;
    if (!keep_changed(director, &err)) director_fail(director, &err);
}
