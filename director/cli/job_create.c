#include "director/cli/job_create.h"

#include "common/base/alloc.h"
#include "common/base/text.h"
#include "common/chunk/compress.h"
#include "common/crypto/frame.h"
#include "common/wire/lent.h"
#include "common/wire/placement.h"
#include "director/cli/job_keys.h"
#include "director/cli/job_pace.h"
#include "director/cli/job_rules.h"
#include "director/cli/key_witness.h"
#include "director/cli/pair.h"
#include "director/cli/put.h"
#include "director/cli/statements.h"
#include "transporter/core/node.h"

#include <stdio.h>
#include <string.h>

enum { PATH_LIMIT = 4096 };

const struct option_spec job_create_options[] = {
    {"backup", "TRANSPORTER:PATH", "what is backed up; more paths of the same host may follow, or repeat it"},
    {"image", "TRANSPORTER:DEVICE-OR-FILE", "the same of one block device or disk image"},
    {"stream", "TRANSPORTER:NAME",
     "the same of a command's output: a stream of the transporter's configuration"},
    {"before", "NAME", "a script of the transporter's configuration that runs before it is read"},
    {"after", "NAME", "one that runs afterwards, whatever became of the run"},
    {"copy", "JOB|REPOSITORY",
     "copy the points of a job, or of a whole repository: as they are stored, or by --encrypt sealed anew"},
    {"exclude", "PATTERN", "leave out what matches, as '*.iso' or '/srv/cache'; may be repeated"},
    {"one-file-system", NULL, "do not enter other file systems"},
    {"repository", "R", "where the points go"},
    {"encrypt", "WHERE", "source, target, or none; of a copy: source or target"},
    {"key", "KEY", "the key that it is encrypted with"},
    {"kms", "ENTRY",
     "points carry this KMS entry of the key and no other protector; may be repeated (default: all of the "
     "key's)"},
    {"compress", "HOW", "lz4 (default), zstd, zstd:LEVEL or none"},
    {"cipher", "NAME", "aes-256-gcm or chacha20-poly1305 (default: the faster one here)"},
    {"connection", "HOW",
     "direct: the source dials the target; reverse: the target dials the source; rendezvous: both dial a "
     "proxy; "
     "link: as 'sealift link set' says (default)"},
    {"proxy", "HOST:PORT",
     "rendezvous: where both meet; direct: a SOCKS5 proxy that the source dials through"},
    JOB_RULES_OPTIONS,
    {"reencrypt", NULL, "a copy from an encrypted repository: who encrypts opens the points' old keys first"},
    {"exact", NULL, NULL},
    JOB_PACE_OPTIONS,
    UNWITNESSED_OPTION,
    {0},
};

/* All that a new job is made of. */
struct draft {
    struct cli *cli;
    const struct args *args;
    struct statements jobs, repositories;
    const Sealift__Member *source, *target;
    const Sealift__RepositoryBody *to, *from;
    struct id id, to_id, from_id;
    struct job_keys keys;
    struct way_wish way;
    Sealift__JobBody body;
    Sealift__Retention retention;
    Sealift__BackupPlan plan;
    ProtobufCBinaryData *paths, *excludes;
    struct sealed_copies copies;
};

static void draft_deinit(struct draft *draft)
{
    statements_deinit(&draft->jobs);
    statements_deinit(&draft->repositories);
    job_keys_deinit(&draft->keys);
    sealed_copies_deinit(&draft->copies);
    free(draft->paths);
    free(draft->excludes);
}
DEFINE_AUTO_IN_PLACE(draft, struct draft, draft_deinit)

/* --- what is backed up --- */

