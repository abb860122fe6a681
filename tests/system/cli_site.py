#!/usr/bin/env python3
# timeout: 280
"""The operator's verbs against real daemons: who may enter, what is refused and with which exit code, the
placement table, runs that are followed through a director's death, stopped and left, and a director that was
rolled back."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import FINGERPRINT, Daemon, Failed, Site, expect, make_tree


def write(path, text, mode="w"):
    with open(path, mode) as file:
        file.write(text)
    return path


class Operator:
    """Another operator's machine."""

    def __init__(self, site, name):
        self.site, self.name = site, name
        self.env = dict(site.env, SEALIFT_STATE=site.path(name + ".state"))

    def __call__(self, *args, **how):
        return self.site.sealift(*args, env=self.env, **how)


def says(done, *words):
    for word in words:
        expect(word in done.stdout + done.stderr, f"'{word}' is not in:\n{done.stdout}\n{done.stderr}")


def answer(site, *args, code=0, run=None):
    """The JSON document of a command."""
    done = (run or site.sealift)("--json", *args, code=code)
    for line in done.stderr.splitlines():
        json.loads(line)
    return json.loads(done.stdout)


def enter_the_site(site):
    site.start_director()
    director = f"{site.director_key}@{site.operator_address}"
    wrong = write(site.path("wrong"), "AAAA-AAAA-AAAA-AAAA\n")
    says(site.sealift("operator", "init", "--director", director, "--claim-code-file", wrong, "--name", "anna",
                      "--no-password", code=21), "claim code")
    # the second try is the same claim with the right code: nothing is left over from the first
    says(site.sealift("operator", "init", "--director", director, "--claim-code-file", wrong, "--name", "ben", code=3),
         "that of 'anna'")
    other = Operator(site, "thief")
    right = write(site.path("claim"), site.claim + "\n")
    done = site.sealift("operator", "init", "--director", director, "--claim-code-file", right)
    says(done, "only operator identity")
    site.line = re.search(r"sealift1:\S+", done.stdout).group(0)
    says(site.sealift("operator", "init", "--director", director, "--claim-code-file", right, code=3), "belongs to a site")
    # the code is good once, and who is not in the roster is not heard
    done = other("operator", "init", "--director", director, "--claim-code-file", right, "--name", "thief",
                 "--no-password", code=(5, 7))
    expect(site.sealift("operator", "site").stdout.strip() == site.line, "the site line is printed again")
    expect(answer(site, "operator", "site")["site_line"] == site.line, "and as JSON")


def second_operator(site):
    ben = Operator(site, "ben")
    identity, password = site.path("ben.identity"), write(site.path("ben.password"), "ben's long password\n")
    asks = ("--identity-password-file", password)
    ben("operator", "identity", "--name", "ben", "--out", identity, *asks)
    fingerprint = FINGERPRINT.search(ben("operator", "identity", "--out", site.path("again")).stdout).group(0)
    ben("operator", "join", "--site", site.line, "--director", f"{site.director_key}@{site.operator_address}", code=(5, 7))
    says(site.sealift("operator", "add", "ben", "--identity", identity, code=2), "--yes")
    says(site.sealift("operator", "add", "carl", "--identity", identity, "--yes", code=2), "that of 'ben'")
    swapped = fingerprint[:-1] + ("A" if fingerprint[-1] != "A" else "B")
    says(site.sealift("operator", "add", "ben", "--identity", identity, "--fingerprint", swapped, code=26), fingerprint)
    site.sealift("operator", "add", "ben", "--identity", identity, "--fingerprint", fingerprint.lower())
    says(site.sealift("operator", "add", "ben", "--identity", identity, "--yes", code=3), "already")
    ben("operator", "join", "--site", site.line, "--director", f"{site.director_key}@{site.operator_address}")
    names = [row["name"] for row in answer(site, "operator", "list", run=ben)["operators"]]
    expect(names == ["anna", "ben"], f"both are operators: {names}")
    # who is no admin changes no roster; listing needs no password, signing does
    expect(answer(site, "key", "list", run=ben)["keys"] == [], "no keys yet")
    says(ben("key", "create", "x", "--description", "x", "--generate", code=20), "--identity-password-file")
    wrong = write(site.path("wrong.password"), "something else entirely\n")
    ben("key", "create", "x", "--description", "x", "--generate", "--identity-password-file", wrong, code=21)
    return ben, asks


