/* Where a test's directory is quickly filled and synced. */
#ifndef SEALIFT_TESTS_FAST_FOLDER_H
#define SEALIFT_TESTS_FAST_FOLDER_H

/* "/dev/shm" where that takes files with extended attributes, else "/tmp". Tests sync hundreds of
 * repositories, and ext4 is slow to make files where many were removed a moment ago. */
const char *fast_folder(void);

#endif
