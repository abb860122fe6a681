#include "transporter/session/absence.h"

#include <stdio.h>

void absence_init(struct absence *absence)
{
    *absence = (struct absence){0};
    (void)pthread_mutex_init(&absence->lock, NULL);
}

void absence_deinit(struct absence *absence)
{
    (void)pthread_mutex_destroy(&absence->lock);
}

void absence_say(struct absence *absence, const char *text, uint64_t now_ms)
{
    (void)pthread_mutex_lock(&absence->lock);
    if (!absence->gone) absence->since_ms = now_ms;
    absence->gone = true;
    (void)snprintf(absence->text, sizeof(absence->text), "%s", text);
    for (char *at = absence->text; *at; at++)
        if (*at < ' ' || *at > '~') *at = '?'; /* a message with half a character would be refused */
    (void)pthread_mutex_unlock(&absence->lock);
}

void absence_end(struct absence *absence)
{
    (void)pthread_mutex_lock(&absence->lock);
    absence->gone = false;
    (void)pthread_mutex_unlock(&absence->lock);
}

void absence_read(struct absence *absence, uint64_t now_ms, char out[static ABSENCE_TEXT_MAX])
{
    (void)pthread_mutex_lock(&absence->lock);
    bool told = absence->gone && now_ms >= absence->since_ms + ABSENCE_TOLD_MS;
    (void)snprintf(out, ABSENCE_TEXT_MAX, "%s", told ? absence->text : "");
    (void)pthread_mutex_unlock(&absence->lock);
}
