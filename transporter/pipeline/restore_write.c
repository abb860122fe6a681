#include "transporter/pipeline/restore_run.h"

#include "common/base/file.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "transporter/pipeline/image_target.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PART_MODE = 0600 };

static void lose(struct restore_writer *writer, struct restore_file *file, const struct err *why)
{
    if (why->code == ERR_NO_SPACE || why->code == ERR_CANCELLED) restore_stop(writer->run, why);
    if (atomic_load(&writer->run->stopping)) {
        atomic_store(&file->failed, true); /* the one error that stopped all is told, not each file */
        return;
    }
    if (!atomic_exchange(&file->failed, true)) restore_lost(writer->run, file->path, why);
}

enum { OPEN_FLAGS = O_WRONLY | O_NOFOLLOW | O_CLOEXEC };

static bool create_file(struct restore_writer *writer, const struct restore_file *file, mode_t mode, int *fd,
                        struct err *err)
{
    int dir;
    char name[256];
    if (!destination_parent(&writer->cursor, file->path, &dir, name, err)) return false;
    *fd = openat(dir, name, OPEN_FLAGS | O_CREAT | O_EXCL, mode);
    return *fd >= 0 || err_sys(err, errno, "cannot create the file");
}

/* Opens the file that create_once made, and nothing that somebody put in its place meanwhile. */
static bool open_file(struct restore_writer *writer, const struct restore_file *file, int *fd,
                      struct err *err)
{
    int dir;
    char name[256];
    struct stat there;
    if (!destination_parent(&writer->cursor, file->path, &dir, name, err)) return false;
    AUTO(fd) int opened = openat(dir, name, OPEN_FLAGS | O_NONBLOCK);
    if (opened < 0 || fstat(opened, &there) != 0) return err_sys(err, errno, "cannot open the file");
    if (there.st_dev != file->device || there.st_ino != file->inode)
        return err_set(err, ERR_POLICY, "the file was replaced while it was restored");
    *fd = opened;
    opened = -1;
    return true;
}

static bool finish_open_file(struct restore_writer *writer, const struct restore_file *file, int fd,
                             struct err *err)
{
    unsigned losses = 0;
    struct err loss = {0};
    if (!inode_metadata_apply(&file->metadata, fd, &losses, &loss)) {
        *err = loss;
        return false;
    }
    if (losses) restore_tell_losses(writer->run, file->path, losses, &loss);
    return true;
}

/* Of a file of several pieces each is seen when it is written; holes with its end. */
static void count_piece(struct restore_writer *writer, struct restore_file *file, size_t len)
{
    atomic_fetch_add(&file->shown, len);
    atomic_fetch_add(&writer->run->progress->content_bytes, len);
}

static void count(struct restore_writer *writer, const struct restore_file *file)
{
    struct restore_progress *progress = writer->run->progress;
    uint64_t shown = atomic_load(&file->shown);
    atomic_fetch_add(&progress->entries, 1);
    atomic_fetch_add(&progress->files, 1);
    if (shown < file->size) atomic_fetch_add(&progress->content_bytes, file->size - shown);
}

static void count_none(struct restore_writer *writer, const struct restore_file *file)
{
    atomic_fetch_sub(&writer->run->progress->content_bytes, atomic_load(&file->shown));
}

/* The common case: the whole content is one piece. */
static bool write_single(struct restore_writer *writer, struct restore_file *file, struct span bytes,
                         struct err *err)
{
    AUTO(fd) int fd = -1;
    if (!create_file(writer, file, file->metadata.mode & 0777, &fd, err)) return false;
    atomic_store(&file->created, true);
    if (!fd_write_all(fd, bytes, "the file", err)) return false;
    restore_flush_note(&writer->run->flush, bytes.len);
    return finish_open_file(writer, file, fd, err);
}

/* Whichever piece comes first makes the file. */
static bool create_once(struct restore_writer *writer, struct restore_file *file, struct err *err)
{
    if (atomic_load(&file->created)) return true;
    (void)pthread_mutex_lock(&file->creating);
    bool ok = true;
    if (!atomic_load(&file->created)) {
        AUTO(fd) int fd = -1;
        struct stat made;
        ok = create_file(writer, file, PART_MODE, &fd, err) &&
             (fstat(fd, &made) == 0 || err_sys(err, errno, "cannot stat the file"));
        if (ok) {
            file->device = made.st_dev;
            file->inode = made.st_ino;
        }
        atomic_store(&file->created, ok);
    }
    (void)pthread_mutex_unlock(&file->creating);
    return ok;
}

static bool write_part(struct restore_writer *writer, struct restore_file *file, struct span bytes,
                       uint64_t offset, struct err *err)
{
    AUTO(fd) int fd = -1;
    if (!create_once(writer, file, err) || !open_file(writer, file, &fd, err) ||
        !fd_pwrite_all(fd, bytes, offset, "the file", err))
        return false;
    count_piece(writer, file, bytes.len);
    restore_flush_note(&writer->run->flush, bytes.len);
    return true;
}

static bool complete(struct restore_writer *writer, struct restore_file *file, struct err *err)
{
    if (file->single) return true;
    AUTO(fd) int fd = -1;
    if (!create_once(writer, file, err) || !open_file(writer, file, &fd, err)) return false;
    if (ftruncate(fd, (off_t)file->size) != 0) return err_sys(err, errno, "cannot set the size of the file");
    return finish_open_file(writer, file, fd, err);
}