static bool add_path(struct draft *draft, const char *path, struct err *err)
{
    size_t len = strlen(path);
    if (path[0] != '/' || len >= PATH_LIMIT || strstr(path, "/../") || strstr(path, "/./"))
        return err_set(err, ERR_USAGE, "'%s' is no absolute path without '.' and '..'", path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    draft->paths = xreallocarray(draft->paths, draft->plan.n_paths + 1, sizeof(*draft->paths));
    draft->paths[draft->plan.n_paths++] = lent_bytes(path, len);
    draft->plan.paths = draft->paths;
    return true;
}

/* TRANSPORTER:…, every time the same transporter; *rest is what follows. */
static bool take_source(struct draft *draft, const char *option, const char *form, const char *word,
                        const char **rest, struct err *err)
{
    char name[IDENTITY_NAME_MAX + 1] = {0};
    const char *colon = strchr(word, ':');
    if (!colon || colon == word || (size_t)(colon - word) >= sizeof(name))
        return err_set(err, ERR_USAGE, "--%s takes TRANSPORTER:%s, not '%s'", option, form, word);
    memcpy(name, word, (size_t)(colon - word));
    if (draft->source && strcmp(draft->source->name, name) != 0)
        return err_set(err, ERR_USAGE, "one job has one source: '%s' and '%s' are two", draft->source->name,
                       name);
    *rest = colon + 1;
    return access_transporter(draft->cli, name, &draft->source, err);
}

/* More paths may leave the transporter out: read_backup. */
static bool read_source(struct draft *draft, const char *word, struct err *err)
{
    const char *path = NULL;
    return take_source(draft, "backup", "PATH", word, &path, err) && add_path(draft, path, err);
}

/* Scripts and streams are told by the names that the source's configuration gives them. */
static bool take_name(const struct args *args, const char *option, char **out, struct err *err)
{
    const char *name = args_value(args, option);
    if (!name) return true;
    *out = lent_text(name);
    return identity_name_check(name, err) || err_wrap(err, "--%s", option);
}

static bool read_scripts(struct draft *draft, struct err *err)
{
    return take_name(draft->args, "before", &draft->plan.before, err) &&
           take_name(draft->args, "after", &draft->plan.after, err);
}

static bool read_backup(struct draft *draft, struct err *err)
{
    const struct args *args = draft->args;
    for (size_t i = 0; args_nth(args, "backup", i); i++)
        if (!read_source(draft, args_nth(args, "backup", i), err)) return false;
    for (size_t i = 1; i < args_operand_count(args); i++)
        if (!(args_operand(args, i)[0] == '/' ? add_path(draft, args_operand(args, i), err)
                                              : read_source(draft, args_operand(args, i), err)))
            return false;
    for (size_t i = 0; args_nth(args, "exclude", i); i++) {
        const char *pattern = args_nth(args, "exclude", i);
        if (!pattern[0] || strlen(pattern) > PATH_LIMIT)
            return err_set(err, ERR_USAGE, "--exclude takes a pattern of 1 to %d bytes", PATH_LIMIT);
        draft->excludes = xreallocarray(draft->excludes, i + 1, sizeof(*draft->excludes));
        draft->excludes[i] = lent_bytes(pattern, strlen(pattern));
        draft->plan.n_excludes = i + 1;
        draft->plan.excludes = draft->excludes;
    }
    draft->plan.one_file_system = args_flag(args, "one-file-system");
    draft->body.kind = SEALIFT__JOB_KIND__JOB_BACKUP;
    return read_scripts(draft, err);
}

/* An object that is one content has nothing to choose from. */
static bool refuse_choice(const struct args *args, const char *option, struct err *err)
{
    static const char *const only_trees[] = {"exclude", "one-file-system"};
    for (size_t i = 0; i < sizeof(only_trees) / sizeof(only_trees[0]); i++)
        if (args_flag(args, only_trees[i]))
            return err_set(err, ERR_USAGE, "--%s goes with --backup, not with --%s", only_trees[i], option);
    if (args_operand_count(args) > 1)
        return err_set(err, ERR_USAGE, "one job has one %s: '%s' is more", option, args_operand(args, 1));
    if (args_nth(args, option, 1))
        return err_set(err, ERR_USAGE, "one job has one %s: '%s' is more", option, args_nth(args, option, 1));
    return true;
}

static bool read_image(struct draft *draft, struct err *err)
{
    const char *path = NULL;
    draft->body.kind = SEALIFT__JOB_KIND__JOB_BACKUP;
    draft->plan.object = lent_text(object_kind_name(OBJECT_IMAGE));
    return refuse_choice(draft->args, "image", err) &&
           take_source(draft, "image", "DEVICE-OR-FILE", args_value(draft->args, "image"), &path, err) &&
           add_path(draft, path, err) && read_scripts(draft, err);
}

static bool read_stream(struct draft *draft, struct err *err)
{
    const char *name = NULL;
    draft->body.kind = SEALIFT__JOB_KIND__JOB_BACKUP;
    draft->plan.object = lent_text(object_kind_name(OBJECT_STREAM));
    if (!refuse_choice(draft->args, "stream", err) ||
        !take_source(draft, "stream", "NAME", args_value(draft->args, "stream"), &name, err))
        return false;
    if (!identity_name_check(name, err)) return err_wrap(err, "--stream");
    draft->plan.stream = lent_text(name);
    return read_scripts(draft, err);
}

/* --- what is copied --- */

static bool take_from(struct draft *draft, const struct statement *repository, const char *job,
                      struct err *err)
{
    draft->from = repository->body.repository;
    draft->from_id = repository->id;
    draft->source = roster_transporter(access_roster(draft->cli), draft->from->owner.data);
    if (!draft->source)
        return err_set(err, ERR_NOT_FOUND,
                       "the transporter that has the repository '%s' is not in the roster",
                       draft->from->name);
    draft->body.from_repository = lent_bytes(draft->from_id.bytes, ID_LEN);
    draft->body.from_job = lent_text(job);
    return true;
}

static bool read_copy(struct draft *draft, struct err *err)
{
    const char *name = args_value(draft->args, "copy");
    static const char *const only_backups[] = {"exclude", "one-file-system", "compress", "before", "after"};
    for (size_t i = 0; i < sizeof(only_backups) / sizeof(only_backups[0]); i++)
        if (args_flag(draft->args, only_backups[i]))
            return err_set(err, ERR_USAGE, "--%s goes with a backup: a copy keeps what its points hold",
                           only_backups[i]);
    if (args_operand_count(draft->args) > 1)
        return err_set(err, ERR_USAGE, "a copy has no paths: '%s'", args_operand(draft->args, 1));
    draft->body.kind = SEALIFT__JOB_KIND__JOB_COPY;
    const struct statement *job = NULL, *repository = NULL;
    struct err no_job = {0}, no_repository = {0};
    bool is_job = statements_named(&draft->jobs, name, &job, &no_job);
    bool is_repository = statements_named(&draft->repositories, name, &repository, &no_repository);
    if (is_job && is_repository)
        return err_set(err, ERR_USAGE, "'%s' is a job and a repository: which one is meant is not clear",
                       name);
    if (is_repository) return take_from(draft, repository, "", err);
    if (!is_job) {
        return err_set(err, no_job.code, "there is neither a job nor a repository '%s'", name);
    }
    struct id id;
    memcpy(id.bytes, job->body.job->repository.data, ID_LEN);
    repository = statements_with_id(&draft->repositories, &id);
    if (!repository) return err_set(err, ERR_NOT_FOUND, "the repository of the job '%s' is unknown", name);
    return take_from(draft, repository, name, err);
}

/* --- where and how --- */

static bool read_target(struct draft *draft, struct err *err)
{
    const struct statement *repository = NULL;
    const char *name = args_value(draft->args, "repository");
    if (!name) return err_set(err, ERR_USAGE, "--repository R is needed: where the points go");
    if (!statements_named(&draft->repositories, name, &repository, err)) return false;
    draft->to = repository->body.repository;
    draft->to_id = repository->id;
    draft->body.repository = lent_bytes(draft->to_id.bytes, ID_LEN);
    draft->target = roster_transporter(access_roster(draft->cli), draft->to->owner.data);
    if (!draft->target)
        return err_set(err, ERR_NOT_FOUND,
                       "the transporter that has the repository '%s' is not in the roster", name);
    if (draft->from && id_eq(&draft->from_id, &draft->to_id))
        return err_set(err, ERR_USAGE, "a copy goes into another repository than it comes from");
    return true;
}

static bool read_connection(struct draft *draft, struct err *err)
{
    AUTO(link_table) struct link_table links = {0};
    struct pair pair;
    if (!args_flag(draft->args, "connection") && !args_flag(draft->args, "proxy")) return true;
    if (!pair_of_job(draft->cli, &draft->body, &draft->repositories, &pair))
        return err_set(err, ERR_USAGE, "the repository is on the source itself: nobody dials");
    if (!pair_links(draft->cli, &links, err) ||
        !pair_read(draft->args, PAIR_MAY_SAY_LINK, &links, &pair, &draft->way, err))
        return false;
    draft->body.connection = draft->way.connection;
    draft->body.proxy = draft->way.proxy;
    return true;
}

static bool read_compression(struct draft *draft, struct err *err)
{
    const char *text = args_value(draft->args, "compress");
    struct compress_spec spec;
    if (draft->body.kind == SEALIFT__JOB_KIND__JOB_COPY) {
        draft->body.compressor = lent_text("none");
        return true;
    }
    if (!compress_spec_parse(text ? text : "lz4", &spec, err)) return err_wrap(err, "--compress");
    draft->body.compressor = lent_text(text ? text : "lz4");
    return true;
}

static bool read_cipher(struct draft *draft, struct err *err)
{
    enum cipher cipher = cipher_default();
    const char *text = args_value(draft->args, "cipher");
    bool sealed = draft->body.placement == SEALIFT__PLACEMENT__PLACE_SOURCE ||
                  draft->body.placement == SEALIFT__PLACEMENT__PLACE_TARGET;
    if (text && !sealed) return err_set(err, ERR_USAGE, "--cipher goes with encryption");
    if (text && !cipher_parse(text, &cipher, err)) return err_wrap(err, "--cipher");
    if (sealed && cipher == CIPHER_NONE)
        return err_set(err, ERR_USAGE, "--cipher none: say --encrypt none instead");
    draft->body.cipher = sealed ? cipher : CIPHER_NONE;
    return true;
}

static bool check_placement(const struct draft *draft, struct err *err)
{
    struct placement_facts facts;
    return placement_of_job(&draft->body, access_roster(draft->cli), draft->to, draft->from, &facts, err) &&
           placement_check(&facts, err);
}

static bool read_what(struct draft *draft, struct err *err)
{
    static const struct {
        const char *option;
        bool (*read)(struct draft *draft, struct err *err);
    } ways[] = {{"backup", read_backup}, {"image", read_image}, {"stream", read_stream}, {"copy", read_copy}};
    bool (*read)(struct draft * draft, struct err * err) = NULL;
    bool one = true;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (!args_flag(draft->args, ways[i].option)) continue;
        one = one && !read;
        read = ways[i].read;
    }
    if (!read || !one)
        return err_set(err, ERR_USAGE,
                       "say what the job does, by one of --backup TRANSPORTER:PATH, --image "
                       "TRANSPORTER:DEVICE-OR-FILE, --stream TRANSPORTER:NAME and --copy JOB");
    if (args_flag(draft->args, "reencrypt") && read != read_copy)
        return err_set(err, ERR_USAGE, "--reencrypt goes with --copy");
    return read(draft, err);
}