def exported(site):
    password = write(site.path("export.password"), "correct horse battery staple\n")
    site.sealift("operator", "export", "--out", site.path("anna.export"), "--password-file", password)
    again = Operator(site, "anna-again")
    wrong = write(site.path("wrong.password"), "something else entirely\n")
    again("operator", "import", site.path("anna.export"), "--identity-password-file", wrong, code=21)
    again("operator", "import", site.path("anna.export"), "--password-file", wrong, code=21)
    again("operator", "import", site.path("anna.export"), "--password-file", password)
    me = [row for row in answer(site, "operator", "list", run=again)["operators"] if row["self"]]
    expect(me and me[0]["name"] == "anna", "the export is anna")


def admit(site, name):
    """A transporter that waits; its fingerprint."""
    config = site.path(f"{name}.conf")
    root = site.path(f"{name}-root")
    os.makedirs(root, exist_ok=True)
    said = site.run("sealift-transporter", "--init", "--site", site.line, "--name", name, "--config", config, "--state",
                    site.path(name), "--data-listen", "tcp://127.0.0.1:0", "--read", "/", "--restore", root,
                    "--repositories", root).stdout
    site.run_transporter(name).wait_for("event=pending")
    return FINGERPRINT.search(said).group(0)


def transporters(site, ben, asks):
    fingerprints = {name: admit(site, name) for name in ("web", "vault")}
    waiting = {row["name"]: row["fingerprint"] for row in answer(site, "transporter", "pending")["pending"]}
    expect(waiting == fingerprints, f"both sides show the same fingerprints: {waiting}")
    waits = site.sealift("status")
    says(waits, "2 transporters wait to be let in", "'sealift transporter pending'")
    says(site.sealift("transporter", "list"), "2 transporters wait to be let in")
    says(site.sealift("transporter", "pending"), "'sealift transporter approve NAME --zone trusted'")
    says(site.sealift("transporter", "show", "web", code=4), "'web' waits to be let in", "'sealift transporter approve web")
    says(site.sealift("repository", "create", "r", "--on", "web", "--path", "/srv/r", code=4), "'web' waits to be let in")
    says(site.sealift("transporter", "approve", "wbe", "--zone", "trusted", "--yes", code=4), "'wbe'")
    says(site.sealift("transporter", "approve", "web", "--zone", "trusted", code=2), "--fingerprint", "--yes")
    says(site.sealift("transporter", "approve", "web", "--zone", "trusted", "--fingerprint", fingerprints["vault"], code=26),
         fingerprints["web"])
    says(ben("transporter", "approve", "web", "--zone", "trusted", "--yes", *asks, code=26), "admin")
    site.sealift("transporter", "approve", "web", "--zone", "trusted", "--fingerprint", fingerprints["web"])
    site.sealift("transporter", "approve", "vault", "--zone", "untrusted", "--yes")
    says(site.sealift("transporter", "approve", "vault", "--zone", "trusted", "--yes", code=3), "untrusted")
    for name in fingerprints:
        site.daemons[name].wait_for("event=admitted")
    zones = {row["name"]: row["zone"] for row in answer(site, "transporter", "list")["transporters"]}
    expect(zones == {"web": "trusted", "vault": "untrusted"}, f"zones: {zones}")
    expect(answer(site, "transporter", "show", "web")["fingerprint"] == fingerprints["web"], "show")
    site.sealift("transporter", "show", "nobody", code=4)


