#!/usr/bin/env python3
# build: asan
# timeout: 200
"""What a run takes from the runs before: the cache of a job is waited for, dropped when asked, and lost
without harm; contents are not sent again, however young their files. Compressors and ciphers per job: each
restores, the better ones store less, unknown names are refused with the list of those there are."""

import fcntl
import glob
import json
import os
import shutil
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Site, expect, make_tree, same

HOWS = (("none", "none", "aes-256-gcm"), ("lz4", "lz4", "chacha20-poly1305"), ("zstd", "zstd:3", "aes-256-gcm"))


def run_job(site, job):
    done = site.sealift("--json", "job", "run", job, "--wait")
    return json.loads(done.stdout), done.stderr


def notes(said):
    return [line["note"]["text"] for line in map(json.loads, said.splitlines()) if "note" in line]


def restored(site, point, to):
    out = site.path("out", to)
    site.sealift("restore", point, "--to", f"source:{out}", "--wait")
    return out


def create(site, name, tree, *options, code=0):
    return site.sealift("job", "create", name, "--backup", f"source:{tree}", "--encrypt", "source", "--key", "main",
                        *options, code=code)


def lock_of(site):
    locks = glob.glob(site.path("source", "cache", "*", "lock"))
    expect(len(locks) == 1, f"one cache: {locks}")
    return locks[0]


def padme(length):
    """docs/format.md, Frame"""
    exponent = length.bit_length() - 1
    kept = exponent.bit_length()
    step = 1 << max(exponent - kept, 0)
    return (length + step - 1) // step * step


def body_lengths(repository):
    """Of every frame in its packs, as their trailers list them."""
    for name in glob.glob(os.path.join(repository, "packs", "*", "*")):
        with open(name, "rb") as file:
            pack = file.read()
        at = struct.unpack("<Q", pack[-16:-8])[0] + 16
        for i in range(struct.unpack("<I", pack[at:at + 4])[0]):
            kind, _, _, length, offset = struct.unpack_from("<BBHIQ", pack, at + 8 + 48 * i)
            if kind == 2:
                body = struct.unpack_from("<I", pack, offset + 4)[0]
                nodes, data = struct.unpack_from("<HH", pack, offset + 56)
                expect(length == 72 + 32 * (nodes + data) + body + 16, f"a frame of {length} bytes")
                yield body


def held(site, seconds):
    """The cache's lock, as a run that still renews it would have it."""
    file = open(lock_of(site), "rb")
    fcntl.flock(file, fcntl.LOCK_EX)
    threading.Timer(seconds, file.close).start()


