#include "transporter/main/init.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "transporter/main/settings.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { KEY_MODE = 0600, CONFIG_MODE = 0644, STATE_MODE = 0700 };

/* A libconfig string: quotes and backslashes escaped. */
static void put_string(struct buf *out, const char *text)
{
    buf_put_u8(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') buf_put_u8(out, '\\');
        buf_put_u8(out, (uint8_t)*text);
    }
    buf_put_u8(out, '"');
}

static void put_setting_inline(struct buf *out, const char *key, const char *value)
{
    buf_printf(out, "%s = ", key);
    put_string(out, value);
    buf_put_str(out, "; ");
}

static void put_setting(struct buf *out, const char *key, const char *value)
{
    buf_printf(out, "%s = ", key);
    put_string(out, value);
    buf_put_str(out, ";\n");
}

static void put_list(struct buf *out, const char *key, const char *const *items)
{
    buf_printf(out, "%s = (", key);
    for (size_t i = 0; items[i]; i++) {
        buf_put_str(out, i ? ", " : " ");
        put_string(out, items[i]);
    }
    buf_put_str(out, " );\n");
}

/* Listens at every address: what targets dial may be a name, or a router's. */
static void put_reverse(const char *reverse, struct buf *out)
{
    buf_put_str(
        out,
        "    # Where targets come to that dial this host when it is the source (connection 'reverse').\n");
    if (!reverse) {
        buf_put_str(out, "    # reverse = { listen = \"0.0.0.0:" REVERSE_PORT
                         "\"; advertise = \"HOST:" REVERSE_PORT "\"; };\n");
    } else {
        buf_printf(out, "    reverse = { listen = \"0.0.0.0%s\"; ", strrchr(reverse, ':'));
        put_setting_inline(out, "advertise", reverse);
        buf_put_str(out, "};\n");
    }
    buf_put_str(out,
                "    # proxy = \"HOST:PORT\";   a SOCKS5 proxy that dials to other data ports go through\n");
}

static void put_director(const struct init_options *options, struct buf *out)
{
    buf_put_str(out, "\n# The director is dialled at the address of the site line. It may be dialled "
                     "elsewhere (address), or\n"
                     "# through a SOCKS5 proxy; or it dials this host, which then listens for it.\n");
    if (options->director_listen) {
        AUTO(free) char *address = xasprintf("tcp://%s", options->director_listen);
        buf_put_str(out, "director = {\n    ");
        put_setting(out, "listen", address);
        buf_put_str(out, "};\n");
    } else if (options->director_proxy) {
        buf_put_str(out, "director = {\n    ");
        put_setting(out, "proxy", options->director_proxy);
        buf_put_str(out, "};\n");
    } else {
        buf_put_str(out, "# director = { proxy = \"HOST:PORT\"; };\n"
                         "# director = { listen = \"tcp://0.0.0.0:" CONTROL_LISTEN_PORT "\"; };\n");
    }
}

