/* sealift-director: arguments, settings, signals, the loop. */
#include "common/base/log.h"
#include "common/base/secret.h"
#include "common/wire/site_line.h"
#include "director/catalog/director_key.h"
#include "director/loop/director.h"
#include "director/main/init.h"
#include "director/main/settings.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define PROGRAM "sealift-director"

static const char help[] =
    "usage: sealift-director --config FILE\n"
    "       sealift-director --check-config --config FILE\n"
    "       sealift-director --init --config FILE [options]\n"
    "       sealift-director --new-claim-code --config FILE\n"
    "\n"
    "Decides when backups run; it sees neither data nor keys, and cannot change what operators have signed.\n"
    "\n"
    "  --config FILE        configuration\n"
    "  --check-config       read the configuration, say what is wrong with it, end\n"
    "  --init               make key, catalog, claim code and a commented configuration\n"
    "    --state DIR        local state (default /var/lib/sealift-director)\n"
    "    --bind ADDRESS     where to listen (default 0.0.0.0)\n"
    "    --operator-port N  for operators (default 9446; 0: any free one)\n"
    "    --control-port N   for transporters (default 9447; 0: any free one)\n"
    "  --new-claim-code     make another claim code for a director that nobody has claimed\n"
    "  --version, --help\n"
    "\n"
    "SIGTERM ends it (runs go on without it), SIGHUP reads the log level again.\n"
    "\n"
    "Example:\n"
    "  sealift-director --init --config /etc/sealift/director.conf\n";

enum mode { MODE_RUN, MODE_CHECK, MODE_INIT, MODE_CODE, MODE_VERSION, MODE_HELP };

struct arguments {
    enum mode mode;
    struct init_options init;
    bool init_only; /* an option was given that belongs to --init */
};

enum option_code {
    OPT_CONFIG = 1,
    OPT_CHECK,
    OPT_INIT,
    OPT_CODE,
    OPT_STATE,
    OPT_BIND,
    OPT_OPERATOR_PORT,
    OPT_CONTROL_PORT,
    OPT_VERSION,
    OPT_HELP,
};

static const struct option options[] = {
    {"config", required_argument, NULL, OPT_CONFIG},
    {"check-config", no_argument, NULL, OPT_CHECK},
    {"init", no_argument, NULL, OPT_INIT},
    {"new-claim-code", no_argument, NULL, OPT_CODE},
    {"state", required_argument, NULL, OPT_STATE},
    {"bind", required_argument, NULL, OPT_BIND},
    {"operator-port", required_argument, NULL, OPT_OPERATOR_PORT},
    {"control-port", required_argument, NULL, OPT_CONTROL_PORT},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static bool take_port(const char *text, uint16_t *out, struct err *err)
{
    char *end = NULL;
    errno = 0;
    unsigned long port = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || port > 65535 || text[0] == '-' || text[0] == '+')
        return err_set(err, ERR_USAGE, "'%s' is no port: a number from 0 to 65535", text);
    *out = (uint16_t)port;
    return true;
}

static bool take_mode(struct arguments *arguments, enum mode mode, struct err *err)
{
    if (arguments->mode != MODE_RUN && arguments->mode != mode)
        return err_set(err, ERR_USAGE,
                       "only one of --check-config, --init and --new-claim-code can be asked for");
    arguments->mode = mode;
    return true;
}

static bool take_option(struct arguments *arguments, int code, const char *value, struct err *err)
{
    struct init_options *init = &arguments->init;
    switch (code) {
    case OPT_CONFIG:
        init->config = value;
        return true;
    case OPT_CHECK:
        return take_mode(arguments, MODE_CHECK, err);
    case OPT_INIT:
        return take_mode(arguments, MODE_INIT, err);
    case OPT_CODE:
        return take_mode(arguments, MODE_CODE, err);
    case OPT_VERSION:
        arguments->mode = MODE_VERSION;
        return true;
    case OPT_HELP:
        arguments->mode = MODE_HELP;
        return true;
    default:
        break;
    }
    arguments->init_only = true;
    switch (code) {
    case OPT_STATE:
        init->state = value;
        return true;
    case OPT_BIND:
        init->bind = value;
        return true;
    case OPT_OPERATOR_PORT:
        return take_port(value, &init->operator_port, err);
    case OPT_CONTROL_PORT:
        return take_port(value, &init->control_port, err);
    default:
        return err_set(err, ERR_USAGE, "see --help");
    }
}

