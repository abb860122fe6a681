/* What operators ask for: statements, points, runs, who waits, how things stand. */
#include "director/loop/inside.h"

#include "common/base/alloc.h"
#include "common/wire/stored.h"

#include <string.h>

/* ---- blobs */

struct blob_list {
    ProtobufCBinaryData *items;
    size_t count, cap;
    size_t bytes;
    uint64_t skip;  /* how many are left out at the beginning */
    uint64_t total; /* how many there are */
    bool full;
};

static void blob_list_deinit(struct blob_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].data);
    free(list->items);
}
DEFINE_AUTO_IN_PLACE(blob_list, struct blob_list, blob_list_deinit)

static bool blob_list_add(void *arg, struct span bytes, struct err *err)
{
    struct blob_list *list = arg;
    if (list->total++ < list->skip || list->full) return true;
    if (list->bytes + bytes.len > LIST_BYTES) {
        list->full = true;
        return true;
    }
    if (list->count == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 16;
        list->items = xreallocarray(list->items, list->cap, sizeof(*list->items));
    }
    uint8_t *copy = xmalloc(bytes.len ? bytes.len : 1);
    memcpy(copy, bytes.len ? bytes.data : copy, bytes.len);
    list->items[list->count++] = lent_bytes(copy, bytes.len);
    list->bytes += bytes.len + 8;
    return true;
}

static void send_blobs(struct operator_link *link, uint64_t serial, const struct blob_list *list)
{
    Sealift__Blobs blobs = SEALIFT__BLOBS__INIT;
    blobs.n_blob = list->count;
    blobs.blob = list->items;
    AUTO(buf) struct buf payload = {0};
    payload_blobs_encode(&blobs, &payload);
    operator_done(link, serial, NULL, list->total, buf_span(&payload));
}

/* ---- get */

static bool get_statements(struct director *director, const Sealift__Get *get, struct blob_list *list,
                           struct err *err)
{
    for (size_t i = 0; i < registry_count(director->registry, get->type); i++) {
        const struct statement *statement = registry_at(director->registry, get->type, i);
        if (get->id.len == ID_LEN && memcmp(statement->id.bytes, get->id.data, ID_LEN) != 0) continue;
        if (!blob_list_add(list, buf_span(&statement->bytes), err)) return false;
    }
    return true;
}

static bool get_unlock(struct director *director, const Sealift__Get *get, struct blob_list *list,
                       struct err *err)
{
    struct hash hash = stored_hash(&get->unlock_hash);
    AUTO(buf) struct buf bytes = {0};
    return catalog_unlock_get(director->catalog, &hash, &bytes, err) &&
           blob_list_add(list, buf_span(&bytes), err);
}

static bool get_point(struct director *director, const Sealift__Get *get, struct blob_list *list,
                      struct err *err)
{
    struct id id = stored_id(&get->id);
    AUTO(buf) struct buf file = {0};
    return catalog_point_get(director->catalog, &id, &file, err) && blob_list_add(list, buf_span(&file), err);
}

static bool get(struct director *director, const Sealift__Get *get, struct blob_list *list, struct err *err)
{
    switch (get->what) {
    case SEALIFT__GET_KIND__GET_ROSTERS:
        list->skip = get->from;
        return catalog_rosters(director->catalog, 0, blob_list_add, list, err);
    case SEALIFT__GET_KIND__GET_STATEMENTS:
        list->skip = get->from;
        return get_statements(director, get, list, err);
    case SEALIFT__GET_KIND__GET_UNLOCK:
        return get_unlock(director, get, list, err);
    case SEALIFT__GET_KIND__GET_POINT:
        return get_point(director, get, list, err);
    default:
        return err_set(err, ERR_USAGE, "a request that does not say what it wants");
    }
}

void list_get(struct director *director, struct operator_link *link, const Sealift__Head *head)
{
    struct err err;
    AUTO(blob_list) struct blob_list list = {0};
    if (get(director, head->get, &list, &err))
        send_blobs(link, head->serial, &list);
    else
        operator_fail(link, head->serial, &err);
}

