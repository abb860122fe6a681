/* sealift-transporter: arguments, settings, the parts put together, run. */
#include "common/base/alloc.h"
#include "common/base/log.h"
#include "common/base/secret.h"
#include "transporter/loop/control.h"
#include "transporter/main/init.h"
#include "transporter/main/settings.h"
#include "transporter/session/listener.h"
#include "transporter/session/own_key.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { LIST_MAX = 64 };

static const char help[] =
    "usage: sealift-transporter --config FILE\n"
    "       sealift-transporter --check-config --config FILE\n"
    "       sealift-transporter --init --site LINE --name NAME --config FILE [options]\n"
    "\n"
    "Carries out backups and restores on this host, as operators' signed statements say.\n"
    "\n"
    "  --config FILE           configuration\n"
    "  --check-config          read the configuration, say what is wrong with it, end\n"
    "  --init                  make an identity and a commented configuration\n"
    "    --site LINE           the site line that 'sealift operator init' printed\n"
    "    --name NAME           of this transporter\n"
    "    --state DIR           local state (default /var/lib/sealift-transporter)\n"
    "    --data-listen URL     tcp://ADDRESS:PORT (default tcp://0.0.0.0:9448)\n"
    "    --data-advertise URL  what sources are told to dial\n"
    "    --read PATH           what backups may read (may repeat; default /)\n"
    "    --restore PATH        where restores may write (may repeat; default nowhere)\n"
    "    --repositories PATH   where repositories may be kept (may repeat; default nowhere)\n"
    "  --version, --help\n"
    "\n"
    "Example:\n"
    "  sealift-transporter --init --site sealift1:… --name web --config /etc/sealift/transporter.conf\n";

struct arguments {
    enum { MODE_RUN, MODE_CHECK, MODE_INIT } mode;
    struct init_options init;
    const char *read[LIST_MAX + 1], *restore[LIST_MAX + 1], *repositories[LIST_MAX + 1];
};

static bool add(const char **list, const char *value, struct err *err)
{
    size_t count = 0;
    while (list[count])
        count++;
    if (count == LIST_MAX) return err_set(err, ERR_USAGE, "an option is given more than %d times", LIST_MAX);
    list[count] = value;
    return true;
}

enum option_code {
    OPT_CONFIG = 1,
    OPT_CHECK,
    OPT_INIT,
    OPT_SITE,
    OPT_NAME,
    OPT_STATE,
    OPT_LISTEN,
    OPT_ADVERTISE,
    OPT_READ,
    OPT_RESTORE,
    OPT_REPOSITORIES,
    OPT_VERSION,
    OPT_HELP
};

static const struct option options[] = {
    {"config", required_argument, NULL, OPT_CONFIG},
    {"check-config", no_argument, NULL, OPT_CHECK},
    {"init", no_argument, NULL, OPT_INIT},
    {"site", required_argument, NULL, OPT_SITE},
    {"name", required_argument, NULL, OPT_NAME},
    {"state", required_argument, NULL, OPT_STATE},
    {"data-listen", required_argument, NULL, OPT_LISTEN},
    {"data-advertise", required_argument, NULL, OPT_ADVERTISE},
    {"read", required_argument, NULL, OPT_READ},
    {"restore", required_argument, NULL, OPT_RESTORE},
    {"repositories", required_argument, NULL, OPT_REPOSITORIES},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static bool take_option(struct arguments *arguments, int code, const char *value, struct err *err)
{
    struct init_options *init = &arguments->init;
    switch ((enum option_code)code) {
    case OPT_CONFIG:
        init->config = value;
        return true;
    case OPT_CHECK:
        arguments->mode = MODE_CHECK;
        return true;
    case OPT_INIT:
        arguments->mode = MODE_INIT;
        return true;
    case OPT_SITE:
        init->site = value;
        return true;
    case OPT_NAME:
        init->name = value;
        return true;
    case OPT_STATE:
        init->state = value;
        return true;
    case OPT_LISTEN:
        init->data_listen = value;
        return true;
    case OPT_ADVERTISE:
        init->data_advertise = value;
        return true;
    case OPT_READ:
        return add(arguments->read, value, err);
    case OPT_RESTORE:
        return add(arguments->restore, value, err);
    case OPT_REPOSITORIES:
        return add(arguments->repositories, value, err);
    case OPT_VERSION:
        (void)printf("sealift-transporter %s\n", SEALIFT_VERSION);
        exit(0);
    case OPT_HELP:
        (void)fputs(help, stdout);
        exit(0);
    }
    return err_set(err, ERR_USAGE, "unknown option: see --help");
}

static bool parse_arguments(int argc, char **argv, struct arguments *arguments, struct err *err)
{
    arguments->init.state = "/var/lib/sealift-transporter";
    for (int code; (code = getopt_long(argc, argv, "", options, NULL)) != -1;)
        if (!take_option(arguments, code, optarg, err)) return false;
    if (optind < argc) return err_set(err, ERR_USAGE, "'%s' is no option: see --help", argv[optind]);
    arguments->init.read = arguments->read;
    arguments->init.restore = arguments->restore;
    arguments->init.repositories = arguments->repositories;
    if (!arguments->init.config) return err_set(err, ERR_USAGE, "--config FILE is needed: see --help");
    bool init_whole = arguments->init.site && arguments->init.name;
    if (arguments->mode == MODE_INIT && !init_whole)
        return err_set(err, ERR_USAGE, "--init needs --site LINE and --name NAME: see --help");
    return true;
}

/* SIGTERM and SIGINT end the loop, SIGHUP reloads; both as descriptors. */
static bool signals_open(int *stop_fd, int *reload_fd, struct err *err)
{
    sigset_t stop, reload, all;
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGTERM);
    (void)sigaddset(&stop, SIGINT);
    (void)sigemptyset(&reload);
    (void)sigaddset(&reload, SIGHUP);
    all = stop;
    (void)sigaddset(&all, SIGHUP);
    (void)sigaddset(&all, SIGPIPE);
    (void)sigprocmask(SIG_BLOCK, &all, NULL);
    *stop_fd = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
    *reload_fd = signalfd(-1, &reload, SFD_CLOEXEC | SFD_NONBLOCK);
    return (*stop_fd >= 0 && *reload_fd >= 0) || err_sys(err, errno, "cannot take signals");
}

