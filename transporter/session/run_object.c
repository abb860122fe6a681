#include "transporter/session/run_object.h"

#include "common/base/alloc.h"
#include "common/wire/grant.h"
#include "common/wire/stored.h"
#include "transporter/pipeline/backup_image.h"
#include "transporter/pipeline/backup_stream.h"
#include "transporter/session/run_command.h"

#include <stdlib.h>
#include <string.h>

static void path_list_deinit(struct path_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->paths[i]);
    free(list->paths);
}

static void path_list_add(struct path_list *list, struct span path)
{
    list->paths = xreallocarray(list->paths, list->count + 1, sizeof(char *));
    char *copy = xcalloc(1, path.len + 1);
    memcpy(copy, path.data, path.len);
    list->paths[list->count++] = copy;
}

void run_object_deinit(struct run_object *object)
{
    path_list_deinit(&object->paths);
    path_list_deinit(&object->excludes);
    path_list_deinit(&object->always);
    plan_backup_free(object->plan);
}

/* --- the plan --- */

static bool open_plan(struct run_object *object, struct err *err)
{
    struct run *run = object->run;
    const Sealift__JobBody *job = run_job(run);
    const struct identity *self = run->environment.self;
    AUTO(secret) struct secret *bytes = NULL;
    return sealed_copy_open(job->plan, job->n_plan, self->known.sign_pk, self->box, "job", run_site(run),
                            &run->subject, &bytes, err) &&
           plan_backup_decode(span_of(bytes->data, bytes->len), &object->plan, err);
}

static bool take_texts(const ProtobufCBinaryData *texts, size_t count, struct path_list *out, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        if (memchr(texts[i].data, 0, texts[i].len))
            return err_set(err, ERR_PROTOCOL, "a path of the job's plan has a NUL in it");
        path_list_add(out, stored_span(&texts[i]));
    }
    return true;
}

static bool may_read_paths(const struct run_object *object, struct err *err)
{
    const Sealift__BackupPlan *plan = object->plan;
    for (size_t i = 0; i < plan->n_paths; i++)
        if (!policy_may_read(object->run->environment.policy, stored_span(&plan->paths[i]), err))
            return false;
    return true;
}

static void exclude_store(void *arg, const char *path)
{
    path_list_add(arg, span_str(path));
}

static bool check_tree(struct run_object *object, struct err *err)
{
    const Sealift__BackupPlan *plan = object->plan;
    const struct run_environment *environment = &object->run->environment;
    if (plan->n_paths == 0) return err_set(err, ERR_USAGE, "the job's plan has no paths");
    path_list_add(&object->always, span_str(environment->state_dir));
    stores_paths(environment->stores, exclude_store, &object->always);
    return may_read_paths(object, err) &&
           take_texts(plan->excludes, plan->n_excludes, &object->excludes, err);
}

static bool check_image(struct run_object *object, struct err *err)
{
    if (object->plan->n_paths != 1)
        return err_set(err, ERR_USAGE, "the job's plan does not name one device or file");
    return may_read_paths(object, err);
}

static bool find_command(const struct run_object *object, enum policy_use use, const char *name,
                         const struct policy_command **out, struct err *err)
{
    return name[0] == '\0' || policy_command(object->run->environment.policy, use, name, out, err);
}

static bool check_stream(struct run_object *object, struct err *err)
{
    if (object->plan->stream[0] == '\0')
        return err_set(err, ERR_USAGE, "the job's plan does not name a stream");
    return find_command(object, POLICY_STREAM_BACKUP, object->plan->stream, &object->stream, err);
}

static bool check_object(struct run_object *object, struct err *err)
{
    const Sealift__BackupPlan *plan = object->plan;
    const char *name = plan->object;
    object->kind = OBJECT_TREE;
    if (name[0] && !object_kind_parse(name, &object->kind, err)) return err_wrap(err, "the job's plan");
    if (!find_command(object, POLICY_SCRIPT, plan->before, &object->before, err) ||
        !find_command(object, POLICY_SCRIPT, plan->after, &object->after, err))
        return false;
    switch (object->kind) {
    case OBJECT_TREE:
        return check_tree(object, err);
    case OBJECT_IMAGE:
        return check_image(object, err);
    case OBJECT_STREAM:
        return check_stream(object, err);
    }
    return false;
}

