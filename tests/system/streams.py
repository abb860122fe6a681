#!/usr/bin/env python3
# build: asan
# timeout: 120
"""Streams and scripts: a configured command's output is one object, which comes back as a file, on stdout and
into a configured command; what fails, is killed or cancelled commits nothing; scripts run around a run."""

import glob
import hashlib
import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Site, expect, wait_until


def shell(text):
    return '[ "/bin/sh", "-c", "' + text.replace("\\", "\\\\").replace('"', '\\"') + '" ]'


def run_job(site, job, code=0):
    return site.sealift("--json", "job", "run", job, "--wait", code=code)


def points(site, job):
    return json.loads(site.sealift("--json", "point", "list", "--job", job).stdout)["points"]


def alive(mark):
    """Processes whose arguments name the mark."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as file:
                if mark.encode() in file.read().split(b"\0"):
                    found.append(int(path.split("/")[2]))
        except OSError:
            pass
    return found


def children_of(pids):
    found = []
    for pid in pids:
        try:
            with open(f"/proc/{pid}/task/{pid}/children") as file:
                found += [int(name) for name in file.read().split()]
        except OSError:
            pass
    return found


def runs(pid):
    """And is no zombie that nobody has reaped."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


with Site(lease="3s") as site:
    site.begin()
    data, fed, log = site.path("data"), site.path("fed"), site.path("log")
    hanging = f"hanging-{os.getpid()}"
    os.makedirs(data)
    with open(os.path.join(data, "file"), "wb") as file:
        file.write(b"in a file\n" * 1000)
    with open(site.path("dump"), "wb") as file:
        for i in range(6000):
            file.write(hashlib.sha512(str(i).encode()).digest() * 16)
    config = "streams = (\n" + ",\n".join([
        f'{{ name = "db"; command = [ "/bin/cat", "{site.path("dump")}" ]; restore = {shell("cat > " + fed)}; }}',
        f'{{ name = "empty"; command = [ "/bin/true" ]; restore = {shell("cat >/dev/null; echo bad row >&2; exit 4")}; }}',
        f'{{ name = "failing"; command = {shell("head -c 3000000 /dev/zero; echo first >&2; echo no such table >&2; exit 3")}; }}',
        f'{{ name = "talking"; command = {shell("echo data; echo a notice >&2")}; }}',
        f'{{ name = "hanging"; command = [ "/bin/sh", "-c", "head -c 3000000 /dev/zero; sleep 1000 & wait", "{hanging}" ]; }}',
        f'{{ name = "slow"; command = [ "/bin/sleep", "1000" ]; timeout = "1s"; }}',
    ]) + ");\nscripts = (\n" + ",\n".join([
        f'{{ name = "freeze"; command = {shell("echo before $SEALIFT_JOB >> " + log)}; }}',
        f'{{ name = "thaw"; command = {shell("echo after $SEALIFT_JOB $SEALIFT_RESULT >> " + log)}; }}',
        f'{{ name = "refuse"; command = {shell("echo disk is busy >&2; exit 1")}; }}',
        f'{{ name = "stuck"; command = [ "/bin/sleep", "1000" ]; timeout = "1s"; }}',
    ]) + ");\n"
    site.add_transporter("source", "trusted", read=[data], restore=[site.path("out")], extra=config +
                         'plaintext_to = ( "safe" );\n')
    site.add_transporter("vault", "untrusted", repositories=[site.path("vault-store")])
    site.add_transporter("safe", "trusted", repositories=[site.path("safe-store")])
    site.sealift("repository", "create", "offsite", "--on", "vault", "--path", site.path("vault-store", "r"))
    site.sealift("repository", "create", "inside", "--on", "safe", "--path", site.path("safe-store", "r"))
    site.sealift("key", "create", "main", "--description", "for tests", "--generate")

    def create(job, *what, repository="offsite", encrypt="source"):
        site.sealift("job", "create", job, *what, "--repository", repository, "--encrypt", encrypt, "--key", "main")

    # a stream, twice: the second time nothing but a few nodes travels
    create("db", "--stream", "source:db")
    size = os.path.getsize(site.path("dump"))
    first = json.loads(run_job(site, "db").stdout)
    expect(first["content_bytes"] == size and first["files"] == 1, f"the first run: {first}")
    second = json.loads(run_job(site, "db").stdout)
    expect(second["deduplicated_bytes"] == size and second["sent_bytes"] < 10000, f"the second run: {second}")
    expect([point["object"] for point in points(site, "db")] == ["stream"] * 2, "points say what they hold")
    with open(site.path("dump"), "rb") as file:
        dump = file.read()

    # to a file, to stdout, into a command
    out = site.path("out")

    def restored(to, path, *options, code=0):
        site.sealift("restore", "db@latest", "--to", f"source:{to}", "--wait", *options, code=code)
        with open(path, "rb") as file:
            expect(file.read() == dump, f"a stream restored to '{to}' is '{path}'")

    restored(out + "/", out + "/db")
    restored(out + "/as.sql", out + "/as.sql")
    os.mkdir(out + "/there")
    restored(out + "/there", out + "/there/db")
    for overwrite, code in (("never", 1), ("changed", 0), ("always", 0)):
        if overwrite != "never":
            with open(out + "/as.sql", "wb") as file:
                file.write(b"something else")
        restored(out + "/as.sql", out + "/as.sql", "--overwrite", overwrite, code=code)
    refused = site.sealift("restore", "db@latest", "/db", "--to", f"source:{out}", code=2).stderr
    expect("restored whole" in refused, f"a stream has no paths: {refused}")
    expect(site.sealift("cat", "db@latest", text=False).stdout == dump, "a stream on stdout")
    expect(site.sealift("cat", "db@latest", "/db", text=False).stdout == dump, "the same by its name")
    site.sealift("restore", "db@latest", "--into", "source:db", "--wait")
    with open(fed, "rb") as file:
        expect(file.read() == dump, "a stream restored into a command")
    refused = site.sealift("restore", "db@latest", "--into", "source:empty", "--wait", code=3).stderr
    expect("bad row" in refused and "exit status 4" in refused, f"a failing restore command: {refused}")
    for wrong in ("hanging", "nothing"):
        site.sealift("restore", "db@latest", "--into", f"source:{wrong}", "--wait", code=5)

    # the same without the site
    store = site.path("vault-store", "r")
    site.sealift("offline", "restore", store, "db@latest", "--to", out + "/offline/")
    site.sealift("offline", "restore", store, "db@latest", "--to", out + "/offline/as.sql")
    for name in ("db", "as.sql"):
        with open(out + "/offline/" + name, "rb") as file:
            expect(file.read() == dump, f"a stream restored offline to '{name}'")
    expect(site.sealift("offline", "cat", store, "db@latest", text=False).stdout == dump, "a stream on stdout, offline")
    site.sealift("offline", "restore", store, "db@latest", "/db", "--to", out + "/offline/none", code=2)

    # sealed by the target; empty
    create("there", "--stream", "source:db", repository="inside", encrypt="target")
    run_job(site, "there")
    expect(points(site, "there")[0]["object"] == "stream", "a point that the target made says what it holds")
    expect(site.sealift("cat", "there@latest", text=False).stdout == dump, "a stream that the target sealed")
    # an image that nobody stilled says so, also one that the target sealed
    for name, how, crash in (("live", (), True), ("still", ("--before", "freeze"), False)):
        create(name, "--image", f"source:{data}/file", *how, repository="inside", encrypt="target")
        run_job(site, name)
        expect(points(site, name)[0]["crash_consistent"] == crash, f"'{name}': {points(site, name)}")
    create("empty", "--stream", "source:empty")
    run_job(site, "empty")
    expect(site.sealift("cat", "empty@latest").stdout == "", "an empty stream")

    # what it says is a warning; what fails, takes too long or is not there commits nothing
    create("talking", "--stream", "source:talking")
    said = run_job(site, "talking", code=1).stderr
    expect("a notice" in said, f"standard error becomes a warning: {said}")
    create("failing", "--stream", "source:failing", "--after", "thaw")
    failed = run_job(site, "failing", code=3).stderr
    expect("'failing' failed with exit status 3: no such table" in failed, f"a failing command: {failed}")
    create("slow", "--stream", "source:slow", "--before", "freeze", "--after", "thaw")
    expect("time limit of 1 s" in run_job(site, "slow", code=3).stderr, "the time limit is named")
    expect("before slow\nafter slow failed\n" in open(log).read(), "'after' runs when the time is over")
    create("unknown", "--stream", "source:unknown")
    expect("no stream 'unknown'" in run_job(site, "unknown", code=5).stderr, "only what is configured is run")

    # stopped, and with its transporter killed: the command and its children end, nothing is committed
    create("hanging", "--stream", "source:hanging", "--before", "freeze", "--after", "thaw")
    run = json.loads(site.sealift("--json", "job", "run", "hanging").stdout)["run"]
    wait_until(lambda: children_of(alive(hanging)), "the command runs, and its child")
    children = children_of(alive(hanging))
    def at_work():
        rows = json.loads(site.sealift("--json", "repository", "sessions", "offsite").stdout)["sessions"]
        return [(row["run"], row["job"], row["does"], row["pins"]) for row in rows]
    wait_until(lambda: at_work() == [(run, "hanging", "writes", True)], "the run is at work in its repository")
    site.sealift("job", "stop", run[:12])
    wait_until(lambda: not alive(hanging) and not any(runs(pid) for pid in children),
               "a stopped command and its children end")
    wait_until(lambda: "after hanging cancelled" in open(log).read(), "'after' runs after a cancel")
    wait_until(lambda: at_work() == [], "nobody is at work in it any more")
    site.sealift("job", "run", "hanging")
    wait_until(lambda: children_of(alive(hanging)), "the command runs again, and its child")
    children = children_of(alive(hanging))
    site.daemons["source"].kill()
    wait_until(lambda: not alive(hanging) and not any(runs(pid) for pid in children),
               "a command and its children end with their transporter")
    site.run_transporter("source").wait_for("event=director_connected")
    for job in ("failing", "slow", "unknown", "hanging"):
        expect(points(site, job) == [], f"'{job}' committed something")

    # the target is lost, and stays away: 'after' runs then too
    def newest():
        return json.loads(site.sealift("--json", "job", "history", "hanging", "--limit", "1").stdout)["runs"][0]

    wait_until(lambda: newest()["ended"], "the run of the transporter that was killed ends")
    site.sealift("job", "run", "hanging")
    wait_until(lambda: alive(hanging), "the command runs once more")
    site.daemons["vault"].kill()
    wait_until(lambda: "after hanging failed" in open(log).read(), "'after' runs when the target is lost")
    expect(not alive(hanging), "the command has ended before")
    site.run_transporter("vault").wait_for("event=director_connected")
    expect(points(site, "hanging") == [], "'hanging' committed something")

    # scripts
    os.remove(log)
    create("web", "--backup", f"source:{data}", "--before", "freeze", "--after", "thaw")
    run_job(site, "web")
    create("refused", "--backup", f"source:{data}", "--before", "refuse", "--after", "thaw")
    refused = run_job(site, "refused", code=3)
    expect("disk is busy" in refused.stderr, f"a failing script: {refused.stderr}")
    expect(json.loads(refused.stdout)["read_bytes"] == 0, "nothing was read")
    create("stuck", "--backup", f"source:{data}", "--before", "freeze", "--after", "stuck")
    expect("time limit" in run_job(site, "stuck", code=1).stderr, "a script that hangs is ended")
    create("gone", "--backup", f"source:{data}", "--before", "gone", "--after", "thaw")
    run_job(site, "gone", code=5)
    with open(log) as file:
        expect(file.read() == "before web\nafter web ok\nafter refused failed\nbefore stuck\n", "what scripts did")
    expect(points(site, "refused") == [] and len(points(site, "stuck")) == 1, "points of jobs with scripts")

    # the director never saw what commands said, nor their names
    for secret in ("no such table", "disk is busy", "a notice", "freeze"):
        for where, _, names in os.walk(site.path("director")):
            for name in names:
                with open(os.path.join(where, name), "rb") as file:
                    expect(secret.encode() not in file.read(), f"'{secret}' is in the director's {name}")
        expect(secret not in "\n".join(site.daemons["director"].lines()), f"'{secret}' is in the director's log")
print("streams and scripts keep their promises")
