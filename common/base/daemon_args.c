#include "common/base/daemon_args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where the parser stands: what was asked for, by which word, and what belongs elsewhere. */
struct parser {
    int argc;
    char *const *argv;
    int next;
    struct daemon_args args;
    const char *asked_by;              /* the option that set the mode */
    const struct daemon_option *bound; /* an option with a value that belongs to a mode */
};

static bool take_mode(struct parser *parser, int mode, const char *name, struct err *err)
{
    if (parser->asked_by && parser->args.mode != mode)
        return err_set(err, ERR_USAGE, "only one of --%s and --%s can be asked for", parser->asked_by, name);
    parser->args.mode = mode;
    parser->asked_by = name;
    return true;
}

static bool take_port(const char *text, uint16_t *out, struct err *err)
{
    char *end = NULL;
    errno = 0;
    unsigned long port = strtoul(text, &end, 10);
    if (errno != 0 || *end != '\0' || port > UINT16_MAX || text[0] < '0' || text[0] > '9')
        return err_set(err, ERR_USAGE, "'%s' is no port: a number from 0 to 65535", text);
    *out = (uint16_t)port;
    return true;
}

static bool take_text(struct daemon_texts *texts, const char *name, const char *value, struct err *err)
{
    if (texts->count == DAEMON_TEXTS_MAX)
        return err_set(err, ERR_USAGE, "--%s is given more than %d times", name, DAEMON_TEXTS_MAX);
    texts->items[texts->count++] = value;
    return true;
}

static bool takes_value(const struct daemon_option *option)
{
    return option->text || option->texts || option->port;
}

static bool asks_for_mode(const struct daemon_option *option)
{
    return !takes_value(option) && !option->flag;
}

/* The mode may come later: whether it is the right one is looked at in the end. */
static bool bind_to_mode(struct parser *parser, const struct daemon_option *option, struct err *err)
{
    if (parser->bound && parser->bound->mode != option->mode)
        return err_set(err, ERR_USAGE, "--%s and --%s do not go together", parser->bound->name, option->name);
    parser->bound = option;
    return true;
}

static bool take(struct parser *parser, const struct daemon_option *option, const char *value,
                 struct err *err)
{
    if (asks_for_mode(option)) return take_mode(parser, option->mode, option->name, err);
    if (option->mode != DAEMON_RUN && !bind_to_mode(parser, option, err)) return false;
    if (option->flag) {
        *option->flag = true;
        return true;
    }
    if (option->port) return take_port(value, option->port, err);
    if (option->texts) return take_text(option->texts, option->name, value, err);
    *option->text = value;
    return true;
}

static const struct daemon_option *find(const struct daemon_option *options, const char *name, size_t len)
{
    for (; options->name; options++)
        if (strlen(options->name) == len && memcmp(options->name, name, len) == 0) return options;
    return NULL;
}

/* `--name value`, `--name=value` or `--name`. */
static bool take_word(struct parser *parser, const struct daemon_option *common,
                      const struct daemon_option *own, struct err *err)
{
    const char *word = parser->argv[parser->next++];
    const char *name = strncmp(word, "--", 2) == 0 ? word + 2 : "";
    size_t len = strcspn(name, "=");
    const char *value = name[len] == '=' ? name + len + 1 : NULL;
    const struct daemon_option *option = find(common, name, len);
    if (!option) option = find(own, name, len);
    if (!option) return err_set(err, ERR_USAGE, "'%s' is no option: see --help", word);
    if (value && !takes_value(option)) return err_set(err, ERR_USAGE, "--%s takes no value", option->name);
    if (!value && takes_value(option)) {
        if (parser->next == parser->argc) return err_set(err, ERR_USAGE, "--%s needs a value", option->name);
        value = parser->argv[parser->next++];
    }
    return take(parser, option, value, err);
}

/* The option that asks for a mode, NULL for DAEMON_RUN. */
static const struct daemon_option *option_of_mode(const struct daemon_option *common,
                                                  const struct daemon_option *own, int mode)
{
    for (; common->name; common++)
        if (common->mode == mode && asks_for_mode(common)) return common;
    for (; own->name; own++)
        if (own->mode == mode && asks_for_mode(own)) return own;
    return NULL;
}

/* What can be said only when all words are known. */
static bool check_whole(const struct parser *parser, const struct daemon_option *common,
                        const struct daemon_option *own, struct err *err)
{
    const struct daemon_option *asked = option_of_mode(common, own, parser->args.mode);
    bool wanted = !asked || asked->needs == DAEMON_CONFIG;
    if (wanted && !parser->args.config) return err_set(err, ERR_USAGE, "--config FILE is needed: see --help");
    if (!wanted && parser->args.config)
        return err_set(err, ERR_USAGE, "--%s goes without --config", asked->name);
    if (!parser->bound || parser->bound->mode == parser->args.mode) return true;
    const struct daemon_option *home = option_of_mode(common, own, parser->bound->mode);
    return err_set(err, ERR_USAGE, "--%s belongs to --%s: see --help", parser->bound->name,
                   home ? home->name : "?");
}

bool daemon_args_parse(int argc, char *const *argv, const struct daemon_option *own, struct daemon_args *out,
                       struct err *err)
{
    struct parser parser = {.argc = argc, .argv = argv, .next = 1, .args = {.mode = DAEMON_RUN}};
    const struct daemon_option common[] = {
        {.name = "config", .text = &parser.args.config}, {.name = "check-config", .mode = DAEMON_CHECK},
        {.name = "init", .mode = DAEMON_INIT},           {.name = "version", .mode = DAEMON_VERSION},
        {.name = "help", .mode = DAEMON_HELP},           {.name = NULL},
    };
    while (parser.next < argc) {
        const char *word = argv[parser.next];
        bool version = strcmp(word, "--version") == 0;
        if (version || strcmp(word, "--help") == 0) {
            out->mode = version ? DAEMON_VERSION : DAEMON_HELP;
            return true;
        }
        if (!take_word(&parser, common, own, err)) return false;
    }
    if (!check_whole(&parser, common, own, err)) return false;
    *out = parser.args;
    return true;
}
