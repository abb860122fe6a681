#include "common/net/net_dial.h"
#include "common/net/net_logins.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(text) ((char[]){text})

static struct secret *password;

static void setup(void)
{
    password = secret_copy("word", 4);
}

static void teardown(void)
{
    secret_free(password);
}

TestSuite(net_logins, .init = setup, .fini = teardown);

static struct net_logins *of_two(char *proxy, char *user, char *other_proxy, char *other_user)
{
    struct err err;
    struct net_logins *logins = NULL;
    const struct login items[] = {{.address = proxy, .user = user, .password = password},
                                  {.address = other_proxy, .user = other_user, .password = password}};
    cr_assert(net_logins_of(items, 2, &logins, &err), "%s", err.text);
    return logins;
}

/* "" for nobody */
static const char *user_at(struct net_logins *logins, const char *proxy)
{
    static char user[64];
    struct err err;
    AUTO(net_dial_proxy) struct net_dial_proxy found = {.user = NULL};
    cr_assert(net_dial_proxy_init(&found, proxy, NULL, NULL, &err), "%s", err.text);
    net_logins_find(logins, &found);
    cr_assert_eq(!found.user, !found.password);
    (void)snprintf(user, sizeof(user), "%s", found.user ? found.user : "");
    return user;
}

Test(net_logins, are_of_one_proxy_and_its_port)
{
    AUTO(net_logins)
    struct net_logins *logins = of_two(TEXT("p:1080"), TEXT("me"), TEXT("[2001:db8::1]:1080"), TEXT("you"));
    cr_assert_str_eq(user_at(logins, "p:1080"), "me");
    cr_assert_str_eq(user_at(logins, "[2001:db8::1]:1080"), "you");
    cr_assert_str_eq(user_at(logins, "p:1081"), "");
    cr_assert_str_eq(user_at(logins, "q:1080"), "");
    cr_assert_str_eq(user_at(NULL, "p:1080"), "");
}

Test(net_logins, of_two_for_one_proxy_are_the_first)
{
    AUTO(net_logins)
    struct net_logins *logins = of_two(TEXT("p:1080"), TEXT("me"), TEXT("p:1080"), TEXT("you"));
    cr_assert_str_eq(user_at(logins, "p:1080"), "me");
}

Test(net_logins, are_others_after_a_swap)
{
    AUTO(net_logins)
    struct net_logins *logins = of_two(TEXT("p:1080"), TEXT("me"), TEXT("r:1080"), TEXT("me"));
    AUTO(net_logins)
    struct net_logins *others = of_two(TEXT("q:1080"), TEXT("you"), TEXT("r:1080"), TEXT("they"));
    net_logins_swap(logins, others);
    cr_assert_str_eq(user_at(logins, "p:1080"), "");
    cr_assert_str_eq(user_at(logins, "q:1080"), "you");
    cr_assert_str_eq(user_at(logins, "r:1080"), "they");
}

Test(net_logins, that_no_proxy_takes_are_refused)
{
    char longest[257];
    memset(longest, 'u', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    AUTO(secret) struct secret *empty = secret_new(0), *longer = secret_new(256);
    const struct login good = {.address = TEXT("p:1080"), .user = TEXT("me"), .password = password};
    const struct login bad[] = {
        {.address = TEXT("p"), .user = TEXT("me"), .password = password},
        {.address = TEXT("p:1080"), .user = TEXT(""), .password = password},
        {.address = TEXT("p:1080"), .user = longest, .password = password},
        {.address = TEXT("p:1080"), .user = TEXT("me"), .password = empty},
        {.address = TEXT("p:1080"), .user = TEXT("me"), .password = longer},
        {.address = TEXT("p:1080"), .user = TEXT("me")},
        {.address = TEXT("p:1080"), .password = password},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err err;
        struct net_logins *logins = NULL;
        const struct login items[] = {good, bad[i]};
        cr_assert(!net_logins_of(items, 2, &logins, &err), "case %zu", i);
        cr_assert_null(logins);
    }
}
