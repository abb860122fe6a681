/* File systems that hold no data of users: what the kernel shows of itself. */
#ifndef SEALIFT_SOURCE_MOUNTS_H
#define SEALIFT_SOURCE_MOUNTS_H

#include <stdbool.h>

/* By statfs(2)'s magic number. tmpfs and devtmpfs are not among them. An error is not one either. */
bool mount_is_pseudo(int fd);

#endif
