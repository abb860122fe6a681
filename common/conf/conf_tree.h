/* What conf.c (files, groups, lists) and conf_value.c (values) share. */
#ifndef SEALIFT_CONF_CONF_TREE_H
#define SEALIFT_CONF_CONF_TREE_H

#include "common/conf/conf.h"

#include <libconfig.h>

struct conf {
    config_t config;
    char *name;                /* of the file */
    enum conf_readers readers; /* who may read it */
    void **owned;              /* what getters made, released with the file */
    size_t owned_count;
};

/* Gives `memory` to the file. Returns it. */
void *conf_own(struct conf *conf, void *memory);

/* Marks a setting as asked for. */
void conf_mark(config_setting_t *setting);

/* The setting, marked as asked for; NULL if there is none. */
config_setting_t *conf_ask(struct conf_group at, const char *key);

/* "a string", "a list" */
const char *conf_type_name(const config_setting_t *setting);

/* The setting, which must be there and of the type; `due` says what it must be in words. */
bool conf_demand(struct conf_group at, const char *key, int type, const char *due, config_setting_t **out,
                 struct err *err) MUST_CHECK;

#endif
