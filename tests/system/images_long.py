#!/usr/bin/env python3
# build: release
# long
# timeout: 1800
"""A sparse image of 200 GB with some hundred MB of data all over it, and a stream of some GB, backed up and
restored, while no process of Sealift takes more than 256 MB of anonymous memory."""

import errno
import hashlib
import json
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Site, expect, wait_until

MOST_BYTES = 256 * 1000 * 1000
SIZE = 200 * 10**9
PIECES = 400
STREAM = 2_300_000_000
SAMPLE_EVERY_S = 0.05


class Peaks(threading.Thread):
    """The most anonymous memory of the daemons and of every command, by name, in bytes."""

    def __init__(self, site):
        super().__init__(daemon=True)
        self.site, self.peaks, self.ended = site, {}, threading.Event()

    def run(self):
        while not self.ended.wait(SAMPLE_EVERY_S):
            names = {daemon.process.pid: name for name, daemon in list(self.site.daemons.items())}
            with open(f"/proc/{os.getpid()}/task/{os.getpid()}/children") as file:
                for pid in map(int, file.read().split()):
                    self.note(names.get(pid, "sealift"), pid)

    def note(self, name, pid):
        try:
            with open(f"/proc/{pid}/status") as file:
                taken = sum(int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon:"))
        except OSError:
            return
        self.peaks[name] = max(self.peaks.get(name, 0), taken)

    def tell(self, what, seconds):
        peaks, self.peaks = self.peaks, {}
        print(f"{what}: {seconds:.1f} s, " + ", ".join(f"{name} {peak / 1e6:.0f} MB" for name, peak in sorted(peaks.items())),
              flush=True)
        for name, peak in peaks.items():
            expect(peak <= MOST_BYTES, f"{what}: {name} took {peak / 1e6:.0f} MB")


def extents(path):
    """What is no hole."""
    found, at = [], 0
    with open(path, "rb") as file:
        while True:
            try:
                start = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError as failure:
                if failure.errno == errno.ENXIO:
                    return found
                raise
            at = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            found.append((start, at))


def make_image(path):
    pieces = []
    chosen = random.Random(7)
    with open(path, "wb") as file:
        file.truncate(SIZE)
        for i in range(PIECES):
            at = chosen.randrange(SIZE // PIECES) + i * (SIZE // PIECES)
            data = chosen.randbytes(chosen.choice([1, 4096, 500_000, 2_000_000]))[:SIZE - at]
            file.seek(at)
            file.write(data)
            pieces.append((at, len(data), hashlib.sha256(data).digest()))
    return pieces


def assert_same(pieces, path):
    expect(os.path.getsize(path) == SIZE, "the size of the image")
    with open(path, "rb") as file:
        for at, length, digest in pieces:
            file.seek(at)
            expect(hashlib.sha256(file.read(length)).digest() == digest, f"the data at {at}")
        # and nothing but zeros around it
        for start, end in extents(path):
            file.seek(start)
            data = bytearray(file.read(end - start))
            for at, length, _ in pieces:
                if at < end and at + length > start:
                    data[max(at - start, 0):at + length - start] = bytes(min(at + length, end) - max(at, start))
            expect(not any(data), f"bytes of nobody between {start} and {end}")


with Site("images") as site:
    site.begin()
    image, out, fed = site.path("image"), site.path("out"), site.path("fed")
    pieces = make_image(image)
    make = (f"openssl enc -aes-128-ctr -K 00112233445566778899aabbccddeeff -iv 00000000000000000000000000000000 "
            f"-in /dev/zero 2>/dev/null | head -c {STREAM}")
    site.add_transporter("source", "trusted", read=[image], restore=[out], extra=
                         f'streams = ( {{ name = "db"; command = [ "/bin/sh", "-c", "{make}" ]; '
                         f'restore = [ "/bin/sh", "-c", "sha256sum > {fed}" ]; }} );\n')
    site.add_transporter("target", "untrusted", repositories=[site.path("store")])
    site.sealift("repository", "create", "offsite", "--on", "target", "--path", site.path("store", "r"))
    site.sealift("key", "create", "main", "--description", "for tests", "--generate")
    for job, what in (("disk", ("--image", f"source:{image}")), ("db", ("--stream", "source:db"))):
        site.sealift("job", "create", job, *what, "--repository", "offsite", "--encrypt", "source", "--key", "main")
    peaks = Peaks(site)
    peaks.start()

    def step(what, *args):
        started = time.monotonic()
        done = site.sealift(*args, timeout=1200)
        peaks.tell(what, time.monotonic() - started)
        return done

    # younger times are not trusted
    wait_until(lambda: time.time() - os.stat(image).st_ctime > 3, "the image is old enough")
    data = sum(length for _, length, _ in pieces)
    first = json.loads(step("image, first backup", "--json", "job", "run", "disk", "--wait").stdout)
    expect(first["content_bytes"] == SIZE and first["read_bytes"] < 2 * data, f"holes are not read: {first}")
    again = json.loads(step("image, nothing changed", "--json", "job", "run", "disk", "--wait").stdout)
    expect(again["read_bytes"] == 0 and again["sent_bytes"] < 100_000, f"what is unchanged is not read: {again}")
    with open(image, "r+b") as file:
        at, length, _ = pieces[PIECES // 2]
        changed = bytes(255 - i % 251 for i in range(length))
        file.seek(at)
        file.write(changed)
        pieces[PIECES // 2] = (at, length, hashlib.sha256(changed).digest())
    third = json.loads(step("image, one place changed", "--json", "job", "run", "disk", "--wait").stdout)
    expect(third["sent_bytes"] < 5_000_000, f"what is known is not sent: {third}")
    step("image, restore", "restore", "disk@latest", "--to", f"source:{out}/", "--wait")
    assert_same(pieces, os.path.join(out, "image"))
    expect(os.stat(os.path.join(out, "image")).st_blocks * 512 < 2 * data, "holes are holes again")

    backed = json.loads(step("stream, backup", "--json", "job", "run", "db", "--wait").stdout)
    expect(backed["content_bytes"] == STREAM, f"the stream: {backed}")
    step("stream, restore into a command", "restore", "db@latest", "--into", "source:db", "--wait")
    step("stream, restore to a file", "restore", "db@latest", "--to", f"source:{out}/", "--wait")
    with open(os.path.join(out, "db"), "rb") as file, open(fed) as said:
        expect(hashlib.file_digest(file, "sha256").hexdigest() == said.read().split()[0], "both are the same")
    expect(os.path.getsize(os.path.join(out, "db")) == STREAM, "all of the stream")
    peaks.ended.set()
    peaks.join()
print("memory does not grow with an image or a stream")
