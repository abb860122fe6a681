/* Any bytes as a configuration. What the gate lets pass libconfig must read; every getter either
 * succeeds within its bounds or fails with the place; a file that was fully asked for is finished. */
#include "common/conf/conf.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

/* passes `done` on */
static bool checked(bool done, const struct err *err)
{
    if (done) return true;
    check(err->code == ERR_CONFIG);
    check(strncmp(err->text, "fuzz.conf:", 10) == 0);
    return false;
}

static void ask_values(struct conf_group at)
{
    static const struct conf_word words[] = {{"one", 1}, {"two", 2}, {NULL, 0}};
    struct conf_strings strings;
    struct err err = {0};
    const char *text;
    uint64_t quantity;
    int number;
    bool flag;

    if (checked(conf_get_string(at, "s", &text, &err), &err)) check(*text != 0);
    if (checked(conf_get_path(at, "p", &text, &err), &err)) check(*text == '/');
    (void)checked(conf_get_bool(at, "b", &flag, &err), &err);
    if (checked(conf_get_integer(at, "n", -9, 100, &number, &err), &err))
        check(number >= -9 && number <= 100);
    if (checked(conf_get_size_or(at, "z", 1, 1000, 7, &quantity, &err), &err))
        check(quantity >= 1 && quantity <= 1000);
    if (checked(conf_get_duration_or(at, "d", 1, 1000, 7, &quantity, &err), &err))
        check(quantity >= 1 && quantity <= 1000);
    if (checked(conf_get_word(at, "w", words, &number, &err), &err)) check(number == 1 || number == 2);
    if (!checked(conf_get_strings(at, "l", &strings, &err), &err)) return;
    for (size_t i = 0; i < strings.count; i++)
        check(*strings.items[i] != 0);
}

static void ask_groups(const struct conf_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        ask_values(conf_list_at(list, i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(conf) struct conf *conf = NULL;
    struct err err = {0};
    struct conf_group group;
    struct conf_list list;

    if (size > CONF_FILE_MOST) return 0;
    if (!checked(conf_parse("fuzz.conf", span_of(data, size), &conf, &err), &err)) {
        check(strstr(err.text, "libconfig reads this otherwise") == NULL);
        return 0;
    }
    ask_values(conf_root(conf));
    if (checked(conf_get_group_or_empty(conf_root(conf), "g", &group, &err), &err)) ask_values(group);
    if (checked(conf_get_list(conf_root(conf), "e", &list, &err), &err)) ask_groups(&list);
    (void)checked(conf_finish(conf, &err), &err);
    return 0;
}
