/* Block devices for tests: loop devices over files without a name. */
#ifndef SEALIFT_TEST_LOOP_DEVICE_H
#define SEALIFT_TEST_LOOP_DEVICE_H

#include <sys/types.h>

struct loop_device {
    char path[32];
    int fd;
};
/* Skips the test where loop devices are not permitted. */
struct loop_device loop_device_make(off_t size);
void loop_device_remove(struct loop_device *device);
static inline void auto_loop_device(struct loop_device *device)
{
    loop_device_remove(device);
}

#endif
