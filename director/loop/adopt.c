/* A site that has lost its director claims this one: it brings its rosters, and everything else is given back
 * (reconcile.c). */
#include "director/loop/inside.h"

#include "common/base/alloc.h"
#include "common/base/log.h"

struct chain {
    struct statement **items;
    size_t count;
};

static void chain_deinit(struct chain *chain)
{
    for (size_t i = 0; i < chain->count; i++)
        statement_free(chain->items[i]);
    free(chain->items);
}
DEFINE_AUTO_IN_PLACE(chain, struct chain, chain_deinit)

static bool decode(struct span payload, struct chain *out, struct err *err)
{
    AUTO(payload_blobs) Sealift__Blobs *blobs = NULL;
    if (!payload_blobs_decode(payload, &blobs, err)) return false;
    out->items = xcalloc(blobs->n_blob + 1, sizeof(struct statement *));
    for (size_t i = 0; i < blobs->n_blob; i++) {
        if (!statement_decode(span_of(blobs->blob[i].data, blobs->blob[i].len), &out->items[i], err))
            return err_wrap(err, "roster %zu", i + 1);
        out->count++;
    }
    return true;
}

/* The Done got lost on its way: the same claim again is answered as before. */
static bool adopted_by_this(const struct director *director, const struct chain *chain)
{
    const struct roster *current = registry_roster(director->registry);
    return current && chain->count > 0 &&
           span_eq(roster_bytes(current), buf_span(&chain->items[chain->count - 1]->bytes));
}

static bool keep(struct director *director, const struct chain *chain, struct err *err)
{
    if (!catalog_begin(director->catalog, err)) return false;
    for (size_t i = 0; i < chain->count; i++)
        if (!catalog_roster_put(director->catalog, chain->items[i]->version,
                                buf_span(&chain->items[i]->bytes), err))
            return false;
    return catalog_claim_end(director->catalog, err) && catalog_commit(director->catalog, err);
}

static bool adopt(struct director *director, const struct net_peer *peer, const char *code,
                  struct span payload, struct err *err)
{
    AUTO(chain) struct chain chain = {0};
    if (!registry_roster(director->registry) && !put_check_code(director, code, err)) return false;
    if (!decode(payload, &chain, err)) return false;
    if (adopted_by_this(director, &chain)) return true;
    if (!registry_adopt(director->registry, chain.items, chain.count, peer->key, err)) return false;
    reconcile_begin(director); /* before: a crash between the two leaves a director that only waits */
    if (!director->failed && keep(director, &chain, err)) {
        startup_admit(director);
        log_event(LOG_INFO, "adopted", "next", "transporters give back what they hold", NULL);
        return true;
    }
    catalog_rollback(director->catalog);
    director_fail(director, err);
    return false;
}

void put_adopt(struct director *director, struct operator_link *link, const Sealift__Head *head,
               struct span payload)
{
    struct err err;
    if (adopt(director, &link->line.peer, head->adopt->code, payload, &err))
        operator_done(link, head->serial, NULL, director->control_port, (struct span){0});
    else if (!director->failed)
        operator_fail(link, head->serial, &err);
}