with Site() as site:
    site.begin()
    tree = site.path("data")
    make_tree(tree)
    site.add_transporter("source", "trusted", read=[tree], restore=[site.path("out")])
    site.add_transporter("vault", "untrusted", repositories=[site.path("store")])
    for name in ("first", *[how[0] for how in HOWS]):
        site.sealift("repository", "create", name, "--on", "vault", "--path", site.path("store", name))
    site.sealift("key", "create", "main", "--description", "for tests", "--generate")
    time.sleep(2.1)  # what changed in the last two seconds is not trusted by the next run

    # the stat cache
    create(site, "web", tree, "--repository", "first")
    first, said = run_job(site, "web")
    expect("cache" not in said, f"the first run has no cache to miss: {said}")
    everything = first["read_bytes"]
    second, said = run_job(site, "web")
    expect(second["read_bytes"] == 0 and "cache" not in said, f"an unchanged tree was read: {second} {said}")
    # before the target is called, half of the lease (5 s), and behind that for longer
    for seconds in (1.5, 4):
        held(site, seconds)
        began = time.monotonic()
        third, said = run_job(site, "web")
        expect(third["read_bytes"] == 0 and "cache" not in said, f"a run did not wait for the cache: {third} {said}")
        expect(time.monotonic() - began > seconds - 0.5, "it cannot have waited")
    expect(any("event=cache_awaited" in line for line in site.daemons["source"].lines()), "the source's log says so")

    site.sealift("job", "rebuild-cache", "web")
    fourth, said = run_job(site, "web")
    expect(fourth["read_bytes"] == everything, f"a dropped cache was used: {fourth}")
    expect(fourth["sent_bytes"] < 200000, f"contents were sent again: {fourth}")
    expect("dropped as asked" in said, f"a dropped cache is not told: {said}")
    fifth, said = run_job(site, "web")
    expect(fifth["read_bytes"] == 0 and "cache" not in said, f"dropped twice: {fifth} {said}")
    with open(os.path.join(os.path.dirname(lock_of(site)), "state"), "w") as file:
        file.write("of another machine start\n")
    sixth, said = run_job(site, "web")
    expect(sixth["read_bytes"] == everything and "is lost" in said, f"a lost cache is not told: {sixth} {said}")
    expect(any("is lost" in note for note in notes(said)), f"what is no warning is told as one: {said}")
    shutil.rmtree(os.path.dirname(lock_of(site)))
    wiped, said = run_job(site, "web")
    expect(wiped["read_bytes"] == everything, f"a removed cache was used: {wiped}")
    expect(any("is lost" in note for note in notes(said)), f"a removed cache is not told: {said}")
    same(tree, restored(site, "web@latest", "web") + tree, "restore after all that")
    site.sealift("job", "rebuild-cache", "nothing", code=4)

    # a renamed, a touched and a copied file are read, and not sent
    os.rename(os.path.join(tree, "big"), os.path.join(tree, "renamed"))
    os.utime(os.path.join(tree, "d3/e0/file-3"))
    with open(os.path.join(tree, "d4/e1/file-4"), "rb") as file, open(os.path.join(tree, "copy"), "wb") as copy:
        copy.write(file.read())
    seventh, said = run_job(site, "web")
    expect(seventh["read_bytes"] > 5000000, f"the renamed file was not read: {seventh}")
    expect(seventh["sent_bytes"] < 200000, f"contents were sent again: {seventh}")

    # files too young to be trusted are sent once all the same, whatever else of their bundles changes
    young = os.path.join(tree, "young")
    os.mkdir(young)
    files = [os.path.join(young, f"{number:03}") for number in range(100)]
    for number in range(5):
        for file in files if number == 0 else files[50:51]:
            with open(file, "wb") as out:
                out.write(os.urandom(4000))
        for file in files:
            os.utime(file)  # its time of change is now
        done, said = run_job(site, "web")
        expect(number == 0 or done["sent_bytes"] < 50000, f"run {number} has sent contents again: {done}")
    shutil.rmtree(young)

    # compressors and ciphers
    stored = {}
    for name, compress, cipher in HOWS:
        create(site, name, tree, "--repository", name, "--compress", compress, "--cipher", cipher)
        stored[name] = run_job(site, name)[0]["stored_bytes"]
        shown = json.loads(site.sealift("--json", "point", "show", f"{name}@latest").stdout)
        expect(shown["cipher"] == cipher, f"sealed with another cipher: {shown}")
        same(tree, restored(site, f"{name}@latest", name) + tree, f"restore of {name}")
        lengths = list(body_lengths(site.path("store", name)))
        expect(len(lengths) > 10 and all(padme(length) == length for length in lengths),
               f"what is sealed has only lengths of Padmé: {sorted(lengths)}")
    print("stored bytes:", stored)
    expect(stored["none"] > 5000000 and stored["lz4"] < stored["none"] / 2 and stored["zstd"] < stored["lz4"],
           f"stored sizes: {stored}")
    for option, word, known in (("--compress", "zip", "lz4, zstd, zstd:1 to zstd:19, none"),
                                ("--cipher", "3des", "aes-256-gcm, chacha20-poly1305")):
        said = create(site, "bad", tree, "--repository", "first", option, word, code=2).stderr
        expect(word in said and known in said, f"{option} {word}: {said}")

print("what is known is not read, what is stored is not sent, and each compressor and cipher restores")
