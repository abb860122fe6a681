#include "transporter/kms/kms_set.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "tests/unit/base/scratch.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>

#define SPECIFIED "aws:///k?REGION=r&AWS_ACCESS_KEY_ID=AKID&AWS_SECRET_ACCESS_KEY=hidden"
#define IMPLICIT "aws:///k?REGION=r&AUTH=implicit"

static struct scratch scratch;
static char *path, *other;

static void setup(void)
{
    scratch = scratch_make();
    path = xasprintf("%s/t.conf", scratch.path);
    other = xasprintf("%s/other", scratch.path);
}

static void teardown(void)
{
    free(path);
    free(other);
    scratch_remove(&scratch);
}

TestSuite(kms_set, .init = setup, .fini = teardown);

static void put(const char *name, const char *text, mode_t mode)
{
    struct err err;
    cr_assert(file_replace(AT_FDCWD, name, span_str(text), mode, &err), "%s", err.text);
}

static struct kms_set *loaded(const char *text, mode_t mode)
{
    struct kms_set *set = NULL;
    struct err err;
    put(path, text, mode);
    cr_assert(kms_set_load(path, &set, &err), "%s", err.text);
    return set;
}

/* `says` follows the name of the file. */
static void expect_refused(const char *text, mode_t mode, const char *says)
{
    struct kms_set *set = NULL;
    struct err err = {0};
    put(path, text, mode);
    cr_assert_not(kms_set_load(path, &set, &err), "%s", text);
    cr_assert_eq(err.code, ERR_CONFIG);
    cr_assert_null(set);
    cr_assert_eq(strncmp(err.text, path, strlen(path)), 0, "%s", err.text);
    cr_assert_str_eq(err.text + strlen(path), says);
    cr_assert_null(strstr(err.text, "hidden"), "%s", err.text);
}

Test(kms_set, finds_entries_by_name_in_their_order)
{
    AUTO(kms_set)
    struct kms_set *set = loaded("kms = ( { name = \"eu\"; uri = \"" IMPLICIT "\"; timeout = \"1500ms\"; },\n"
                                 "        { name = \"here\"; uri = \"file:///etc/w.key\"; } );",
                                 0644);
    cr_assert_eq(kms_set_count(set), 2);
    const struct kms_entry *eu = kms_set_find(set, "eu");
    cr_assert_eq(eu, kms_set_at(set, 0));
    cr_assert_str_eq(eu->name, "eu");
    cr_assert_eq(eu->uri->kind, KMS_AWS);
    cr_assert_eq(eu->timeout_ms, 1500);
    cr_assert_eq(kms_set_at(set, 1)->timeout_ms, 10000);
    cr_assert_str_eq(kms_set_at(set, 1)->uri->path, "/etc/w.key");
    cr_assert_null(kms_set_find(set, "us"));
}

Test(kms_set, that_is_absent_is_empty)
{
    AUTO(conf) struct conf *conf = NULL;
    AUTO(kms_set) struct kms_set *set = NULL;
    struct err err;
    cr_assert(conf_parse("x", span_str("slots = 2;"), &conf, &err), "%s", err.text);
    cr_assert(kms_set_read(conf_root(conf), &set, &err), "%s", err.text);
    cr_assert_eq(kms_set_count(set), 0);
    cr_assert_eq(kms_set_count(NULL), 0);
    cr_assert_null(kms_set_find(NULL, "eu"));
    cr_assert(kms_set_check(NULL, &err));
}

