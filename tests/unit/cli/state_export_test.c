/* Copies of a director's state, as they come from it. */
#include "director/cli/state_export.h"

#include "common/base/alloc.h"
#include "director/cli/bundle_reader.h"
#include "tests/unit/cli/small_site.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

/* What the director hands out. */
static struct buf bundle;
static struct secret *password;
static struct bundle_lock lock;

static void setup(void)
{
    static const struct pwhash_limits quick = {.passes = 2, .memory_bytes = 64u << 20};
    struct err err;
    AUTO(bundle_stream) struct bundle_stream *stream = NULL;
    AUTO(secret) struct secret *content = secret_new(100000);
    password = secret_copy("a password of its own", 21);
    cr_assert(bundle_lock_make(password, &quick, &lock, &err), "%s", err.text);
    struct bundle_facts facts = {.content_len = content->len, .program = "1", .lock = lock};
    cr_assert(bundle_seal_begin(&facts, &bundle, &stream, &err), "%s", err.text);
    while (!bundle_over(stream))
        bundle_seal_piece(stream, span_of(content->data, bundle_piece_len(stream)), &bundle);
}

static void teardown(void)
{
    buf_deinit(&bundle);
    secret_free(password);
}

TestSuite(state_export, .init = setup, .fini = teardown, .timeout = 60);

static void hands_out(const struct request *request)
{
    static const struct id id = {{7}};
    if (request->head->kind_case == SEALIFT__HEAD__KIND_CONFIG_EXPORT) {
        answer_begun(request, &id);
        return;
    }
    uint64_t from = request->head->config_read->from;
    size_t left = from < bundle.len ? bundle.len - (size_t)from : 0;
    answer_done(request, bundle.len, span_of(bundle.data + from, left < 30000 ? left : 30000));
}

static bool export(struct small_site *site, char **path, struct err *err)
{
    *path = xasprintf("%s/director.sealift", site->scratch.path);
    return state_export(&site->cli, &lock, password, *path, err);
}

Test(state_export, has_its_name_when_it_opens)
{
    struct err err = {0};
    AUTO(free) char *path = NULL;
    AUTO(small_site) struct small_site site;
    small_site_init(&site, hands_out);
    cr_assert(export(&site, &path, &err), "%s", err.text);
    AUTO(bundle_reader) struct bundle_reader reader = {.fd = -1};
    cr_assert(bundle_reader_open(path, &reader, &err) && bundle_reader_unlock(&reader, password, &err) &&
                  bundle_reader_rehearse(&reader, &err),
              "%s", err.text);
}

Test(state_export, leaves_no_file_that_does_not_open)
{
    struct err err = {0};
    AUTO(free) char *path = NULL;
    AUTO(small_site) struct small_site site;
    small_site_init(&site, hands_out);
    int before = scratch_count(&site.scratch);
    bundle.data[bundle.len - 1] ^= 1;
    cr_assert_not(export(&site, &path, &err));
    cr_assert_eq(err.code, ERR_DAMAGED, "%s", err.text);
    cr_assert_eq(
        strncmp(err.text, "what the director handed out is no good copy of its state, and was removed: ", 76),
        0, "%s", err.text);
    cr_assert_eq(scratch_count(&site.scratch), before, "neither under this name nor another");
}
