/* sealift-transporter: arguments, settings, the parts put together, run. */
#include "common/base/alloc.h"
#include "common/base/daemon.h"
#include "common/base/daemon_args.h"
#include "common/base/secret.h"
#include "transporter/loop/control.h"
#include "transporter/main/bench.h"
#include "transporter/main/init.h"
#include "transporter/main/settings.h"
#include "transporter/proxy/reverse_port.h"
#include "transporter/session/bandwidth.h"
#include "transporter/session/credit_pool.h"
#include "transporter/session/listener.h"
#include "transporter/session/own_key.h"

#include <malloc.h>
#include <stdio.h>

#define PROGRAM "sealift-transporter"

static const char help[] =
    "usage: sealift-transporter --config FILE\n"
    "       sealift-transporter --check-config --config FILE\n"
    "       sealift-transporter --init --site LINE --name NAME --config FILE [options]\n"
    "       sealift-transporter --move --to LINE --config FILE\n"
    "       sealift-transporter --bench [--path PATH] [--store DIR] [--json]\n"
    "\n"
    "Carries out backups and restores on this host, as operators' signed statements say.\n"
    "\n"
    "  --config FILE           configuration\n"
    "  --check-config          read the configuration, say what is wrong with it, end\n"
    "  --init                  make an identity and a commented configuration\n"
    "    --site LINE           the site line that 'sealift operator init' printed\n"
    "    --name NAME           of this transporter\n"
    "    --state DIR           local state (default /var/lib/sealift-transporter)\n"
    "    --data-listen URL     tcp://ADDRESS:PORT (default " DATA_LISTEN ")\n"
    "    --data-advertise URL  what sources are told to dial\n"
    "    --reverse HOST:PORT   let targets that dial in meet this host's runs here: they dial HOST:PORT\n"
    "                          (usual port: " REVERSE_PORT ")\n"
    "    --director-proxy HOST:PORT          dial the director through this SOCKS5 proxy\n"
    "    --listen-for-director ADDRESS:PORT  let the director dial this host (usual port " CONTROL_LISTEN_PORT
    ")\n"
    "    --read PATH           what backups may read (may repeat; default /)\n"
    "    --restore PATH        where restores may write (may repeat; default nowhere)\n"
    "    --repositories PATH   where repositories may be kept (may repeat; default nowhere)\n"
    "  --move                  the site has another director: keep all else\n"
    "    --to LINE             the site line that 'sealift operator move' printed\n"
    "  --bench                 measure each stage of a backup alone on this machine, some seconds long\n"
    "    --path PATH           with the files of PATH (default: with made-up data)\n"
    "    --store DIR           where to write what is removed again at once (default /var/tmp)\n"
    "    --json                the figures as one JSON document\n"
    "  --version, --help\n"
    "\n"
    "Example:\n"
    "  sealift-transporter --init --site sealift1:… --name web --config /etc/sealift/transporter.conf\n";

enum { MODE_BENCH = DAEMON_OWN, MODE_MOVE };

struct arguments {
    struct daemon_args daemon;
    struct init_options init;
    struct bench_options bench;
    const char *move_to;
    struct daemon_texts read, restore, repositories;
};

