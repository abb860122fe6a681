#include "common/base/secret.h"

#include "common/base/alloc.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static void start_sodium(void)
{
    /* fails only where the kernel has no source of random numbers */
    if (sodium_init() < 0) abort();
}

/* Programs start it in secret_process_init; a test or a fuzz target that did not is safe as well. */
static void need_sodium(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, start_sodium);
}

bool secret_process_init(struct err *err)
{
    if (sodium_init() < 0) return err_set(err, ERR_FAILED, "cannot start the cryptographic library");
    const char *dumpable = getenv("SEALIFT_DUMPABLE");
    if (dumpable && strcmp(dumpable, "1") == 0) return true;
    const struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_CORE, &none) != 0) return err_sys(err, errno, "cannot turn core dumps off");
    if (prctl(PR_SET_DUMPABLE, 0) != 0) return err_sys(err, errno, "cannot make the process undumpable");
    return true;
}

struct secret *secret_new(size_t len)
{
    need_sodium();
    size_t size;
    if (__builtin_add_overflow(len, 15, &size)) alloc_abort(len);
    size &= ~(size_t)15;
    struct secret *secret = xmalloc(sizeof(*secret));
    secret->data = sodium_malloc(size ? size : 16);
    if (!secret->data) alloc_abort(len);
    memset(secret->data, 0, size);
    secret->len = len;
    return secret;
}

struct secret *secret_copy(const void *bytes, size_t len)
{
    struct secret *secret = secret_new(len);
    if (len) memcpy(secret->data, bytes, len);
    return secret;
}

void secret_free(struct secret *secret)
{
    if (!secret) return;
    sodium_free(secret->data);
    free(secret);
}

void wipe(void *data, size_t len)
{
    if (len) sodium_memzero(data, len);
}

void random_bytes(void *out, size_t len)
{
    need_sodium();
    if (len) randombytes_buf(out, len);
}
