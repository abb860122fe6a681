#include "director/cli/confirm.h"

#include "director/cli/args.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

bool confirm(const struct args *args, const char *question, struct err *err)
{
    if (args_flag(args, "yes")) return true;
    AUTO(file) FILE *terminal = fopen("/dev/tty", "r+e");
    if (!terminal || !isatty(STDIN_FILENO))
        return err_set(err, ERR_USAGE, "%s: say --yes, there is no terminal to ask", question);
    char answer[16] = {0};
    (void)fprintf(terminal, "%s? [y/N] ", question);
    (void)fflush(terminal);
    if (fgets(answer, sizeof(answer), terminal) && tolower((unsigned char)answer[0]) == 'y') return true;
    return err_set(err, ERR_CANCELLED, "%s: not confirmed, nothing was changed", question);
}