static bool parse_arguments(int argc, char **argv, struct arguments *out, struct err *err)
{
    struct init_options *init = &out->init;
    bool json = false;
    init->state = "/var/lib/sealift-transporter";
    out->bench.store = "/var/tmp";
    const struct daemon_option options[] = {
        {.name = "site", .mode = DAEMON_INIT, .text = &init->site},
        {.name = "name", .mode = DAEMON_INIT, .text = &init->name},
        {.name = "state", .mode = DAEMON_INIT, .text = &init->state},
        {.name = "data-listen", .mode = DAEMON_INIT, .text = &init->data_listen},
        {.name = "data-advertise", .mode = DAEMON_INIT, .text = &init->data_advertise},
        {.name = "reverse", .mode = DAEMON_INIT, .text = &init->reverse},
        {.name = "director-proxy", .mode = DAEMON_INIT, .text = &init->director_proxy},
        {.name = "listen-for-director", .mode = DAEMON_INIT, .text = &init->director_listen},
        {.name = "read", .mode = DAEMON_INIT, .texts = &out->read},
        {.name = "restore", .mode = DAEMON_INIT, .texts = &out->restore},
        {.name = "repositories", .mode = DAEMON_INIT, .texts = &out->repositories},
        {.name = "move", .mode = MODE_MOVE},
        {.name = "to", .mode = MODE_MOVE, .text = &out->move_to},
        {.name = "bench", .mode = MODE_BENCH, .needs = DAEMON_NO_CONFIG},
        {.name = "path", .mode = MODE_BENCH, .text = &out->bench.path},
        {.name = "store", .mode = MODE_BENCH, .text = &out->bench.store},
        {.name = "json", .mode = MODE_BENCH, .flag = &json},
        {.name = NULL},
    };
    if (!daemon_args_parse(argc, argv, options, &out->daemon, err)) return false;
    out->bench.format = json ? BENCH_JSON : BENCH_TABLE;
    init->config = out->daemon.config;
    init->read = out->read.items;
    init->restore = out->restore.items;
    init->repositories = out->repositories.items;
    if (out->daemon.mode == DAEMON_INIT && !(init->site && init->name))
        return err_set(err, ERR_USAGE, "--init needs --site LINE and --name NAME: see --help");
    return true;
}

/* What may change while it runs. */
struct changing {
    struct bandwidth *bandwidth;
    struct net_context *net; /* there once signals are taken */
};

static bool set_logins(struct net_context *net, const struct conf_logins *to, struct err *err)
{
    AUTO(net_logins) struct net_logins *logins = NULL;
    if (!net_logins_of(to->items, to->count, &logins, err)) return false;
    net_logins_swap(net_context_logins(net), logins);
    return true;
}

static bool reload(void *arg, const char *config, enum log_level *out, struct err *err)
{
    const struct changing *changing = arg;
    AUTO(settings) struct settings settings = {0};
    if (!settings_load(config, &settings, err) || !set_logins(changing->net, &settings.data.logins, err))
        return false;
    bandwidth_set(changing->bandwidth, &settings.bandwidth);
    *out = settings.log_level;
    return true;
}

/* What operators are told of the own-key file: ids only. */
static bool own_key_facts(const char *path, const struct identity_public *self, struct hash *key_id,
                          struct hash *domain, struct err *err)
{
    AUTO(read_half) struct read_half *half = NULL;
    if (!own_key_load(path, &half, err)) return false;
    AUTO(free) char *name = xasprintf("t:%s", self->name);
    AUTO(secret) struct secret *dedup_key = read_half_dedup_key(half, name);
    *key_id = half->key_id;
    *domain = domain_id(dedup_key->data);
    return true;
}

/* Backups need no protector outside: they go on without. */
static void warn_of_kms(const struct kms_set *kms)
{
    struct err err;
    if (!kms_set_check(kms, &err))
        log_event(LOG_WARN, "kms_cannot_work", "reason", err.text, "next", "keys are unlocked without it",
                  NULL);
}

static void expect_target(void *port, const uint8_t name[static DATA_PATH_NAME_LEN],
                          char address[static DATA_PATH_PORT_MAX])
{
    reverse_port_expect(port, name, address);
}

static void forget_target(void *port, const uint8_t name[static DATA_PATH_NAME_LEN])
{
    reverse_port_forget(port, name);
}

_Static_assert(REVERSE_ADDRESS_MAX <= DATA_PATH_PORT_MAX, "a run has room for the address");

static struct data_reverse meetings_of(struct reverse_port *port)
{
    if (!port) return (struct data_reverse){.expect = NULL};
    return (struct data_reverse){.expect = expect_target, .forget = forget_target, .port = port};
}

static struct director_way way_to_director(const struct settings *all, const char *of_site_line)
{
    const struct director_settings *settings = &all->director;
    return (struct director_way){.address = settings->address ? settings->address : of_site_line,
                                 .listen = settings->listen,
                                 .proxy = settings->proxy};
}

