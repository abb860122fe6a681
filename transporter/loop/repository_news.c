#include "transporter/loop/repository_news.h"

#include "common/base/log.h"
#include "common/wire/stored.h"
#include "transporter/core/public_text.h"

void repository_news_state(const struct repository_news *news, uint64_t serial, const struct id *repository,
                           struct repository *store, const struct err *failure)
{
    Sealift__Head head = SEALIFT__HEAD__INIT;
    Sealift__RepositoryState state = SEALIFT__REPOSITORY_STATE__INIT;
    struct repository_info info = {0};
    AUTO(buf) struct buf text = {0};
    state.repository = stored_bytes(span_of(repository->bytes, ID_LEN));
    if (store) {
        repository_info(store, &info);
        state.head_number = info.head_number;
        state.head_hash = stored_bytes(span_of(info.head_hash.bytes, HASH_LEN));
        state.points = info.points;
        state.pack_bytes = info.pack_bytes;
        state.free_bytes = info.free_bytes;
    } else {
        /* where there is no store, there is why: NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
        state.code = (uint32_t)failure->code;
        public_text(failure->text, &text);
        state.text = stored_lent(buf_cstr(&text));
    }
    head.serial = serial;
    head.kind_case = SEALIFT__HEAD__KIND_REPOSITORY_STATE;
    head.repository_state = &state;
    outbox_put(news->outbox, &head, span_of(NULL, 0), OUTBOX_KEEP);
}

void repository_news_attached(const struct repository_news *news, const struct statement *repository,
                              const struct err *why)
{
    const char *name = repository->body.repository->name;
    struct repository *store = NULL;
    struct err err = {0};
    if (why) {
        log_event(LOG_WARN, "repository_not_open", "name", name, "reason", why->text, NULL);
        repository_news_state(news, 0, &repository->id, NULL, why);
    } else if (stores_get(news->stores, &repository->id, &store, &err)) {
        log_event(LOG_INFO, "repository_open", "name", name, NULL);
        if (repository_mended(store))
            log_event(LOG_WARN, "repository_mended", "name", name, "reason", repository_mended(store), NULL);
        repository_news_state(news, 0, &repository->id, store, NULL);
        stores_give_back(news->stores, &repository->id);
    }
}

static void tell_store(void *arg, const struct id *repository, const char *name, struct repository *store,
                       const struct err *failure)
{
    (void)name;
    repository_news_state(arg, 0, repository, store, failure);
}

void repository_news_tell_all(const struct repository_news *news)
{
    struct repository_news copy = *news;
    stores_each(news->stores, tell_store, &copy);
}