def repositories(site):
    root = {name: site.path(f"{name}-root") for name in ("web", "vault")}
    says(site.sealift("repository", "create", "offsite", "--on", "vault", "--path", "/nowhere/allowed", code=5),
         "'offsite' was not made, and its name is free")
    # nothing of it is left: not as detached, not by its name, and attach does not know it
    expect(not answer(site, "repository", "list", "--detached")["repositories"], "a refused creation leaves nothing behind")
    says(site.sealift("repository", "show", "offsite", code=4), "there is no repository 'offsite'")
    says(site.sealift("repository", "attach", "offsite", "--on", "vault", "--path", root["vault"], code=4), "--id")
    site.sealift("repository", "create", "offsite", "--on", "vault", "--path", root["vault"] + "/offsite")
    site.sealift("repository", "create", "offsite", "--on", "web", "--path", root["web"] + "/x", code=3)
    says(site.sealift("repository", "create", "open", "--on", "vault", "--path", root["vault"] + "/open", "--plaintext",
                      code=5), "trusted zone")
    site.sealift("repository", "create", "plain", "--on", "web", "--path", root["web"] + "/plain", "--plaintext")
    site.sealift("repository", "create", "local", "--on", "web", "--path", root["web"] + "/local")
    rows = {row["name"]: row for row in answer(site, "repository", "list")["repositories"]}
    expect({name: rows[name]["kind"] for name in rows} ==
           {"offsite": "encrypted", "plain": "plaintext", "local": "encrypted"}, f"repositories: {rows}")
    expect(all(row["state"] == "open" for row in rows.values()), f"all are open: {rows}")
    expect(answer(site, "repository", "show", "offsite")["path"] == root["vault"] + "/offsite", "the path is ours to see")
    says(site.sealift("repository", "show", "ofsite", code=4), "did you mean 'offsite'")


