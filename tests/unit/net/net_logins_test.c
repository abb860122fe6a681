#include "common/net/net_dial.h"
#include "common/net/net_logins.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct net_logins *logins;

static void setup(void)
{
    logins = net_logins_new();
}

static void teardown(void)
{
    net_logins_free(logins);
}

TestSuite(net_logins, .init = setup, .fini = teardown);

static bool add(struct net_logins *to, const char *proxy, const char *user, const char *word)
{
    struct err err;
    AUTO(secret) struct secret *password = secret_copy(word, strlen(word));
    return net_logins_add(to, proxy, user, password, &err);
}

/* "" for nobody */
static char *user_at(const char *proxy)
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
    cr_assert(add(logins, "p:1080", "me", "word"));
    cr_assert(add(logins, "[2001:db8::1]:1080", "you", "word"));
    cr_assert_str_eq(user_at("p:1080"), "me");
    cr_assert_str_eq(user_at("[2001:db8::1]:1080"), "you");
    cr_assert_str_eq(user_at("p:1081"), "");
    cr_assert_str_eq(user_at("q:1080"), "");
}

Test(net_logins, are_others_after_a_swap)
{
    AUTO(net_logins) struct net_logins *others = net_logins_new();
    cr_assert(add(logins, "p:1080", "me", "word"));
    cr_assert(add(others, "q:1080", "you", "word"));
    net_logins_swap(logins, others);
    cr_assert_str_eq(user_at("p:1080"), "");
    cr_assert_str_eq(user_at("q:1080"), "you");
}

Test(net_logins, leave_a_login_of_the_proxys_own_alone)
{
    struct err err;
    AUTO(secret) struct secret *password = secret_copy("own", 3);
    AUTO(net_dial_proxy) struct net_dial_proxy proxy = {.user = NULL};
    cr_assert(add(logins, "p:1080", "me", "word"));
    cr_assert(net_dial_proxy_init(&proxy, "p:1080", "other", password, &err));
    net_logins_find(logins, &proxy);
    cr_assert_str_eq(proxy.user, "other");
    net_logins_find(NULL, &proxy);
}

Test(net_logins, that_no_proxy_takes_are_refused)
{
    cr_assert(!add(logins, "p", "me", "word"), "no port");
    cr_assert(!add(logins, "p:1080", "", "word"), "no user");
    cr_assert(!add(logins, "p:1080", "me", ""), "no password");
    cr_assert_str_eq(user_at("p:1080"), "");
}
