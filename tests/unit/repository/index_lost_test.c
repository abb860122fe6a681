/* Local state of a repository that is cut, empty, garbage, exchanged, of another time, or lies: opening it
 * says so or makes it anew, and no point is lost. */
#include "builder.h"

#include "common/base/alloc.h"
#include "common/base/file.h"
#include "transporter/repository/care.h"
#include "transporter/repository/check.h"
#include "transporter/repository/sweep.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <lmdb.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void ignore_finding(void *arg, const struct check_finding *finding)
{
}

static uint64_t findings_of(struct repository *repository)
{
    struct err err;
    struct check_result result;
    struct check_sink sink = {.finding = ignore_finding};
    cr_assert(
        repository_check(repository, &(struct check_options){.level = CHECK_HASH}, &sink, &result, &err),
        "%s", err.text);
    return result.findings;
}

static void expect_whole(struct place *place, const struct hash *root, const char *after)
{
    struct repository_info info;
    repository_info(place->repository, &info);
    cr_assert_eq(info.points, 2, "%s: %llu points", after, (unsigned long long)info.points);
    cr_assert(restores(place->repository, root, NULL), "%s", after);
    cr_assert_eq(findings_of(place->repository), 0, "%s", after);
}

/* Two points; the root of the second. Closed. */
static struct place *filled(struct hash *root)
{
    struct place *place = place_new(REPOSITORY_ENCRYPTED);
    (void)back_up(place->repository, 1, 0, 40);
    *root = back_up(place->repository, 2, 500, 40);
    place_close(place);
    return place;
}

static void reopen_mended(struct place *place, const char *why, const char *after)
{
    struct err err;
    place_close(place);
    cr_assert(repository_try_open(place, &place->repository, &err), "%s: %s", after, err.text);
    const char *said = repository_mended(place->repository);
    if (why)
        cr_assert(said && strstr(said, why), "%s: %s", after, said ? said : "nothing is said");
    else
        cr_assert_null(said, "%s: %s", after, said);
}

Test(index_lost, one_that_is_not_what_was_closed_is_built_anew_and_that_is_said)
{
    static const struct {
        const char *accident, *why;
    } cases[] = {
        {"true", NULL},
        {"rm data.mdb", "there was none"},
        {"rm marker", "how it was left is not known"},
        {": > marker", "is not known"},
        {"head -c 200 /dev/urandom > marker", "not known"},
        {": > data.mdb", "not what it was when it was closed"},
        {"truncate -s -4096 data.mdb", "not what it was when it was closed"},
        {"truncate -s 100 data.mdb", "not what it was when it was closed"},
        {"head -c 100000 /dev/urandom > data.mdb", "not what it was when it was closed"},
        {"printf xyz | dd of=data.mdb bs=1 seek=20000 conv=notrunc 2>/dev/null",
         "not what it was when it was closed"},
        {"echo garbage > lock.mdb", NULL},
        {"rm lock.mdb", NULL},
    };
    struct hash root;
    AUTO(place) struct place *place = filled(&root);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        place_close(place);
        shell("cd '%s/index' && %s", place->state, cases[i].accident);
        reopen_mended(place, cases[i].why, cases[i].accident);
        expect_whole(place, &root, cases[i].accident);
    }
}

/* Every third frame of the first pack. */
static bool forget_some_rows(struct repository *repository)
{
    struct err err;
    struct index_pack pack;
    char name[BYTES_NAME_LEN];
    AUTO(pack_toc) struct pack_toc toc;
    pack_toc_init(&toc);
    if (!index_pack_from(repository->index, 0, &pack, &err)) return false;
    bytes_name(&pack, name);
    if (!pack_toc_read_tail(&repository->storage, name, pack.size, &toc, &err)) return false;
    size_t frames = 0;
    for (size_t i = 0; i < toc.count; i++)
        if (toc.entries[i].kind == RECORD_FRAME && frames++ % 3 == 0 &&
            !index_forget(repository->index, pack.no, &toc.entries[i], 1, &err))
            return false;
    return frames > 20;
}

/* How often it was told, how far it came, and after how many times it is to end. */
struct watcher {
    size_t told, most;
    uint64_t done_bytes, total_bytes;
};

static bool watch(void *arg, uint64_t done_bytes, uint64_t total_bytes)
{
    struct watcher *watcher = arg;
    cr_expect_gt(done_bytes, watcher->done_bytes);
    watcher->done_bytes = done_bytes;
    watcher->total_bytes = total_bytes;
    return ++watcher->told < watcher->most;
}