void list_pending(struct director *director, struct operator_link *link, const Sealift__Head *head)
{
    struct err err;
    AUTO(blob_list) struct blob_list list = {0};
    uint64_t now_s = director->now.wall_ns / 1000000000;
    if (catalog_joins_forget(director->catalog, now_s - CATALOG_PENDING_S, &err) &&
        catalog_joins(director->catalog, blob_list_add, &list, &err))
        send_blobs(link, head->serial, &list);
    else
        operator_fail(link, head->serial, &err);
}

/* ---- runs */

struct run_list {
    struct run_item {
        struct run run;
        struct run_view view;
    } * items;
    size_t count, cap;
};

static void run_list_deinit(struct run_list *list)
{
    free(list->items);
}
DEFINE_AUTO_IN_PLACE(run_list, struct run_list, run_list_deinit)

static bool run_list_add(void *arg, const struct run *run, struct err *err)
{
    struct run_list *list = arg;
    if (list->count == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 16;
        list->items = xreallocarray(list->items, list->cap, sizeof(*list->items));
    }
    list->items[list->count++].run = *run;
    return true;
}

/* When the list is complete: its rows, in an array of the caller. */
static Sealift__RunRow **run_list_rows(struct run_list *list)
{
    Sealift__RunRow **rows = xcalloc(list->count ? list->count : 1, sizeof(Sealift__RunRow *));
    for (size_t i = 0; i < list->count; i++) {
        struct run_item *item = &list->items[i];
        run_view_fill(&item->run, &item->view);
        rows[i] = &item->view.row;
    }
    return rows;
}

/* What the catalog does not know: how far live runs are. */
static void refresh(const struct director *director, struct run_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct run *live = run_table_find(director->runs, &list->items[i].run.id);
        if (live) list->items[i].run = *live;
    }
}

void list_runs(struct director *director, struct operator_link *link, const Sealift__Head *head)
{
    enum { USUAL = 100, MOST = 2000 };
    const Sealift__RunList *ask = head->run_list;
    uint32_t limit = ask->limit == 0 ? USUAL : ask->limit < MOST ? ask->limit : MOST;
    struct id job = stored_id(&ask->job);
    struct err err;
    AUTO(run_list) struct run_list list = {0};
    if (!catalog_runs(director->catalog, ask->job.len ? &job : NULL, limit, run_list_add, &list, &err)) {
        operator_fail(link, head->serial, &err);
        return;
    }
    refresh(director, &list);
    AUTO(free) Sealift__RunRow **rows = run_list_rows(&list);
    Sealift__RunListAnswer answer = SEALIFT__RUN_LIST_ANSWER__INIT;
    answer.n_rows = list.count;
    answer.rows = rows;
    AUTO(buf) struct buf payload = {0};
    payload_run_list_encode(&answer, &payload);
    operator_done(link, head->serial, NULL, list.count, buf_span(&payload));
}

/* ---- points */

struct point_list {
    Sealift__PointRow **rows;
    size_t count, cap, bytes;
    uint64_t skip, total;
    bool full;
};

static void point_list_deinit(struct point_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->rows[i]->repository.data);
        free(list->rows[i]->point_file.data);
        free(list->rows[i]);
    }
    free(list->rows);
}
DEFINE_AUTO_IN_PLACE(point_list, struct point_list, point_list_deinit)

static ProtobufCBinaryData copy_of(const void *bytes, size_t len)
{
    uint8_t *copy = xmalloc(len ? len : 1);
    memcpy(copy, bytes, len);
    return lent_bytes(copy, len);
}

static bool point_list_add(void *arg, const struct catalog_point *point, struct err *err)
{
    struct point_list *list = arg;
    if (list->total++ < list->skip || list->full) return true;
    if (list->bytes + point->file.len > LIST_BYTES) {
        list->full = true;
        return true;
    }
    if (list->count == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 16;
        list->rows = xreallocarray(list->rows, list->cap, sizeof(Sealift__PointRow *));
    }
    Sealift__PointRow *row = xmalloc(sizeof(*row));
    sealift__point_row__init(row);
    row->repository = copy_of(point->repository.bytes, ID_LEN);
    row->number = point->number;
    row->time_ns = point->time_ns;
    row->held = point->held;
    row->point_file = copy_of(point->file.data, point->file.len);
    list->rows[list->count++] = row;
    list->bytes += point->file.len + 64;
    return true;
}

