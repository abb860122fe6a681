"""Mounts and fresh file systems, gone with the block that asked for them. They need root."""
import contextlib
import os
import subprocess

from harness import measure

BYTES = 6 << 30  # room for an image of 4 GiB whose holes have become zeros


def quietly(*argv, output=subprocess.PIPE, **options):
    done = subprocess.run(argv, stdout=output, stderr=subprocess.PIPE, text=True, check=False, **options)
    if done.returncode != 0:
        raise measure.Failed(f"{' '.join(argv[:3])} … ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


@contextlib.contextmanager
def mounted(*arguments):
    quietly("mount", *arguments)
    try:
        yield
    except BaseException:
        measure.end_all()  # what still runs would keep the mount busy
        raise
    finally:
        quietly("umount", arguments[-1])


@contextlib.contextmanager
def loop_device(image, say):
    """Writes past the page cache of the file below, as a disk would take them, where that works."""
    device = quietly("losetup", "--find", "--show", image).strip()
    try:
        quietly("losetup", "--direct-io=on", device)
    except measure.Failed:
        say("the loop device goes through the page cache twice: its restores take longer")
    try:
        yield device
    finally:
        quietly("losetup", "--detach", device)


@contextlib.contextmanager
def file_system(work_dir, say, size=BYTES, options=()):
    """An empty directory of a new ext4 in a file: what a file system has been through changes how fast it is."""
    image, mount_point = os.path.join(work_dir, "file-system"), os.path.join(work_dir, "fresh")
    with open(image, "wb") as file:
        file.truncate(size)
    quietly("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", *options, image)
    os.makedirs(mount_point, exist_ok=True)
    try:
        with contextlib.ExitStack() as mounts:
            with loop_device(image, say) as device:
                mounts.enter_context(mounted(device, mount_point))
            # Detached while in use: the device is free as soon as the mount is gone, however that comes.
            out = os.path.join(mount_point, "out")
            os.mkdir(out)
            yield out
    finally:
        os.unlink(image)
