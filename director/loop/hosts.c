/* Transporters: those that ask to join, those that are connected, and those that were. */
#include "director/loop/inside.h"

#include "common/base/alloc.h"
#include "common/base/host_port.h"
#include "common/base/log.h"
#include "common/crypto/identity.h"

#include <string.h>

struct host_link *hosts_find(struct director *director, const uint8_t sign_pk[SIGN_PK_LEN])
{
    for (size_t i = 0; i < director->host_count; i++)
        if (memcmp(director->hosts[i]->sign_pk, sign_pk, SIGN_PK_LEN) == 0) return director->hosts[i];
    return NULL;
}

struct host_link *hosts_of_peer(struct director *director, const struct net_peer *peer)
{
    for (size_t i = 0; i < director->host_count; i++) {
        struct host_link *host = director->hosts[i];
        if (host->stage != HOST_AWAY && host->line.peer.route == peer->route &&
            memcmp(host->line.peer.key, peer->key, NET_KEY_LEN) == 0)
            return host;
    }
    return NULL;
}

static void host_free(struct host_link *host)
{
    line_deinit(&host->line);
    free(host->questions);
    free(host->kms);
    free(host);
}

void hosts_free(struct director *director)
{
    for (size_t i = 0; i < director->host_count; i++)
        host_free(director->hosts[i]);
    free(director->hosts);
}

static struct host_link *host_of_member(struct director *director, const Sealift__Member *member)
{
    struct host_link *host = hosts_find(director, member->sign_pk.data);
    if (!host) {
        if (director->host_count == director->host_cap) {
            director->host_cap = director->host_cap ? director->host_cap * 2 : 8;
            director->hosts = xreallocarray(director->hosts, director->host_cap, sizeof(struct host_link *));
        }
        host = xcalloc(1, sizeof(*host));
        memcpy(host->sign_pk, member->sign_pk.data, SIGN_PK_LEN);
        director->hosts[director->host_count++] = host;
    }
    run_text_set(host->name, sizeof(host->name), member->name);
    return host;
}

void hosts_remember(struct director *director, const struct host_link *host)
{
    struct catalog_host kept = {.last_seen_ns = host->last_seen_ns, .has_own_key = host->has_own_key};
    memcpy(kept.sign_pk, host->sign_pk, SIGN_PK_LEN);
    memcpy(kept.version, host->version, sizeof(kept.version));
    memcpy(kept.own_key_id, host->own_key_id, sizeof(kept.own_key_id));
    memcpy(kept.own_domain_id, host->own_domain_id, sizeof(kept.own_domain_id));
    struct err err;
    if (!catalog_host_put(director->catalog, &kept, &err)) director_fail(director, &err);
}

/* ---- joining */

static bool revoked(const struct roster *roster, const struct identity_public *known)
{
    const Sealift__RosterBody *body = roster_body(roster);
    for (size_t i = 0; i < body->n_revoked; i++) {
        const Sealift__Member *member = body->revoked[i]->member;
        if (memcmp(member->sign_pk.data, known->sign_pk, SIGN_PK_LEN) == 0 ||
            memcmp(member->curve_pk.data, known->transport_pk, 32) == 0)
            return true;
    }
    return false;
}

static bool may_join(struct director *director, const struct net_peer *peer, struct span payload,
                     struct err *err)
{
    const struct roster *roster = registry_roster(director->registry);
    if (!roster)
        return err_set(err, ERR_POLICY, "this director has no site yet: an operator must claim it first");
    struct identity_public known;
    if (!identity_public_decode(payload, &known, err)) return false;
    if (memcmp(known.transport_pk, peer->key, NET_KEY_LEN) != 0)
        return err_set(err, ERR_NOT_AUTHENTIC, "the identity is not that of this connection");
    if (revoked(roster, &known)) return err_set(err, ERR_POLICY, "transporter '%s' was revoked", known.name);
    return true;
}

/* Whether this join needs no write: the same was written less than a minute ago, or any of this key just now.
 * Else the place for its note. */