void list_points(struct director *director, struct operator_link *link, const Sealift__Head *head)
{
    const Sealift__PointList *ask = head->point_list;
    struct id repository = stored_id(&ask->repository);
    struct err err;
    AUTO(point_list) struct point_list list = {.skip = ask->from};
    if (!catalog_points(director->catalog, ask->repository.len ? &repository : NULL, ask->job,
                        ask->removed ? CATALOG_POINTS_REMOVED : CATALOG_POINTS_THERE, point_list_add, &list,
                        &err)) {
        operator_fail(link, head->serial, &err);
        return;
    }
    Sealift__PointListAnswer answer = SEALIFT__POINT_LIST_ANSWER__INIT;
    answer.n_rows = list.count;
    answer.rows = list.rows;
    AUTO(buf) struct buf payload = {0};
    payload_point_list_encode(&answer, &payload);
    operator_done(link, head->serial, NULL, list.total, buf_span(&payload));
}

/* ---- status */

struct host_row {
    struct catalog_host known;
    Sealift__TransporterStatus status;
    Sealift__OwnKey own_key;
    Sealift__KmsOffer offers[HOST_KMS_MAX];
    Sealift__KmsOffer *kms[HOST_KMS_MAX];
};

static void fill_kms(const struct host_link *host, struct host_row *out)
{
    out->status.n_kms = host->kms_count;
    out->status.kms = out->kms;
    for (size_t i = 0; i < host->kms_count; i++) {
        Sealift__KmsOffer *offer = out->kms[i] = &out->offers[i];
        sealift__kms_offer__init(offer);
        offer->name = host->kms[i].name;
        offer->kind = host->kms[i].kind;
    }
}

static void fill_host(struct director *director, const Sealift__Member *member, struct host_row *out)
{
    struct err err;
    const struct host_link *host = hosts_find(director, member->sign_pk.data);
    if (!catalog_host_get(director->catalog, member->sign_pk.data, &out->known, &err))
        out->known = (struct catalog_host){0};
    Sealift__TransporterStatus *status = &out->status;
    sealift__transporter_status__init(status);
    status->sign_pk = member->sign_pk;
    status->connected = host && host->stage == HOST_CONNECTED;
    status->last_seen_ns = host ? host->last_seen_ns : out->known.last_seen_ns;
    status->version = out->known.version;
    status->busy_slots = run_table_busy(director->runs, member->sign_pk.data);
    status->slots = host ? host->slots : 0;
    if (status->connected) status->address = lent_text(host->line.peer.address);
    if (host) status->reverse_endpoint = lent_text(host->reverse_endpoint);
    if (host) fill_kms(host, out);
    if (!out->known.has_own_key) return;
    sealift__own_key__init(&out->own_key);
    out->own_key.key_id = lent_bytes(out->known.own_key_id, 32);
    out->own_key.domain_id = lent_bytes(out->known.own_domain_id, 32);
    status->own_key = &out->own_key;
}

struct state_row {
    struct catalog_head head;
    Sealift__RepositoryState state;
};

static void fill_state(const struct catalog_head *head, Sealift__RepositoryState *out)
{
    sealift__repository_state__init(out);
    bool alarm = head->alarm[0] != '\0';
    out->repository = lent_id(&head->repository);
    out->head_number = head->number;
    if (head->number > 0) out->head_hash = lent_bytes(head->hash.bytes, HASH_LEN);
    out->points = head->points;
    out->pack_bytes = head->pack_bytes;
    out->free_bytes = head->free_bytes;
    out->code = alarm ? ERR_NOT_AUTHENTIC : head->code;
    out->text = lent_text(alarm ? head->alarm : head->text);
}