Test(kms_set, names_the_line_and_the_entry_of_what_is_wrong)
{
    static const char *const rows[][2] = {
        {"kms = ( { uri = \"" IMPLICIT "\"; } );", ":1: kms[0].name: missing"},
        {"kms = (\n { name = \"eu\"; } );", ":2: kms[0].uri: missing"},
        {"kms = ( { name = \"eu\"; uri = \"" IMPLICIT "\"; },\n{ name = \"eu\"; uri = \"file:///x\"; } );",
         ":2: kms[1].name: 'eu' is there twice"},
        {"kms = ( { name = \"eu\"; uri = \"hidden:///x\"; } );",
         ":1: kms[0].uri: KMS 'eu': the URI begins with none of aws:///, kmip:// and file:///"},
        {"kms = ( { name = \"eu\";\nuri = \"" IMPLICIT "&colour=hidden\"; } );",
         ":2: kms[0].uri: KMS 'eu': the aws://… URI: unknown parameter 'colour'"},
        {"kms = ( { name = \"eu\"; uri = \"file:///x\"; uri_file = \"/x\"; } );",
         ":1: kms[0].uri: either this or uri_file"},
        {"kms = ( { name = \"eu\"; uri = \"file:///x\"; timeout = \"10ms\"; } );",
         ":1: kms[0].timeout: '10ms' is less than 100ms"},
        {"kms = ( { name = \"eu\"; uri = \"file:///x\"; timeout = \"1h\"; } );",
         ":1: kms[0].timeout: '1h' is more than 5m"},
        {"kms = ( { name = \"eu\"; uri = \"file:///x\"; url = \"hidden\"; } );",
         ":1: kms[0].url: unknown setting"},
        {"kms = ( { name = \"eu\"; uri_file = \"x\"; } );", ":1: kms[0].uri_file: must be an absolute path"},
        {"kms = ( \"hidden\" );", ":1: kms[0]: must be a group, not a string"},
        {"kms = ( );", ": kms: it names no entry"},
        {"", ": kms: it names no entry"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_refused(rows[i][0], 0600, rows[i][1]);
    struct err err = {0};
    struct kms_set *set = NULL;
    put(path, "kms = ( { name = \"../eu\"; uri = \"file:///x\"; } );", 0600);
    cr_assert_not(kms_set_load(path, &set, &err));
    cr_assert_not_null(strstr(err.text, ":1: kms[0].name: "), "%s", err.text);
}

Test(kms_set, has_a_limit)
{
    for (size_t count = KMS_SET_MOST; count <= KMS_SET_MOST + 1; count++) {
        AUTO(buf) struct buf text = {0};
        buf_put_str(&text, "kms = (");
        for (size_t i = 0; i < count; i++)
            buf_printf(&text, "%s{ name = \"k%zu\"; uri = \"file:///x\"; }", i ? ", " : "", i);
        buf_put_str(&text, ");");
        if (count <= KMS_SET_MOST)
            kms_set_free(loaded(buf_cstr(&text), 0600));
        else
            expect_refused(buf_cstr(&text), 0600, ":1: kms: 17 entries are more than 16");
    }
}

Test(kms_set, wants_a_secret_in_a_file_that_not_everybody_can_read)
{
    static const char text[] = "kms = ( { name = \"eu\"; uri = \"" SPECIFIED "\"; } );";
    expect_refused(text, 0644,
                   ":1: kms[0].uri: KMS 'eu': it holds a secret, and everybody can read this file: chmod o-r "
                   "it, or put the URI into a file of its own, mode 0600, and name that by uri_file");
    kms_set_free(loaded(text, 0640));
}

Test(kms_set, takes_a_uri_from_a_file_of_its_own)
{
    AUTO(free) char *text = xasprintf("kms = ( { name = \"eu\"; uri_file = \"%s\"; } );", other);
    put(other, SPECIFIED "\n", 0600);
    AUTO(kms_set) struct kms_set *set = loaded(text, 0644);
    cr_assert_str_eq((const char *)kms_set_at(set, 0)->uri->secret_key->data, "hidden");
}

Test(kms_set, takes_no_uri_from_a_file_that_is_open_to_others_or_not_one_line)
{
    static const struct {
        const char *content;
        mode_t mode;
        const char *says;
    } rows[] = {
        {SPECIFIED, 0640, "can be read by others: its mode must be 0600"},
        {SPECIFIED "\n" SPECIFIED "\n", 0600, "must hold one line, the URI"},
        {"\n\n", 0600, "must hold one line, the URI"},
    };
    AUTO(free) char *text = xasprintf("kms = ( { name = \"eu\"; uri_file = \"%s\"; } );", other);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        AUTO(free)
        char *says = xasprintf(":1: kms[0].uri_file: KMS 'eu': '%s' %s", other, rows[i].says);
        put(other, rows[i].content, rows[i].mode);
        expect_refused(text, 0600, says);
    }
    AUTO(free)
    char *unknown =
        xasprintf(":1: kms[0].uri_file: KMS 'eu': '%s': the aws://… URI: unknown parameter 'X'", other);
    put(other, SPECIFIED "&X=hidden", 0600);
    expect_refused(text, 0600, unknown);
}

Test(kms_set, tells_of_files_that_the_uris_name)
{
    struct err err = {0};
    AUTO(free) char *text = xasprintf("kms = (\n{ name = \"here\"; uri = \"file://%s\"; } );", other);
    AUTO(kms_set) struct kms_set *set = loaded(text, 0644);
    AUTO(free)
    char *absent =
        xasprintf("%s:2: kms[0].uri: KMS 'here': cannot open '%s': No such file or directory", path, other);
    cr_assert_not(kms_set_check(set, &err));
    cr_assert_str_eq(err.text, absent);
    put(other, "0123456789abcdef0123456789abcdef", 0644);
    cr_assert_not(kms_set_check(set, &err));
    cr_assert_not_null(strstr(err.text, "can be read by others"), "%s", err.text);
    put(other, "0123456789abcdef0123456789abcdef", 0600);
    cr_assert(kms_set_check(set, &err), "%s", err.text);
}
