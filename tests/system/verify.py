#!/usr/bin/env python3
# build: asan
# timeout: 180
"""Checks with a key: points are opened, or restored into nothing, by a trusted transporter; what is found names the
files to the operator alone. And every way in which a repository can be tampered with, found without a key."""

import glob
import json
import os
import shutil
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Site, expect, flip, make_tree, wait_until


def command(site, *args, code=0):
    return json.loads(site.sealift("--json", *args, code=code).stdout)


def packs(site):
    return sorted(glob.glob(site.path("vault-store", "offsite", "packs", "*", "*")), key=os.path.getsize)


def start_vault(site):
    site.run_transporter("vault")
    site.daemons["vault"].wait_for("event=repository_(not_)?open")


def check_again(site):
    return command(site, "repository", "check", "offsite", "--wait")


def frames(path):
    """The frames of a pack: offset and length of each record (docs/format.md section 6)."""
    with open(path, "rb") as file:
        data = file.read()
    at, found = 64, []
    while at < len(data) - 16:
        kind, length = data[at], struct.unpack_from("<I", data, at + 4)[0]
        if kind == 2:
            found.append((at, 16 + length))
        at += 16 + length
    return data, found


def substitute_frame(repository):
    """A whole record, its check and all, in the place of another of its length."""
    for path in glob.glob(os.path.join(repository, "packs", "*", "*")):
        data, records = frames(path)
        for here, length in records:
            other = next((at for at, size in records if size == length and at != here), None)
            if other:
                with open(path, "wb") as file:
                    file.write(data[:here] + data[other:other + length] + data[here + length:])
                return "packs/" + "/".join(path.split("/")[-2:])
    raise Exception("no two frames of one length")


def substitute_pack(repository):
    one, other = glob.glob(os.path.join(repository, "packs", "*", "*"))[:2]
    shutil.copyfile(other, one)
    return "packs/" + "/".join(one.split("/")[-2:])


def remove_entry(repository):
    os.unlink(os.path.join(repository, "log", "0000000002"))
    return "log/0000000002"


def reorder_entries(repository):
    two, three = (os.path.join(repository, "log", f"000000000{n}") for n in (2, 3))
    for a, b in ((two, two + ".x"), (three, two), (two + ".x", three)):
        os.rename(a, b)
    return "log/0000000002"