static void remove_rest(struct restore_writer *writer, const struct restore_file *file)
{
    int dir;
    char name[256];
    struct err ignored = {0};
    if (atomic_load(&file->created) && destination_parent(&writer->cursor, file->path, &dir, name, &ignored))
        (void)unlinkat(dir, name, 0);
}

void restore_file_done(struct restore_writer *writer, struct restore_file *file)
{
    if (atomic_fetch_sub(&file->users, 1) != 1) return;
    if (writer->run->image) { /* whoever restores the image finishes it */
        restore_file_free(file);
        return;
    }
    struct err err = {0};
    if (!atomic_load(&file->failed) && !complete(writer, file, &err)) lose(writer, file, &err);
    if (atomic_load(&file->failed)) {
        remove_rest(writer, file);
        count_none(writer, file);
    } else {
        count(writer, file);
    }
    restore_file_free(file);
}

static bool write_image(struct restore_writer *writer, struct span bytes, uint64_t offset, struct err *err)
{
    if (!image_target_write(writer->run->image, bytes, offset, err)) return false;
    atomic_fetch_add(&writer->run->progress->content_bytes, bytes.len);
    restore_flush_note(&writer->run->flush, bytes.len);
    return true;
}

static bool write_bytes(struct restore_writer *writer, const struct restore_piece *piece, struct span bytes,
                        struct err *err)
{
    struct restore_file *file = piece->file;
    if (writer->run->image) return write_image(writer, bytes, piece->file_offset, err);
    if (file->single) return write_single(writer, file, bytes, err);
    return write_part(writer, file, bytes, piece->file_offset, err);
}

static void write_piece(struct restore_writer *writer, const struct restore_piece *piece,
                        const struct buf *plain)
{
    struct restore_file *file = piece->file;
    struct err err = {0};
    bool ok = true;
    if (atomic_load(&file->failed)) {
        /* nothing more is written to it */
    } else if ((uint64_t)piece->chunk_offset + piece->length > plain->len) {
        ok = err_set(&err, ERR_DAMAGED, "a chunk is shorter than the file's reference into it");
    } else {
        struct span bytes = span_of(plain->data + piece->chunk_offset, piece->length);
        ok = write_bytes(writer, piece, bytes, &err);
    }
    if (!ok) lose(writer, file, &err);
    restore_file_done(writer, file);
}

static void name_bad_copy(struct restore_writer *writer, const struct restore_item *item)
{
    const struct restore_window *window = item->window;
    const struct restore_file *file = window->pieces[window->first[item->index] - 1].file;
    struct err what = item->why;
    char text[17];
    hex_encode(window->ids[item->index].bytes, 8, text);
    (void)err_wrap(&what, "a bad copy of chunk %s…, in place of which another was taken", text);
    restore_warn(writer->run, file->path, &what);
}

/* Opens a frame, or sends for the next copy: then *item is empty. */
static bool open_item(struct restore_writer *writer, struct opener_thread *opener, struct restore_item **item,
                      struct buf *plain, struct err *err)
{
    struct restore_item *one = *item;
    struct err why = {0};
    if (one->frame.len > 0 && !atomic_load(&writer->run->stopping)) {
        if (opener_frame(opener, &one->window->ids[one->index], buf_span(&one->frame), plain, &why)) {
            if (one->skip > 0) name_bad_copy(writer, one);
            return true;
        }
        if (restore_ask_again(writer->run, one, &why)) *item = NULL;
    }
    if (*item) *err = one->why.code == ERR_NONE ? why : one->why;
    return false;
}

/* Leaves *item empty if the chunk comes again. */
static void write_chunk(struct restore_writer *writer, struct opener_thread *opener,
                        struct restore_item **item_at, struct buf *plain)
{
    struct err err = {0};
    bool opened = open_item(writer, opener, item_at, plain, &err);
    const struct restore_item *item = *item_at;
    if (!item) return;
    struct restore_window *window = item->window;
    for (uint32_t at = window->first[item->index]; at;) {
        struct restore_piece piece = window->pieces[at - 1];
        at = piece.next;
        if (!opened) {
            lose(writer, piece.file, &err);
            restore_file_done(writer, piece.file);
        } else {
            write_piece(writer, &piece, plain);
        }
    }
    restore_window_done(writer->run, window);
}

void *restore_writer_main(void *arg)
{
    struct restore_run *run = arg;
    struct restore_writer writer = {.run = run};
    AUTO(opener_thread) struct opener_thread *opener = NULL;
    AUTO(buf) struct buf plain = {0};
    struct err err = {0};
    destination_cursor_init(&writer.cursor, run->destination);
    if (!opener_thread_new(run->options->opener, &opener, &err)) restore_stop(run, &err);
    /* without an opener the run is stopping: what is in the queue is let go of */
    for (struct restore_item *item; (item = restore_queue_get(&run->frames));) {
        write_chunk(&writer, opener, &item, &plain);
        restore_item_free(item);
    }
    wipe(plain.data, plain.cap);
    destination_cursor_deinit(&writer.cursor);
    return NULL;
}