bool run_object_open(struct run *run, struct run_object *out, struct err *err)
{
    out->run = run;
    return open_plan(out, err) && check_object(out, err) &&
           take_texts(out->plan->paths, out->plan->n_paths, &out->paths, err);
}

/* --- reading --- */

bool run_object_is_cached(const struct run_object *object)
{
    return object->kind != OBJECT_STREAM;
}

/* The walk takes `const char *const *`. */
static const char *const *texts_of(const struct path_list *list)
{
    return (const char *const *)list->paths;
}

static bool back_up_tree(struct run_object *object, struct backup_options *options,
                         struct backup_result *result, struct err *err)
{
    options->walk = (struct walk_options){
        .paths = texts_of(&object->paths),
        .path_count = object->paths.count,
        .excludes = texts_of(&object->excludes),
        .exclude_count = object->excludes.count,
        .always_excluded = texts_of(&object->always),
        .always_count = object->always.count,
        .mounts = object->plan->one_file_system ? MOUNT_STAY : MOUNT_CROSS,
    };
    return backup_tree(options, result, err);
}

static bool read_stream(void *arg, const _Atomic bool *stopped, uint8_t *out, size_t room, size_t *got,
                        struct err *err)
{
    const struct run_command *command = arg;
    return command_read(command->command, stopped, out, room, got, err);
}

static bool finish_stream(void *arg, const _Atomic bool *stopped, struct err *err)
{
    const struct run_command *command = arg;
    return command_finish(command->command, stopped, err);
}

static bool back_up_stream(struct run_object *object, const struct backup_options *options,
                           struct backup_result *result, struct err *err)
{
    AUTO(run_command) struct run_command command = {0};
    struct stream_source source = {
        .name = object->stream->name, .read = read_stream, .finish = finish_stream, .arg = &command};
    return run_command_start(object->run, object->stream, RUN_COMMAND_STREAM, NULL, &command, err) &&
           backup_stream(options, &source, result, err);
}

static bool begin(struct run_object *object, struct err *err)
{
    struct run *run = object->run;
    if (object->begun) return true;
    object->begun = true;
    return !object->before ||
           run_command_whole(run, object->before, RUN_COMMAND_BEFORE, NULL, &run->cancelled, err);
}

/* A link is followed only where the configuration lists it: what lies below a root may be others' to make. */
static bool back_up_image(struct run_object *object, struct backup_options *options,
                          struct backup_result *result, struct err *err)
{
    const char *path = object->paths.paths[0];
    bool listed = policy_lists_read(object->run->environment.policy, path);
    struct image_source image = {
        .path = path,
        .links = listed ? IMAGE_LINKS_FOLLOWED : IMAGE_LINKS_REFUSED,
        .moment = object->plan->before[0] ? IMAGE_STILLED : IMAGE_LIVE,
    };
    return backup_image(options, &image, result, err);
}

bool run_object_back_up(struct run_object *object, struct backup_options *options,
                        struct backup_result *result, struct err *err)
{
    if (!begin(object, err)) return false;
    switch (object->kind) {
    case OBJECT_TREE:
        return back_up_tree(object, options, result, err);
    case OBJECT_STREAM:
        return back_up_stream(object, options, result, err);
    case OBJECT_IMAGE:
        return back_up_image(object, options, result, err);
    }
    return false;
}

/* A cancel does not end it: what `before` has begun, as a frozen file system, must not stay. */
void run_object_end(struct run_object *object, const struct err *why)
{
    struct err failed = {0};
    bool cancelled = atomic_load(&object->run->cancelled) || (why && why->code == ERR_CANCELLED);
    const char *result = !why ? "ok" : cancelled ? "cancelled" : "failed";
    if (!object->begun || !object->after) return;
    if (!run_command_whole(object->run, object->after, RUN_COMMAND_AFTER, result, NULL, &failed))
        run_warn(object->run, span_of(NULL, 0), &failed);
}