with Site("verify") as site:
    site.begin()
    tree = site.path("data")
    make_tree(tree, files=40)
    site.add_backup(tree, repository=site.path("vault-store", "offsite"))
    secret = "kept-from-the-director"
    with open(os.path.join(tree, secret), "wb") as file:
        file.write(os.urandom(600000))
    for i in range(2):
        for j in range(3):  # chunks of one length
            with open(os.path.join(tree, f"more-{i}-{j}"), "wb") as file:
                file.write(os.urandom(200000))
        command(site, "job", "run", "web", "--wait")
        if i == 0:
            shutil.copytree(site.path("vault-store", "offsite"), site.path("older"))
    points = [row["id"] for row in command(site, "point", "list", "--job", "web")["points"]]

    # all is well, and what each level does not look at is said
    for level, key in (("decrypt", "chunks"), ("restore", "files")):
        whole = command(site, "repository", "check", "offsite", "--level", level)
        expect(whole["verdict"] == "sound" and whole["points"] == 2 and whole[key] > 0 and whole["findings"] == [],
               f"{level}: {whole}")
        expect(any("--level hash" in line for line in whole["not_checked"]), f"{level} does not check: {whole}")
        one = command(site, "point", "verify", points[0], "--level", level)
        expect(one["verdict"] == "sound" and one["points"] == 1 and one["point"] == points[0], f"{level}: {one}")
        expect(one["files"] <= whole["files"] and one["chunks"] <= whole["chunks"], f"one of two: {one} {whole}")
    for level in ("presence", "hash"):
        one = command(site, "point", "verify", "web@latest", "--level", level)
        expect(one["verdict"] == "sound" and one["points"] == 1 and one["point"] == points[-1], f"{level}: {one}")
    expect(one["packs"] == one["packs_total"] and one["bytes_read"] > 0, f"the packs of one point: {one}")
    expect(command(site, "repository", "show", "offsite")["check_hash"] is None, "one point is not all of it")
    part = command(site, "repository", "check", "offsite", "--level", "decrypt", "--sample", "1%")
    expect(part["points"] == 1 and any("another sample" in line for line in part["not_checked"]), f"a sample: {part}")
    local = command(site, "point", "verify", points[0], "--level", "restore", "--at", "source")
    expect(local["files"] == one["points"] * local["files"] > 0, f"the opener that was named: {local}")

    # who may not open does not, and a level is a level
    refused = site.sealift("point", "verify", points[0], "--level", "decrypt", "--at", "vault", code=5).stderr
    expect("trusted" in refused, f"an untrusted opener: {refused}")
    site.sealift("point", "verify", points[0], "--level", "all", code=2)
    site.sealift("point", "verify", points[0], "--level", "hash", "--names", code=2)
    site.sealift("point", "verify", points[0], "--level", "presence", "--at", "source", code=2)
    site.sealift("point", "verify", "ffffffff", code=4)

    # an operator without a copy of the keys: by password, or not at all, and then it is said what was not looked at
    words, wrong = site.path("words"), site.path("wrong")
    for path, text in ((words, "nine horses under one roof\n"), (wrong, "ten horses under one roof\n")):
        with open(path, "w") as file:
            file.write(text)
    site.sealift("key", "create", "word", "--description", "for tests", "--password", "--password-file", words)
    site.sealift("job", "create", "more", "--backup", f"source:{tree}/d1", "--repository", "offsite", "--encrypt", "source",
                 "--key", "word")
    command(site, "job", "run", "more", "--wait")
    ben = dict(site.env, SEALIFT_STATE=site.path("ben"))
    site.sealift("operator", "identity", "--name", "ben", "--no-password", "--out", site.path("ben.id"), env=ben)
    director = f"{site.director_key}@{site.operator_address}"
    site.sealift("operator", "add", "ben", "--identity", site.path("ben.id"), "--yes", "--no-keys")
    site.sealift("operator", "join", "--site", site.sealift("operator", "site").stdout.strip(), "--director", director,
                 env=ben)
    for options, code in (((), 20), (("--password-file", wrong), 21), (("--password-file", words), 20)):
        done = site.sealift("--json", "repository", "check", "offsite", "--level", "decrypt", *options, env=ben, code=code)
        report = json.loads(done.stdout)
        lines = [line for line in report["not_checked"] if "points of the key" in line]
        opened = options == ("--password-file", words)
        expect(report["points"] == (1 if opened else 0) and any("2 points of the key 'main'" in line for line in lines)
               and len(lines) == (1 if opened else 2), f"{options}: {report}")
        expect(("sound as far as it was opened" if opened else "nothing was opened") in report["verdict"], f"{report}")
    site.sealift("point", "verify", "web@latest", "--level", "restore", env=ben, code=20)

    # a damaged chunk: which one, and with the key which file, and the director hears of no name
    whole_packs = {path: open(path, "rb").read() for path in packs(site)}
    data = packs(site)[-1]
    flip(data, os.path.getsize(data) // 2)
    opened = command(site, "repository", "check", "offsite", "--level", "decrypt", code=22)
    expect(opened["verdict"] == "damaged" and opened["finding_count"] == 1, f"one chunk: {opened}")
    row = opened["findings"][0]
    expect(row["kind"] == "damaged" and row["code"] == 22 and row["object"] == "chunk" and "path" not in row
           and row["point_count"] >= 2, f"the chunk, and both points: {row}")
    named = command(site, "point", "verify", points[0], "--level", "decrypt", "--names", code=22)
    files = [row["path"] for row in named["findings"] if row["object"] == "file"]
    restored = command(site, "point", "verify", points[0], "--level", "restore", code=22)
    expect(files and files == [row["path"] for row in restored["findings"]], f"{named} and {restored}")
    expect(all(path.startswith(tree + "/") and os.path.exists(path) for path in files), f"real files: {files}")
    table = site.sealift("point", "verify", points[0], "--level", "restore", code=22)
    expect(os.path.basename(files[0]) in table.stdout and "damaged" in table.stdout, f"for people: {table.stdout}")
    log = site.sealift("--json", "job", "log", restored["runs"][0][:12]).stdout
    expect(json.loads(log)["level"] == "restore" and os.path.basename(files[0]) not in log, f"kept in clear: {log}")
    for path in glob.glob(site.path("director", "**"), recursive=True):
        if os.path.isfile(path):
            with open(path, "rb") as file:
                expect(os.path.basename(files[0]).encode() not in file.read(), f"a name in the director's {path}")
    one = command(site, "point", "verify", points[0], "--level", "hash", code=22)
    expect(all(points[0] in row["points"] for row in one["findings"] if row["code"]), f"what hurts this one: {one}")
    for path, content in whole_packs.items():
        with open(path, "wb") as file:
            file.write(content)
    expect(command(site, "point", "verify", points[0], "--level", "hash")["verdict"] == "sound", "it is back")

    # tampered with, and found without a key: by whoever has the disk, and by the owner when it opens and checks it
    repository = site.path("vault-store", "offsite")
    sound = site.path("sound")
    site.daemons["vault"].stop()
    shutil.copytree(repository, sound)
    for tamper, codes, kinds in ((substitute_frame, (22, 26), ("damaged", "not_authentic")),
                                 (substitute_pack, (22, 26), ("damaged", "not_authentic")),
                                 (remove_entry, (22,), ("damaged",)),
                                 (reorder_entries, (26,), ("not_authentic",))):
        name = tamper(repository)
        offline = command(site, "offline", "check", repository, "--level", "hash", code=codes)
        start_vault(site)
        done = site.sealift("--json", "repository", "check", "offsite", "--wait", code=codes)
        online = json.loads(done.stdout)
        for report in (offline, online):
            rows = [row for row in report.get("findings", []) if row["object"] == name and row["kind"] in kinds]
            # an owner that cannot believe the newest entry does not even open it, and says which one
            refused = report is online and "history was rewritten" in done.stderr and tamper is reorder_entries
            expect(rows or refused, f"{tamper.__name__}: nothing about {name} in {report}, {done.stderr}")
            expect(refused or report is offline or online["verdict"] == "damaged", f"{tamper.__name__}: {online}")
        site.daemons["vault"].stop()
        shutil.rmtree(repository)
        shutil.copytree(sound, repository)

    # an older copy put back whole has nothing wrong in itself: who saw the newer log knows
    shutil.rmtree(repository)
    shutil.copytree(site.path("older"), repository)
    offline = command(site, "offline", "check", repository, "--level", "hash")
    expect(any("the newest one" in line for line in offline["not_checked"]), f"what the disk cannot tell: {offline}")
    start_vault(site)
    said = json.loads(site.sealift("--json", "repository", "check", "offsite", "--wait", code=26).stderr.splitlines()[-1])
    expect(said["error"]["code"] == 26 and "was seen before" in said["error"]["text"], f"a rollback: {said}")
    shown = command(site, "status", code=26)["repositories"][0]
    expect(shown["state"] == "not_authentic", f"the status of a rolled-back repository: {shown}")
    site.daemons["vault"].stop()
    shutil.rmtree(repository)
    shutil.copytree(sound, repository)
    start_vault(site)
    expect(check_again(site)["verdict"] == "sound", "as it was before all this")

    # a check with a key whose opener is killed: the next one does not open again what that had opened, unless told to
    for i in range(12):
        with open(os.path.join(tree, f"last-{i}"), "wb") as file:
            file.write(os.urandom(300000))
    before = set(packs(site))
    command(site, "job", "run", "web", "--wait")
    late = next(path for path in packs(site) if path not in before and os.path.getsize(path) > 1 << 20)
    early = max(before, key=os.path.getsize)
    for level, opened, earlier in (("decrypt", "chunks", "chunks_of_earlier_run"), ("restore", "points", "points_of_earlier_run")):
        check = ("repository", "check", "offsite", "--level", level)
        whole = command(site, *check)
        expect(whole[earlier] == 0 and not glob.glob(site.path("source", "verified", "*")), f"nothing is left: {whole}")
        site.daemons["source"].stop()
        with open(site.path("source.conf")) as file:
            text = file.read()
        with open(site.path("source.conf"), "w") as file:
            file.write(text + 'check = { bandwidth = "1MiB"; };\n')
        site.run_transporter("source").wait_for("event=director_connected")
        process = subprocess.Popen(site.operator_command("--json", *check), env=site.env, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        wait_until(lambda: any(os.path.getsize(path) > 72 for path in glob.glob(site.path("source", "verified", "*"))),
                   "the check keeps nothing of what it found good")
        site.daemons["source"].kill()
        expect(process.poll() is None, "the check was over before it was interrupted")
        process.kill()
        process.communicate()
        with open(site.path("source.conf"), "w") as file:
            file.write(text)
        site.run_transporter("source").wait_for("event=director_connected")
        journal = next(path for path in glob.glob(site.path("source", "verified", "*")) if os.path.getsize(path) > 72)
        with open(journal, "rb") as file:
            left = file.read()

        def go_on(*options, code=0, content=left):
            with open(journal, "wb") as file:
                file.write(content)
            report = command(site, *check, *options, code=code)
            expect(not glob.glob(site.path("source", "verified", "*")), f"what was left is gone after its end: {report}")
            return report

        flip(late, os.path.getsize(late) // 2)
        found = go_on(code=22)
        expect(found[earlier] > 0, f"damage to what was not looked at yet is found: {found}")
        flip(late, os.path.getsize(late) // 2)
        rest = go_on()
        expect(0 < rest[earlier] < whole[opened] and rest["verdict"] == "sound", f"{level}, after a kill: {rest}")
        expect(any("--afresh" in line for line in rest["not_checked"]), f"it says what it took from before: {rest}")
        if level == "decrypt":
            expect(rest["chunks"] + rest[earlier] == whole["chunks"], f"no chunk twice, and none left out: {rest} {whole}")
        else:
            expect(rest["points"] == whole["points"] and rest["files"] < whole["files"], f"{rest} {whole}")
        # damage done since then to what it had looked at: a point that is not done yet tells of it, else --afresh
        flip(early, os.path.getsize(early) // 2)
        missed = go_on(code=(0, 22))
        expect(missed[earlier] > 0 and (level == "restore" or missed["verdict"] == "sound"), f"opened before: {missed}")
        found = go_on("--afresh", code=22)
        hit = [{point for row in report["findings"] for point in row["points"]} for report in (missed, found)]
        expect(found[earlier] == 0 and len(hit[0]) < len(hit[1]), f"with --afresh: {found}, without: {missed}")
        flip(early, os.path.getsize(early) // 2)
        other = go_on(content=left[:50] + bytes([left[50] ^ 1]) + left[51:])
        expect(other[earlier] == 0 and other[opened] == whole[opened], f"what somebody changed does not count: {other}")
    site.sealift("repository", "check", "offsite", "--afresh", code=2)
