/* The backup engine for images: one block device or disk image as one object. Threads cut its regions, the
 * calling thread puts their references in order. Memory is bounded by threads x (chunk + batch), whatever
 * the image's size. The manifest has one entry, a regular file by the image's last name. */
#ifndef SEALIFT_PIPELINE_BACKUP_IMAGE_H
#define SEALIFT_PIPELINE_BACKUP_IMAGE_H

#include "transporter/pipeline/backup.h"
#include "transporter/source/image_reader.h"

/* What is known of the image's state while it is read. */
enum image_moment {
    IMAGE_LIVE,   /* no script has: the copy of one in use is as after a power cut, and the point says so */
    IMAGE_STILLED /* a script has seen to it: a frozen file system, a snapshot */
};

struct image_source {
    const char *path; /* absolute */
    enum image_links links;
    enum image_moment moment;
};

/* As backup_tree; of options->walk it uses now_ns alone (0: now). An image that cannot be read to its end
 * fails, by the offset: nothing is committed. A file that is as the last run saw it is not read again. A file
 * that changed meanwhile is a warning, and its entry is marked as inexact; so is the entry of a device
 * that was in use and live, which is told. */
bool backup_image(const struct backup_options *options, const struct image_source *image,
                  struct backup_result *result, struct err *err) MUST_CHECK;

#endif
