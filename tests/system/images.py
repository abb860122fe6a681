#!/usr/bin/env python3
# build: asan
# timeout: 120
"""Images: a loop device with an ext4 file system in two states is backed up as one object and restored to another
device and to a file; both are clean file systems with the same files. What must not be written is not."""

import hashlib
import json
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Site, expect, make_tree, same

MIB = 1 << 20
SIZE = 160 * MIB


def tool(*argv, check=True):
    return subprocess.run(argv, check=check, capture_output=True, text=True)


def attach(image):
    made = tool("losetup", "--find", "--show", image, check=False)
    if made.returncode:
        print(f"loop devices are not permitted here: {made.stderr.strip()}")
        sys.exit(77)
    return made.stdout.strip()


def blank(path, size, junk=False):
    with open(path, "wb") as file:
        if junk:
            file.write(random.Random(1).randbytes(MIB) * (size // MIB))
        file.truncate(size)
    return path


class Mounted:
    def __init__(self, device, at, *options):
        self.device, self.at, self.options = device, at, options

    def __enter__(self):
        os.makedirs(self.at, exist_ok=True)
        tool("mount", *self.options, self.device, self.at)
        return self.at

    def __exit__(self, *_):
        tool("umount", self.at)


def digest(path, length):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read(length)).hexdigest()


def run_job(site, code=0):
    done = site.sealift("--json", "job", "run", "disk", "--wait", code=code)
    return json.loads(done.stdout), done.stderr


def check(site, devices):
    source, target, small = devices
    mount, other = site.path("mount"), site.path("other")
    link = site.path("disk-by-name")
    os.symlink(source, link)
    config = ('scripts = ( { name = "still"; command = [ "/bin/true" ]; } );\n')
    site.add_transporter("source", "trusted", read=[source, link, site.path("below")],
                         restore=[target, small, site.path("out"), "/dev"], extra=config)
    site.add_transporter("vault", "untrusted", repositories=[site.path("store")])
    site.sealift("repository", "create", "offsite", "--on", "vault", "--path", site.path("store", "r"))
    site.sealift("key", "create", "main", "--description", "for tests", "--generate")

    def create(name, image, *more):
        site.sealift("job", "create", name, "--image", f"source:{image}", "--repository", "offsite", "--encrypt",
                     "source", "--key", "main", *more)

    # two states; the second sends what has changed
    create("disk", source)
    tool("mkfs.ext4", "-q", "-E", "lazy_itable_init=0", source)
    with Mounted(source, mount) as at:
        make_tree(os.path.join(at, "tree"))
        tool("cp", "-a", os.path.join(at, "tree"), site.path("first"))
    first, _ = run_job(site)
    first_digest = digest(source, SIZE)
    expect(first["content_bytes"] == SIZE and first["files"] == 1, f"the first run: {first}")
    expect(first["sent_bytes"] < SIZE // 2, f"zeros travel: {first}")
    with Mounted(source, mount) as at:
        os.remove(os.path.join(at, "tree", "big"))
        make_tree(os.path.join(at, "second"), files=50, seed="b")
        tool("cp", "-a", os.path.join(at, "second"), site.path("second"))
        tool("sync")
        # in use, and no script stills it: told
        second, said = run_job(site, code=1)
        expect("crash-consistent" in said, f"a mounted device is copied as it is: {said}")
    expect(second["deduplicated_bytes"] > 5 * MIB, f"the second run: {second}")
    with Mounted(source, mount, "-o", "ro"):
        create("stilled", link, "--before", "still")
        site.sealift("job", "run", "stilled", "--wait")
    last_digest = digest(source, SIZE)
    points = json.loads(site.sealift("--json", "point", "list", "--job", "disk").stdout)["points"]
    expect([point["object"] for point in points] == ["image"] * 2, f"points say what they hold: {points}")
    expect(all(point["crash_consistent"] for point in points), f"points say that nobody stilled it: {points}")
    runs = json.loads(site.sealift("--json", "job", "history", "disk").stdout)["runs"]
    expect([run["crash_consistent"] for run in runs] == [True, True], f"so do runs: {runs}")
    for shown in (("point", "list"), ("point", "show", "disk@latest"), ("job", "history", "disk"),
                  ("offline", "list", site.path("store", "r"))):
        expect("crash-consistent" in site.sealift(*shown).stdout, f"{shown} tells people")
    for shown in (("point", "show", "stilled@latest"), ("job", "history", "stilled")):
        expect("crash-consistent" not in site.sealift(*shown).stdout, f"{shown} of a device that was stilled")
    oldest = min(points, key=lambda point: point["time"])["id"]

    # to a device full of old bytes, larger than the image
    def restore(point, to, overwrite="always", code=0):
        return site.sealift("restore", point, "--to", f"source:{to}", "--overwrite", overwrite, "--wait", code=code)

    said = restore(oldest, target, code=1).stderr
    expect("larger than the image" in said, f"what a device has beyond the image: {said}")
    expect(digest(target, SIZE) == first_digest, "the device is as it was")
    expect(tool("fsck.ext4", "-n", "-f", target, check=False).returncode == 0, "a clean file system")
    with Mounted(target, mount, "-o", "ro") as at:
        same(os.path.join(at, "tree"), site.path("first"), "the files in the device")
        # nothing is written where somebody works, or that is not named, or is too small
        expect("in use" in restore(oldest, target, code=3).stderr, "a mounted device")
    before = digest(small, SIZE - MIB)
    expect("nothing was written" in restore(oldest, small, code=3).stderr, "a device that is too small")
    expect(digest(small, SIZE - MIB) == before, "nothing was written to it")
    restore(oldest, target, overwrite="never", code=3)
    unlisted = attach(blank(site.path("unlisted.img"), SIZE))
    devices.append(unlisted)
    restore(oldest, unlisted, code=5)
    expect(digest(unlisted, SIZE) == hashlib.sha256(bytes(SIZE)).hexdigest(), "a device that is not listed by name")

    # the newer state over the older one: only what differs; then to a file
    restore("stilled@latest", target, overwrite="changed", code=1)
    expect(digest(target, SIZE) == last_digest, "the device is as it is now")
    os.mkdir(site.path("out"))
    restore("stilled@latest", site.path("out"), overwrite="never")
    image = site.path("out", "disk-by-name")
    expect(os.path.getsize(image) == SIZE and digest(image, SIZE) == last_digest, "an image in a file")
    expect(os.stat(image).st_blocks * 512 < SIZE // 2, "holes are holes again")
    expect(tool("fsck.ext4", "-n", "-f", image, check=False).returncode == 0, "a clean file system in a file")
    with Mounted(image, other, "-o", "ro,loop") as at:
        expect(not os.path.exists(os.path.join(at, "tree", "big")), "what was removed is not there")
        same(os.path.join(at, "second"), site.path("second"), "the files in the image")
    expect(site.sealift("cat", "stilled@latest", text=False).stdout[:SIZE] == open(image, "rb").read(), "an image on stdout")

    # the same without the site: to a file, to a device, on stdout
    def offline(verb, point, *more, code=0, text=True):
        return site.sealift("offline", verb, site.path("store", "r"), point, *more, code=code, text=text)

    alone = site.path("alone.img")
    offline("restore", oldest, "--to", alone)
    expect(os.path.getsize(alone) == SIZE and digest(alone, SIZE) == first_digest, "an image in a file, offline")
    expect(os.stat(alone).st_blocks * 512 < SIZE // 2, "holes are holes again, offline")
    expect("never empty" in offline("restore", oldest, "--to", target, code=3).stderr, "a device is not a new file")
    offline("restore", oldest, "--to", target, "--overwrite", "changed", code=1)
    expect(digest(target, SIZE) == first_digest, "a device, offline")
    expect("nothing was written" in offline("restore", oldest, "--to", small, "--overwrite", "always", code=3).stderr,
           "a device that is too small, offline")
    expect(offline("cat", oldest, text=False).stdout == open(alone, "rb").read(), "an image on stdout, offline")
    offline("restore", oldest, "/disk", "--to", alone, code=2)

    # a link below a root may be anybody's
    os.makedirs(site.path("below"))
    os.symlink(source, site.path("below", "link"))
    create("linked", site.path("below", "link"))
    said = site.sealift("job", "run", "linked", "--wait", code=5).stderr
    expect("symbolic link" in said, f"a link that the configuration does not list: {said}")


devices = []
with Site() as site:
    try:
        for name, size, junk in (("source", SIZE, False), ("target", SIZE + MIB, True), ("small", SIZE - MIB, True)):
            devices.append(attach(blank(site.path(name + ".img"), size, junk)))
        site.begin()
        check(site, devices)
    finally:
        for device in devices:
            tool("losetup", "--detach", device, check=False)
