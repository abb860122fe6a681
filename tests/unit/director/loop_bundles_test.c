/* Copies of its state that admins ask a director for. */
#include "loop_site.h"

#include "common/base/file.h"
#include "common/wire/lent.h"
#include "common/wire/stored.h"
#include "director/catalog/director_key.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(loop_bundles, .init = loop_setup, .fini = loop_teardown, .timeout = 60);

/* A lock that somebody could have made. */
static void fill_lock(Sealift__Kdf *kdf, Sealift__ConfigLockBody *body)
{
    static const uint8_t salt[16] = {1};
    sealift__kdf__init(kdf);
    sealift__config_lock_body__init(body);
    kdf->name = lent_text("argon2id13");
    kdf->passes = 3;
    kdf->memory_bytes = UINT64_C(256) << 20;
    kdf->salt = lent_bytes(salt, sizeof(salt));
    body->kdf = kdf;
    body->box_pk = lent_bytes(signing_public(&loop.dock.signing, ANNA)->box_pk, 32);
}

static void begin(Sealift__Head *head, Sealift__ConfigExport *body, Sealift__ConfigLockBody *lock)
{
    sealift__config_export__init(body);
    body->lock = lock;
    *head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_CONFIG_EXPORT);
    head->config_export = body;
}

static uint64_t size_of(const struct id *id)
{
    Sealift__ConfigRead read = SEALIFT__CONFIG_READ__INIT;
    read.id = lent_id(id);
    Sealift__Head head = caller_head(&loop.anna, SEALIFT__HEAD__KIND_CONFIG_READ);
    head.config_read = &read;
    AUTO(heard) struct heard heard = {0};
    caller_ask(&loop.anna, &head, (struct span){0}, &heard);
    return heard.head->done->count;
}

Test(loop_bundles, one_too_many_waits_and_takes_none_from_those_who_were_first)
{
    enum { MOST = 4 };
    Sealift__Kdf kdf;
    Sealift__ConfigLockBody lock;
    Sealift__ConfigExport body;
    Sealift__Head head;
    struct id ids[MOST];
    struct err err;
    fill_lock(&kdf, &lock);
    cr_assert(file_create(loop.dock.dir.fd, DIRECTOR_KEY_FILE, span_str("a key"), 0600, &err), "%s",
              err.text);
    for (int i = 0; i < MOST; i++) {
        AUTO(heard) struct heard heard = {0};
        begin(&head, &body, &lock);
        caller_ask(&loop.anna, &head, (struct span){0}, &heard);
        ids[i] = stored_id(&heard.head->done->run);
        while (size_of(&ids[i]) == 0) {
        } /* each question gives the loop a turn, in which it goes on */
    }
    begin(&head, &body, &lock);
    caller_ask_fail(&loop.anna, &head, (struct span){0}, ERR_BUSY, NULL);
    for (int i = 0; i < MOST; i++)
        cr_assert_gt(size_of(&ids[i]), 0);
}