static bool read_words(struct draft *draft, struct err *err)
{
    if (!read_what(draft, err) || !read_target(draft, err)) return false;
    draft->body.source = draft->source->sign_pk;
    return job_keys_placement(draft->cli, draft->args, draft->source, &draft->body, &draft->keys, err) &&
           job_keys_subset(draft->args, &draft->keys, err) && read_connection(draft, err) &&
           job_pace_read(draft->args, &draft->body, err) &&
           job_rules_read(draft->args, &draft->id, &draft->retention, &draft->body, err) &&
           read_compression(draft, err) && read_cipher(draft, err) && check_placement(draft, err);
}

/* --- signing --- */

static bool seal_plan(struct draft *draft, struct err *err)
{
    if (draft->body.kind != SEALIFT__JOB_KIND__JOB_BACKUP) return true;
    AUTO(buf) struct buf plain = {0};
    statement_body_encode(&draft->plan, &plain);
    if (!sealed_copies_make(access_roster(draft->cli), "job", &draft->id, &draft->source, 1, buf_span(&plain),
                            &draft->copies, err))
        return false;
    draft->body.plan = draft->copies.list;
    draft->body.n_plan = draft->copies.count;
    return true;
}

static bool name_is_free(const struct draft *draft, const char *name, struct err *err)
{
    for (size_t i = 0; i < draft->jobs.count; i++)
        if (!statement_is_deleted(draft->jobs.items[i]) &&
            strcmp(statement_name(draft->jobs.items[i]), name) == 0)
            return err_set(err, ERR_EXISTS, "there is a job '%s' already", name);
    return true;
}