static bool noted(struct director *director, const struct net_peer *peer, const struct hash *identity,
                  struct join_note **place)
{
    enum { SAME_MS = 60000, ANY_MS = 2000 };
    struct join_note *oldest = &director->joins[0];
    for (size_t i = 0; i < CATALOG_PENDING_MAX; i++) {
        struct join_note *note = &director->joins[i];
        if (note->written_ms < oldest->written_ms) oldest = note;
        if (note->written_ms == 0 || memcmp(note->curve_pk, peer->key, NET_KEY_LEN) != 0) continue;
        uint64_t age_ms = director->now.mono_ms - note->written_ms;
        *place = note;
        return age_ms < ANY_MS || (age_ms < SAME_MS && hash_eq(&note->identity, identity));
    }
    *place = oldest;
    return false;
}

static bool write_join(struct director *director, const struct net_peer *peer, struct span payload,
                       struct err *err)
{
    struct hash identity = hash_of(payload);
    struct join_note *note = NULL;
    if (noted(director, peer, &identity, &note)) return true;
    uint64_t now_s = director->now.wall_ns / 1000000000;
    if (!catalog_joins_forget(director->catalog, now_s - CATALOG_PENDING_S, err) ||
        !catalog_join_put(director->catalog, peer->key, payload, now_s, err))
        return false;
    memcpy(note->curve_pk, peer->key, NET_KEY_LEN);
    note->identity = identity;
    note->written_ms = director->now.mono_ms;
    struct identity_public known;
    char fingerprint[FINGERPRINT_TEXT_LEN];
    if (!identity_public_decode(payload, &known, err)) return false;
    identity_fingerprint(&known, fingerprint);
    log_event(LOG_INFO, "join", "transporter", known.name, "fingerprint", fingerprint, "address",
              peer->address, "next", "an operator approves it", NULL);
    return true;
}

void hosts_join(struct director *director, const struct net_peer *peer, const Sealift__Head *head,
                struct span payload)
{
    struct err err;
    struct line line;
    line_init(&line, director->control, peer);
    Sealift__Done done = SEALIFT__DONE__INIT;
    Sealift__Fail fail = SEALIFT__FAIL__INIT;
    Sealift__Head answer = head_of(SEALIFT__HEAD__KIND_DONE, head->serial);
    answer.done = &done;
    if (!may_join(director, peer, payload, &err) || !write_join(director, peer, payload, &err)) {
        say_once(director, "join_refused", peer, err.text);
        answer.kind_case = SEALIFT__HEAD__KIND_FAIL;
        answer.fail = &fail;
        fail.code = err.code;
        fail.text = err.text;
    }
    if (line_try(&line, &answer, (struct span){0}) != NET_OK)
        say_once(director, "join_not_answered", peer, "the connection takes nothing; it will join again");
    line_deinit(&line);
}

/* ---- coming and going */

/* What is no name is left out: people will read it. */
static void take_kms(struct host_link *host, const Sealift__Hello *hello)
{
    struct err err;
    size_t most = hello->n_kms < HOST_KMS_MAX ? hello->n_kms : HOST_KMS_MAX;
    free(host->kms);
    host->kms = xcalloc(most + 1, sizeof(*host->kms));
    host->kms_count = 0;
    for (size_t i = 0; i < most; i++) {
        const Sealift__KmsOffer *offer = hello->kms[i];
        if (!identity_name_check(offer->name, &err) || !identity_name_check(offer->kind, &err)) continue;
        struct host_kms *kms = &host->kms[host->kms_count++];
        run_text_set(kms->name, sizeof(kms->name), offer->name);
        run_text_set(kms->kind, sizeof(kms->kind), offer->kind);
    }
}

/* What is no address is none: it is handed to others as where to dial. */
static void take_reverse(struct host_link *host, const Sealift__Hello *hello)
{
    struct err err;
    struct host_port at;
    const char *endpoint = hello->reverse_endpoint;
    host->reverse_endpoint[0] = '\0';
    if (!endpoint[0]) return;
    if (strlen(endpoint) <= RUN_ENDPOINT_MAX && host_port_parse(endpoint, HOST_PORT_DIALLED, &at, &err))
        run_text_set(host->reverse_endpoint, sizeof(host->reverse_endpoint), endpoint);
    else
        log_event(LOG_WARN, "bad_reverse_endpoint", "transporter", host->name, "reason",
                  "what it says of its reverse port is no HOST:PORT", NULL);
}

