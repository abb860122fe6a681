/* The repositories that this transporter owns, by repository id: opened once, closed at the end. Any
 * thread. */
#ifndef SEALIFT_SESSION_STORES_H
#define SEALIFT_SESSION_STORES_H

#include "common/crypto/identity.h"
#include "common/wire/statement.h"
#include "transporter/core/policy.h"
#include "transporter/repository/repository.h"

struct stores;

struct stores *stores_new(const char *state_dir, const struct identity *self, const struct policy *policy);
void stores_free(struct stores *stores);
DEFINE_AUTO(stores, struct stores *, stores_free)

/* Whose statements may give a repository to another owner; copied. Before the first stores_attach. */
void stores_trust(struct stores *stores, const struct repository_operators *operators);

/* Does the statement make the repository ours, and was it not deleted? */
bool stores_owns(const struct stores *stores, const struct statement *repository);
/* A repository will soon be opened by stores_attach: until then it is ERR_BUSY, not unknown. */
void stores_expect(struct stores *stores, const struct statement *repository);
bool stores_is_expected(struct stores *stores, const struct id *repository);
/* Opens the repository that a statement names; creates it when the directory is absent or empty and the
 * statement is new here. Local policy decides about the directory. ERR_POLICY and the errors of
 * repository_create and repository_open; after those it may be called again. The statement must have been
 * accepted by the authority. One thread at a time; the others are not held up. */
bool stores_attach(struct stores *stores, const struct statement *repository, struct err *err) MUST_CHECK;
/* The statement says that the repository is not ours any more: nobody is given it from now on, and it is
 * closed by stores_reap. Older statements of it do not bring it back. On the thread of stores_attach. */
void stores_retire(struct stores *stores, const struct statement *repository);
/* Closes those that were retired. Nobody may be using a repository: no run is alive. */
void stores_reap(struct stores *stores);
/* ERR_NOT_FOUND names the repository; ERR_BUSY: it is still being opened; if it failed to open, that error
 * again. Borrowed until it is given back. */
bool stores_get(struct stores *stores, const struct id *repository, struct repository **out,
                struct err *err) MUST_CHECK;
/* Gives back what stores_get gave, once for each time. */
void stores_give_back(struct stores *stores, const struct id *repository);
/* Closes a repository that is stuck (repository_is_stuck) and that nobody uses, so that it is opened anew:
 * `closed` is called. Meanwhile nobody gets it (ERR_BUSY, expected). By whoever gave it back. */
void stores_mend(struct stores *stores, const struct id *repository);
/* Drops the chunk index of a repository that stores_attach has opened, or has failed to open, and builds it
 * anew from the packs. ERR_BUSY where anybody uses it for longer than moments; meanwhile nobody gets it
 * (ERR_BUSY, expected), and if it does not come to its end, `closed` is called: stores_attach then opens it.
 * The statement is the newest of it. */
bool stores_reindex(struct stores *stores, const struct statement *repository,
                    const struct repository_progress *progress, struct err *err) MUST_CHECK;
/* Who is told of a repository that was open and is not any more; before the first run. By any
 * thread. */
typedef void stores_closed_fn(void *arg, const struct statement *repository);
void stores_watch(struct stores *stores, stores_closed_fn *closed, void *arg);
typedef void stores_each_fn(void *arg, const struct id *repository, const char *name,
                            struct repository *store,
                            const struct err *failure); /* store NULL: failure says why */
void stores_each(struct stores *stores, stores_each_fn *each, void *arg);
/* Directories of our repositories: a backup never reads them. */
void stores_paths(struct stores *stores, void (*each)(void *arg, const char *path), void *arg);

#endif
