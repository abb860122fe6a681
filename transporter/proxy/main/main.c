/* sealift-proxy: arguments, settings, signals, run. */
#include "common/base/daemon.h"
#include "common/base/daemon_args.h"
#include "transporter/proxy/main/init.h"
#include "transporter/proxy/proxy.h"

#include <signal.h>
#include <sys/signalfd.h>

#define PROGRAM "sealift-proxy"

static const char help[] =
    "usage: sealift-proxy --config FILE\n"
    "       sealift-proxy --check-config --config FILE\n"
    "       sealift-proxy --init --config FILE [options]\n"
    "\n"
    "A SOCKS5 server for sites that let nobody in: joins two callers that ask for the same random name, and\n"
    "dials the endpoints on its list. It has no key, and sees ciphertext only.\n"
    "\n"
    "  --config FILE           configuration\n"
    "  --check-config          read the configuration, say what is wrong with it, end\n"
    "  --init                  write a commented configuration\n"
    "    --listen ADDRESS:PORT where callers come to (may repeat; default " PROXY_LISTEN ")\n"
    "    --allow RULE          what may be dialled: ADDRESS, ADDRESS/BITS or NAME, with :PORT or :PORT-PORT\n"
    "                          (may repeat; default nothing: only rendezvous)\n"
    "  --version, --help\n"
    "\n"
    "Example:\n"
    "  sealift-proxy --init --allow backup.example.net:9448 --config /etc/sealift/proxy.conf\n";

struct arguments {
    struct daemon_args daemon;
    struct daemon_texts listen, allow;
};

static bool parse_arguments(int argc, char **argv, struct arguments *out, struct err *err)
{
    const struct daemon_option options[] = {
        {.name = "listen", .mode = DAEMON_INIT, .texts = &out->listen},
        {.name = "allow", .mode = DAEMON_INIT, .texts = &out->allow},
        {.name = NULL},
    };
    return daemon_args_parse(argc, argv, options, &out->daemon, err);
}

/* The loop does more on SIGHUP than daemon_signals_take does. */
static enum proxy_wish take_signals(void *arg)
{
    const struct daemon_signals *signals = arg;
    enum proxy_wish wish = PROXY_GO_ON;
    struct signalfd_siginfo info;
    while (read(signals->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo != SIGHUP)
            wish = PROXY_STOP;
        else if (wish == PROXY_GO_ON)
            wish = PROXY_RELOAD;
    }
    if (wish == PROXY_STOP) daemon_notify("STOPPING=1");
    return wish;
}

static bool run_daemon(struct proxy_settings *settings, const char *config, struct err *err)
{
    AUTO(daemon_signals) struct daemon_signals signals = {.program = PROGRAM, .config = config, .fd = -1};
    AUTO(proxy) struct proxy *proxy = NULL;
    AUTO(buf) struct buf where = {0};
    if (!daemon_signals_open(&signals, err)) return false;
    struct proxy_options options = {
        .config = config, .wake_fd = signals.fd, .woken = take_signals, .arg = &signals};
    if (!proxy_new(&options, settings, &proxy, err)) return false;
    proxy_addresses(proxy, &where);
    log_event(LOG_INFO, "ready", "listen", buf_cstr(&where), "version", SEALIFT_VERSION, NULL);
    daemon_notify("READY=1");
    bool ok = proxy_run(proxy, err);
    log_event(ok ? LOG_INFO : LOG_ERROR, "stopped", "reason", ok ? "asked to" : err->text, NULL);
    return ok;
}

static bool run_mode(const struct arguments *arguments, struct err *err)
{
    const char *config = arguments->daemon.config;
    int mode = arguments->daemon.mode;
    AUTO(proxy_settings) struct proxy_settings settings = {0};
    const struct init_options init = {
        .config = config, .listen = arguments->listen.items, .allow = arguments->allow.items};
    if (mode == DAEMON_HELP) return fputs(help, stdout) >= 0;
    if (mode == DAEMON_VERSION) return printf("%s %s\n", PROGRAM, SEALIFT_VERSION) > 0;
    if (mode == DAEMON_INIT) return init_proxy(&init, err);
    if (!proxy_settings_load(config, &settings, err)) return false;
    if (mode == DAEMON_CHECK) return printf("%s: good\n", config) > 0;
    log_init(PROGRAM, settings.log_level);
    return run_daemon(&settings, config, err);
}

int main(int argc, char **argv)
{
    struct err err = {.code = ERR_FAILED, .text = "cannot write to standard output"};
    struct arguments arguments = {0};
    if (secret_process_init(&err) && parse_arguments(argc, argv, &arguments, &err) &&
        run_mode(&arguments, &err) && fflush(stdout) == 0)
        return 0;
    (void)fprintf(stderr, "%s: %s\n", PROGRAM, err.text);
    return err_exit_code(err.code);
}
