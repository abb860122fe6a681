/* sealift key export, import and delete: keys as recovery kits, and keys that are not needed any more. */
#ifndef SEALIFT_CLI_KEY_EXPORT_H
#define SEALIFT_CLI_KEY_EXPORT_H

#include "director/cli/cli.h"

extern const struct option_spec key_export_options[], key_import_options[], key_delete_options[];
command_fn key_export, key_import, key_delete;

#endif
