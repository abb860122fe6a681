#include "director/main/init.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "common/base/host_port.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "common/wire/site_line.h"
#include "director/catalog/catalog.h"
#include "director/catalog/claim_code.h"
#include "director/catalog/director_key.h"
#include "director/main/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char config_text[] =
    "# Sealift director. Changes count after a restart; log_level and proxies also after SIGHUP.\n"
    "# Check this file with: sealift-director --check-config --config FILE\n"
    "\n"
    "# The key of this director, the catalog of jobs, runs and points. For its owner only.\n"
    "state_dir = \"%s\";\n"
    "\n"
    "# Where to listen: an address of this host, or \"0.0.0.0\" or \"::\" for all of them.\n"
    "bind = \"%s\";\n"
    "# Ports for operators (sealift) and for transporters; 0: any free one, named in the log.\n"
    "operator_port = %u;\n"
    "control_port = %u;\n"
    "\n"
    "# Transporters that listen for their director ('director = { listen = … }' in their configuration), "
    "and\n"
    "# logins at SOCKS5 proxies on the way.\n"
    "#dial = ( { address = \"tcp://web.example:9451\"; proxy = \"socks.example:1080\"; } );\n"
    "#proxies = ( { address = \"socks.example:1080\"; user = \"site\"; password_file = "
    "\"/etc/sealift/socks\"; } );\n"
    "\n"
    "# How long a transporter may be out of sight before its runs are given up.\n"
    "lease = \"2m\";\n"
    "\n"
    "# Copies of the director's own state, sealed to a password that 'sealift config set-password' sets.\n"
    "# Let the directory be on another disk, or taken to another machine.\n"
    "#self_backup = { directory = \"/var/backups/sealift\"; schedule = \"daily 04:30\"; keep = 10; };\n"
    "\n"
    "# debug, info, warn, error\n"
    "log_level = \"info\";\n";

/* A text that libconfig reads back as it is. */
static bool quotable(const char *text, struct err *err)
{
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == '"' || *c == '\\')
            return err_set(err, ERR_USAGE, "'%s' cannot stand in a configuration file", text);
    return true;
}

static bool write_config(const struct init_options *options, struct err *err)
{
    AUTO(buf) struct buf text = {0};
    if (!quotable(options->state, err)) return false;
    buf_printf(&text, config_text, options->state, options->bind, options->operator_port,
               options->control_port);
    return file_create(AT_FDCWD, options->config, buf_span(&text), 0644, err);
}

static bool put_code(const char *state_dir, char code[static CLAIM_CODE_TEXT_LEN], struct err *err)
{
    AUTO(catalog) struct catalog *catalog = NULL;
    claim_code_make(code);
    struct claim claim = {.code = claim_code_hash(code)};
    return catalog_open(state_dir, &catalog, err) && catalog_claim_put(catalog, &claim, err);
}

static void remove_state(const char *state_dir, const char *name)
{
    AUTO(free) char *path = xasprintf("%s/%s", state_dir, name);
    (void)unlink(path);
}

static bool make_catalog(const char *state_dir, char code[static CLAIM_CODE_TEXT_LEN], struct err *err)
{
    if (!catalog_create(state_dir, err)) return false;
    if (put_code(state_dir, code, err)) return true;
    remove_state(state_dir, CATALOG_FILE);
    return false;
}

static bool make_state_dir(const char *path, struct err *err)
{
    struct stat there;
    if (!dir_make(path, 0700, err)) return false;
    if (stat(path, &there) != 0) return err_sys(err, errno, "cannot look at '%s'", path);
    if ((there.st_mode & 077) == 0) return true;
    return err_set(err, ERR_POLICY,
                   "'%s' is open to others: the director needs a directory of its own, mode 0700", path);
}

static bool make_all(const struct init_options *options, struct net_key **key,
                     char code[static CLAIM_CODE_TEXT_LEN], struct err *err)
{
    if (!make_state_dir(options->state, err)) return false;
    if (!director_key_create(options->state, key, err)) return false;
    if (make_catalog(options->state, code, err)) {
        if (write_config(options, err)) return true;
        remove_state(options->state, CATALOG_FILE);
    }
    remove_state(options->state, DIRECTOR_KEY_FILE);
    return false;
}

/* How others reach this host, as far as it can know. */
static const char *own_name(const char *bind, char out[static HOST_MAX + 1])
{
    bool anywhere = strcmp(bind, "0.0.0.0") == 0 || strcmp(bind, "::") == 0 || strcmp(bind, "*") == 0;
    if (anywhere && gethostname(out, HOST_MAX) == 0)
        out[HOST_MAX] = '\0';
    else
        (void)snprintf(out, HOST_MAX + 1, "%s", anywhere ? "HOST" : bind);
    return out;
}

static void print_next(const struct init_options *options, const struct net_key *key, const char *code)
{
    char public_key[2 * NET_KEY_LEN + 1], name[HOST_MAX + 1], host[HOST_PORT_TEXT_MAX], port[8] = "PORT";
    hex_encode(net_key_public(key), NET_KEY_LEN, public_key);
    (void)own_name(options->bind, name);
    host_port_host_text(name, host);
    if (options->operator_port != 0) (void)snprintf(port, sizeof(port), "%u", options->operator_port);
    (void)printf("director key: %s\n"
                 "claim code: %s\n"
                 "\n"
                 "The code makes the first operator, once. Next, start the director:\n"
                 "  sealift-director --config %s\n"
                 "and claim it from the operator's host, which asks for the code:\n"
                 "  sealift operator init --director %s@%s:%s\n",
                 public_key, code, options->config, public_key, host, port);
    (void)printf("or, if the site lost the director that it had, from an admin's host:\n"
                 "  sealift operator move --director %s@%s:%s\n",
                 public_key, host, port);
    if (options->operator_port == 0)
        (void)printf("PORT is the one that the director's log names as 'operator'.\n");
}

bool init_director(const struct init_options *options, struct err *err)
{
    AUTO(net_key) struct net_key *key = NULL;
    char code[CLAIM_CODE_TEXT_LEN];
    if (options->state[0] != '/') return err_set(err, ERR_USAGE, "--state must be an absolute path");
    if (access(options->config, F_OK) == 0)
        return err_set(err, ERR_EXISTS, "'%s' exists already", options->config);
    if (!settings_bind_check(options->bind, err) || !make_all(options, &key, code, err)) return false;
    print_next(options, key, code);
    wipe(code, sizeof(code));
    return true;
}

/* ---- another code */

static bool any_roster(void *arg, struct span bytes, struct err *err)
{
    *(bool *)arg = true;
    return true;
}

bool init_claim_code(const char *state_dir, struct err *err)
{
    bool claimed = false;
    char code[CLAIM_CODE_TEXT_LEN];
    {
        AUTO(catalog) struct catalog *catalog = NULL;
        if (!catalog_open(state_dir, &catalog, err) ||
            !catalog_rosters(catalog, 0, any_roster, &claimed, err))
            return err->code == ERR_BUSY ? err_wrap(err, "the director is running: stop it first") : false;
    }
    if (claimed)
        return err_set(err, ERR_EXISTS, "the site is claimed already: its admins admit further operators");
    if (!put_code(state_dir, code, err)) return false;
    (void)printf("claim code: %s\n", code);
    wipe(code, sizeof(code));
    return true;
}
