#!/usr/bin/env python3
# build: asan
# timeout: 200
"""Full disks: the repository's, the source's state, the director's state, a restore's destination. What fails says
so by name, every daemon lives on, what was committed stays whole, and once there is room the same job runs."""

import glob
import json
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Failed, Site, expect, make_tree, same, wait_until

GIB, MIB = 1 << 30, 1 << 20


class Disk:
    """A file system of its own in a file of holes."""

    def __init__(self, site, name, size):
        self.image, self.at = site.path(name + ".img"), site.path(name)
        os.makedirs(self.at)
        with open(self.image, "wb") as file:
            file.truncate(size)
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", self.image], check=True)
        mounted = subprocess.run(["mount", "-o", "loop", self.image, self.at], capture_output=True, text=True)
        if mounted.returncode:
            print(f"mounting a loop device is not permitted here: {mounted.stderr.strip()}")
            sys.exit(77)
        os.chmod(self.at, 0o700)

    def free(self):
        st = os.statvfs(self.at)
        return st.f_bavail * st.f_frsize

    def fill(self, leave=0):
        """Leaves so many bytes free; 0: not one block."""
        with open(os.path.join(self.at, "filler"), "ab") as file:
            step = self.free() - leave
            while step >= 4096:
                try:
                    os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, step & ~4095)
                    step = self.free() - leave
                except OSError:
                    step //= 2

    def make_room(self):
        os.remove(os.path.join(self.at, "filler"))

    def unmount(self):
        subprocess.run(["umount", self.at], check=False, capture_output=True)


def points(site):
    return [row["id"] for row in json.loads(site.sealift("--json", "point", "list", "--job", "web").stdout)["points"]]


def alive(site):
    for name, daemon in site.daemons.items():
        expect(daemon.process.poll() is None, f"{name} ended with {daemon.process.returncode}")


def add_file(tree, name, size):
    with open(os.path.join(tree, name), "wb") as file:
        file.write(os.urandom(size))


def restore(site, point, name, code=0):
    out = site.path("out", name)
    return out, site.sealift("restore", point, "--to", f"source:{out}", "--wait", code=code)


def run_fails(site, what):
    """The run ends with exit code 3 and a sentence that says whose disk is full."""
    done = site.sealift("job", "run", "web", "--wait", code=3)
    expect("space" in done.stderr or "full" in done.stderr, f"{what}: the reason is not named: {done.stderr}")
    alive(site)
    return done.stderr


