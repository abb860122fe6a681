/* Transporters, their links and the agenda in the catalog. */
#include "open_catalog.h"

#include <criterion/criterion.h>
#include <string.h>

/* ---- transporters */

Test(catalog, lets_a_hundred_transporters_wait_for_a_day)
{
    uint8_t key[32] = {0};
    for (uint8_t i = 0; i < CATALOG_PENDING_MAX; i++) {
        key[0] = i;
        MUST(catalog_join_put(catalog, key, span_of(&i, 1), i, &err));
    }
    key[0] = 200;
    FAILS(catalog_join_put(catalog, key, span_of(key, 1), 5, &err), ERR_LIMIT);
    key[0] = 7;
    MUST(catalog_join_put(catalog, key, span_of(key, 1), 500, &err));
    MUST(catalog_joins_forget(catalog, 98, &err));
    struct collected all = {0};
    MUST(catalog_joins(catalog, collect, &all, &err));
    cr_assert(span_eq(buf_span(&all.bytes), span_of("\7\142\143", 3)), "7 joined again, 98 and 99 are young");
    MUST(catalog_join_drop(catalog, key, &err));
    MUST(catalog_joins(catalog, collect, &all, &err));
    cr_assert_eq(all.count, 5);
    buf_deinit(&all.bytes);
}

Test(catalog, remembers_transporters)
{
    struct catalog_host host = {.sign_pk = {1}, .last_seen_ns = 5, .version = "0.1"}, out;
    FAILS(catalog_host_get(catalog, host.sign_pk, &out, &err), ERR_NOT_FOUND);
    MUST(catalog_host_put(catalog, &host, &err));
    MUST(catalog_host_get(catalog, host.sign_pk, &out, &err));
    /* all bytes are set, padding too: NOLINTNEXTLINE */
    cr_assert_eq(memcmp(&host, &out, sizeof(host)), 0);
    host.has_own_key = true;
    host.own_key_id[3] = 4;
    host.own_domain_id[31] = 4;
    MUST(catalog_host_put(catalog, &host, &err));
    reopen();
    MUST(catalog_host_get(catalog, host.sign_pk, &out, &err));
    /* all bytes are set, padding too: NOLINTNEXTLINE */
    cr_assert_eq(memcmp(&host, &out, sizeof(host)), 0);
}

static bool note_item(void *arg, const struct agenda_item *item, struct err *why)
{
    (void)why;
    struct agenda_item **next = arg;
    *(*next)++ = *item;
    return true;
}

Test(catalog, keeps_the_agenda_and_forgets_it)
{
    struct agenda_item never = {
        .kind = AGENDA_SWEEP, .repository = {{1}}, .next_ns = UINT64_MAX, .spec = "none"};
    struct agenda_item daily = {
        .kind = AGENDA_PRUNE, .repository = {{1}}, .job = {{2}}, .since_ns = 3, .next_ns = 4, .good_ns = 5};
    (void)snprintf(daily.spec, sizeof(daily.spec), "daily 02:30");
    cr_assert(catalog_agenda_put(catalog, &never, &err) && catalog_agenda_put(catalog, &daily, &err), "%s",
              err.text);
    daily.next_ns = 44; /* replaces the row */
    cr_assert(catalog_agenda_put(catalog, &daily, &err));
    struct agenda_item found[3], *next = found;
    cr_assert(catalog_agenda(catalog, note_item, &next, &err));
    cr_assert_eq(next - found, 2);
    cr_assert_eq(found[0].next_ns, UINT64_MAX);
    cr_assert(found[1].kind == AGENDA_PRUNE && id_eq(&found[1].job, &daily.job) && found[1].next_ns == 44 &&
              found[1].since_ns == 3 && found[1].good_ns == 5);
    cr_assert_str_eq(found[1].spec, "daily 02:30");
    cr_assert(catalog_agenda_drop(catalog, &err));
    next = found;
    cr_assert(catalog_agenda(catalog, note_item, &next, &err));
    cr_assert_eq(next - found, 0);
}

/* ---- links */

static struct link some_link(uint8_t source, uint8_t target, Sealift__Connection connection,
                             const char *proxy)
{
    struct link link = {.source = {source}, .target = {target}};
    MUST(way_wish_make(connection, proxy, &link.wish, &err));
    return link;
}

static bool collect_link(void *arg, const struct link *link, struct err *unused)
{
    buf_printf(arg, "%d-%d %s %s;", link->source[0], link->target[0], connection_name(link->wish.connection),
               link->wish.proxy);
    return true;
}

static void expect_links(const char *expected)
{
    AUTO(buf) struct buf found = {0};
    MUST(catalog_links(catalog, collect_link, &found, &err));
    cr_assert_str_eq(buf_cstr(&found), expected);
}

Test(catalog, keeps_one_link_of_each_ordered_pair)
{
    struct link links[] = {some_link(1, 2, SEALIFT__CONNECTION__CONNECTION_REVERSE, ""),
                           some_link(2, 1, SEALIFT__CONNECTION__CONNECTION_DIRECT, "socks:1080"),
                           some_link(1, 2, SEALIFT__CONNECTION__CONNECTION_RENDEZVOUS, "meet:9449")};
    expect_links("");
    for (size_t i = 0; i < 3; i++)
        MUST(catalog_link_put(catalog, &links[i], &err));
    reopen();
    expect_links("1-2 rendezvous meet:9449;2-1 direct socks:1080;");
    MUST(catalog_link_drop(catalog, links[0].source, links[0].target, &err));
    MUST(catalog_link_drop(catalog, links[0].source, links[0].target, &err));
    reopen();
    expect_links("2-1 direct socks:1080;");
}
