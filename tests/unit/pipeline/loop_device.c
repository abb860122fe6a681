#include "loop_device.h"

#include "common/base/auto.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>

enum { TRIES = 20 }; /* others may take the free one first */

struct loop_device loop_device_make(off_t size)
{
    struct loop_device device = {.fd = -1};
    AUTO(fd) int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    AUTO(fd) int file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    cr_assert(file >= 0 && ftruncate(file, size) == 0);
    for (int i = 0; control >= 0 && i < TRIES; i++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        (void)snprintf(device.path, sizeof(device.path), "/dev/loop%d", number);
        device.fd = number < 0 ? -1 : open(device.path, O_RDWR | O_CLOEXEC);
        if (device.fd >= 0 && ioctl(device.fd, LOOP_SET_FD, file) == 0) {
            struct loop_info64 info = {.lo_flags = LO_FLAGS_AUTOCLEAR}; /* whatever becomes of the test */
            cr_assert_eq(ioctl(device.fd, LOOP_SET_STATUS64, &info), 0);
            return device;
        }
        auto_close_fd(device.fd);
        device.fd = -1;
    }
    cr_skip_test("loop devices are not permitted here");
    return device;
}

void loop_device_remove(struct loop_device *device)
{
    if (device->fd < 0) return;
    (void)close(device->fd);
}