static void write_config(const struct init_options *options, struct buf *out)
{
    static const char *const everything[] = {"/", NULL};
    buf_printf(out,
               "# Configuration of the Sealift transporter '%s'. Every setting is in docs/operations.md.\n\n",
               options->name);
    put_setting(out, "state_dir", options->state);
    put_director(options, out);
    buf_put_str(out, "\n# Where sources reach this host when it is the target of a run.\ndata = {\n    ");
    put_setting(out, "listen", options->data_listen ? options->data_listen : DATA_LISTEN);
    if (options->data_advertise) {
        buf_put_str(out, "    ");
        put_setting(out, "advertise", options->data_advertise);
    } else {
        buf_put_str(out, "    # advertise = \"tcp://HOST:" DATA_PORT "\";   what sources are told to dial\n");
    }
    put_reverse(options->reverse, out);
    buf_put_str(out,
                "};\n\n# What backups may read, where restores may write, where repositories may be kept.\n"
                "# These hold whatever anybody signs; an empty list allows nothing.\n");
    put_list(out, "read", options->read[0] ? options->read : everything);
    put_list(out, "restore", options->restore);
    put_list(out, "repositories", options->repositories);
    buf_put_str(
        out,
        "\n# Transporters that may get this host's data unsealed (inside CURVE), for jobs that are\n"
        "# encrypted on the target or not at all.\nplaintext_to = ( );\n\n"
        "slots = 6;            # runs at a time\n"
        "lease = \"2m\";         # how long a run waits for a lost peer\n"
        "log_level = \"info\";   # debug, info, warn, error\n"
        "# own_key = \"/etc/sealift/own.key\";   32 bytes, mode 0600\n"
        "# Protectors of keys outside Sealift that this host may call, if it is in the trust zone:\n"
        "# kms = ( { name = \"eu\"; uri = \"aws:///alias/backup?REGION=eu-west-1&AUTH=implicit\"; },\n"
        "#         { name = \"vault\"; uri_file = \"/etc/sealift/vault.uri\"; timeout = \"10s\"; } );\n"
        "# proxies = ( { address = \"HOST:PORT\"; user = \"NAME\"; password_file = "
        "\"/etc/sealift/socks.password\"; } );\n"
        "# keep = { least = 3; age = \"30d\"; };  points that stay whatever anybody asks\n"
        "# bandwidth = \"5MiB@mon-fri 08:00-18:00, 50MiB\";  of all runs together, a second; UTC\n"
        "# Commands that jobs may run here, by name; no shell reads them. A stream's output is backed up.\n"
        "# streams = ( { name = \"db\"; command = ( \"/usr/bin/pg_dump\", \"shop\" );\n"
        "#               restore = ( \"/usr/bin/psql\", \"-d\", \"shop_new\" ); timeout = \"2h\"; } );\n"
        "# scripts = ( { name = \"freeze\"; command = ( \"/usr/sbin/fsfreeze\", \"--freeze\", \"/srv\" ); "
        "},\n"
        "#             { name = \"thaw\"; command = ( \"/usr/sbin/fsfreeze\", \"--unfreeze\", \"/srv\" ); } "
        ");\n");
}

static bool check_options(const struct init_options *options, struct site_line *site, struct err *err)
{
    if (!site_line_parse(options->site, site, err)) return err_wrap(err, "--site");
    if (!identity_name_check(options->name, err)) return err_wrap(err, "--name");
    if (options->reverse && !conf_is_host_port(options->reverse))
        return err_set(err, ERR_USAGE, "--reverse must be HOST:PORT, with a port from 1 to 65535");
    if (options->director_proxy && options->director_listen)
        return err_set(err, ERR_USAGE,
                       "--director-proxy and --listen-for-director exclude each other: who listens "
                       "does not dial");
    if (options->director_proxy && !conf_is_host_port(options->director_proxy))
        return err_set(err, ERR_USAGE, "--director-proxy must be HOST:PORT, with a port from 1 to 65535");
    if (options->director_listen && !conf_is_host_port(options->director_listen))
        return err_set(err, ERR_USAGE,
                       "--listen-for-director must be ADDRESS:PORT, with a port from 1 to 65535");
    if (options->state[0] != '/') return err_set(err, ERR_USAGE, "--state must be an absolute path");
    struct stat there;
    if (stat(options->config, &there) == 0)
        return err_set(err, ERR_EXISTS, "'%s' is there already: remove it to start anew", options->config);
    return true;
}

/* What --init makes, in this order; what it has made it takes away when it fails. */
struct made {
    char *site, *key;
};

static void made_deinit(struct made *made)
{
    free(made->site);
    free(made->key);
}
DEFINE_AUTO_IN_PLACE(made, struct made, made_deinit)

