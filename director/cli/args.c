#include "director/cli/args.h"

#include "common/base/alloc.h"
#include "director/cli/nearest.h"

#include <assert.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { SPECS_MAX = 64 };

struct given {
    const struct option_spec *spec;
    const char *value;
};

struct args {
    const struct option_spec *specs[SPECS_MAX]; /* of both tables */
    size_t spec_count;
    struct given *given;
    size_t given_count;
    char **operands;
    size_t operand_count;
    int taken;
};

void args_free(struct args *args)
{
    if (!args) return;
    free(args->given);
    free(args);
}

static void collect(struct args *args, const struct option_spec *specs)
{
    for (; specs && specs->name; specs++) {
        assert(args->spec_count < SPECS_MAX);
        args->specs[args->spec_count++] = specs;
    }
}

static bool unknown_option(const struct args *args, const char *word, struct err *err)
{
    if (word[0] != '-' || word[1] != '-')
        return err_set(err, ERR_USAGE, "there is no option '%s'; options are written '--name'", word);
    char name[64] = {0};
    size_t len = strcspn(word + 2, "=");
    memcpy(name, word + 2, len < sizeof(name) ? len : sizeof(name) - 1);
    const char *names[SPECS_MAX];
    for (size_t i = 0; i < args->spec_count; i++)
        names[i] = args->specs[i]->name;
    const char *near = nearest_word(name, names, args->spec_count);
    if (near) return err_set(err, ERR_USAGE, "there is no option '--%s'; did you mean '--%s'?", name, near);
    return err_set(err, ERR_USAGE, "there is no option '--%s'", name);
}

static bool keep(struct args *args, const struct option_spec *spec, const char *value, struct err *err)
{
    if (!spec->help)
        return err_set(err, ERR_USAGE, "the option '--%s' is not there yet in this version", spec->name);
    args->given = xreallocarray(args->given, args->given_count + 1, sizeof(*args->given));
    args->given[args->given_count++] = (struct given){spec, value};
    return true;
}

static bool take_options(struct args *args, int argc, char **argv, enum args_stop stop, struct err *err)
{
    struct option options[SPECS_MAX + 1] = {{0}};
    for (size_t i = 0; i < args->spec_count; i++)
        options[i] = (struct option){.name = args->specs[i]->name,
                                     .has_arg = args->specs[i]->value ? required_argument : no_argument,
                                     .val = 1};
    opterr = 0;
    optind = 0; /* GNU: begin anew */
    for (;;) {
        int index = -1;
        int next = optind > 0 ? optind : 1;
        int answer = getopt_long(argc, argv, stop == ARGS_ALL ? ":" : "+:", options, &index);
        if (answer == -1) return true;
        if (answer == 1) {
            if (!keep(args, args->specs[index], optarg, err)) return false;
            continue;
        }
        /* getopt has moved operands behind: what it choked on stands before optind */
        const char *word = argv[optind > next ? optind - 1 : next];
        if (answer == ':') return err_set(err, ERR_USAGE, "the option '%s' needs a value", word);
        return unknown_option(args, word, err);
    }
}

bool args_parse(int argc, char **argv, enum args_stop stop, const struct option_spec *specs,
                const struct option_spec *more, struct args **out, struct err *err)
{
    AUTO(args) struct args *args = xcalloc(1, sizeof(*args));
    collect(args, specs);
    collect(args, more);
    if (!take_options(args, argc, argv, stop, err)) return false;
    args->taken = optind;
    args->operands = argv + optind;
    args->operand_count = (size_t)(argc - optind);
    *out = args;
    args = NULL;
    return true;
}

static bool known(const struct args *args, const char *name)
{
    for (size_t i = 0; i < args->spec_count; i++)
        if (strcmp(args->specs[i]->name, name) == 0) return true;
    return false;
}

const char *args_nth(const struct args *args, const char *name, size_t index)
{
    assert(known(args, name));
    for (size_t i = 0; i < args->given_count; i++)
        if (strcmp(args->given[i].spec->name, name) == 0 && index-- == 0) return args->given[i].value;
    return NULL;
}

const char *args_value(const struct args *args, const char *name)
{
    assert(known(args, name));
    for (size_t i = args->given_count; i > 0; i--)
        if (strcmp(args->given[i - 1].spec->name, name) == 0) return args->given[i - 1].value;
    return NULL;
}

bool args_flag(const struct args *args, const char *name)
{
    assert(known(args, name));
    for (size_t i = 0; i < args->given_count; i++)
        if (strcmp(args->given[i].spec->name, name) == 0) return true;
    return false;
}

size_t args_operand_count(const struct args *args)
{
    return args->operand_count;
}

const char *args_operand(const struct args *args, size_t index)
{
    return index < args->operand_count ? args->operands[index] : NULL;
}

int args_taken(const struct args *args)
{
    return args->taken;
}

bool args_number(const struct args *args, const char *name, unsigned least, unsigned most, unsigned *out,
                 struct err *err)
{
    const char *text = args_value(args, name);
    if (!text) return true;
    char *end = NULL;
    unsigned long value = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    if (!end || *end || strlen(text) > 10 || value < least || value > most)
        return err_set(err, ERR_USAGE, "--%s takes a number from %u to %u, not '%s'", name, least, most,
                       text);
    *out = (unsigned)value;
    return true;
}
