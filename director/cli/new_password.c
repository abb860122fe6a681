#include "director/cli/new_password.h"

bool new_password(const struct args *args, const struct secret_source *source, const char *prompt,
                  struct secret **out, struct err *err)
{
    AUTO(secret) struct secret *password = NULL;
    enum password_strength strength;
    if (!secret_password(source, prompt, SECRET_TWICE, &password, &strength, err)) return false;
    if (strength == PASSWORD_WEAK && !args_flag(args, "weak"))
        return err_set(err, ERR_USAGE,
                       "%s: fewer than %d characters are guessed; --weak takes it all the same", prompt,
                       PASSWORD_STRONG_FROM);
    *out = password;
    password = NULL;
    return true;
}