static bool open_ports(struct settings *settings, const struct identity *self, struct net_context *net,
                       struct listener **listener, struct reverse_port **reverse, struct err *err)
{
    struct reverse_settings *meets = &settings->data.reverse;
    const struct listener_options options = {
        .net = net, .self = self, .bind = settings->data_listen, .advertise = settings->data_advertise};
    return listener_new(&options, listener, err) &&
           (meets->port.listen_count == 0 || reverse_port_open(&meets->port, meets->advertise, reverse, err));
}

static void say_ready(const struct identity *self, const struct listener *listener,
                      const struct reverse_port *reverse)
{
    char fingerprint[FINGERPRINT_TEXT_LEN];
    identity_fingerprint(&self->known, fingerprint);
    log_event(LOG_INFO, "ready", "name", self->known.name, "data", listener_endpoint(listener), "reverse",
              reverse ? reverse_port_endpoint(reverse) : "none", "fingerprint", fingerprint, "version",
              SEALIFT_VERSION, NULL);
    daemon_notify("READY=1");
}

/* What of it is configured. Borrows. */
static struct run_environment environment_of(const struct settings *settings)
{
    return (struct run_environment){.policy = &settings->policy,
                                    .ways = {.proxy = settings->data.proxy},
                                    .state_dir = settings->state_dir,
                                    .own_key_file = settings->own_key_file,
                                    .kms = settings->kms,
                                    .lease_ms = settings->lease_ms,
                                    .check_bytes_per_s = settings->check_bytes_per_s};
}

/* This host as it joined its site, and the lock on its state. */
struct host {
    struct site_line site;
    struct identity *self;
    struct hash own_key_id, own_domain; /* where there is an own-key file */
    int state_lock;
};

static void host_close(struct host *host)
{
    identity_free(host->self);
    auto_close_fd(host->state_lock);
}
DEFINE_AUTO_IN_PLACE(host, struct host, host_close)

static bool host_open(const struct settings *settings, const char *config, struct host *host, struct err *err)
{
    const char *own_key = settings->own_key_file;
    if (!init_load(settings->state_dir, &host->site, &host->self, err) ||
        !daemon_state_lock(settings->state_dir, &host->state_lock, err))
        return false;
    return !own_key ||
           own_key_facts(own_key, &host->self->known, &host->own_key_id, &host->own_domain, err) ||
           err_wrap(err, "%s: own_key", config);
}

static bool open_net(const struct settings *settings, struct net_context **out, struct err *err)
{
    AUTO(net_context) struct net_context *net = NULL;
    if (!net_context_new(2, &net, err) || !set_logins(net, &settings->data.logins, err)) return false;
    net_context_set_pace(net, &settings->pace);
    *out = net;
    net = NULL;
    return true;
}

static bool take_runs(const struct settings *settings, const struct host *host,
                      const struct run_environment *environment, const struct reverse_port *reverse,
                      struct daemon_signals *signals, struct err *err)
{
    char address[SITE_LINE_MAX];
    director_address_endpoint(&host->site.director, address);
    struct control_options control_options = {
        .environment = *environment,
        .director = way_to_director(settings, address),
        .director_key = host->site.director.curve_pk,
        .reverse_endpoint = reverse ? reverse_port_endpoint(reverse) : NULL,
        .slots = settings->slots,
        .kept_slots = settings->kept_slots,
        .drain_ms = settings->drain_ms,
        .own_key_id = settings->own_key_file ? &host->own_key_id : NULL,
        .own_domain_id = settings->own_key_file ? &host->own_domain : NULL,
        .wake_fd = signals->fd,
        .woken = daemon_signals_take,
        .woken_arg = signals,
    };
    AUTO(control) struct control *control = NULL;
    if (!control_new(&control_options, &control, err)) return false;
    say_ready(host->self, environment->listener, reverse);
    bool ok = control_run(control, err);
    log_event(ok ? LOG_INFO : LOG_ERROR, "stopped", "reason", ok ? "asked to" : err->text, NULL);
    return ok;
}