static void say_created(const struct draft *draft)
{
    static const char *const where[] = {[SEALIFT__PLACEMENT__PLACE_SOURCE] = "source",
                                        [SEALIFT__PLACEMENT__PLACE_TARGET] = "target",
                                        [SEALIFT__PLACEMENT__PLACE_PLAIN] = "none",
                                        [SEALIFT__PLACEMENT__PLACE_AS_STORED] = "as stored"};
    const Sealift__JobBody *body = &draft->body;
    bool copy = body->kind == SEALIFT__JOB_KIND__JOB_COPY, sealed = body->key_id.len != 0;
    output_line(&draft->cli->output,
                json_pack("{s:s, s:o, s:s, s:s, s:s, s:s?, s:o, s:s, s:b}", "job", body->name, "id",
                          json_hex(draft->id.bytes, ID_LEN), "source", draft->source->name, "repository",
                          draft->to->name, "encrypt", where[body->placement], "key",
                          sealed ? body->key_label : NULL, "kms", key_subset_json(&draft->keys.subset),
                          "kind", copy ? "copy" : "backup", "reencrypt", (int)body->reencrypt),
                "%s %s %s to %s%s%s%s%s", body->name, copy ? "copies from" : "backs up",
                copy ? draft->from->name : draft->source->name, draft->to->name,
                !sealed           ? ""
                : body->reencrypt ? ", re-encrypted on the "
                                  : ", encrypted on the ",
                sealed ? where[body->placement] : "", sealed ? " with the key " : "",
                sealed ? body->key_label : "");
    if (job_rules_is_started(body))
        output_note(&draft->cli->output, "the director starts it %s (UTC)", body->schedule);
    if (body->retention)
        output_note(&draft->cli->output,
                    "the --keep rules are signed with the job; points that they do not keep are removed "
                    "after each scheduled sweep of '%s', or by 'sealift job prune %s'",
                    draft->to->name, body->name);
}