static bool open_anew(struct place *place, struct watcher *watcher, struct err *err)
{
    const struct repository_progress progress = {.passed = watch, .arg = watcher};
    const struct repository_options options = {.path = place->path,
                                               .state_dir = place->state,
                                               .owner = place->owner,
                                               .index = REPOSITORY_INDEX_ANEW,
                                               .progress = &progress};
    return repository_open(&options, &place->repository, err);
}

/* Nobody can tell from outside that it lies: who suspects it has it built anew. */
Test(index_lost, one_that_lies_unseen_is_built_anew_when_that_is_asked_for)
{
    struct err err;
    struct hash root;
    struct watcher watcher = {.most = SIZE_MAX};
    AUTO(place) struct place *place = filled(&root);
    place_open(place);
    cr_assert(forget_some_rows(place->repository));
    reopen_mended(place, NULL, "rows are gone");
    cr_assert_gt(findings_of(place->repository), 0);
    place_close(place);
    cr_assert(open_anew(place, &watcher, &err), "%s", err.text);
    expect_whole(place, &root, "asked for");
    cr_assert_eq(watcher.told, 4, "once for each pack");
    cr_assert_eq(watcher.done_bytes, watcher.total_bytes);
    reopen_mended(place, NULL, "it is kept from then on");
    expect_whole(place, &root, "again");
}

Test(index_lost, building_it_anew_can_be_stopped_at_any_pack_and_nothing_is_lost)
{
    struct hash root;
    AUTO(place) struct place *place = filled(&root);
    for (size_t most = 1; most <= 4; most++) {
        struct err err;
        struct watcher watcher = {.most = most};
        cr_assert_not(open_anew(place, &watcher, &err));
        cr_assert_eq(err.code, ERR_CANCELLED, "%s", err.text);
        cr_assert_eq(watcher.told, most);
        place_open(place);
        expect_whole(place, &root, "stopped");
        place_close(place);
    }
}

/* As a disk would lose it, unseen: size and time stay. */
Test(index_lost, garbage_that_keeps_its_size_and_time_is_built_anew)
{
    struct hash root;
    AUTO(place) struct place *place = filled(&root);
    place_open(place);
    place_close(place);
    shell("cd '%s/index' && touch -r data.mdb then && s=$(stat -c %%s data.mdb) && head -c $s /dev/urandom > "
          "data.mdb "
          "&& touch -r then data.mdb",
          place->state);
    reopen_mended(place, "it could not be read", "garbage");
    expect_whole(place, &root, "garbage");
}

/* A process that was killed left the marker of this boot, and says nothing of the size. */
Test(index_lost, one_cut_after_a_kill_is_built_anew_and_kills_nobody)
{
    struct hash root;
    AUTO(place) struct place *place = filled(&root);
    for (int pages = 1; pages < 12; pages++) {
        place_open(place);
        AUTO(place) struct place *killed = place_copy(place);
        place_close(place);
        place_close(killed);
        shell("cp '%s/index/marker' '%s/before'; cat /proc/sys/kernel/random/boot_id > '%s/index/marker'; "
              "truncate -s -%d "
              "'%s/index/data.mdb'",
              killed->state, killed->state, killed->state, 4096 * pages, killed->state);
        reopen_mended(killed, "it could not be read", "cut");
        expect_whole(killed, &root, "cut");
    }
}

Test(index_lost, one_that_three_processes_died_with_is_built_anew)
{
    struct hash root;
    AUTO(place) struct place *place = filled(&root);
    for (int deaths = 1; deaths <= 4; deaths++) {
        pid_t child = fork();
        if (child == 0) {
            struct repository *repository = NULL;
            struct err err;
            _exit(repository_try_open(place, &repository, &err) ? 40
                                                                : 41); /* as if killed: nothing is closed */
        }
        int status = 0;
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 40);
        if (deaths == 2) {
            AUTO(place) struct place *copy = place_copy(place);
            cr_assert_null(repository_mended(copy->repository));
        }
        if (deaths == 3) {
            AUTO(place) struct place *copy = place_copy(place);
            cr_assert(repository_mended(copy->repository));
            cr_assert(strstr(repository_mended(copy->repository), "three times"));
            expect_whole(copy, &root, "three deaths");
        }
    }
    reopen_mended(place, NULL, "the fourth found it new");
    expect_whole(place, &root, "four deaths");
}

Test(index_lost, of_another_repository_is_built_anew_and_that_is_said)
{
    struct hash root;
    AUTO(place) struct place *place = filled(&root);
    AUTO(place) struct place *other = place_new_as(REPOSITORY_ENCRYPTED, 0x77);
    (void)back_up(other->repository, 2, 100, 30);
    place_close(other);
    shell("rm -r '%s/index'; cp -a '%s/index' '%s/index'", place->state, other->state, place->state);
    reopen_mended(place, "of another repository", "exchanged");
    expect_whole(place, &root, "exchanged");
}