def keys(site, ben, asks):
    short = write(site.path("short.key"), b"x" * 31, "wb")
    says(site.sealift("key", "create", "bad", "--description", "x", "--from-file", short, code=2), "31 bytes", "32 bytes")
    raw = write(site.path("raw.key"), bytes(range(32)), "wb")
    text = write(site.path("text.key"), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")
    site.sealift("key", "create", "filed", "--description", "from a file", "--from-file", raw)
    says(site.sealift("key", "create", "filed2", "--description", "the same", "--from-file", text, code=3),
         "the key 'filed'")
    weak = write(site.path("weak"), "short\n")
    site.sealift("key", "create", "pass", "--description", "x", "--password", "--password-file", weak, code=2)
    strong = write(site.path("strong"), "a password that is long\n")
    site.sealift("key", "create", "pass", "--description", "x", "--password", "--password-file", strong)
    site.sealift("key", "create", "main", "--description", "all servers", "--generate")
    site.sealift("key", "create", "main", "--description", "again", "--generate", code=3)
    site.sealift("key", "create", "shared", "--description", "one domain", "--generate", "--dedup-domain", "all")
    rows = {row["name"]: row for row in answer(site, "key", "list", run=ben)["keys"]}
    expect({name: rows[name]["origin"] for name in rows} ==
           {"filed": "file", "pass": "password", "main": "generated", "shared": "generated"}, f"keys: {rows}")
    expect(all(row["have_copy"] for row in rows.values()), "every operator has the read half")
    expect(answer(site, "key", "show", rows["main"]["fingerprint"][:12])["name"] == "main", "a key by its fingerprint")
    says(site.sealift("key", "grant", "main", "vault", "--half", "write", code=5), "trusted zone")
    says(site.sealift("key", "grant", "main", "vault", "--half", "read", code=5), "trusted zone")
    site.sealift("key", "grant", "main", "web", "--half", "read")
    site.sealift("key", "withdraw", "main", "web", "--half", "read")
    site.sealift("key", "withdraw", "main", "web", "--half", "read", code=4)
    grants = answer(site, "key", "show", "main")["grants"]
    expect(sorted((g["recipient"], g["half"]) for g in grants) == [("anna", "read"), ("ben", "read")], f"{grants}")
    says(site.sealift("key", "create", "own", "--description", "x", "--own", "web", code=4), "no own key")


def jobs(site):
    tree = site.path("tree")
    create = lambda *args, code=0: site.sealift("job", "create", *args, code=code)  # noqa: E731
    base = ("--backup", f"web:{tree}", "--repository")
    says(create("j", *base, "offsite", code=2), "--encrypt")
    says(create("j", *base, "offsite", "--encrypt", "source", code=2), "--key")
    says(create("j", *base, "offsite", "--encrypt", "none", code=5), "trusted zone")
    says(create("j", *base, "local", "--encrypt", "none", code=5), "encrypted-only")
    says(create("j", *base, "plain", "--encrypt", "source", "--key", "main", code=5), "plaintext repository")
    says(create("j", *base, "offsite", "--encrypt", "target", "--key", "main", code=5), "target in the trusted zone")
    says(create("j", "--backup", "vault:/etc", "--repository", "local", "--encrypt", "source", "--key", "main", code=5),
         "source in the trusted zone")
    says(create("j", *base, "offsite", "--encrypt", "source", "--key", "main", "--connection", "pull", code=2), "'link'")
    says(create("j", *base, "offsite", "--encrypt", "source", "--key", "main", "--connection", "rendezvous", code=2),
         "needs a proxy")
    says(create("j", *base, "offsite", "--encrypt", "source", "--key", "main", "--proxy", "p:1", code=2), "'direct'")
    says(create("j", *base, "plain", "--encrypt", "none", "--connection", "direct", code=2), "nobody dials")
    says(create("j", *base, "nowhere", "--encrypt", "source", "--key", "main", code=4), "'nowhere'")
    says(create("j", "--backup", "web:relative", "--repository", "offsite", "--encrypt", "source", "--key", "main", code=2),
         "absolute")
    says(create("j", *base, "offsite", "--encrypt", "source", "--key", "main", "--compress", "zip", code=2), "zip")
    done = create("job", *base, "offsite", "--encrypt", "source", "--key", "main", "--exclude", "*.skip", "--keep-last", "3")
    says(done, "granted the write half of 'main' to 'web'", "t:web", "removed after each scheduled sweep")
    done = create("shared", *base, "offsite", "--encrypt", "source", "--key", "shared")
    says(done, "d:all")
    done = create("second", *base, "offsite", "--encrypt", "source", "--key", "main")
    expect("granted" not in done.stderr, "the grant is there already")
    create("plainly", *base, "plain", "--encrypt", "none")
    create("copied", "--copy", "job", "--repository", "local")
    says(create("bad", "--copy", "plainly", "--repository", "local", code=5), "same kind")
    create("job", *base, "offsite", "--encrypt", "source", "--key", "main", code=3)
    shown = answer(site, "job", "show", "job")
    expect(shown["paths"] == [tree] and shown["excludes"] == ["*.skip"] and shown["keep"]["last"] == 3, f"{shown}")
    expect(tree not in json.dumps(answer(site, "job", "list")), "a list shows no paths")
    site.sealift("job", "delete", "second", code=2)
    site.sealift("job", "delete", "second", "--yes")
    site.sealift("job", "show", "second", code=4)
    create("second", *base, "offsite", "--encrypt", "source", "--key", "main")


def links(site):
    link = lambda *args, **how: site.sealift("link", *args, **how)  # noqa: E731
    says(link("set", "web", "nobody", "--connection", "direct", code=4), "'nobody'")
    says(link("set", "web", "web", "--connection", "direct", code=2), "with itself")
    says(link("remove", "web", "vault", code=4), "no link of its own")
    rows = answer(site, "link", "list")["links"]
    expect([(row["source"], row["target"], row["set"], row["connection"]) for row in rows] ==
           [("web", "vault", False, "direct"), ("vault", "web", False, "direct")], f"pairs without a link: {rows}")
    ways = {way["mode"]: way for way in answer(site, "link", "test", "web", "vault")["ways"]}
    expect({mode: (way["works"], way["set"]) for mode, way in ways.items()} ==
           {"direct": (True, True), "reverse": (False, False), "rendezvous": (False, False)}, f"tested: {ways}")
    expect(ways["direct"]["rtt_us"] > 0 and "no reverse port" in ways["reverse"]["why"], f"tested: {ways}")
    # web has no port where vault could dial it: that is said at once, and by the run
    says(link("set", "web", "vault", "--connection", "reverse"), "vault dials web", "runs from vault to web: vault dials web",
         "web has no reverse port")
    says(site.sealift("job", "run", "second", "--wait", code=7), "'web', which has no reverse port", "advertise")
    says(link("test", "web", "vault", code=1), "reverse (set)", "link remove web vault")
    site.sealift("job", "edit", "second", "--connection", "direct")
    shown = answer(site, "job", "show", "second")
    expect(shown["connection"] == "direct" and shown["way"]["dials"] == "web dials vault", f"its own: {shown}")
    expect(shown["paths"] and shown["key"] == "main", f"nothing else is another: {shown}")
    row, back = answer(site, "link", "list")["links"]
    expect(not back["set"] and back["connection"] == "direct" and back["jobs"] == ["copied"], f"and back: {back}")
    expect(row["set"] and row["connection"] == "reverse" and row["dials"] == "vault dials web", f"the link: {row}")
    expect({"job", "shared"} < set(row["jobs"]), f"who goes by it: {row}")
    expect(row["own"] == [{"job": "second", "connection": "direct", "proxy": None}], f"and who does not: {row}")
    says(link("list"), "WHO DIALS", "second (direct)")
    site.sealift("job", "run", "second", "--wait")
    # a job may leave to the link where it meets
    link("set", "web", "vault", "--connection", "rendezvous", "--proxy", "meet.example:9449")
    done = site.sealift("--json", "job", "edit", "second", "--connection", "rendezvous")
    expect(json.loads(done.stdout)["proxy"] == "meet.example:9449", f"the link's proxy: {done.stdout}")
    says(site.sealift("job", "edit", "plainly", "--connection", "direct", code=2), "nobody dials")
    says(site.sealift("job", "edit", "second", code=2), "say what is to be another")
    site.sealift("job", "edit", "second", "--connection", "link")
    # when it is started, and what is kept: what is not said stays, 0 takes a rule away, a promise is not shortened
    says(site.sealift("job", "edit", "second", "--schedule", "daily 02:30", "--keep-last", "9", "--keep-daily", "7",
                      "--immutable", "4h"), "started daily 02:30", "keeps last 9, daily 7, immutable for 4 h")
    done = json.loads(site.sealift("--json", "job", "edit", "second", "--keep-last", "0", "--schedule", "none").stdout)
    expect(done["keep"]["last"] == 0 and done["keep"]["daily"] == 7 and done["keep"]["immutable_s"] == 14400
           and done["schedule"] == "none", f"edited: {done}")
    says(site.sealift("job", "edit", "second", "--immutable", "239m", code=5), "are immutable for 14400 s", "nobody shortens")
    says(site.sealift("job", "edit", "second", "--schedule", "at tea time", code=2), "--schedule")
    shown = answer(site, "job", "show", "second")
    expect(shown["keep"]["daily"] == 7 and shown["keep"]["immutable_s"] == 14400, f"as it was: {shown}")
    link("remove", "web", "vault")
    row = {row["name"]: row for row in answer(site, "job", "list")["jobs"]}["second"]
    expect(row["connection"] == "link" and row["way"]["connection"] == "direct", f"as it was: {row}")
    shown = answer(site, "transporter", "show", "web")
    expect(shown["address"] == "127.0.0.1" and shown["reverse_port"] is None, f"where it is: {shown}")


def runs(site):
    run = answer(site, "job", "run", "job", "--wait")
    expect(run["state"] == "ok" and run["code"] == 0 and run["point"] and run["files"] > 100, f"{run}")
    done = site.sealift("job", "run", "job", "--wait")
    says(done, "job: ok, point ", "operators' copies only")
    site.sealift("job", "run", "copied", "--wait")
    points = answer(site, "point", "list", "--job", "job", "--repository", "offsite")["points"]
    expect([p["number"] for p in points] == sorted(p["number"] for p in points) and len(points) == 2, f"{points}")
    # each run's end brings the news of its repositories with it
    now = {row["repository"]: row["points"] for row in answer(site, "status")["repositories"]}
    expect(now["offsite"] == 2 and now["local"] == 2, f"the points there are: {now}")
    says(site.sealift("point", "hold", points[0]["id"], code=2), "several repositories", "--repository")
    says(site.sealift("point", "delete", points[0]["id"], "--yes", code=2), "several repositories")
    site.sealift("point", "hold", points[0]["id"], "--repository", "offsite")
    site.sealift("point", "release", points[0]["id"], "--repository", "offsite")
    latest = answer(site, "point", "show", "job@latest", "--repository", "offsite")
    expect(latest["id"] == points[-1]["id"] and latest["key"] == "main" and latest["trusted"], f"{latest}")
    expect(answer(site, "point", "show", points[0]["id"][:10], "--repository", "offsite")["id"] == points[0]["id"], "prefix")
    expect(answer(site, "point", "show", "job@" + time.strftime("%Y-%m-%d", time.gmtime()))["id"] == latest["id"], "date")
    site.sealift("point", "show", "job@2001-01-01", code=4)
    site.sealift("point", "show", "ffffffff", code=4)
    history = answer(site, "job", "history", "job")["runs"]
    expect(history[0]["took_s"] > 0 and history[0]["text"] is None, f"a run that is done: {history[0]}")
    expect(len(history) == 2 and all(row["state"] == "ok" for row in history), f"{history}")
    expect(answer(site, "job", "log", history[0]["run"][:8])["run"] == history[0]["run"], "log")
    # a path that the host's own configuration forbids to read
    site.sealift("job", "create", "state", "--backup", "web:" + site.path("web"), "--repository", "offsite", "--encrypt",
                 "source", "--key", "main")
    status = answer(site, "status")
    expect([row["job"] for row in status["jobs"]][0] in ("second", "shared", "plainly", "state"), f"{status['jobs']}")
    expect({row["job"]: row["stale"] for row in status["jobs"]}["job"] is False, "just run")
    expect(answer(site, "status", "--stale", "0s")["jobs"][-1]["stale"] is True, "all is stale after 0 s")


def start(site, *args):
    return subprocess.Popen([os.path.join(site.bin, "sealift"), *args], env=site.env, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)


def until(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.2)  # a key gets 64 connections in 10 s


def running(site, job):
    return [row["run"] for row in answer(site, "status")["runs"] if row["job"] == job]


class Stalled:
    """While it lasts, runs of vault do not move on: it is stopped."""

    def __init__(self, site, name):
        self.process = site.daemons[name].process

    def __enter__(self):
        self.process.send_signal(signal.SIGSTOP)

    def __exit__(self, *what):
        self.process.send_signal(signal.SIGCONT)


def long_runs(site):
    # a director that is killed and comes back does not end the waiting
    with Stalled(site, "vault"):
        waiting = start(site, "job", "run", "shared", "--wait")
        until("the run begins", lambda: running(site, "shared"))
        says(site.sealift("job", "run", "shared", code=6), "")
        site.daemons["director"].kill()
        time.sleep(0.2)  # the killed director's port is free, and the connection known to be lost
        site.run_director()
    out, err = waiting.communicate(timeout=90)
    expect(waiting.returncode == 0 and "shared: ok" in out, f"after the director's death: {waiting.returncode} {out} {err}")
    expect("waiting for the director" in err, f"it was said: {err}")

    # Ctrl-C leaves the run alone; stop ends it
    with Stalled(site, "vault"):
        waiting = start(site, "job", "run", "second", "--wait")
        until("the run begins", lambda: running(site, "second"))
        waiting.send_signal(signal.SIGINT)
        out, err = waiting.communicate(timeout=20)
        expect(waiting.returncode == 130 and "sealift job stop second" in err, f"left: {waiting.returncode} {err}")
        expect(running(site, "second"), "the run goes on")
        says(site.sealift("job", "log", "second"), "state:")
        site.sealift("job", "stop", "second")
    until("the run is stopped", lambda: not running(site, "second"))
    state = answer(site, "job", "history", "second", "--limit", "1")["runs"][0]["state"]
    expect(state == "stopped", f"the run is {state}")
    site.sealift("job", "stop", "second", code=4)


def away(site):
    site.daemons["vault"].stop()
    until("it is seen", lambda: not answer(site, "transporter", "show", "vault")["connected"])
    says(site.sealift("link", "test", "web", "vault", code=7), "'vault' is not connected")
    # both say what they wait for, where nobody looks at a terminal, too, and go on when it comes
    run = start(site, "job", "run", "second", "--wait")
    said = run.stderr.readline()
    made = start(site, "repository", "create", "later", "--on", "vault", "--path", site.path("vault-root") + "/later")
    said += made.stderr.readline()
    expect("waits: transporter 'vault' is not connected" in said and "waiting up to 10 s for it" in said, said)
    site.run_transporter("vault")
    expect(run.wait(60) == 0, f"it goes on when its host comes: {run.communicate()}")
    expect(made.wait(60) in (0, 7), f"it waits for its host, as long as it says: {made.communicate()}")
    until("it was made when its host came back",
          lambda: answer(site, "repository", "show", "later")["state"] == "open")


def rolled_back(site, ben):
    """The director's state of yesterday: it is given back what it forgot of rosters, and what it forgot of keys is
    not believed away."""
    director = site.daemons["director"]
    director.stop()
    shutil.copytree(site.path("director"), site.path("director.old"))
    site.run_director()
    until("somebody can be asked", lambda: answer(site, "transporter", "show", "web")["connected"])
    site.sealift("key", "grant", "main", "ben", "--half", "read")
    site.sealift("key", "create", "newest", "--description", "x", "--generate")
    site.sealift("transporter", "revoke", "vault", "--since", "1h", "--yes")
    site.daemons["director"].stop()
    shutil.rmtree(site.path("director"))
    shutil.move(site.path("director.old"), site.path("director"))
    site.run_director()
    says(site.sealift("operator", "list"), "had forgotten roster")
    zones = {row["name"]: row["zone"] for row in answer(site, "transporter", "list")["transporters"]}
    expect(zones["vault"] == "revoked", f"a revocation is not forgotten: {zones}")
    done = site.sealift("key", "list", code=26)
    says(done, "older than the known version", "newest")
    answer(site, "job", "list")
    expect(any(row["name"] == "ben" for row in answer(site, "operator", "list", run=ben)["operators"]), "ben sees it too")


def no_false_alarm(site):
    """What the director hears again from a log after its restarts is what it heard before."""
    log = open(site.path("director.log")).read()
    expect("log_not_authentic" not in log, "the director takes a log for another: see its log")


def tables_as_in_help(site):
    """The example that --help shows of a table has the columns that the table has."""
    for words in (("job", "list"), ("job", "history", "job"), ("point", "list"), ("repository", "list"), ("key", "list"),
                  ("transporter", "list"), ("operator", "list"), ("link", "list"), ("repository", "sessions", "offsite")):
        heading = [re.split(r"  +", line.strip()) for line in site.sealift(*words).stdout.splitlines() if line.isupper()][:1]
        example = site.sealift(*words[:2], "--help").stdout.split("\nexample:\n")[1]
        shown = [line.split() for line in example.splitlines()]
        expect(" ".join(heading[0]).split() in shown, f"{words}: {heading[0]} is not the heading in its help:\n{example}")


def main():
    os.umask(0o022)
    with Site(lease="20s") as site:
        make_tree(site.path("tree"))
        enter_the_site(site)
        ben, asks = second_operator(site)
        exported(site)
        transporters(site, ben, asks)
        repositories(site)
        keys(site, ben, asks)
        jobs(site)
        runs(site)
        tables_as_in_help(site)
        links(site)
        long_runs(site)
        away(site)
        no_false_alarm(site)
        rolled_back(site, ben)
    print("all as it should be")


main()