/* systemd's readiness protocol (sd_notify(3)); nothing without $NOTIFY_SOCKET. */
static void notify_ready(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || strlen(path) >= sizeof(address.sun_path)) return;
    AUTO(fd) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memcpy(address.sun_path, path, strlen(path));
    if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
    static const char ready[] = "READY=1";
    if (fd >= 0)
        (void)sendto(fd, ready, sizeof(ready) - 1, 0, (const struct sockaddr *)&address, sizeof(address));
}

struct reload {
    const char *config;
    int fd;
};

/* The log level only: what bounds running work is read at the start. */
static void on_reload(void *arg)
{
    const struct reload *reload = arg;
    struct signalfd_siginfo info;
    struct err err = {0};
    AUTO(settings) struct settings settings = {0};
    (void)!read(reload->fd, &info, sizeof(info));
    if (!settings_load(reload->config, &settings, &err)) {
        log_event(LOG_WARN, "reload_failed", "reason", err.text, "next", "the old settings stay", NULL);
        return;
    }
    log_init("sealift-transporter", settings.log_level);
    log_event(LOG_INFO, "reloaded", "what", "log_level", NULL);
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

static bool run_daemon(const struct settings *settings, const char *config, struct err *err)
{
    struct site_line site;
    char address[SITE_LINE_MAX], fingerprint[FINGERPRINT_TEXT_LEN];
    AUTO(identity) struct identity *self = NULL;
    AUTO(fd) int stop_fd = -1, reload_fd = -1;
    if (!signals_open(&stop_fd, &reload_fd, err)) return false;
    if (!init_load(settings->state_dir, &site, &self, err)) return false;
    director_address_endpoint(&site.director, address);
    identity_fingerprint(&self->known, fingerprint);

    AUTO(authority) struct authority *authority = NULL;
    AUTO(net_context) struct net_context *net = NULL;
    AUTO(listener) struct listener *listener = NULL;
    AUTO(stores) struct stores *stores = stores_new(settings->state_dir, self, &settings->policy);
    if (!authority_open(settings->state_dir, &site, self, &authority, err)) return false;
    if (!net_context_new(2, &net, err)) return false;
    struct listener_options listening = {
        .net = net, .self = self, .bind = settings->data_listen, .advertise = settings->data_advertise};
    if (!listener_new(&listening, &listener, err)) return err_wrap(err, "data port");

    struct hash own_key_id, own_domain;
    if (settings->own_key_file && !own_key_facts(settings->own_key_file, &self->known, &own_key_id, &own_domain, err))
        return false;
    struct reload reload = {.config = config, .fd = reload_fd};
    struct control_options control_options = {
        .environment = {.self = self,
                        .authority = authority,
                        .stores = stores,
                        .policy = &settings->policy,
                        .net = net,
                        .listener = listener,
                        .state_dir = settings->state_dir,
                        .own_key_file = settings->own_key_file,
                        .lease_ms = settings->lease_ms},
        .director = settings->director ? settings->director : address,
        .director_key = site.director.curve_pk,
        .slots = settings->slots,
        .drain_ms = settings->drain_ms,
        .own_key_id = settings->own_key_file ? &own_key_id : NULL,
        .own_domain_id = settings->own_key_file ? &own_domain : NULL,
        .stop_fd = stop_fd,
        .reload_fd = reload_fd,
        .reload = on_reload,
        .reload_arg = &reload,
    };
    AUTO(control) struct control *control = NULL;
    if (!control_new(&control_options, &control, err)) return false;
    log_event(LOG_INFO, "ready", "name", self->known.name, "data", listener_endpoint(listener), "fingerprint",
              fingerprint, "version", SEALIFT_VERSION, NULL);
    notify_ready();
    return control_run(control, err);
}

static bool run_mode(const struct arguments *arguments, struct err *err)
{
    AUTO(settings) struct settings settings = {0};
    if (arguments->mode == MODE_INIT) return init_transporter(&arguments->init, err);
    if (!settings_load(arguments->init.config, &settings, err)) return false;
    if (arguments->mode == MODE_CHECK) return printf("%s: good\n", arguments->init.config) > 0;
    log_init("sealift-transporter", settings.log_level);
    bool ok = run_daemon(&settings, arguments->init.config, err);
    log_event(LOG_INFO, "stopped", NULL);
    return ok;
}

int main(int argc, char **argv)
{
    struct err err = {0};
    struct arguments arguments = {0};
    if (secret_process_init(&err) && parse_arguments(argc, argv, &arguments, &err) &&
        run_mode(&arguments, &err))
        return 0;
    (void)fprintf(stderr, "sealift-transporter: %s\n", err.text);
    return err_exit_code(err.code);
}