static bool run_daemon(struct settings *settings, const char *config, struct err *err)
{
    AUTO(host) struct host host = {.state_lock = -1};
    AUTO(bandwidth) struct bandwidth *bandwidth = bandwidth_new(&settings->bandwidth);
    struct changing changing = {.bandwidth = bandwidth};
    struct credit_pool credits = {0};
    AUTO(daemon_signals)
    struct daemon_signals signals = {.program = PROGRAM,
                                     .config = config,
                                     .reload = reload,
                                     .arg = &changing,
                                     .changes = "log_level, bandwidth, proxies",
                                     .fd = -1};
    if (!daemon_signals_open(&signals, err) || !daemon_clock_check(time(NULL), err) ||
        !host_open(settings, config, &host, err))
        return false;

    AUTO(authority) struct authority *authority = NULL;
    AUTO(net_context) struct net_context *net = NULL;
    AUTO(reverse_port) struct reverse_port *reverse = NULL;
    AUTO(listener) struct listener *listener = NULL;
    AUTO(stores) struct stores *stores = stores_new(settings->state_dir, host.self, &settings->policy);
    if (!authority_open(settings->state_dir, &host.site, host.self, &authority, err)) return false;
    stores_trust(stores, &(struct repository_operators){.known = authority_knew_operator, .arg = authority});
    if (!open_net(settings, &net, err)) return false;
    changing.net = net;
    if (!open_ports(settings, host.self, net, &listener, &reverse, err)) return err_wrap(err, "%s", config);

    struct run_environment environment = environment_of(settings);
    environment.self = host.self;
    environment.authority = authority;
    environment.stores = stores;
    environment.net = net;
    environment.listener = listener;
    environment.reverse = meetings_of(reverse);
    environment.bandwidth = bandwidth;
    environment.credits = &credits;
    return take_runs(settings, &host, &environment, reverse, &signals, err);
}

static bool move(const char *line, const struct settings *settings, const char *config, struct err *err)
{
    AUTO(fd) int state_lock = -1;
    if (!line) return err_set(err, ERR_USAGE, "--move needs --to LINE: see --help");
    if (!daemon_state_lock(settings->state_dir, &state_lock, err))
        return err_wrap(err, "stop the transporter first");
    if (!init_move(settings->state_dir, line, err)) return false;
    if (settings->director.address)
        (void)printf("'%s' says that the director is at '%s': change it, or take it out\n", config,
                     settings->director.address);
    return printf("Start it: sealift-transporter --config %s\n", config) > 0;
}

static bool run_mode(const struct arguments *arguments, struct err *err)
{
    const char *config = arguments->daemon.config;
    int mode = arguments->daemon.mode;
    AUTO(settings) struct settings settings = {0};
    if (mode == DAEMON_HELP) return fputs(help, stdout) >= 0;
    if (mode == DAEMON_VERSION) return printf("%s %s\n", PROGRAM, SEALIFT_VERSION) > 0;
    if (mode == DAEMON_INIT) return init_transporter(&arguments->init, err);
    if (mode == MODE_BENCH) return bench_run(&arguments->bench, err);
    if (!settings_load(config, &settings, err)) return false;
    if (mode == MODE_MOVE) return move(arguments->move_to, &settings, config, err);
    if (mode == DAEMON_CHECK) return kms_set_check(settings.kms, err) && printf("%s: good\n", config) > 0;
    log_init(PROGRAM, settings.log_level);
    warn_of_kms(settings.kms);
    return run_daemon(&settings, config, err);
}

/* By default glibc learns to keep ever larger freed blocks, in an arena for each thread: after some runs
 * that is as much as a run really uses. Chunks go back instead. Batches (little over 1 MiB) do not: they
 * come and go all the time, and touching new memory for each costs a tenth of a backup's CPU time. */
static void bound_spare_memory(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 5 << 18);
    (void)mallopt(M_TRIM_THRESHOLD, 4 << 20);
}

int main(int argc, char **argv)
{
    bound_spare_memory();
    struct err err = {.code = ERR_FAILED, .text = "cannot write to standard output"};
    struct arguments arguments = {0};
    if (secret_process_init(&err) && parse_arguments(argc, argv, &arguments, &err) &&
        run_mode(&arguments, &err) && fflush(stdout) == 0)
        return 0;
    (void)fprintf(stderr, "%s: %s\n", PROGRAM, err.text);
    return err_exit_code(err.code);
}