bool job_create(struct cli *cli, const struct args *args, struct err *err)
{
    AUTO(draft) struct draft draft = {.cli = cli, .args = args, .id = id_random()};
    const char *name = args_operand(args, 0);
    sealift__job_body__init(&draft.body);
    sealift__backup_plan__init(&draft.plan);
    draft.body.name = lent_text(name);
    if (!identity_name_check(name, err) ||
        !statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, &draft.jobs, err) ||
        !statements_get(cli, SEALIFT__STATEMENT_TYPE__STATEMENT_REPOSITORY, &draft.repositories, err) ||
        !name_is_free(&draft, name, err) || !read_words(&draft, err) || !seal_plan(&draft, err))
        return false;
    const Sealift__Member *sealing =
        draft.body.placement == SEALIFT__PLACEMENT__PLACE_TARGET ? draft.target : draft.source;
    const struct job_neighbours others = {&draft.jobs, &draft.repositories};
    if (!job_keys_grant(cli, sealing, &draft.body, &others, &draft.keys, err)) return false;
    const struct put_request request = {
        .type = SEALIFT__STATEMENT_TYPE__STATEMENT_JOB, .id = draft.id, .body = &draft.body};
    if (!put_statement(cli, &request, NULL, NULL, err)) return false;
    say_created(&draft);
    struct pair pair;
    if (pair_of_job(cli, &draft.body, &draft.repositories, &pair)) pair_warn(cli, &draft.way, &pair);
    if (draft.body.reencrypt) job_keys_warn_unreadable(cli, sealing, &draft.body, &draft.jobs, &draft.keys);
    job_keys_warn(cli, &draft.keys);
    return true;
}
