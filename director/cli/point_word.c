/* How people name a point: `JOB@latest`, `JOB@2026-11-20`, `JOB@12h`, an id or the start of one. */
#include "director/cli/point.h"
#include "director/cli/time_word.h"

#include <string.h>

enum { PREFIX_MIN = 4 };
#define DAY_NS (UINT64_C(86400) * 1000000000)

static bool is_hex(const char *text)
{
    return text[strspn(text, "0123456789abcdefABCDEF")] == '\0';
}

bool point_word_parse(const char *text, uint64_t now_ns, enum point_word *word,
                      char job[static IDENTITY_NAME_MAX + 1], uint64_t *time_ns, struct err *err)
{
    const char *at = strchr(text, '@');
    if (!at) {
        size_t len = strlen(text);
        if (!is_hex(text) || len < PREFIX_MIN || len > 2 * ID_LEN)
            return err_set(err, ERR_USAGE,
                           "'%s' is no point: %d to %d hex digits of its id, JOB@latest or JOB@2026-11-20",
                           text, PREFIX_MIN, 2 * ID_LEN);
        *word = POINT_BY_PREFIX;
        return true;
    }
    char name[IDENTITY_NAME_MAX + 1] = {0};
    size_t len = (size_t)(at - text);
    if (len > IDENTITY_NAME_MAX) return err_set(err, ERR_USAGE, "'%s': no job has so long a name", text);
    memcpy(name, text, len);
    if (!identity_name_check(name, err)) return false;
    if (strcmp(at + 1, "latest") == 0) {
        *word = POINT_LATEST;
    } else {
        uint64_t moment_ns;
        if (!time_word_parse(at + 1, now_ns, &moment_ns, err)) return false;
        *word = POINT_BEFORE;
        *time_ns = time_word_is_date(at + 1) ? moment_ns + DAY_NS - 1 : moment_ns;
    }
    memcpy(job, name, sizeof(name));
    return true;
}
