#include "transporter/proxy/main/init.h"

#include "common/base/file.h"
#include "transporter/proxy/proxy_settings.h"

#include <fcntl.h>

enum { CONFIG_MODE = 0644 };

/* Rules and addresses have no character that a string would have to escape. */
static void put_list(struct buf *out, const char *key, const char *const *items)
{
    buf_printf(out, "%s = (", key);
    for (size_t i = 0; items[i]; i++)
        buf_printf(out, "%s\"%s\"", i ? ", " : " ", items[i]);
    buf_put_str(out, " );\n");
}

static void write_config(const struct init_options *options, struct buf *out)
{
    static const char *const everywhere[] = {PROXY_LISTEN, NULL};
    buf_put_str(out, "# Configuration of a Sealift proxy. docs/networks.md explains every setting.\n\n"
                     "# Where callers come to: ADDRESS:PORT, [ADDRESS]:PORT.\n");
    put_list(out, "listen", options->listen[0] ? options->listen : everywhere);
    buf_put_str(out,
                "\n# What may be dialled for them: ADDRESS, ADDRESS/BITS or NAME, with :PORT or :PORT-PORT.\n"
                "# Nothing else is. An empty list: only rendezvous.\n");
    put_list(out, "allow", options->allow);
    buf_put_str(
        out, "# Where the names in it may lead; without, to any address that is not special.\n"
             "# resolve_within = ( \"10.0.0.0/8\" );\n\n"
             "# Joins two callers that ask for the same random name.\n"
             "rendezvous = true;\n\n"
             "# Who may ask; without, everybody who knows a name, or what is on the list.\n"
             "# users = ( { name = \"site\"; password_file = \"/etc/sealift/proxy-site.password\"; } );\n\n"
             "limits = {\n"
             "    connections = 2048;    # callers at a time\n"
             "    per_client = 256;      # of one address (IPv6: of one /64)\n"
             "    handshake = \"5s\";      # until a caller has asked\n"
             "    dial = \"10s\";          # for an endpoint to answer\n"
             "    wait = \"5m\";           # for the other end of a rendezvous\n"
             "    idle = \"15m\";          # a connection on which nothing moves is ended\n"
             "};\n"
             "drain = \"10s\";            # how long SIGTERM waits for connections\n"
             "log_level = \"info\";       # debug, info, warn, error\n");
}

static bool check_options(const struct init_options *options, struct err *err)
{
    struct address address;
    struct allow allow = {0};
    bool ok = true;
    for (size_t i = 0; ok && options->listen[i]; i++)
        ok = address_port_parse(options->listen[i], &address, err) || err_wrap(err, "--listen");
    for (size_t i = 0; ok && options->allow[i]; i++)
        ok = allow_add(&allow, options->allow[i], err) || err_wrap(err, "--allow");
    allow_deinit(&allow);
    if (!ok) err->code = ERR_USAGE;
    return ok;
}

bool init_proxy(const struct init_options *options, struct err *err)
{
    AUTO(buf) struct buf config = {0};
    if (!check_options(options, err)) return false;
    write_config(options, &config);
    if (!file_create(AT_FDCWD, options->config, buf_span(&config), CONFIG_MODE, err)) return false;
    return printf("config:   %s\n\nStart it: sealift-proxy --config %s\n", options->config, options->config) >
           0;
}
