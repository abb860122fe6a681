/* sealift-director: arguments, settings, signals, the loop. */
#include "common/base/alloc.h"
#include "common/base/daemon.h"
#include "common/base/daemon_args.h"
#include "common/base/secret.h"
#include "common/wire/site_line.h"
#include "director/catalog/director_key.h"
#include "director/loop/director.h"
#include "director/main/init.h"
#include "director/main/settings.h"

#include <stdio.h>
#include <sys/stat.h>

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
    "SIGTERM ends it (runs go on without it), SIGHUP reads the log level and the logins at proxies again.\n"
    "\n"
    "Example:\n"
    "  sealift-director --init --config /etc/sealift/director.conf\n";

enum { MODE_CODE = DAEMON_OWN };

struct arguments {
    struct daemon_args daemon;
    struct init_options init;
};

static bool parse_arguments(int argc, char **argv, struct arguments *out, struct err *err)
{
    struct init_options *init = &out->init;
    *init = (struct init_options){.state = "/var/lib/sealift-director",
                                  .bind = "0.0.0.0",
                                  .operator_port = DEFAULT_OPERATOR_PORT,
                                  .control_port = DEFAULT_CONTROL_PORT};
    const struct daemon_option options[] = {
        {.name = "new-claim-code", .mode = MODE_CODE},
        {.name = "state", .mode = DAEMON_INIT, .text = &init->state},
        {.name = "bind", .mode = DAEMON_INIT, .text = &init->bind},
        {.name = "operator-port", .mode = DAEMON_INIT, .port = &init->operator_port},
        {.name = "control-port", .mode = DAEMON_INIT, .port = &init->control_port},
        {.name = NULL},
    };
    if (!daemon_args_parse(argc, argv, options, &out->daemon, err)) return false;
    init->config = out->daemon.config;
    return true;
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

/* Of a director that runs. */
static bool reload(void *arg, const char *config, enum log_level *out, struct err *err)
{
    struct director *const *director = arg;
    AUTO(settings) struct settings settings = {0};
    AUTO(net_logins) struct net_logins *logins = NULL;
    if (!settings_load(config, &settings, err) ||
        !net_logins_of(settings.logins.items, settings.logins.count, &logins, err))
        return false;
    net_logins_swap(director_logins(*director), logins);
    *out = settings.log_level;
    return true;
}

/* Borrows the settings. */
static struct director_dial *dials_of(const struct settings *settings)
{
    struct director_dial *dials = xcalloc(settings->dial_count + 1, sizeof(*dials));
    for (size_t i = 0; i < settings->dial_count; i++) {
        dials[i] =
            (struct director_dial){.address = settings->dials[i].address, .proxy = settings->dials[i].proxy};
    }
    return dials;
}

static bool run_daemon(const struct settings *settings, const char *config, struct err *err)
{
    AUTO(net_key) struct net_key *key = NULL;
    AUTO(free) struct director_dial *dials = dials_of(settings);
    AUTO(net_logins) struct net_logins *logins = NULL;
    AUTO(director) struct director *director = NULL;
    AUTO(daemon_signals)
    struct daemon_signals signals = {.program = PROGRAM,
                                     .config = config,
                                     .reload = reload,
                                     .arg = &director,
                                     .changes = "log_level, proxies",
                                     .fd = -1};
    if (!net_logins_of(settings->logins.items, settings->logins.count, &logins, err)) return false;
    struct director_settings how = {.state_dir = settings->state_dir,
                                    .bind = settings->bind,
                                    .operator_port = settings->operator_port,
                                    .control_port = settings->control_port,
                                    .lease_ms = settings->lease_ms,
                                    .heartbeat_ms = (int)settings->heartbeat_ms,
                                    .dials = dials,
                                    .dial_count = settings->dial_count,
                                    .logins = logins,
                                    .config_file = config,
                                    .self_backup = {.directory = settings->self_backup_directory,
                                                    .spec = settings->self_backup_schedule,
                                                    .keep = (unsigned)settings->self_backup_keep}};
    if (!daemon_signals_open(&signals, err) || !daemon_clock_check(time(NULL), err) ||
        !director_key_open(settings->state_dir, &key, err) || !director_open(&how, key, &director, err))
        return false;
    say_ready(director);
    daemon_notify("READY=1");
    bool ok = director_run(director, signals.fd, daemon_signals_take, &signals, err);
    log_event(ok ? LOG_INFO : LOG_ERROR, "stopped", "reason", ok ? "asked to" : err->text, NULL);
    return ok;
}

static bool run_mode(const struct arguments *arguments, struct err *err)
{
    const char *config = arguments->daemon.config;
    int mode = arguments->daemon.mode;
    AUTO(settings) struct settings settings = {0};
    if (mode == DAEMON_HELP) return fputs(help, stdout) >= 0;
    if (mode == DAEMON_VERSION) return printf("%s %s\n", PROGRAM, SEALIFT_VERSION) > 0;
    if (mode == DAEMON_INIT) return init_director(&arguments->init, err);
    if (!settings_load(config, &settings, err)) return false;
    if (mode == DAEMON_CHECK) return printf("%s: good\n", config) > 0;
    if (mode == MODE_CODE) return init_claim_code(settings.state_dir, err);
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
