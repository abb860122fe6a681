/* Links: which pairs of hosts meet how. Operators set them, and they are kept like what is signed, though
 * they authorise nothing. */
#include "director/loop/inside.h"

#include "common/base/alloc.h"
#include "common/base/log.h"

#include <string.h>

static bool load(void *arg, const struct link *link, struct err *err)
{
    struct link_table *links = arg;
    return link_table_put(links, link, err);
}

bool links_load(struct director *director, struct err *err)
{
    return catalog_links(director->catalog, load, &director->pairs, err);
}

/* ---- what operators ask for */

static const Sealift__Member *member_of(const struct director *director, const uint8_t *key)
{
    return roster_transporter(registry_roster(director->registry), key);
}

bool links_ends(const struct director *director, const Sealift__Link *link, struct way_ends *out,
                struct err *err)
{
    if (!link) return err_set(err, ERR_USAGE, "a request without a link");
    const Sealift__Member *source = member_of(director, link->source.data);
    const Sealift__Member *target = member_of(director, link->target.data);
    if (!source || !target)
        return err_set(err, ERR_NOT_FOUND, "a link is between transporters of the roster");
    if (source == target)
        return err_set(err, ERR_USAGE, "a link is between two transporters, not of one with itself");
    *out = (struct way_ends){.source = source->sign_pk.data,
                             .target = target->sign_pk.data,
                             .source_name = source->name,
                             .target_name = target->name};
    return true;
}

static const Sealift__Member *owner_of(const struct director *director, const ProtobufCBinaryData *repository)
{
    struct id id = {{0}};
    if (repository->len == ID_LEN) memcpy(id.bytes, repository->data, ID_LEN);
    const struct statement *found =
        registry_find(director->registry, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &id);
    return found ? member_of(director, found->body.repository->owner.data) : NULL;
}

bool links_check_job(const struct director *director, const struct statement *statement, struct err *err)
{
    if (statement->type != SEALIFT__STATEMENT_TYPE__STATEMENT_JOB) return true;
    const Sealift__JobBody *job = statement->body.job;
    if (job->deleted || job->connection != SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS || job->proxy[0])
        return true;
    const Sealift__Member *source = member_of(director, job->source.data);
    const Sealift__Member *target = owner_of(director, &job->repository);
    if (!source || !target || source == target) return true; /* not for this rule to refuse */
    const struct way_ends ends = {.source = source->sign_pk.data,
                                  .target = target->sign_pk.data,
                                  .source_name = source->name,
                                  .target_name = target->name};
    const struct way_wish own = {.connection = job->connection};
    struct way_wish way;
    struct err why;
    if (way_decide(&own, &director->pairs, &ends, &way, &why)) return true;
    return err_set(err, ERR_USAGE, "job '%s': %s", job->name, why.text);
}

static void say_link(const struct director *director, const struct operator_link *link,
                     const struct way_ends *ends, const char *connection, const char *proxy)
{
    const Sealift__Member *member = operator_behind(director, link);
    log_event(LOG_INFO, "link", "source", ends->source_name, "target", ends->target_name, "connection",
              connection, "proxy", proxy[0] ? proxy : "-", "by", member ? member->name : "-", NULL);
}

/* The catalog first: what is not kept does not count. */
static bool put(struct director *director, const struct way_ends *ends, const struct way_wish *wish,
                struct err *err)
{
    struct link link = {.wish = *wish};
    memcpy(link.source, ends->source, SIGN_PK_LEN);
    memcpy(link.target, ends->target, SIGN_PK_LEN);
    if (!link_table_put(&director->pairs, &link, err)) return false;
    if (catalog_link_put(director->catalog, &link, err)) return true;
    director_fail(director, err);
    return false;
}

static bool drop(struct director *director, const uint8_t *source, const uint8_t *target, struct err *err)
{
    uint8_t pair[2][SIGN_PK_LEN]; /* what is given may be the entry's own */
    memcpy(pair[0], source, SIGN_PK_LEN);
    memcpy(pair[1], target, SIGN_PK_LEN);
    if (!link_table_remove(&director->pairs, pair[0], pair[1], err)) return false;
    if (catalog_link_drop(director->catalog, pair[0], pair[1], err)) return true;
    director_fail(director, err);
    return false;
}

static bool carry_out(struct director *director, const struct operator_link *link,
                      const Sealift__Link *request, struct err *err)
{
    struct way_ends ends;
    struct way_wish wish;
    if (!links_ends(director, request, &ends, err)) return false;
    if (request->connection == SEALIFT__CONNECTION__CONNECTION_NONE) {
        if (!drop(director, ends.source, ends.target, err)) return false;
        say_link(director, link, &ends, "removed", "");
        return true;
    }
    if (!way_wish_make(request->connection, request->proxy, &wish, err) || !put(director, &ends, &wish, err))
        return false;
    say_link(director, link, &ends, connection_name(wish.connection), wish.proxy);
    return true;
}

void links_put(struct director *director, struct operator_link *link, const Sealift__Head *head)
{
    struct err err;
    if (carry_out(director, link, head->link_put->link, &err))
        operator_done(link, head->serial, NULL, 0, (struct span){0});
    else if (!director->failed)
        operator_fail(link, head->serial, &err);
}

void links_list(struct director *director, struct operator_link *link, const Sealift__Head *head)
{
    size_t count = director->pairs.count;
    AUTO(free) Sealift__Link *rows = xcalloc(count + 1, sizeof(*rows));
    AUTO(free) Sealift__Link **list = xcalloc(count + 1, sizeof(Sealift__Link *));
    for (size_t i = 0; i < count; i++) {
        const struct link *pair = &director->pairs.items[i];
        sealift__link__init(&rows[i]);
        rows[i].source = lent_bytes(pair->source, SIGN_PK_LEN);
        rows[i].target = lent_bytes(pair->target, SIGN_PK_LEN);
        rows[i].connection = pair->wish.connection;
        rows[i].proxy = lent_text(pair->wish.proxy);
        list[i] = &rows[i];
    }
    Sealift__LinkListAnswer answer = SEALIFT__LINK_LIST_ANSWER__INIT;
    answer.n_links = count;
    answer.links = list;
    AUTO(buf) struct buf payload = {0};
    payload_link_list_encode(&answer, &payload);
    operator_done(link, head->serial, NULL, count, buf_span(&payload));
}

/* ---- after a new roster */

void links_expel(struct director *director)
{
    struct err err;
    for (size_t i = director->pairs.count; i > 0; i--) {
        const struct link *pair = &director->pairs.items[i - 1];
        if (member_of(director, pair->source) && member_of(director, pair->target)) continue;
        if (!drop(director, pair->source, pair->target, &err)) return;
    }
}