/* From a copy of the state that is older than the repository, or newer. */
Test(index_lost, an_older_index_follows_and_a_newer_one_tells_of_a_rollback)
{
    struct err err;
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    (void)back_up(place->repository, 1, 0, 40);
    place_close(place);
    shell("cp -a '%s' '%s/old-state'; cp -a '%s' '%s/old-path'", place->state, place->root, place->path,
          place->root);
    place_open(place);
    struct hash root = back_up(place->repository, 2, 500, 40);
    place_close(place);
    shell("cp -a '%s' '%s/new-state'; rm -r '%s'; cp -a '%s/old-state' '%s'", place->state, place->root,
          place->state, place->root, place->state);
    reopen_mended(place, NULL, "an older state");
    expect_whole(place, &root, "an older state");
    place_close(place);
    shell("mv '%s' '%s/new-path'; mv '%s/old-path' '%s'", place->path, place->root, place->root, place->path);
    shell("rm -r '%s'; cp -a '%s/new-state' '%s'; rm '%s/head'", place->state, place->root, place->state,
          place->state);
    cr_assert_not(repository_try_open(place, &place->repository, &err));
    cr_assert_eq(err.code, ERR_NOT_AUTHENTIC, "%s", err.text);
    cr_assert(strstr(err.text, "the log ends at entry 2, but entry 3 was seen before"), "%s", err.text);
}

Test(index_lost, a_head_that_is_cut_or_garbage_is_refused_by_its_name_and_with_what_to_do)
{
    static const char *const accidents[] = {": > head", "truncate -s 63 head", "echo more >> head",
                                            "head -c 64 /dev/urandom > head",
                                            "head -c 100000 /dev/urandom > head"};
    struct err err;
    struct hash root;
    AUTO(place) struct place *place = filled(&root);
    shell("cp '%s/head' '%s/whole'", place->state, place->root);
    for (size_t i = 0; i < sizeof(accidents) / sizeof(accidents[0]); i++) {
        shell("cd '%s' && %s", place->state, accidents[i]);
        cr_assert_not(repository_try_open(place, &place->repository, &err), "%s", accidents[i]);
        cr_assert_eq(err.code, ERR_DAMAGED, "%s: %s", accidents[i], err.text);
        cr_assert(strstr(err.text, "/head', which says") && strstr(err.text, "then remove that file"), "%s",
                  err.text);
        shell("cp '%s/whole' '%s/head'", place->root, place->state);
        reopen_mended(place, NULL, accidents[i]);
        expect_whole(place, &root, accidents[i]);
        place_close(place);
    }
}

Test(index_lost, a_head_that_is_gone_is_known_from_the_index_and_else_its_loss_is_said)
{
    struct hash root;
    AUTO(place) struct place *place = filled(&root);
    shell("rm '%s/head'", place->state);
    reopen_mended(place, NULL, "no head");
    place_close(place);
    shell("rm -r '%s/head' '%s/index'", place->state, place->state);
    reopen_mended(place, "what was seen of its log is forgotten", "no state");
    expect_whole(place, &root, "no state");
    reopen_mended(place, NULL, "again");
}

/* The second point uses a third of the first one's chunks; the first one is pruned. Its root. */
static struct hash share_and_prune(struct place *place)
{
    struct err err;
    struct hash ids[11];
    struct prune_result pruned;
    struct care_rule rule = {.job = "job", .retention.last = 1};
    (void)back_up(place->repository, 1, 0, 30);
    AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 2);
    AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 2);
    for (uint32_t i = 0; i < 10; i++)
        ids[i] = writer_id(writer, FRAME_DATA, 3 * i, 1000);
    ids[10] = writer_data(writer, 700, 1000);
    session_send(ingest, writer, PACK_DATA);
    struct hash root = writer_node(writer, 800, NULL, 0, ids, 11);
    session_send(ingest, writer, PACK_META);
    (void)session_commit(ingest, writer, 2, &root);
    cr_assert(repository_prune(place->repository, &rule, PRUNE_REMOVE, NULL, NULL, &pruned, &err), "%s",
              err.text);
    cr_assert_eq(pruned.removed, 1);
    return root;
}

/* Rows that are gone make a pack look as if nothing in it were used. */
Test(index_lost, a_sweep_takes_no_pack_that_only_the_index_says_is_dead)
{
    struct err err;
    struct sweep_result result;
    AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
    struct hash root = share_and_prune(place);
    cr_assert(forget_some_rows(place->repository));
    cr_assert_not(repository_sweep(place->repository, &result, &err));
    cr_assert_eq(err.code, ERR_DAMAGED, "%s", err.text);
    cr_assert(strstr(err.text, "does not know all of 'packs/"), "%s", err.text);
    reopen_mended(place, "how it was left is not known", "a lying index");
    cr_assert(restores(place->repository, &root, NULL));
    for (int i = 0; i < 3; i++)
        cr_assert(repository_sweep(place->repository, &result, &err), "%s", err.text);
    cr_assert_eq(result.outcome, SWEEP_CLEAN);
    cr_assert(restores(place->repository, &root, NULL));
    cr_assert_eq(findings_of(place->repository), 0);
}

