#!/usr/bin/env python3
# build: asan
# timeout: 120
"""A device that cannot be read to its end. An image of it fails, with the device and the offset named, and commits
nothing; a tree on it loses the files that lie there, each named, and keeps all others; once the device is whole
again, so are the next runs. The device is a loop device whose backing file was cut off. A restore fails to a device
that takes what is written and loses it later, even if another program was told of that before: one whose backing
file has no room.

And a disk that fails at one call of a daemon that goes on (failing_disk.c): write, sync, link, rename; of packs, points,
log, index, cache and restored files."""

import errno
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Failed, Site, expect, same

MIB = 1 << 20
SIZE = 48 * MIB


def tool(*argv, check=True):
    done = subprocess.run(argv, capture_output=True, text=True, env=dict(os.environ, PATH=os.environ["PATH"] + ":/sbin"))
    if check and done.returncode:
        raise Failed(f"{' '.join(argv)}: {done.stderr}")
    return done


class Disk:
    """A file as a block device, under a name of its own."""

    def __init__(self, image, link):
        self.image, self.link, self.device, self.mounted = image, link, None, None

    def attach(self, *options):
        # direct I/O: else the kernel makes zeros of what the file lacks
        made = tool("losetup", "--find", "--show", *(options or ["--direct-io=on"]), self.image, check=False)
        if made.returncode:
            print(f"skipped: loop devices with direct I/O are not permitted here: {made.stderr.strip()}")
            sys.exit(77)
        self.device = made.stdout.strip()
        if os.path.lexists(self.link):
            os.remove(self.link)
        os.symlink(self.device, self.link)

    def mount(self, at, *options):
        os.makedirs(at, exist_ok=True)
        tool("mount", *options, self.device, at)
        self.mounted = at

    def unmount(self):
        if self.mounted:
            tool("umount", self.mounted)
        self.mounted = None

    def detach(self):
        self.unmount()
        if self.device:
            tool("losetup", "--detach", self.device)
        self.device = None

    def cut(self, at):
        """Everything from there on cannot be read any more."""
        os.truncate(self.image, at)
        with open(self.device, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            file.seek(SIZE - MIB)
            try:
                file.read(4096)
            except OSError:
                return
        print("skipped: this kernel reads what is beyond the end of a loop device's file as zeros")
        sys.exit(77)

    def mend(self, whole):
        self.detach()
        shutil.copyfile(whole, self.image)
        self.attach()


def points(site, job):
    return json.loads(site.sealift("--json", "point", "list", "--job", job).stdout)["points"]


def image(site, disk):
    whole = site.path("whole.img")
    data = random.Random(1).randbytes(MIB)
    with open(disk.image, "wb") as file:
        for i in range(SIZE // MIB):
            file.write(data[i:] + data[:i] if i % 3 else bytes(MIB))
    shutil.copyfile(disk.image, whole)
    disk.attach()
    cut = 31 * MIB + 8192
    disk.cut(cut)
    failed = site.sealift("--json", "job", "run", "disk", "--wait", code=3)
    named = re.search(rf"cannot read '{disk.link}' at offset (\d+): [Ii]nput/output error", failed.stderr)
    # a page or a request of the kernel before it, or where another thread reads, behind it
    expect(named and cut - MIB < int(named.group(1)) < SIZE, f"device, offset and reason are named: {failed.stderr}")
    expect(points(site, "disk") == [], "a point of a device that could not be read")
    disk.mend(whole)
    site.sealift("job", "run", "disk", "--wait")
    site.sealift("restore", "disk@latest", "--to", f"source:{site.path('out', 'image')}", "--wait")
    with open(site.path("out", "image"), "rb") as a, open(whole, "rb") as b:
        expect(a.read() == b.read(), "the image of the device that was mended")
    disk.detach()


def first_block(disk, name):
    """Where on the device the content of a file begins, and ends."""
    said = tool("debugfs", "-R", f"blocks /tree/{name}", disk.device).stdout
    blocks = [int(number) for number in re.findall(r"\d+", said)]
    return min(blocks), max(blocks)


def tree(site, disk):
    whole, at = site.path("whole.img"), site.path("mount")
    with open(disk.image, "wb") as file:
        file.truncate(SIZE)
    disk.attach()
    tool("mkfs.ext4", "-q", "-b", "4096", "-O", "^has_journal", "-E", "lazy_itable_init=0", disk.device)
    disk.mount(at)
    os.makedirs(at + "/tree")
    names = [f"file-{i}" for i in range(5)]
    for i, name in enumerate(names):
        with open(f"{at}/tree/{name}", "wb") as file:
            file.write(random.Random(i).randbytes(4 * MIB + 100))
        tool("sync", "-f", at)
    tool("cp", "-a", at + "/tree", site.path("copy"))
    disk.unmount()
    shutil.copyfile(disk.image, whole)
    places = {name: first_block(disk, name) for name in names}
    bad = max(names, key=lambda name: places[name][0])
    end = max(places[name][1] for name in names if name != bad) + 1
    expect(places[bad][0] >= end, f"no file lies behind all others: {places}")
    disk.cut(places[bad][0] * 4096 + MIB)
    disk.mount(at, "-o", "ro")
    done = site.sealift("--json", "job", "run", "tree", "--wait", code=1)
    expect(f"{at}/tree/{bad}: " in done.stderr and "nput/output error" in done.stderr, f"it is named: {done.stderr}")
    expect(json.loads(done.stdout)["warnings"] == 1, f"and nothing else is: {done.stdout}")
    expect([point["warnings"] for point in points(site, "tree")] == [1], "the point says so")

    def restored(name):
        out = site.path("out", name)
        site.sealift("restore", "tree@latest", "--to", f"source:{out}", "--wait")
        return out + at + "/tree"

    found = restored("some")
    expect(sorted(os.listdir(found)) == sorted(set(names) - {bad}), f"all others are kept: {os.listdir(found)}")
    disk.mend(whole)
    disk.mount(at, "-o", "ro")
    site.sealift("job", "run", "tree", "--wait")
    same(restored("all"), site.path("copy"), "once it can be read")


def written(at):
    return sum(os.path.getsize(os.path.join(base, name)) for base, _, names in os.walk(at) for name in names)


def losing(site, disk):
    """The restore stands still when more is written than the disk has room for; somebody else syncs, and is told;
    then the disk gets room for the rest. Only a sync by who was there before knows that something is missing."""
    room, out = site.path("room"), site.path("out", "losing")
    for path in (room, out):
        os.makedirs(path)
    tool("mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", room)
    with open(disk.image, "wb") as file:
        file.truncate(SIZE)
    disk.attach("--direct-io=off")
    tool("mkfs.ext4", "-q", "-b", "4096", "-O", "^has_journal", "-E", "lazy_itable_init=0", disk.device)
    disk.mount(out)
    source = site.daemons["source"].process
    run = subprocess.Popen(site.operator_command("restore", "tree@latest", "--to", f"source:{out}/all", "--wait"),
                           env=site.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while written(out) < 13 * MIB and run.poll() is None:
        time.sleep(0.001)
    source.send_signal(signal.SIGSTOP)
    tool("sync", "--file-system", out, check=False)
    tool("mount", "-o", "remount,size=100m", room)
    source.send_signal(signal.SIGCONT)
    said = "".join(run.communicate(timeout=60))
    expect(run.returncode == 3 and "cannot sync the destination: " in said, f"{run.returncode}: {said}")


EIO, ENOSPC, HALF = errno.EIO, errno.ENOSPC, 0

# Of a backup: host, call, errno (or a write takes half of what it is given, each time), path; what the run says, which
# then fails; None: it goes well.
BACKUP_FAULTS = (
    ("vault", "write", EIO, "/open/", r"in '.*/store/r': cannot write 'open/"),
    ("vault", "write", ENOSPC, "/open/", r"in '.*/store/r': cannot write 'open/"),
    ("vault", "write", HALF, "/open/", None),
    ("vault", "sync", EIO, "/open/", r"cannot sync '.*/store/r/open/"),
    ("vault", "link", EIO, "/packs/", r"cannot publish 'open/.*' as '.*/store/r/packs/"),
    ("vault", "sync", EIO, "/packs/", r"where '.*/store/r/packs/.*' lies: cannot sync the directory"),
    ("vault", "write", EIO, "/points/", r"'.*/store/r/points/.*': cannot write"),
    ("vault", "sync", EIO, "/points/", r"'.*/store/r/points/.*': cannot sync"),
    ("vault", "link", ENOSPC, "/points/", r"'.*/store/r/points/.*': cannot create"),
    ("vault", "write", ENOSPC, "/log/", r"log entry \d+: '.*/store/r/log/\d+': cannot write"),
    ("vault", "write", HALF, "/log/", None),
    ("vault", "sync", EIO, "/log/", r"log entry \d+: '.*/store/r/log/\d+': cannot sync"),
    ("vault", "link", EIO, "/log/", r"log entry \d+: '.*/store/r/log/\d+': cannot create"),
    # the entry is there: the repository is opened anew, and knows it
    ("vault", "sync", EIO, "/log$", r"log entry \d+: '.*/store/r/log/\d+': cannot sync the directory"),
    ("vault", "write", EIO, "/index/", r"the chunk index '.*/index': cannot write"),
    ("vault", "write", ENOSPC, "/index/", r"the chunk index '.*/index': cannot write"),
    ("vault", "rename", EIO, "/head", None),  # what is remembered may be older
    # the point is told by then, and a cache that could not be renewed costs time only: the source's log says so
    ("source", "write", EIO, "/stage", None),
    ("source", "sync", EIO, "/cache/", None),
    ("source", "rename", EIO, "/cache/", None),
)
RESTORE_FAULTS = (
    ("source", "write", EIO, "/out/", r"cannot write '"),
    ("source", "write", HALF, "/out/", None),
    ("source", "sync", EIO, "/out", r"the destination '.*/out/r': cannot sync|cannot sync the destination"),
    ("source", "write", EIO, "(deleted)", r"a temporary file"),
)


def fail_next(site, host, call, code, part):
    for path in (f"{host}.fault.hits", f"{host}.fault"):
        if os.path.exists(site.path(path)):
            os.remove(site.path(path))
    with open(site.path(f"{host}.fault.new"), "w") as file:
        file.write(f"{call} {code} {1 if code else 20} {part}")
    os.rename(site.path(f"{host}.fault.new"), site.path(f"{host}.fault"))


def hits(site, host):
    try:
        with open(site.path(f"{host}.fault.hits")) as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []


def run_on_failing_disk(site, host):
    site.daemons[host].stop()
    site.run_transporter(host, ("env", f"FAILING_DISK={site.path(host + '.fault')}",
                                f"LD_PRELOAD={os.path.join(site.bin, 'failing_disk.so')}", "ASAN_OPTIONS=" + ":".join(
                                    (os.environ.get("ASAN_OPTIONS", ""), "verify_asan_link_order=0"))))
    site.daemons["director"].wait_for(f"event=connected transporter={host} ")


def meets(site, fault, *verb):
    """The command, while the disk fails; it must have met it."""
    host, call, code, part, says = fault
    fail_next(site, host, call, code, part)
    done = site.sealift(*verb, "--wait", code=(0, 1, 3))
    os.remove(site.path(f"{host}.fault"))
    expect(hits(site, host), f"{fault}: nothing met it")
    if says:
        expect(done.returncode == 3 and re.search(says, done.stderr) and os.strerror(code) in done.stderr, f"{fault}: {done}")
    else:
        expect(done.returncode != 3, f"{fault}: {done}")
    return done.returncode == 0


def faults(site):
    """Each call that matters fails once, in a daemon that goes on; the next run goes well, and nothing that was said to be
    kept is lost."""
    tree, out = site.path("data"), site.path("out", "r")
    os.makedirs(tree)
    site.begin()
    site.add_backup(tree)
    for host in ("source", "vault"):
        run_on_failing_disk(site, host)
    kept = 0
    for n, fault in enumerate(BACKUP_FAULTS):
        with open(os.path.join(tree, f"file-{n}"), "wb") as file:
            file.write(os.urandom(100000))
        kept += meets(site, fault, "job", "run", "web")
        site.sealift("job", "run", "web", "--wait")
        kept += 1
    told = [line for line in site.daemons["source"].lines() if "event=cache_not_renewed" in line and os.strerror(EIO) in line]
    expect(len(told) == 3, f"each cache that was not renewed is named: {told}")
    for fault in RESTORE_FAULTS:
        meets(site, fault, "restore", "web@latest", "--to", f"source:{out}")
        shutil.rmtree(out)
        site.sealift("restore", "web@latest", "--to", f"source:{out}", "--wait")
        same(tree, out + tree, f"the restore after {fault}")
        shutil.rmtree(out)
    for again in range(2):
        expect(len(points(site, "web")) >= kept, f"of {kept} points that were told {len(points(site, 'web'))} are there")
        said = site.sealift("repository", "check", "offsite", "--level", "hash", "--wait").stdout
        expect("verdict:        sound" in said, said)
        site.daemons["vault"].stop()
        site.run_transporter("vault").wait_for("event=repository_open")


with Site("faults") as site:
    faults(site)
with Site() as site:
    lossy = Disk(site.path("room", "lossy.img"), site.path("lossy"))
    disk = Disk(site.path("disk.img"), site.path("disk"))
    try:
        with open(disk.image, "wb") as file:
            file.truncate(SIZE)
        disk.attach()
        disk.detach()
        site.begin()
        site.add_transporter("source", "trusted", read=[disk.link, site.path("mount")], restore=[site.path("out")])
        site.add_transporter("vault", "untrusted", repositories=[site.path("store")])
        site.sealift("repository", "create", "offsite", "--on", "vault", "--path", site.path("store", "r"))
        site.sealift("key", "create", "main", "--description", "for tests", "--generate")
        for job, what in (("disk", ("--image", f"source:{disk.link}")),
                          ("tree", ("--backup", f"source:{site.path('mount')}/tree"))):
            site.sealift("job", "create", job, *what, "--repository", "offsite", "--encrypt", "source", "--key", "main")
        image(site, disk)
        tree(site, disk)
        losing(site, lossy)
    finally:
        disk.detach()
        lossy.detach()
        tool("umount", site.path("room"), check=False)
print("what cannot be read or written is named, and nothing is taken for zeros")