static bool parse_arguments(int argc, char **argv, struct arguments *arguments, struct err *err)
{
    arguments->init = (struct init_options){.state = "/var/lib/sealift-director",
                                            .bind = "0.0.0.0",
                                            .operator_port = DEFAULT_OPERATOR_PORT,
                                            .control_port = DEFAULT_CONTROL_PORT};
    for (int code; (code = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (!take_option(arguments, code, optarg, err)) return false;
        if (arguments->mode == MODE_HELP || arguments->mode == MODE_VERSION) return true;
    }
    if (optind < argc) return err_set(err, ERR_USAGE, "'%s' is no option: see --help", argv[optind]);
    if (!arguments->init.config) return err_set(err, ERR_USAGE, "--config FILE is needed: see --help");
    if (arguments->init_only && arguments->mode != MODE_INIT)
        return err_set(err, ERR_USAGE, "--state, --bind and the ports belong to --init: see --help");
    return true;
}

/* ---- signals */

struct daemon {
    const char *config;
    int signals;
};

static bool signals_open(int *out, struct err *err)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    /* before any thread is made, so that all have it blocked */
    if (sigprocmask(SIG_BLOCK, &set, NULL) != 0) return err_sys(err, errno, "cannot block signals");
    (void)signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) return err_sys(err, errno, "cannot take signals");
    *out = fd;
    return true;
}

static void reload(const char *config)
{
    AUTO(settings) struct settings settings = {0};
    struct err err;
    if (!settings_load(config, &settings, &err)) {
        log_event(LOG_WARN, "reload_failed", "reason", err.text, "next", "the old settings stay", NULL);
        return;
    }
    log_init(PROGRAM, settings.log_level);
    log_event(LOG_INFO, "reloaded", "what", "log_level", NULL);
}

static enum director_wish on_signal(void *arg)
{
    const struct daemon *daemon = arg;
    struct signalfd_siginfo info;
    while (read(daemon->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo != SIGHUP) return DIRECTOR_STOP;
        reload(daemon->config);
    }
    return DIRECTOR_GO_ON;
}

/* systemd's readiness protocol (sd_notify(3)); nothing without $NOTIFY_SOCKET. */
static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (!path || path[0] == '\0' || strlen(path) >= sizeof(address.sun_path)) return;
    AUTO(fd) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    size_t len = strlen(path);
    memcpy(address.sun_path, path, len);
    if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    if (sendto(fd, state, strlen(state), 0, (const struct sockaddr *)&address, size) < 0)
        log_event(LOG_WARN, "not_notified", "reason", strerror(errno), NULL);
}

/* ---- modes */

static void say_ready(const struct director *director)
{
    log_event(LOG_INFO, "ready", "operator", director_operator_address(director), "control",
              director_control_address(director), "version", SEALIFT_VERSION, NULL);
    if (director_unclaimed(director))
        log_event(LOG_INFO, "unclaimed", "next", "sealift operator init, with the claim code of --init",
                  NULL);
}

static bool run_daemon(const struct settings *settings, const char *config, struct err *err)
{
    AUTO(fd) int signals = -1;
    AUTO(net_key) struct net_key *key = NULL;
    AUTO(director) struct director *director = NULL;
    struct director_settings how = {.state_dir = settings->state_dir,
                                    .bind = settings->bind,
                                    .operator_port = settings->operator_port,
                                    .control_port = settings->control_port,
                                    .lease_ms = settings->lease_ms};
    if (!signals_open(&signals, err) || !director_key_open(settings->state_dir, &key, err) ||
        !director_open(&how, key, &director, err))
        return false;
    say_ready(director);
    notify("READY=1");
    struct daemon daemon = {.config = config, .signals = signals};
    bool ok = director_run(director, signals, on_signal, &daemon, err);
    notify("STOPPING=1");
    log_event(ok ? LOG_INFO : LOG_ERROR, "stopped", "reason", ok ? "asked to" : err->text, NULL);
    return ok;
}

static bool run_mode(const struct arguments *arguments, struct err *err)
{
    const char *config = arguments->init.config;
    AUTO(settings) struct settings settings = {0};
    switch (arguments->mode) {
    case MODE_HELP:
        return fputs(help, stdout) >= 0;
    case MODE_VERSION:
        return printf("%s %s\n", PROGRAM, SEALIFT_VERSION) > 0;
    case MODE_INIT:
        return init_director(&arguments->init, err);
    default:
        break;
    }
    if (!settings_load(config, &settings, err)) return false;
    if (arguments->mode == MODE_CHECK) return printf("%s: good\n", config) > 0;
    if (arguments->mode == MODE_CODE) return init_claim_code(settings.state_dir, err);
    log_init(PROGRAM, settings.log_level);
    return run_daemon(&settings, config, err);
}

int main(int argc, char **argv)
{
    struct err err = {.code = ERR_FAILED, .text = "cannot write to standard output"};
    struct arguments arguments = {0};
    (void)umask(077);
    if (secret_process_init(&err) && parse_arguments(argc, argv, &arguments, &err) &&
        run_mode(&arguments, &err) && fflush(stdout) == 0)
        return 0;
    (void)fprintf(stderr, "%s: %s\n", PROGRAM, err.text);
    return err_exit_code(err.code);
}