def repository_disk(site, disk, tree):
    first = points(site)[0]
    before = site.path("before")
    subprocess.run(["cp", "-a", tree, before], check=True)
    add_file(tree, "new-1", 40 * MIB)

    # the disk fills while the run is on its way
    run = subprocess.Popen([os.path.join(site.bin, "sealift"), "job", "run", "web", "--wait"], env=site.env,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    free, end = disk.free(), time.monotonic() + 30
    while disk.free() > free - 4 * MIB and run.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
    disk.fill()
    _, err = run.communicate(timeout=60)
    expect(run.returncode == 3, f"a run whose disk fills up: exit code {run.returncode}: {err}")
    expect("vault: there is no space left" in err, f"the host whose disk is full is named: {err}")
    alive(site)
    expect(points(site) == [first], "nothing was committed")

    # as long as it is full
    said = run_fails(site, "a run into a full disk")
    expect("where the repository lies" in said, f"the repository's disk is named: {said}")
    out, _ = restore(site, first, "while-full")
    same(before, out + tree, "a restore from a full disk")
    site.sealift("offline", "check", os.path.join(disk.at, "r"), "--level", "hash")
    site.daemons["vault"].stop()
    site.run_transporter("vault").wait_for("event=repository_open")
    expect(points(site) == [first], "points after a restart on a full disk")
    out, _ = restore(site, first, "restarted-full")
    same(before, out + tree, "a restore from a full disk after a restart")

    disk.make_room()
    site.sealift("job", "run", "web", "--wait")
    out, _ = restore(site, "web@latest", "room")
    same(tree, out + tree, "a restore of what was backed up after room was made")
    expect(len(points(site)) == 2 and first in points(site), "the new point stands beside the old one")


def way_out(site, disk, tree):
    """Prune and sweep work on a disk without one free block, and make the room that the next backup needs."""
    reserve, filler = os.path.join(disk.at, "r", "reserve"), os.path.join(disk.at, "filler")
    expect(os.stat(reserve).st_blocks * 512 >= 64 * MIB, "64 MiB are set aside")
    add_file(tree, "junk", 40 * MIB)
    site.sealift("job", "run", "web", "--wait")
    os.remove(os.path.join(tree, "junk"))
    site.sealift("job", "run", "web", "--wait")
    add_file(tree, "new-after", 2 * MIB)
    disk.fill(GIB - 16 * MIB)
    before = os.path.getsize(filler)
    said = run_fails(site, "a run below the least free space")
    expect("backups stop below 1024 MiB" in said and "only 10" in said, f"how much is free and needed: {said}")
    wait_until(lambda: "'offsite': only " in site.sealift("status", code=(0, 1)).stderr, "status warns before the next run fails")
    disk.fill()
    run_fails(site, "a run into a full disk")
    pruned = site.sealift("job", "prune", "web", "--yes").stdout
    expect(" removed, 1 stays" in pruned, pruned)
    expect(not os.path.exists(reserve), "the reserve is given back on a full disk")
    swept = site.sealift("repository", "sweep", "offsite").stdout
    expect("taken away" in swept and disk.free() > 16 * MIB, f"{swept}: {disk.free()} bytes free")
    expect(os.stat(reserve).st_blocks * 512 >= 64 * MIB, "and made again when there is room")
    os.truncate(filler, before)  # what somebody else had filled on top
    site.sealift("job", "run", "web", "--wait")
    out, _ = restore(site, "web@latest", "way-out")
    same(tree, out + tree, "a restore of what was backed up after prune and sweep")
    disk.make_room()


def target_state(site, disk, tree):
    """The index of the repository lies in its transporter's state."""
    add_file(tree, "new-2", 3 * MIB)
    disk.fill()
    before = points(site)
    done = site.sealift("job", "run", "web", "--wait", code=(0, 1, 3))
    expect(done.returncode != 3 or "space" in done.stderr, f"the target's state disk is full: {done.stderr}")
    alive(site)
    disk.make_room()
    site.sealift("job", "run", "web", "--wait")
    out, _ = restore(site, "web@latest", "target-state")
    same(tree, out + tree, "a restore after the target's state disk was full")
    expect(set(before) < set(points(site)), "no point was lost")


def reindex_without_room(site, disk, tree):
    """The index is dropped before it is built anew: without room for it the repository stays closed, says so to whoever
    asks, and is opened by its transporter itself once there is room."""
    (index,) = glob.glob(os.path.join(disk.at, "repositories", "*", "index", "data.mdb"))
    kept, before = os.path.join(disk.at, "kept"), points(site)
    os.link(index, kept)  # what is dropped gives no room back
    disk.fill()
    opened = len([line for line in site.daemons["vault"].lines() if "event=repository_open " in line])
    for verb in (("repository", "reindex", "offsite", "--wait"), ("job", "run", "web", "--wait")):
        said = site.sealift(*verb, code=3).stderr
        expect("No space left" in said or "disk is full" in said, f"a state disk without room for the index: {said}")
    (row,) = json.loads(site.sealift("--json", "status", code=(0, 1)).stdout)["repositories"]
    expect(row["state"] == "no_space" and "No space left" in row["text"], f"the repository says why it is closed: {row}")
    alive(site)
    disk.make_room()
    os.remove(kept)
    wait_until(lambda: len([line for line in site.daemons["vault"].lines() if "event=repository_open " in line]) > opened,
               "the repository is open again")
    site.sealift("job", "run", "web", "--wait")
    out, _ = restore(site, "web@latest", "reindexed")
    same(tree, out + tree, "a restore after an index was built anew")
    expect(set(before) <= set(points(site)), "no point was lost")


def source_state(site, disk, tree):
    """A point is told before the cache is renewed: where that cannot be written, the log says so, and the next run
    reads again."""
    for i in range(400):
        add_file(tree, f"small-{i}", 40)
    disk.fill()
    site.sealift("job", "run", "web", "--wait", code=(0, 1))
    said = site.daemons["source"].wait_for(r"event=cache_not_renewed|the cache of")
    expect("No space left" in said, f"the source's state disk is full: {said}")
    alive(site)
    disk.make_room()
    site.sealift("job", "run", "web", "--wait")
    out, _ = restore(site, "web@latest", "source-state")
    same(tree, out + tree, "a restore after the source's state disk was full")


def restore_disk(site, disk):
    out = os.path.join(disk.at, "out")
    disk.fill(4 * MIB)
    done = site.sealift("restore", "web@latest", "--to", f"source:{out}", "--wait", code=3)
    expect("space" in done.stderr, f"a restore into a full disk: {done.stderr}")
    alive(site)
    disk.make_room()
    shutil.rmtree(out, ignore_errors=True)
    site.sealift("restore", "web@latest", "--to", f"source:{out}", "--wait")
    return out


def director_state(site, disk):
    """What cannot be kept is refused and ends the director, by name; what was acknowledged is there when it is
    back, and transporters find it again."""
    jobs = lambda: {row["name"] for row in json.loads(site.sealift("--json", "job", "list").stdout)["jobs"]}
    director = site.daemons["director"]
    known = jobs()
    disk.fill()
    for i in range(200):
        done = site.sealift("job", "create", f"job-{i}", "--backup", f"source:{site.path('data')}", "--repository",
                            "offsite", "--encrypt", "source", "--key", "main", code=(0, 3, 7))
        if done.returncode:
            break
        known.add(f"job-{i}")
    # what the director keeps for itself, a transporter's last word for example, may have met the full disk first
    expect(done.returncode == 7 or done.returncode == 3 and "disk is full" in done.stderr,
           f"what cannot be kept is refused: {done.returncode} {done.stderr}")
    expect(director.process.wait(30) == 3, f"the director ends with {director.process.returncode}")
    expect(any("disk is full" in line for line in director.lines()), f"and says why: {director.lines()[-3:]}")
    disk.make_room()
    site.run_director()
    expect(jobs() == known, f"after a restart: {jobs() ^ known}")
    for name in ("source", "vault"):
        site.daemons["director"].wait_for(f"event=connected transporter={name}")
    site.sealift("job", "run", "web", "--wait")


disks = []
with Site() as site:
    try:
        for name, size in (("store", GIB + 272 * MIB), ("source", 64 * MIB), ("vault", 64 * MIB),
                           ("director", 24 * MIB), ("small", 96 * MIB)):
            disks.append(Disk(site, name, size))
        store, source, vault, director, small = disks
        site.begin()
        tree = site.path("data")
        make_tree(tree, files=40)
        site.add_backup(tree, repository=os.path.join(store.at, "r"), restore=[small.at], job=["--keep-last", "1"])
        site.sealift("job", "run", "web", "--wait")
        repository_disk(site, store, tree)
        way_out(site, store, tree)
        same(tree, restore_disk(site, small) + tree, "a restore after room was made at its destination")
        source_state(site, source, tree)
        target_state(site, vault, tree)
        reindex_without_room(site, vault, tree)
        director_state(site, director)
        for name in ("source", "vault"):
            site.daemons[name].stop()
        site.sealift("offline", "check", os.path.join(store.at, "r"), "--level", "hash")
    finally:
        for daemon in site.daemons.values():
            if daemon.process.poll() is None:
                daemon.stop()
        for disk in disks:
            disk.unmount()
print("full disks are named, and survived")