static bool is_whole(struct place *place, uint8_t point)
{
    struct err err;
    bool whole = true;
    struct id id = id_of(point);
    AUTO(buf) struct buf file = {0};
    cr_assert(repository_point_read(place->repository, &id, &file, &err), "%s", err.text);
    cr_assert(repository_point_is_whole(place->repository, buf_span(&file), NULL, &whole, &err), "%s",
              err.text);
    return whole;
}

/* What a copy asks before it repairs: an index that never saw a pack knows of no loss. */
Test(index_lost, with_it_is_not_forgotten_that_a_point_is_not_whole)
{
    struct err err;
    struct hash root;
    struct watcher watcher = {.most = SIZE_MAX};
    AUTO(place) struct place *place = filled(&root);
    shell("mv $(ls -S '%s'/packs/*/* | head -1) '%s/lost'", place->path, place->root); /* data */
    cr_assert(open_anew(place, &watcher, &err), "%s", err.text);
    cr_assert_neq(is_whole(place, 1), is_whole(place, 2));
    cr_assert_gt(findings_of(place->repository), 0);
    reopen_mended(place, NULL, "and so it is the next time");
    cr_assert_neq(is_whole(place, 1), is_whole(place, 2));
    cr_assert_not(index_is_proven(place->repository->index));
}

/* Of a pack with nothing left to read the index must know all the same: what nobody knows to be lost is not
 * brought again, and passes for what was never there. */
Test(index_lost, a_pack_that_was_cut_while_closed_is_bad_however_little_is_left_of_it)
{
    static const char *const accidents[] = {"truncate -s 0", "truncate -s 20", "truncate -s 200",
                                            "truncate -s -1"};
    for (size_t n = 0; n < sizeof(accidents) / sizeof(accidents[0]); n++) {
        struct index_totals totals;
        AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
        struct hash root = back_up(place->repository, 1, 0, 40);
        place_close(place);
        shell("cp -a '%s' '%s/aside' && f=$(ls -S '%s'/packs/*/* | head -1) && chmod u+w $f && %s $f",
              place->path, place->root, place->path, accidents[n]);
        for (int start = 0; start < 3; start++) {
            place_open(place);
            index_totals(place->repository->index, &totals);
            cr_assert_eq(totals.bad, 1, "%s, start %d", accidents[n], start);
            cr_assert_not(is_whole(place, 1), "%s, start %d", accidents[n], start);
            place_close(place);
        }
        shell("rm -r '%s' && mv '%s/aside' '%s'", place->path, place->root, place->path);
        place_open(place);
        cr_assert(restores(place->repository, &root, NULL), "%s: back again", accidents[n]);
    }
}

/* While it is open: what the files say at the start of a session is what the session goes by. */
Test(index_lost, a_pack_that_goes_away_unseen_is_wanted_again_by_the_next_session)
{
    struct err err;
    struct hash ids[40], root;
    uint8_t have[40];
    static const char *const accidents[] = {"rm", "truncate -s -1", "true <"};
    for (size_t n = 0; n < sizeof(accidents) / sizeof(accidents[0]); n++) {
        AUTO(place) struct place *place = place_new(REPOSITORY_ENCRYPTED);
        AUTO(writer) struct writer *writer = writer_new(REPOSITORY_ENCRYPTED, 2);
        root = back_up(place->repository, 1, 0, 40);
        shell("%s $(ls -S '%s'/packs/*/* | head -1)", accidents[n], place->path);
        atomic_store(&place->repository->look_took_ms, 0); /* a slow disk puts the next look off */
        bool lost = n < 2;
        for (uint32_t i = 0; i < 40; i++)
            ids[i] = writer_id(writer, FRAME_DATA, i, 1000);
        AUTO(ingest) struct ingest *ingest = session_open(place->repository, writer, 2);
        AUTO(buf) struct buf missing = {0};
        cr_assert(ingest_has(ingest, ids, 40, have, &err), "%s", err.text);
        cr_assert_eq(have[0], !lost, "%s", accidents[n]);
        cr_assert_eq(session_commit_code(ingest, writer, 2, &root, &missing),
                     lost ? ERR_NOT_FOUND : ERR_NONE);
        cr_assert_eq(missing.len, lost ? 40 * HASH_LEN : 0);
        cr_assert_eq(is_whole(place, 1), !lost);
    }
}
