#!/usr/bin/env python3
# build: asan
# timeout: 150
"""A forger with a repository's disk, who mends every hash that needs no key: what he moves, removes, replays, flips or
takes from elsewhere is named, by a check without a key and by who restores with one. And a log that was rolled back,
where only one party remembers the newer one."""

import glob
import json
import os
import shutil
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Site, expect

DAMAGED, NOT_AUTHENTIC = 22, 26
ENVELOPE, FRAME, LIST, TRAILER = 1, 2, 3, 4


def blake3(data):
    return bytes.fromhex(subprocess.run(["b3sum", "--no-names"], input=data, capture_output=True, check=True).stdout.decode())


class Pack:
    """A pack of the stored format (docs/format.md, section 6) that is written again with all its hashes as they should be."""

    def __init__(self, path):
        self.path, self.records = path, []
        with open(path, "rb") as file:
            data = file.read()
        self.header, at = data[:64], 64
        while at < len(data) - 16:
            length = struct.unpack_from("<I", data, at + 4)[0]
            self.records.append([data[at], data[at + 16:at + 16 + length], None])
            at += 16 + length
        _, trailer, _ = self.records.pop()
        for i, record in enumerate(self.records):
            record[2] = trailer[8 + 48 * i:56 + 48 * i]

    def of(self, kind):
        return [record for record in self.records if record[0] == kind]

    def write(self):
        out, entries = self.header, b""

        def add(kind, payload):
            head = struct.pack("<BxxxI", kind, len(payload))
            return head + blake3(head + blake3(payload))[:8] + payload

        for kind, payload, entry in self.records:
            entries += entry[:4] + struct.pack("<IQ", len(payload), len(out) + 16) + entry[16:]
            out += add(kind, payload)
        at = len(out)
        out += add(TRAILER, struct.pack("<Ixxxx", len(self.records)) + entries)
        out += struct.pack("<Q", at) + b"SLPKEND1"
        name = blake3(out).hex()
        os.unlink(self.path)
        path = os.path.join(os.path.dirname(os.path.dirname(self.path)), name[:2], name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(out)
        return f"packs/{name[:2]}/{name}"


def fields(data):
    """The fields of a message that has only such with a length: [number, bytes]."""
    found, at = [], 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag, length = number(), number()
        found.append([tag >> 3, data[at:at + length]])
        at += length
    return found


def message(parts):
    def number(value):
        out = b""
        while value > 127:
            out += bytes([value & 127 | 128])
            value >>= 7
        return out + bytes([value])

    return b"".join(number(tag << 3 | 2) + number(len(data)) + data for tag, data in parts)


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


class Forger:
    """What he does to a copy; each returns the name of what he touched."""

    def __init__(self, root, foreign):
        self.root, self.foreign = root, foreign
        self.points = sorted(glob.glob(root + "/points/*"), key=os.path.getmtime, reverse=True)  # the newest is of web
        packs = [Pack(path) for path in sorted(glob.glob(root + "/packs/*/*"))]
        data = [pack for pack in packs if pack.header[8] == 1]
        self.one = max(data, key=lambda pack: len(pack.records))
        self.other = next(pack for pack in data if pack.of(ENVELOPE)[0][1][8:24] != self.one.of(ENVELOPE)[0][1][8:24])

    def changed(self, kind, change):
        record = self.one.of(kind)[0]
        record[1] = change(record[1])
        return self.one.write()

    def a_flipped_envelope(self):
        return self.changed(ENVELOPE, lambda data: flipped(data, 256))  # in the commit value

    def a_flipped_signature_of_an_envelope(self):
        return self.changed(ENVELOPE, lambda data: flipped(data, 300))

    def the_envelope_of_another_seal(self):
        return self.changed(ENVELOPE, lambda _: self.other.of(ENVELOPE)[0][1])

    def a_removed_envelope(self):
        self.one.records.remove(self.one.of(ENVELOPE)[0])
        return self.one.write()

    def a_flipped_list(self):
        return self.changed(LIST, lambda data: flipped(data, 70))  # in the hash of the first frame

    def a_flipped_signature_of_a_list(self):
        return self.changed(LIST, lambda data: flipped(data, len(data) - 5))

    def the_list_of_another_seal(self):
        return self.changed(LIST, lambda _: self.other.of(LIST)[0][1])

    def a_removed_list(self):
        self.one.records.remove(self.one.of(LIST)[-1])
        return self.one.write()

    def a_flipped_frame(self):
        return self.changed(FRAME, lambda data: flipped(data, len(data) - 40))

    def a_frame_under_the_id_of_another(self):
        first, second = self.one.of(FRAME)[:2]
        first[1] = second[1][:24] + first[1][24:56] + second[1][56:]
        return self.one.write()

    def two_frames_that_changed_places(self):
        a, b = (self.one.records.index(record) for record in self.one.of(FRAME)[:2])
        self.one.records[a], self.one.records[b] = self.one.records[b], self.one.records[a]
        return self.one.write()

    def a_frame_of_another_seal(self):
        first, theirs = self.one.of(FRAME)[0], self.other.of(FRAME)[0]
        first[1] = theirs[1]
        first[2] = first[2][:16] + theirs[2][16:]
        return self.one.write()

    def in_point(self, change):
        parts = fields(read(self.points[0]))
        write(self.points[0], message(change(parts)))
        return "points/" + os.path.basename(self.points[0])

    def the_unlock_section_of_another_key(self):
        theirs = [fields(read(path)) for path in self.points[1:]]
        mine = fields(read(self.points[0]))
        other = next(part[1] for parts in theirs for part in parts if part[0] == 2 and part[1] != mine[1][1])
        return self.in_point(lambda parts: [part if part[0] != 2 else [2, other] for part in parts])

    def a_point_without_its_unlock_section(self):
        return self.in_point(lambda parts: [part for part in parts if part[0] != 2])

    def a_point_without_its_roster(self):
        return self.in_point(lambda parts: [part for part in parts if part[0] != 3])

    def a_flipped_roster(self):
        return self.in_point(lambda parts: [part if part[0] != 3 else [3, flipped(part[1], len(part[1]) // 2)] for part in parts])

    def a_point_in_the_place_of_another(self):
        shutil.copyfile(self.points[1], self.points[0])
        return "points/" + os.path.basename(self.points[0])

    def a_log_entry_of_another_owner(self):
        newest = sorted(glob.glob(self.root + "/log/*"))[-1]
        shutil.copyfile(self.foreign + "/log/0000000002", newest)
        return "log/" + os.path.basename(newest)

    def a_log_entry_that_was_replayed(self):
        entries = sorted(glob.glob(self.root + "/log/*"))
        name = f"{len(entries) + 1:010d}"
        shutil.copyfile(entries[-1], self.root + "/log/" + name)
        return "log/" + name

    def added_section(self):
        return sorted(glob.glob(self.root + "/unlock/*/*"))[0]

    def a_flipped_further_unlock_section(self):
        path = self.added_section()
        write(path, flipped(read(path), 150))
        return os.path.relpath(path, self.root)

    def a_further_unlock_section_of_another_key(self):
        path = self.added_section()
        there = os.path.join(self.root, "unlock", "5a" * 32, "1")
        os.makedirs(os.path.dirname(there))
        os.rename(path, there)
        return os.path.relpath(there, self.root)


# what was done: the exit codes of a check without a key, and of those restores with one that fail. Nothing has to fail
# where the frames themselves are as they were: what opens under the run key is what was sealed
FORGERIES = {
    "a_flipped_envelope": (DAMAGED, {DAMAGED}),
    "a_flipped_signature_of_an_envelope": (DAMAGED, {DAMAGED}),
    "the_envelope_of_another_seal": (DAMAGED, {DAMAGED}),
    "a_removed_envelope": (DAMAGED, {DAMAGED}),
    "a_flipped_list": (NOT_AUTHENTIC, set()),
    "a_flipped_signature_of_a_list": (NOT_AUTHENTIC, set()),
    "the_list_of_another_seal": (NOT_AUTHENTIC, set()),
    "a_removed_list": (DAMAGED, {DAMAGED}),
    "a_flipped_frame": (NOT_AUTHENTIC, {DAMAGED}),
    "a_frame_under_the_id_of_another": (NOT_AUTHENTIC, {DAMAGED}),
    "two_frames_that_changed_places": (NOT_AUTHENTIC, set()),
    "a_frame_of_another_seal": (DAMAGED, {DAMAGED}),
    "the_unlock_section_of_another_key": (DAMAGED, {DAMAGED}),
    "a_point_without_its_unlock_section": (DAMAGED, {DAMAGED}),
    "a_point_without_its_roster": (DAMAGED, {DAMAGED}),
    "a_flipped_roster": (DAMAGED, {DAMAGED}),
    "a_point_in_the_place_of_another": (DAMAGED, {DAMAGED}),
    "a_log_entry_of_another_owner": (NOT_AUTHENTIC, set()),
    "a_log_entry_that_was_replayed": (NOT_AUTHENTIC, set()),
    "a_flipped_further_unlock_section": (DAMAGED, set()),
    "a_further_unlock_section_of_another_key": (NOT_AUTHENTIC, set()),
}


def forge(site, store, foreign, keys):
    copy = site.path("copy")
    for name, (checked, restored) in FORGERIES.items():
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(store, copy)
        touched = getattr(Forger(copy, foreign), name)()
        done = site.sealift("--json", "offline", "check", copy, "--level", "hash", code=checked,
                            env=dict(site.env, SEALIFT_STATE=site.path("nobody")))
        expect(touched in done.stdout + done.stderr, f"{name}: '{touched}' is not named: {done.stdout} {done.stderr}")
        codes = set()
        for job, key in keys.items():
            shutil.rmtree(site.path("out"), ignore_errors=True)
            done = site.sealift("offline", "restore", copy, f"{job}@latest", "--to", site.path("out"), "--key-file", key,
                                code=tuple(range(30)), env=dict(site.env, SEALIFT_STATE=site.path("nobody")))
            codes.add(done.returncode)
            kept = site.path("out") + site.path(job, "file")
            expect(not os.path.exists(kept) or read(kept) == read(site.path(job, "file")), f"{name}: a false file was restored")
        expect(codes - {0} == restored, f"{name}: restores end with {codes} instead of {restored}")


def status(site, code):
    return json.loads(site.sealift("--json", "status", code=code).stdout or "{}")


def rolled_back(site, store, older):
    """The older copy is put back, and each of director, operator and writer is the only one that remembers the newer log."""
    local = glob.glob(site.path("vault", "repositories", "*"))
    sound, kept, newest = site.path("sound"), site.path("operator-kept"), {}
    shutil.copytree(store, sound)
    shutil.copytree(site.path("operator"), kept)
    shutil.copytree(site.path("director"), site.path("director-kept"))

    def start(director, operator, repository):
        for name in ("source", "vault", "director"):
            site.daemons[name].stop()
        for path, source in ((store, repository), (site.path("director"), director), (site.path("operator"), operator)):
            shutil.rmtree(path)
            shutil.copytree(source, path)
        for path in local:
            shutil.rmtree(path, ignore_errors=True)  # the owner forgets
        for name in ("director", "vault", "source"):
            site.run_daemon(name)
        site.daemons["vault"].wait_for("event=repository_open name=offsite")
        site.daemons["director"].wait_for("event=connected transporter=vault ")

    # nobody remembers: this is what the others are for
    start(older["director"], older["operator"], older["store"])
    status(site, 0)
    # the director alone
    start(site.path("director-kept"), older["operator"], older["store"])
    site.daemons["director"].wait_for("event=log_not_authentic repository=offsite .*stepped back")
    done = site.sealift("status", code=NOT_AUTHENTIC)
    expect("stepped back" in done.stdout + done.stderr, f"the director: {done.stdout} {done.stderr}")
    # the operator alone
    start(older["director"], kept, older["store"])
    done = site.sealift("status", code=NOT_AUTHENTIC)
    expect("offsite" in done.stderr and "stepped back" in done.stderr, f"the operator: {done.stderr}")
    # the writer alone: it sends nothing more, until the repository is signed anew
    start(older["director"], older["operator"], older["store"])
    done = site.sealift("job", "run", "web", "--wait", code=NOT_AUTHENTIC)
    expect("rolled back" in done.stderr and "repository set" in done.stderr, f"the writer: {done.stderr}")
    site.sealift("repository", "set", "offsite", "--accept-log")
    said = site.sealift("job", "run", "web", "--wait", code=1).stderr  # it reads all again
    expect("lacks contents of earlier runs" in said, f"what the old copy does not have: {said}")


with Site("forgery") as site:
    site.begin()
    for tree, seed in (("web", b"a"), ("mail", b"b")):
        os.makedirs(site.path(tree))
        write(site.path(tree, "file"), os.urandom(150000))
        for i in range(3):
            write(site.path(tree, f"small-{i}"), os.urandom(5000 + i))
    store, foreign = site.path("store", "r"), site.path("near", "r")
    site.add_transporter("source", "trusted", read=[site.path("web"), site.path("mail")], repositories=[site.path("near")])
    site.add_transporter("vault", "untrusted", repositories=[site.path("store")])
    site.sealift("repository", "create", "offsite", "--on", "vault", "--path", store)
    site.sealift("repository", "create", "near", "--on", "source", "--path", foreign)
    keys = {}
    for job in ("web", "mail"):
        keys[job] = site.path(job + ".key")
        write(keys[job], os.urandom(32))
        site.sealift("key", "create", job, "--description", "x", "--from-file", keys[job])
        site.sealift("job", "create", job, "--backup", f"source:{site.path(job)}", "--repository", "offsite", "--encrypt",
                     "source", "--key", job)
        site.sealift("job", "run", job, "--wait")
    site.sealift("job", "create", "near", "--backup", f"source:{site.path('web')}", "--repository", "near", "--encrypt",
                 "source", "--key", "web")
    site.sealift("job", "run", "near", "--wait")
    words = site.path("words")
    write(words, b"a password in a safe\n")
    site.sealift("status")
    older = {"store": site.path("older")}
    shutil.copytree(store, older["store"])
    for name in ("director", "operator"):
        older[name] = site.path(name + "-older")
    site.daemons["director"].stop()
    for name in ("director", "operator"):
        shutil.copytree(site.path(name), older[name])
    site.run_daemon("director")
    for name in ("source", "vault"):
        site.daemons["director"].wait_for(f"event=connected transporter={name} ")
    site.sealift("key", "protect", "web", "--password", "--description", "safe", "--existing", "--password-file", words)
    write(site.path("web", "more"), os.urandom(70000))
    site.sealift("job", "run", "web", "--wait")
    site.sealift("status")
    forge(site, store, foreign, keys)
    rolled_back(site, store, older)
print("what was forged is named, and so is a log that was rolled back")