static void take_facts(struct host_link *host, const Sealift__Hello *hello)
{
    take_reverse(host, hello);
    run_text_set(host->version, sizeof(host->version), hello->version);
    host->slots = hello->slots < 1024 ? hello->slots : 1024;
    take_kms(host, hello);
    const Sealift__OwnKey *own = hello->own_key;
    host->has_own_key = own && own->key_id.len == 32 && own->domain_id.len == 32;
    if (!host->has_own_key) return;
    memcpy(host->own_key_id, own->key_id.data, 32);
    memcpy(host->own_domain_id, own->domain_id.data, 32);
}

static void welcome(struct director *director, struct host_link *host, uint64_t serial)
{
    Sealift__Welcome body = SEALIFT__WELCOME__INIT;
    body.roster_version = roster_version(registry_roster(director->registry));
    body.director_version = lent_text(SEALIFT_VERSION);
    body.wants_back = reconcile_active(director) && !host->gave_back;
    Sealift__Head head = head_of(SEALIFT__HEAD__KIND_WELCOME, serial);
    head.welcome = &body;
    line_send(&host->line, &head, (struct span){0});
}

static void say_connected(struct director *director, struct host_link *host, const Sealift__Hello *hello)
{
    char runs[16];
    if (!log_gate_pass(&host->lines, "connected", director->now.mono_ms)) return;
    (void)snprintf(runs, sizeof(runs), "%zu", hello->n_runs);
    log_event(LOG_INFO, "connected", "transporter", host->name, "version", host->version, "address",
              host->line.peer.address, "runs", runs, NULL);
}

/* However much else is said of the host: a director that has forgotten refuses and is refused a lot. */
static void say_old(struct director *director, struct host_link *host, const Sealift__Hello *hello)
{
    static const char event[] = "roster_is_old";
    char ours[24], theirs[24];
    uint64_t version = roster_version(registry_roster(director->registry));
    if (hello->roster_version <= version || !log_gate_pass(&host->alarms, event, director->now.mono_ms))
        return;
    (void)snprintf(ours, sizeof(ours), "%llu", (unsigned long long)version);
    (void)snprintf(theirs, sizeof(theirs), "%llu", (unsigned long long)hello->roster_version);
    log_event(LOG_ERROR, event, "transporter", host->name, "knows", theirs, "director", ours, "reason",
              "this director's state is older than what the transporter has seen", NULL);
}

/* The connection with the newest word counts. */
static void attach(struct director *director, struct host_link *host, const struct net_peer *peer,
                   enum host_stage stage)
{
    if (host->stage != HOST_AWAY && host->line.peer.route != peer->route)
        net_socket_drop(director->control, &host->line.peer);
    line_deinit(&host->line);
    line_init(&host->line, director->control, peer);
    host->question_count = 0;
    host->stage = stage;
}

void hosts_admitted(struct director *director, const struct net_peer *peer, const Sealift__Member *member,
                    const Sealift__Head *head)
{
    struct host_link *host = host_of_member(director, member);
    bool here = host->stage != HOST_AWAY && host->line.peer.route == peer->route;
    if (!here) attach(director, host, peer, HOST_JOINING);
    Sealift__Done done = SEALIFT__DONE__INIT;
    Sealift__Head answer = head_of(SEALIFT__HEAD__KIND_DONE, head->serial);
    answer.done = &done;
    if (host->stage == HOST_JOINING && host->line.count == 0) deliver_rosters(director, host, 0);
    line_send(&host->line, &answer, (struct span){0});
}