/* Repositories that have ever reported. */
static size_t fill_states(struct director *director, struct state_row *rows, Sealift__RepositoryState **out)
{
    Sealift__StatementType type = SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY;
    size_t count = 0;
    for (size_t i = 0; i < registry_count(director->registry, type); i++) {
        const struct statement *statement = registry_at(director->registry, type, i);
        struct err err;
        if (statement->body.repository->deleted) continue;
        if (!catalog_head_get(director->catalog, &statement->id, &rows[count].head, &err)) continue;
        fill_state(&rows[count].head, &rows[count].state);
        out[count] = &rows[count].state;
        count++;
    }
    return count;
}

struct schedule_item {
    struct run_work work;
    Sealift__Maintenance message;
    Sealift__ScheduleRow row;
};

static void fill_schedule(const struct agenda_item *item, struct schedule_item *out)
{
    Sealift__ScheduleRow *row = &out->row;
    sealift__schedule_row__init(row);
    if (item->kind != AGENDA_JOB) {
        out->work = agenda_work(item);
        run_work_message(&out->work, &out->message);
        row->work = &out->message;
        row->repository = lent_id(&item->repository);
    }
    if (!id_is_zero(&item->job)) row->job = lent_id(&item->job);
    row->spec = lent_text(item->spec);
    row->period_s = item->schedule.period_s;
    row->since_ns = item->since_ns;
    row->next_ns = item->next_ns;
    row->good_ns = item->good_ns;
}

void list_status(struct director *director, struct operator_link *link, const Sealift__Head *head)
{
    const Sealift__RosterBody *body = roster_body(registry_roster(director->registry));
    size_t hosts = body->n_transporters;
    size_t stores = registry_count(director->registry, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY);
    AUTO(free) struct host_row *host_rows = xcalloc(hosts + 1, sizeof(*host_rows));
    AUTO(free)
    Sealift__TransporterStatus **statuses = xcalloc(hosts + 1, sizeof(Sealift__TransporterStatus *));
    AUTO(free) struct state_row *state_rows = xcalloc(stores + 1, sizeof(*state_rows));
    AUTO(free) Sealift__RepositoryState **states = xcalloc(stores + 1, sizeof(Sealift__RepositoryState *));
    size_t planned = agenda_count(director->agenda);
    AUTO(free) struct schedule_item *schedules = xcalloc(planned + 1, sizeof(*schedules));
    AUTO(free) Sealift__ScheduleRow **schedule_rows = xcalloc(planned + 1, sizeof(Sealift__ScheduleRow *));
    AUTO(run_list) struct run_list runs = {0};
    struct err err;
    for (size_t i = 0; i < planned; i++) {
        fill_schedule(agenda_at(director->agenda, i), &schedules[i]);
        schedule_rows[i] = &schedules[i].row;
    }
    for (size_t i = 0; i < hosts; i++) {
        fill_host(director, body->transporters[i], &host_rows[i]);
        statuses[i] = &host_rows[i].status;
    }
    for (size_t i = 0; i < run_table_count(director->runs); i++)
        (void)run_list_add(&runs, run_table_at(director->runs, i), &err);
    AUTO(free) Sealift__RunRow **rows = run_list_rows(&runs);

    Sealift__StatusAnswer answer = SEALIFT__STATUS_ANSWER__INIT;
    answer.n_transporters = hosts;
    answer.transporters = statuses;
    answer.n_running = runs.count;
    answer.running = rows;
    answer.n_repositories = fill_states(director, state_rows, states);
    answer.repositories = states;
    answer.director_version = lent_text(SEALIFT_VERSION);
    answer.n_schedules = planned;
    answer.schedules = schedule_rows;
    Sealift__SelfBackup self_backup;
    if (bundles_status(director, &self_backup)) answer.self_backup = &self_backup;
    Sealift__Restored restored;
    AUTO(free) ProtobufCBinaryData *unheard = xcalloc(hosts + 1, sizeof(*unheard));
    if (reconcile_status(director, &restored, unheard)) answer.restored = &restored;
    AUTO(buf) struct buf payload = {0};
    payload_status_encode(&answer, &payload);
    operator_done(link, head->serial, NULL, 0, buf_span(&payload));
}
