/* What can bring a key back: its protectors as people see them, and the warning where there are none outside
 * the operators' own copies. */
#ifndef SEALIFT_CLI_KEY_PROTECTORS_H
#define SEALIFT_CLI_KEY_PROTECTORS_H

#include "director/cli/keys.h"

/* Can something outside the director and the operators' copies bring the key back: the password that it comes
 * from (its salt is in every point), a further password, a KMS? This is the one place that decides it. */
bool key_has_outside_protector(const struct state *state, const struct key_entry *key);

/* Says that losing the operators' copies loses the key, and what to do about it; nothing where something
 * outside brings it back, or where the warning was dismissed here. */
void key_warn_unprotected(const struct cli *cli, const struct key_entry *key);
/* The same of the keys of jobs, each once. What cannot be told is not said. */
void keys_warn_of_jobs(struct cli *cli, const struct statements *jobs);

/* [{"kind": "aws" | "kmip" | "file", "entry", "master_key"} or {"kind": "password", "description"}] */
json_t *key_protectors_json(const Sealift__UnlockSection *section);
/* For people, one line each: "the password that it comes from", "KMS 'eu' (aws), master key …", "password
 * 'safe in Berlin'". */
json_t *key_protectors_lines(const Sealift__UnlockSection *section);
/* The same shorter, in one line: "its password, KMS eu, password safe in Berlin"; "-" for none. */
void key_protectors_words(const Sealift__UnlockSection *section, struct buf *out);

/* NULL: the section has none of this name. */
const Sealift__KmsWrap *section_kms(const Sealift__UnlockSection *section, const char *entry);
const Sealift__PasswordWrap *section_password(const Sealift__UnlockSection *section, const char *description);

#endif