static bool write_all(const struct init_options *options, const struct made *made, struct span key,
                      struct span config, struct err *err)
{
    if (!file_replace(AT_FDCWD, made->site, span_str(options->site), KEY_MODE, err)) return false;
    if (file_create(AT_FDCWD, made->key, key, KEY_MODE, err)) {
        if (file_create(AT_FDCWD, options->config, config, CONFIG_MODE, err)) return true;
        (void)unlink(made->key);
    }
    (void)unlink(made->site);
    return false;
}

static bool make_all(const struct init_options *options, const struct identity *identity, struct err *err)
{
    AUTO(buf) struct buf config = {0};
    AUTO(secret) struct secret *key = identity_encode(identity);
    AUTO(made)
    struct made made = {.site = xasprintf("%s/site", options->state),
                        .key = xasprintf("%s/identity.key", options->state)};
    write_config(options, &config);
    if (access(made.key, F_OK) == 0)
        return err_set(err, ERR_EXISTS, "'%s' holds an identity already", options->state);
    bool made_dir = access(options->state, F_OK) != 0;
    if (!dir_make(options->state, STATE_MODE, err)) return false;
    if (write_all(options, &made, span_of(key->data, key->len), buf_span(&config), err)) return true;
    if (made_dir) (void)rmdir(options->state);
    return false;
}

bool init_transporter(const struct init_options *options, struct err *err)
{
    struct site_line site;
    AUTO(identity) struct identity *identity = NULL;
    if (!check_options(options, &site, err)) return false;
    if (!identity_new(options->name, &identity, err)) return false;
    if (!make_all(options, identity, err)) return false;

    char fingerprint[FINGERPRINT_TEXT_LEN];
    identity_fingerprint(&identity->known, fingerprint);
    (void)printf("transporter: %s\n"
                 "fingerprint: %s\n"
                 "config:      %s\n\n"
                 "Start it:    sealift-transporter --config %s\n"
                 "Then, as an operator, compare the fingerprint and let it in:\n"
                 "             sealift transporter approve %s --zone trusted|untrusted\n",
                 options->name, fingerprint, options->config, options->config, options->name);
    return true;
}

bool init_move(const char *state_dir, const char *line, struct err *err)
{
    struct site_line now, then;
    AUTO(identity) struct identity *identity = NULL;
    AUTO(free) char *path = xasprintf("%s/site", state_dir);
    if (!init_load(state_dir, &now, &identity, err)) return false;
    if (!site_line_parse(line, &then, err)) return err_wrap(err, "--to");
    if (!id_eq(&now.site, &then.site) || memcmp(now.admin, then.admin, SIGN_PK_LEN) != 0)
        return err_set(err, ERR_POLICY,
                       "--to is the line of another site: this transporter stays in its own");
    return file_replace(AT_FDCWD, path, span_str(line), KEY_MODE, err);
}

bool init_load(const char *state_dir, struct site_line *site, struct identity **identity, struct err *err)
{
    AUTO(free) char *site_path = xasprintf("%s/site", state_dir);
    AUTO(free) char *key_path = xasprintf("%s/identity.key", state_dir);
    AUTO(buf) struct buf line = {0}, key = {0};
    struct stat mode;
    if (!file_read(AT_FDCWD, site_path, SITE_LINE_MAX - 1, &line, err) ||
        !file_read(AT_FDCWD, key_path, IDENTITY_FILE_MAX_LEN, &key, err))
        return err->code == ERR_NOT_FOUND ? err_wrap(err, "run 'sealift-transporter --init' first") : false;
    if (stat(key_path, &mode) != 0 || (mode.st_mode & 077) != 0)
        return err_set(err, ERR_POLICY, "'%s' may be read by others than its owner: chmod 600 it", key_path);
    if (!site_line_parse(buf_cstr(&line), site, err)) return err_wrap(err, "'%s'", site_path);
    bool ok = identity_open(buf_span(&key), NULL, identity, err) || err_wrap(err, "'%s'", key_path);
    wipe(key.data, key.cap);
    return ok;
}
