#!/usr/bin/env python3
# build: asan
# timeout: 150
"""The director's own state, with real daemons: a bundle is exported, the director is wrecked, the bundle makes it
again and backups go on; every broken bundle is refused by name; the director makes bundles by itself."""

import json
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Failed, Site, expect, flip, same, wait_until  # noqa: E402

PASSWORD, OTHER = "a bundle's own password", "not that password at all"


def write(path, text):
    with open(path, "w") as file:
        file.write(text)
    return path


def add_kms(site):
    with open(os.open(site.path("wrapping"), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(os.urandom(32))
    site.daemons["source"].stop()
    with open(site.path("source.conf"), "a") as file:
        file.write(f'kms = ( {{ name = "near"; uri = "file://{site.path("wrapping")}"; }} );\n')
    site.run_transporter("source").wait_for("event=director_connected")


def tree_of(site):
    tree = site.path("data")
    os.makedirs(os.path.join(tree, "sub"))
    for i in range(20):
        write(os.path.join(tree, "sub", f"file-{i}"), f"content {i}\n" * (i * 50 + 1))
    return tree


def says(done, text):
    expect(text in done.stderr, f"'{text}' is missing in: {done.stderr}")


def status(site):
    return json.loads(site.sealift("--json", "status").stdout)


def broken_bundles(site, bundle, password):
    """Each of them is refused before anything is written, by its own exit code."""
    size = os.path.getsize(bundle)
    target = site.path("never")
    bad = site.path("bad.sealift")

    def refused(code, *text):
        done = site.sealift("config", "import", bad, "--director-state", target, "--password-file", password, code=code)
        for words in text:
            says(done, words)
        expect(not os.path.exists(target) or not os.listdir(target), f"something was written for {text}")

    for length in (0, 7, 9, 271, 272, size // 2, size - 1):
        shutil.copy(bundle, bad)
        os.truncate(bad, length)
        refused(23, "bad.sealift")
    for at in (20, 50, 130, 250, 271, size // 2, size - 1):
        shutil.copy(bundle, bad)
        flip(bad, at)
        refused(22, "bad.sealift")
    shutil.copy(bundle, bad)
    with open(bad, "ab") as file:
        file.write(b"x")
    refused(22, "follow the bundle's end")
    for version, text in ((0, "version 0, this program reads version 1"), (9, "a newer Sealift wrote it")):
        shutil.copy(bundle, bad)
        with open(bad, "r+b") as file:
            file.seek(8)
            file.write(bytes([version]))
        refused(3, text)
    write(bad, "sealift-export1\nof something else\n" * 30)
    refused(22, "it is no bundle of a director's state")
    shutil.copy(bundle, bad)
    wrong = write(site.path("wrong"), OTHER + "\n")
    says(site.sealift("config", "import", bad, "--director-state", target, "--password-file", wrong, code=21),
         "the password is not that of this bundle")


def exported_and_back(site, tree):
    password = write(site.path("password"), PASSWORD + "\n")
    bundle = site.path("director.sealift")
    weak = write(site.path("weak"), "short\n")
    site.sealift("config", "export", "--out", bundle, "--password-file", weak, code=2)
    expect(not os.path.exists(bundle), "a weak password made a bundle")
    site.sealift("link", "set", "source", "vault", "--connection", "direct")
    links = json.loads(site.sealift("--json", "link", "list").stdout)["links"]
    site.sealift("config", "export", "--out", bundle, "--password-file", password)
    says(site.sealift("config", "export", "--out", bundle, "--password-file", password, code=3), "exists already")
    shown = json.loads(site.sealift("--json", "config", "show", bundle).stdout)
    expect(shown["site"] == site.line.split(":")[1], f"show names another site: {shown}")
    with open(bundle, "rb") as file:
        content = file.read()
    with open(site.path("director", "director.key")) as file:
        secret = file.read().split("secret ")[1].split("\n")[0]
    expect(secret.encode() not in content and b"SQLite format" not in content, "the bundle is not sealed")
    expect(not [name for name in os.listdir(site.path("director")) if name.startswith(("export-", ".tmp"))],
           "the director keeps what was fetched")
    broken_bundles(site, bundle, password)
    site.sealift("config", "import", bundle, "--dry-run", "--password-file", password)

    site.daemons["director"].kill()
    shutil.rmtree(site.path("director"))
    state = site.path("director")
    os.mkdir(state, 0o755)
    says(site.sealift("config", "import", bundle, "--director-state", state, "--password-file", password, code=5),
         "is open to others")
    os.chmod(state, 0o700)
    write(os.path.join(state, "mine"), "")
    says(site.sealift("config", "import", bundle, "--director-state", state, "--password-file", password, code=3),
         "is not empty (there is 'mine')")
    os.unlink(os.path.join(state, "mine"))
    said = site.sealift("config", "import", bundle, "--director-state", state, "--password-file", password).stdout
    expect(f"sealift-director --config {state}/director.conf" in said, said)
    site.run_director()
    expect(len(links) == 1 and json.loads(site.sealift("--json", "link", "list").stdout)["links"] == links,
           f"links come back with the bundle: {links}")
    site.sealift("link", "remove", "source", "vault")
    site.sealift("job", "run", "web", "--wait")
    points = json.loads(site.sealift("--json", "point", "list").stdout)["points"]
    expect(len(points) == 2, f"{len(points)} points after the import")
    site.sealift("restore", "web@latest", "--to", f"source:{site.path('out')}", "--wait")
    same(tree, site.path("out") + tree, "restored by the imported director")


def old_bundle(site):
    """Brought back from before a revocation and a new job: those who know of them give both back, and schedules
    wait until all have been heard."""
    password, bundle = site.path("password"), site.path("old.sealift")
    site.add_transporter("guest", "untrusted")
    site.sealift("config", "export", "--out", bundle, "--password-file", password)
    site.sealift("transporter", "revoke", "guest", "--yes")
    site.sealift("key", "create", "second", "--description", "newer than the bundle", "--password", "--password-file",
                 password, "--kms", "near")
    site.sealift("job", "create", "later", "--backup", f"source:{site.path('data')}", "--repository", "offsite",
                 "--encrypt", "source", "--key", "second", "--schedule", "daily")
    site.sealift("job", "run", "later", "--wait")
    site.daemons["director"].kill()
    site.daemons["vault"].stop()
    shutil.rmtree(site.path("director"))
    site.sealift("config", "import", bundle, "--director-state", site.path("director"), "--password-file", password)
    site.run_director()
    director = site.daemons["director"]
    director.wait_for("event=gave_back transporter=source")
    director.wait_for("event=(expelled transporter=guest|dropped)")  # by the roster that the source gave back
    waiting = status(site)["restored"]
    expect(waiting["copied"] and waiting["waits_for"] == ["vault"], f"schedules wait for {waiting}")
    expect(waiting["until"] and not waiting["goes_without"], f"until when: {waiting}")
    director.stop()
    write(site.path("director", "restored"), f"{open(site.path('director', 'restored')).read().split()[0]} 1\n")
    site.run_director()  # the hour is over for those outside the trusted zone
    director = site.daemons["director"]
    director.wait_for("event=not_waited_for transporter=vault")
    done = site.sealift("--json", "status")
    says(done, "'vault' has not given back all that it knows: schedules go on without it")
    waiting = json.loads(done.stdout)["restored"]
    expect(waiting["waits_for"] == [] and waiting["goes_without"] == ["vault"], f"schedules wait for {waiting}")
    site.run_transporter("vault")
    director.wait_for("event=reconciled")
    expect(status(site)["restored"] is None, "the director waits on")
    hosts = json.loads(site.sealift("--json", "transporter", "list").stdout)["transporters"]
    expect([host["zone"] for host in hosts if host["name"] == "guest"] == ["revoked"], f"the guest is back: {hosts}")
    jobs = json.loads(site.sealift("--json", "job", "list").stdout)["jobs"]
    expect({job["name"] for job in jobs} == {"web", "later"}, f"jobs: {jobs}")
    points = json.loads(site.sealift("--json", "point", "list").stdout)["points"]
    expect(len([point for point in points if point["job"] == "later"]) == 1, "the newer point is not listed")
    site.sealift("job", "run", "later", "--wait")
    shutil.rmtree(site.path("out"), ignore_errors=True)
    site.sealift("restore", "later@latest", "--to", f"source:{site.path('out')}", "--wait")
    same(site.path("data"), site.path("out") + site.path("data"), "restored by a key newer than the bundle")
    site.daemons["guest"].stop()
    del site.daemons["guest"]


def rebuilt_from_nothing(site):
    """Neither state nor bundle: an admin claims an empty director with the site's rosters, the transporters are
    told of it, and give back what they hold."""
    site.daemons["director"].kill()
    shutil.rmtree(site.path("director"))
    for name in ("source", "vault"):
        site.daemons[name].stop()
    for name in ("director.conf", "claim"):
        os.unlink(site.path(name))
    before = site.line
    os.rename(site.path("wrapping"), site.path("wrapping.away"))
    for name in ("grants", "unlock"):  # this operator's own copies of keys, too, for now
        shutil.move(site.path("operator", name), site.path(f"{name}.away"))
    site.start_director()
    code = write(site.path("claim"), site.claim + "\n")
    address = f"{site.director_key}@{site.operator_address}"
    wrong = write(site.path("wrong-claim"), "AAAA-BBBB-CCCC-DDDD\n")
    site.sealift("operator", "move", "--director", address, "--claim-code-file", wrong, code=21)
    nothing = ("operator", "move", "--director", address, "--claim-code-file", code, "--rosters")
    says(site.sealift(*nothing, "/nothing", code=4), "--rosters: cannot open '/nothing'")
    says(site.sealift(*nothing, site.dir, code=4), "it is the directory 'rosters' of a transporter's state")
    shutil.copytree(site.path("operator"), site.path("elsewhere"))  # of the same operator, who has not heard of it yet
    done = site.sealift("operator", "move", "--director", address, "--claim-code-file", code)
    says(done, f"'sealift operator move --site LINE --director {address}'")
    site.line = done.stdout.strip()
    elsewhere = dict(site.env, SEALIFT_STATE=site.path("elsewhere"))
    follow = ("operator", "move", "--site", site.line)
    expect("--director" in site.sealift(*follow, env=elsewhere, code=7).stderr, "nothing says that a port is missing")
    site.sealift(*follow, "--director", address, env=elsewhere)
    expect(site.line.split(":")[:3] == before.split(":")[:3] and site.line != before, f"the site line: {site.line}")
    says(site.sealift("operator", "init", "--director", address, "--claim-code-file", code, "--no-password",
                      env=dict(site.env, SEALIFT_STATE=site.path("stranger")), code=(3, 5, 7)), "")
    for name in ("source", "vault"):
        config = site.path(f"{name}.conf")
        site.run("sealift-transporter", "--move", "--to", site.line, "--config", config)
        site.run_transporter(name)
    director = site.daemons["director"]
    director.wait_for("event=reconciled")
    jobs = json.loads(site.sealift("--json", "job", "list").stdout)["jobs"]
    expect({job["name"] for job in jobs} == {"web", "later"}, f"jobs: {jobs}")
    points = json.loads(site.sealift("--json", "point", "list").stdout)["points"]
    expect(len(points) >= 4 and all(point["trusted"] for point in points), f"points: {points}")
    hosts = json.loads(site.sealift("--json", "transporter", "list").stdout)["transporters"]
    expect([host["zone"] for host in hosts if host["name"] == "guest"] == ["revoked"], f"the guest is back: {hosts}")
    shutil.rmtree(site.path("out"), ignore_errors=True)
    site.sealift("restore", "later@latest", "--to", f"source:{site.path('out')}", "--wait", "--password-file",
                 site.path("password"))
    same(site.path("data"), site.path("out") + site.path("data"), "restored by its key's password")
    keys = json.loads(site.sealift("--json", "key", "list").stdout)["keys"]
    expect([[p["entry"] for p in key["protectors"]] for key in keys if key["name"] == "second"] == [["near"]],
           f"the key with its protector: {keys}")
    os.rename(site.path("wrapping.away"), site.path("wrapping"))
    shutil.rmtree(site.path("out"), ignore_errors=True)
    done = site.sealift("restore", "later@latest", "--to", f"source:{site.path('out')}", "--wait")
    says(done, "KMS 'near'")
    same(site.path("data"), site.path("out") + site.path("data"), "restored by a KMS")
    for name in ("grants", "unlock"):
        shutil.rmtree(site.path("operator", name), ignore_errors=True)
        shutil.move(site.path(f"{name}.away"), site.path("operator", name))
    site.sealift("job", "run", "web", "--wait")
    shutil.rmtree(site.path("out"), ignore_errors=True)
    site.sealift("restore", "web@latest", "--to", f"source:{site.path('out')}", "--wait")
    same(site.path("data"), site.path("out") + site.path("data"), "restored by a director made anew")


def attached_elsewhere(site):
    """A repository's disk moves to another host: its log names the new owner, the old one cannot come back, points
    restore and backups go on; then a host that is lost for good, whose disk is not."""
    store, moved = site.path("store", "r"), site.path("store2", "r")
    site.add_transporter("vault2", "untrusted", repositories=[site.path("store2")])
    says(site.sealift("repository", "detach", "offsite", code=2), "jobs use this repository")
    site.sealift("repository", "detach", "offsite", "--yes")
    wait_until(lambda: re.search(r"offsite +vault .*detached", site.sealift("status").stdout), "it is not shown as detached")
    says(site.sealift("repository", "show", "offsite", code=4), "is detached: 'sealift repository attach' brings it back")
    rows = json.loads(site.sealift("--json", "repository", "list").stdout)["repositories"]
    expect([row["state"] for row in rows] == ["detached"], f"repositories: {rows}")
    site.sealift("job", "run", "web", "--wait", code=4)
    site.sealift("repository", "attach", "offsite", "--on", "vault", "--path", store)
    site.sealift("job", "run", "web", "--wait")
    says(site.sealift("repository", "attach", "offsite", "--on", "vault2", "--path", moved, code=2),
         "'vault' keeps this repository and loses it")
    site.sealift("repository", "attach", "offsite", "--on", "vault", "--path", store)  # nobody loses anything
    site.sealift("repository", "detach", "offsite", "--yes", "--wait", code=2)
    site.sealift("repository", "detach", "offsite", "--yes")
    os.makedirs(site.path("store2"))
    says(site.sealift("repository", "attach", "offsite", "--on", "vault2", "--path", moved, code=4), "vault2")
    expect(not os.path.exists(moved), "a repository was made where there was none")
    shutil.move(store, moved)
    site.sealift("repository", "attach", "offsite", "--on", "vault2", "--path", moved)
    points = json.loads(site.sealift("--json", "point", "list").stdout)["points"]
    expect(len(points) >= 5 and all(point["trusted"] for point in points), f"points: {points}")
    site.sealift("job", "run", "web", "--wait")
    shutil.rmtree(site.path("out"), ignore_errors=True)
    site.sealift("restore", "web@latest", "--to", f"source:{site.path('out')}", "--wait")
    same(site.path("data"), site.path("out") + site.path("data"), "restored after the disk was moved")
    expect(json.loads(site.sealift("--json", "repository", "check", "offsite", "--wait").stdout)["verdict"] == "sound",
           "the log with another owner is not sound")
    listed = json.loads(site.sealift("--json", "offline", "list", moved).stdout)["points"]
    expect(len(listed) == len(points) + 1 and not any("doubt" in point for point in listed), f"offline: {listed}")
    site.daemons["vault2"].kill()
    site.run_transporter("vault2").wait_for("event=repository_open name=offsite")
    site.daemons["vault2"].kill()  # for good
    del site.daemons["vault2"]
    shutil.move(moved, store)
    site.sealift("transporter", "revoke", "vault2", "--yes")
    says(site.sealift("repository", "attach", "other", "--on", "vault", "--path", store, code=4), "--id says which one")
    site.sealift("repository", "attach", "offsite", "--on", "vault", "--path", store)
    site.sealift("job", "run", "web", "--wait")


def of_another_site(site):
    """A site that is lost altogether has left a repository: it is not taken in, and the answer says what reads it."""
    with Site("lost").begin() as lost:
        lost.add_backup(tree_of(lost))
        lost.sealift("job", "run", "web", "--wait")
        known = json.loads(lost.sealift("--json", "repository", "list").stdout)["repositories"][0]["id"]
        store = site.path("store", "lost")
        for daemon in lost.daemons.values():
            daemon.kill()
        shutil.copytree(lost.path("store", "r"), store)
    for name in (known, known, "ab" * 16):  # also a second time; the answer to any id names the right one
        done = site.sealift("repository", "attach", "found", "--id", name, "--on", "vault", "--path", store, code=5)
        says(done, f"holds the repository {known} of another site")
        says(done, "'sealift offline' reads and restores it")
    expect("found" not in site.sealift("repository", "list").stdout, "it is attached all the same")
    expect("found" not in site.sealift("repository", "list", "--detached").stdout, "a refused attach leaves something")


def self_backups(site):
    """Written by the schedule, sealed to what was set, the newest kept, and a failure is told."""
    there = site.path("copies")
    password = write(site.path("self-password"), OTHER + "\n")
    with open(site.path("director.conf")) as file:
        without = file.read()

    def configure(text):
        site.daemons["director"].stop()
        write(site.path("director.conf"), text)
        site.run_director()

    settings = f'self_backup = {{ directory = "{there}"; schedule = "daily"; keep = 2; }};\n'
    configure(without + settings)
    says(site.sealift("status"), "'sealift config set-password' sets")
    configure(without)
    done = site.sealift("config", "set-password", "--password-file", password)
    says(done, "the director makes no copies by itself yet: 'self_backup' in its configuration")
    expect("last copy" not in done.stdout + done.stderr, f"copies are promised: {done.stdout}{done.stderr}")
    configure(without + settings)

    def bundles():
        return sorted(name for name in os.listdir(there) if name.startswith("director-")) if os.path.isdir(there) else []

    made = 0
    while made < 3:  # a name tells the second: two of the same one are one
        before = len([line for line in site.daemons["director"].lines() if "event=self_backup " in line])
        site.sealift("config", "set-password", "--password-file", password)
        wait_until(lambda: len([line for line in site.daemons["director"].lines()
                                if "event=self_backup " in line]) > before, "no self-backup was made")
        made += 1
    expect(1 <= len(bundles()) <= 2, f"more than two copies stay: {bundles()}")
    backup = status(site)["self_backup"]
    expect(backup["last_good"] and backup["next"] > backup["last_good"] and not backup["text"], f"status: {backup}")
    newest = os.path.join(there, bundles()[-1])
    site.sealift("config", "import", newest, "--dry-run", "--password-file", password)
    site.sealift("config", "import", newest, "--dry-run", "--password-file", site.path("password"), code=21)
    shutil.rmtree(there)
    write(there, "a file in the directory's place")
    site.sealift("config", "set-password", "--password-file", password)
    wait_until(lambda: status(site)["self_backup"]["text"], "a failed self-backup is not told")
    says(site.sealift("status"), "last copy of its state failed")


def main():
    with Site("state").begin() as site:
        tree = tree_of(site)
        site.add_backup(tree)
        add_kms(site)
        site.sealift("job", "run", "web", "--wait")
        exported_and_back(site, tree)
        old_bundle(site)
        rebuilt_from_nothing(site)
        attached_elsewhere(site)
        of_another_site(site)
        self_backups(site)


try:
    main()
except Failed as failure:
    sys.exit(str(failure))
