#include "transporter/core/policy.h"

#include <stdlib.h>
#include <string.h>

static void free_all(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
}

static void free_argv(char **argv)
{
    for (char **at = argv; argv && *at; at++)
        free(*at);
    free(argv);
}

static void free_commands(struct policy_command *commands, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(commands[i].name);
        free_argv(commands[i].argv);
        free_argv(commands[i].restore);
    }
    free(commands);
}

void policy_deinit(struct policy *policy)
{
    free_commands(policy->streams, policy->stream_count);
    free_commands(policy->scripts, policy->script_count);
    free_all(policy->read_roots, policy->read_count);
    free_all(policy->restore_roots, policy->restore_count);
    free_all(policy->repository_roots, policy->repository_count);
    free_all(policy->plaintext_to, policy->plaintext_count);
    *policy = (struct policy){0};
}

/* Absolute, no empty, "." or ".." component, no trailing slash but in "/" itself. */
static bool is_plain_absolute(struct span path)
{
    if (path.len == 0 || path.data[0] != '/' || memchr(path.data, 0, path.len)) return false;
    if (path.len == 1) return true;
    size_t start = 1;
    for (size_t i = 1; i <= path.len; i++) {
        if (i < path.len && path.data[i] != '/') continue;
        size_t len = i - start;
        if (len == 0 || (len == 1 && path.data[start] == '.') ||
            (len == 2 && path.data[start] == '.' && path.data[start + 1] == '.'))
            return false;
        start = i + 1;
    }
    return true;
}

static bool is_below(struct span path, const char *root)
{
    size_t len = strlen(root);
    if (len == 1) return true; /* "/" */
    if (path.len < len || memcmp(path.data, root, len) != 0) return false;
    return path.len == len || path.data[len] == '/';
}

static bool allowed(struct span path, char *const *roots, size_t count, const char *verb, const char *setting,
                    const char **root, struct err *err)
{
    const char *best = NULL;
    if (!is_plain_absolute(path))
        return err_set(err, ERR_POLICY, "'%.*s' is not an absolute path without '.', '..' and double slashes",
                       (int)(path.len < 300 ? path.len : 300), (const char *)path.data);
    for (size_t i = 0; i < count; i++)
        if (is_below(path, roots[i]) && (!best || strlen(roots[i]) > strlen(best))) best = roots[i];
    if (best) {
        if (root) *root = best;
        return true;
    }
    return err_set(err, ERR_POLICY,
                   "this transporter's configuration does not allow to %s '%.*s' (setting '%s')", verb,
                   (int)(path.len < 300 ? path.len : 300), (const char *)path.data, setting);
}

bool policy_may_read(const struct policy *policy, struct span path, struct err *err)
{
    return allowed(path, policy->read_roots, policy->read_count, "back up", "read", NULL, err);
}

bool policy_lists_read(const struct policy *policy, const char *path)
{
    for (size_t i = 0; i < policy->read_count; i++)
        if (strcmp(policy->read_roots[i], path) == 0) return true;
    return false;
}

bool policy_may_restore(const struct policy *policy, struct span path, const char **root, struct err *err)
{
    return allowed(path, policy->restore_roots, policy->restore_count, "restore to", "restore", root, err);
}

bool policy_may_store(const struct policy *policy, struct span path, struct err *err)
{
    return allowed(path, policy->repository_roots, policy->repository_count, "keep a repository in",
                   "repositories", NULL, err);
}

bool policy_may_send_plaintext(const struct policy *policy, const char *transporter, struct err *err)
{
    for (size_t i = 0; i < policy->plaintext_count; i++)
        if (strcmp(policy->plaintext_to[i], transporter) == 0) return true;
    return err_set(err, ERR_POLICY,
                   "this transporter's configuration does not allow to send data to '%s' unsealed "
                   "(setting 'plaintext_to')",
                   transporter);
}

bool policy_command(const struct policy *policy, enum policy_use use, const char *name,
                    const struct policy_command **out, struct err *err)
{
    bool script = use == POLICY_SCRIPT;
    const struct policy_command *commands = script ? policy->scripts : policy->streams;
    size_t count = script ? policy->script_count : policy->stream_count;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(commands[i].name, name) != 0) continue;
        if (!(use == POLICY_STREAM_RESTORE ? commands[i].restore : commands[i].argv))
            return err_set(err, ERR_POLICY, "this transporter's configuration gives the stream '%s' no %s",
                           name, use == POLICY_STREAM_RESTORE ? "'restore'" : "'command'");
        *out = &commands[i];
        return true;
    }
    return err_set(err, ERR_POLICY, "this transporter's configuration has no %s '%s' (setting '%s')",
                   script ? "script" : "stream", name, script ? "scripts" : "streams");
}
