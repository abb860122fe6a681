#include "common/net/net_zmq.h"

#include "common/base/clock.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NEVER INT64_MAX

void net_zmq_close(void *handle)
{
    if (handle) (void)zmq_close(handle);
}

void net_zmq_msg_close(zmq_msg_t *frame)
{
    (void)zmq_msg_close(frame);
}

bool net_zmq_fail(struct err *err, int number, const char *fmt, ...)
{
    char text[sizeof(err->text)];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (number == ETERM) return err_set(err, ERR_CANCELLED, "%s: the context is shutting down", text);
    if (number < ZMQ_HAUSNUMERO) return err_sys(err, number, "%s", text);
    return err_set(err, ERR_FAILED, "%s: %s", text, zmq_strerror(number));
}

bool net_zmq_set(void *handle, int option, const void *value, size_t len, struct err *err)
{
    if (zmq_setsockopt(handle, option, value, len) == 0) return true;
    return net_zmq_fail(err, errno, "cannot set socket option %d", option);
}

bool net_zmq_set_int(void *handle, int option, int value, struct err *err)
{
    return net_zmq_set(handle, option, &value, sizeof(value), err);
}

bool net_zmq_set_text(void *handle, int option, const char *value, struct err *err)
{
    return net_zmq_set(handle, option, value, strlen(value), err);
}

void net_zmq_address(const char *text, char *out, size_t size)
{
    static const char mapped[] = "::ffff:";
    const char *found = strstr(text, mapped);
    const char *rest = found ? found + strlen(mapped) : "";
    const char *bracket = found ? strchr(rest, ']') : NULL;
    if (found && found > text && found[-1] == '[' && bracket)
        (void)snprintf(out, size, "%.*s%.*s%s", (int)(found - 1 - text), text, (int)(bracket - rest), rest,
                       bracket + 1);
    else
        (void)snprintf(out, size, "%s", found == text ? rest : text);
}

int64_t net_deadline(int timeout_ms)
{
    return timeout_ms < 0 ? NEVER : (int64_t)clock_steady_ms() + timeout_ms;
}

int net_deadline_left(int64_t deadline)
{
    if (deadline == NEVER) return -1;
    int64_t left = deadline - (int64_t)clock_steady_ms();
    return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

bool net_thread_start(void *(*run)(void *), void *argument, pthread_t *out, struct err *err)
{
    sigset_t all;
    sigset_t before;
    pthread_t thread;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, NULL, run, argument);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) return err_sys(err, failed, "cannot start a thread");
    if (out)
        *out = thread;
    else
        (void)pthread_detach(thread);
    return true;
}