void hosts_hello(struct director *director, const struct net_peer *peer, const Sealift__Member *member,
                 const Sealift__Head *head)
{
    const Sealift__Hello *hello = head->hello;
    struct host_link *host = host_of_member(director, member);
    attach(director, host, peer, HOST_CONNECTED);
    take_facts(host, hello);
    host->last_seen_ns = director->now.wall_ns;
    say_connected(director, host, hello);
    say_old(director, host, hello);
    /* a word without a proof, and schedules wait for what it leads to: not for any host to say */
    if (hello->roster_version > roster_version(registry_roster(director->registry)) &&
        member->zone == SEALIFT__ZONE__ZONE_TRUSTED)
        reconcile_begin(director);
    struct err err;
    if (!catalog_join_drop(director->catalog, peer->key, &err)) director_fail(director, &err);
    hosts_remember(director, host);
    welcome(director, host, head->serial);
    deliver_all(director, host, hello->roster_version);
    logs_ask_all(director, host);

    AUTO(free) struct id *runs = xcalloc(hello->n_runs ? hello->n_runs : 1, sizeof(*runs));
    for (size_t i = 0; i < hello->n_runs; i++)
        memcpy(runs[i].bytes, hello->runs[i].data, ID_LEN);
    struct host_hello up = {.slots = host->slots,
                            .kept_slots = hello->kept_slots,
                            .runs = runs,
                            .run_count = hello->n_runs,
                            .reverse_endpoint = host->reverse_endpoint};
    memcpy(up.incarnation.bytes, hello->incarnation.data, ID_LEN);
    AUTO(effects) struct effects effects = {0};
    run_table_up(director->runs, &director->now, host->sign_pk, &up, &effects);
    (void)apply(director, &effects);
}

static void detach(struct director *director, struct host_link *host)
{
    bool was_connected = host->stage == HOST_CONNECTED;
    host->stage = HOST_AWAY;
    line_deinit(&host->line);
    if (!was_connected) return;
    if (log_gate_pass(&host->lines, "disconnected", director->now.mono_ms))
        log_event(LOG_INFO, "disconnected", "transporter", host->name, "next", "it will dial again", NULL);
    hosts_remember(director, host);
    AUTO(effects) struct effects effects = {0};
    run_table_down(director->runs, &director->now, host->sign_pk, &effects);
    (void)apply(director, &effects);
}

void hosts_reap(struct director *director)
{
    for (size_t i = 0; i < director->host_count; i++)
        if (director->hosts[i]->stage != HOST_AWAY && director->hosts[i]->line.lost)
            detach(director, director->hosts[i]);
}

/* libzmq does not say which connection has ended: sending on it does. */
void hosts_probe(struct director *director)
{
    for (size_t i = 0; i < director->host_count; i++)
        if (director->hosts[i]->stage == HOST_CONNECTED) welcome(director, director->hosts[i], 0);
}

static bool belongs(const struct director *director, const uint8_t sign_pk[SIGN_PK_LEN])
{
    return roster_transporter(registry_roster(director->registry), sign_pk) != NULL;
}

static void lose_runs(struct director *director, const uint8_t sign_pk[SIGN_PK_LEN])
{
    AUTO(effects) struct effects effects = {0};
    run_table_removed(director->runs, &director->now, sign_pk, &effects);
    (void)apply(director, &effects);
}

/* Also of hosts that have not been heard of since the director started. */
static void lose_runs_of_strangers(struct director *director)
{
    size_t count = run_table_count(director->runs);
    AUTO(free) uint8_t(*keys)[SIGN_PK_LEN] = xcalloc(2 * count + 1, SIGN_PK_LEN);
    for (size_t i = 0; i < count; i++) {
        memcpy(keys[2 * i], run_table_at(director->runs, i)->source.host, SIGN_PK_LEN);
        memcpy(keys[2 * i + 1], run_table_at(director->runs, i)->target.host, SIGN_PK_LEN);
    }
    for (size_t i = 0; i < 2 * count; i++)
        if (!belongs(director, keys[i])) lose_runs(director, keys[i]);
}

static void expel(struct director *director, struct host_link *host)
{
    log_event(LOG_INFO, "expelled", "transporter", host->name, NULL);
    if (host->stage != HOST_AWAY) net_socket_drop(director->control, &host->line.peer);
    host_free(host);
}

void hosts_expel(struct director *director)
{
    size_t kept = 0;
    for (size_t i = 0; i < director->host_count; i++) {
        struct host_link *host = director->hosts[i];
        if (belongs(director, host->sign_pk))
            director->hosts[kept++] = host;
        else
            expel(director, host);
    }
    director->host_count = kept;
    lose_runs_of_strangers(director);
}
