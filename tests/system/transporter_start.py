#!/usr/bin/env python3
# build: asan release
# timeout: 120
"""The transporter as a daemon: making it, its configuration, --bench, what it says when it cannot start, one process
for each state, a repository whose disk is gone, and how SIGTERM waits for a run without using a processor."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Site, expect, make_tree

LINE = f"sealift1:{'1' * 32}:{'2' * 64}:{'3' * 64}@127.0.0.1:9"
PROGRAM = "sealift-transporter"


def fails(site, code, *words, args, what=None):
    """Ends with the code and one line on stderr that holds the words, and nothing else."""
    done = site.run(PROGRAM, *args, code=code, timeout=20)
    lines = done.stderr.strip().split("\n")
    expect(len(lines) == 1 and lines[0].startswith(f"{PROGRAM}: "), f"not one line: {done.stderr}")
    for word in words:
        expect(word in lines[0], f"{what or args}: expected '{word}', got: {lines[0]}")
    expect(done.stdout == "", f"{what or args}: said on stdout: {done.stdout}")


def write(path, text, mode=0o600):
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)


def read(path, mode="r"):
    with open(path, mode) as file:
        return file.read()


def words(site):
    expect("usage: sealift-transporter" in site.run(PROGRAM, "--help").stdout, "--help")
    expect(site.run(PROGRAM, "--version").stdout.startswith("sealift-transporter "), "--version")
    fails(site, 2, "--config FILE is needed", args=[])
    fails(site, 2, "'--nonsense' is no option: see --help", args=["--nonsense"])
    fails(site, 2, "--config needs a value", args=["--config"])
    fails(site, 2, "'more' is no option", args=["--config", "x", "more"])
    fails(site, 2, "only one of --init and --check-config", args=["--config", "x", "--init", "--check-config"])
    fails(site, 2, "--read belongs to --init", args=["--config", "x", "--read", "/"])
    fails(site, 2, "--init needs --site LINE and --name NAME", args=["--config", "x", "--init"])
    fails(site, 2, "none.conf", "No such file", args=["--config", site.path("none.conf")])


def making(site):
    """--init makes all or nothing."""
    config, state = site.path("lone.conf"), site.path("lone")
    begin = ["--init", "--site", LINE, "--name", "lone", "--state", state, "--data-listen", "tcp://127.0.0.1:0"]
    fails(site, 2, "--site", args=[*begin[:2], "sealift1:x", *begin[3:], "--config", config])
    fails(site, 2, "--name", args=[*begin[:4], "a/b", *begin[5:], "--config", config])
    fails(site, 4, "dir.conf", args=[*begin, "--config", site.path("no", "such", "dir.conf")])
    expect(not os.path.exists(state), "a failed --init leaves state")
    os.mkdir(state, 0o700)
    fails(site, 4, "dir.conf", args=[*begin, "--config", site.path("no", "such", "dir.conf")])
    expect(os.listdir(state) == [], "a failed --init leaves something in the state")
    site.run(PROGRAM, *begin, "--config", config)
    expect(all(stat.S_IMODE(os.stat(os.path.join(state, name)).st_mode) == 0o600 for name in ("identity.key", "site")),
           "the key can be read by others")
    before = read(os.path.join(state, "identity.key"), "rb")
    fails(site, 3, "lone.conf' is there already", args=[*begin, "--config", config])
    fails(site, 3, "holds an identity already", args=[*begin, "--config", site.path("second.conf")])
    expect(read(os.path.join(state, "identity.key"), "rb") == before, "a second --init changed the identity")
    expect(not os.path.exists(site.path("second.conf")), "a failed --init leaves a configuration")
    expect("good" in site.run(PROGRAM, "--check-config", "--config", config).stdout, "--check-config")
    lines = read(config).splitlines()
    begun = next(at for at, line in enumerate(lines) if line.startswith("# streams = "))
    with open(site.path("streams.conf"), "w") as file:  # what stands there for people to take is good
        file.write("\n".join(lines[:begun] + [line[2:] for line in lines[begun:]]) + "\n")
    expect("good" in site.run(PROGRAM, "--check-config", "--config", site.path("streams.conf")).stdout, "streams")
    meets = site.path("meets.conf")
    begin[6:7] = [site.path("meets")]
    fails(site, 2, "--reverse must be HOST:PORT", args=[*begin, "--reverse", "web.example", "--config", meets])
    site.run(PROGRAM, *begin, "--reverse", "web.example:9450", "--config", meets)
    expect('reverse = { listen = "0.0.0.0:9450"; advertise = "web.example:9450"; };' in read(meets), "a reverse port in --init")
    expect("good" in site.run(PROGRAM, "--check-config", "--config", meets).stdout, "--check-config with a reverse port")
    return config, state


def benching(site):
    """--bench measures every stage, over files or made-up data, and leaves nothing behind."""
    stages = ("read", "cut", "hash", "compress", "seal", "send", "store")
    tree, store = site.path("sample"), site.path("scratch")
    make_tree(tree, files=20)
    os.mkdir(store)
    expect("--bench" in site.run(PROGRAM, "--help").stdout, "--help does not name --bench")
    table = site.run(PROGRAM, "--bench", "--store", store).stdout
    expect("made up" in table, f"which data: {table}")
    found = re.findall(r"^(\w+) +(\d+)  \S", table, re.M)
    expect(tuple(name for name, _ in found) == stages, f"the stages: {table}")
    expect(all(int(rate) > 0 for _, rate in found), f"a stage without a figure: {table}")
    answer = json.loads(site.run(PROGRAM, "--bench", "--path", tree, "--store", store, "--json").stdout)
    expect(answer["data"] == "files" and answer["files"] == 22, f"files of the tree: {answer}")
    expect(5_000_000 < answer["sample_bytes"] and 0 < answer["compressed_bytes"] < answer["sample_bytes"],
           f"bytes of the tree: {answer}")
    expect(tuple(answer["mb_per_s"]) == stages and all(rate > 0 for rate in answer["mb_per_s"].values()),
           f"figures of the stages: {answer}")
    expect(os.listdir(store) == [], "something is left")
    none, config = site.path("none"), site.path("none.conf")
    fails(site, 4, f"cannot open '{none}'", "No such file", args=["--bench", "--path", none])
    fails(site, 4, f"cannot create a file in '{none}'", "No such file", args=["--bench", "--store", none])
    os.mkdir(none)
    fails(site, 4, f"'{none}' has no data that can be read", args=["--bench", "--path", none])
    fails(site, 2, "--bench goes without --config", args=["--bench", "--config", config])
    fails(site, 2, "--json belongs to --bench", args=["--json", "--config", config])


def configuration(site, config):
    good = read(config)
    listen = 'listen = "tcp://127.0.0.1:0"'
    broken = site.path("broken.conf")
    for text, message in (
            (good.replace("slots = 6", "slots = 0"), "slots: 0 is less than 1"),
            (good.replace("slots = 6", "slots = 129"), "slots: 129 is more than 128"),
            (good.replace("slots = 6", "slotz = 6"), "slotz: unknown setting"),
            (good.replace("slots = 6", "slots = "), "slots"),
            (good.replace('"info"', '"loud"'), "log_level"),
            (good.replace('"2m"', '"1"'), "lease"),
            (good.replace('read = ( "/" )', 'read = ( "/", "relative" )'), "read[1]: must be an absolute path"),
            (good + 'director = "tcp://127.0.0.1:0";\n', "director: must be tcp://HOST:PORT, with a port from 1"),
            (good + 'director = { listen = "tcp://127.0.0.1:1"; proxy = "a:1"; };\n', "director.proxy: who listens"),
            (good + 'director = { listen = "tcp://127.0.0.1:1"; address = "tcp://a:1"; };\n', "director.address: who"),
            (good + 'director = { proxy = "nowhere"; };\n', "director.proxy: must be HOST:PORT"),
            (good + 'director = { port = 1; };\n', "director.port: unknown setting"),
            (good + 'control = "listen";\n', "control: is said by 'director = { listen"),
            (good + 'proxies = ( { address = "a:1"; user = "u"; password_file = "/no/such"; } );\n',
             "proxies[0].password_file: cannot open '/no/such'"),
            *((good.replace(listen, f'listen = "{bad}"'), "data.listen: must be tcp://HOST:PORT, with a port from 0")
              for bad in ("udp://127.0.0.1:1", "tcp://127.0.0.1", "tcp://127.0.0.1:", "tcp://:9", "tcp://127.0.0.1:65536",
                          "tcp://127.0.0.1:99999", "tcp://127.0.0.1:-1", "tcp://127.0.0.1:9x"))):
        write(broken, text, 0o644)
        for more in (["--check-config"], []):
            fails(site, 2, message, "broken.conf:", args=[*more, "--config", broken])
        expect(re.search(r"broken\.conf:\d+: ", site.run(PROGRAM, "--config", broken, code=2).stderr), "no line is named")
    for commands, message in (
            ('streams = ( { command = [ "/bin/cat" ]; } )', "streams[0].name: missing"),
            ('streams = ( { name = "../db"; command = [ "/bin/cat" ]; } )', "streams[0].name: "),
            ('streams = ( { name = "db"; } )', "'db' has no 'command'"),
            ('streams = ( { name = "db"; command = [ ]; } )', "a list of a program's full path"),
            ('streams = ( { name = "db"; command = [ "cat" ]; } )', "a list of a program's full path"),
            ('streams = ( { name = "db"; command = "/bin/cat"; } )', "streams[0].command: "),
            ('streams = ( { name = "db"; restore = [ "cat" ]; } )', "streams[0].restore: "),
            ('streams = ( { name = "db"; command = [ "/bin/cat" ]; timeout = "0s"; } )', "streams[0].timeout: "),
            ('streams = ( { name = "db"; command = [ "/bin/cat" ]; shell = 1; } )', "streams[0].shell: unknown setting"),
            ('streams = ( { name = "db"; restore = [ "/a" ]; }, { name = "db"; command = [ "/b" ]; } )', "'db' is there twice"),
            ('streams = "db"', "streams: "),
            ('scripts = ( { name = "thaw"; restore = [ "/bin/cat" ]; } )', "scripts[0]"),
            ('scripts = ( { name = "thaw"; } )', "'thaw' has no 'command'")):
        write(broken, good + commands + ";\n", 0o644)
        fails(site, 2, message, "broken.conf:", args=["--check-config", "--config", broken])
    write(broken, good.replace("state_dir", "# state_dir"), 0o644)
    fails(site, 2, "broken.conf: state_dir: missing", args=["--config", broken])
    write(broken, good, 0o666)
    fails(site, 2, "can be written by everybody", args=["--config", broken])


def starting(site, config, state):
    """Each thing that the daemon needs, missing or wrong; then all is well again."""
    good, key = read(config), os.path.join(state, "identity.key")
    other, args = site.path("other.conf"), ["--config", config]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        write(other, good.replace("127.0.0.1:0", f"127.0.0.1:{port}"), 0o644)
        fails(site, 3, "other.conf: the data port: cannot listen at", f":{port}", "Address already in use",
              args=["--config", other])
    write(other, good.replace(state, site.path("nowhere")), 0o644)
    fails(site, 4, "run 'sealift-transporter --init' first", "nowhere/site", args=["--config", other])
    expect(not os.path.exists(site.path("nowhere")), "a daemon without state made some")
    write(other, good.replace(state, config), 0o644)
    fails(site, 3, "lone.conf/site': Not a directory", args=["--config", other])

    own = site.path("own.key")
    write(other, good + f'own_key = "{own}";\n', 0o644)
    fails(site, 4, "other.conf: own_key: ", "own.key", args=["--config", other])
    write(own, "k" * 32, 0o644)
    fails(site, 2, "own.key' can be read by others: its mode must be 0600", args=["--config", other])
    write(own, "k" * 31)
    fails(site, 2, "own.key' has 31 bytes instead of 32", args=["--config", other])

    whole = read(key, "rb")
    os.chmod(key, 0o640)
    fails(site, 5, "identity.key' may be read by others than its owner: chmod 600 it", args=args)
    os.chmod(key, 0o600)
    for damaged, code in ((whole[:-1], 23), (b"", 23), (b"no key at all", 22)):
        with open(key, "wb") as file:
            file.write(damaged)
        fails(site, code, "identity.key", args=args)
    os.remove(key)
    fails(site, 4, "identity.key", "--init", args=args)
    with open(key, "wb") as file:
        file.write(whole)
    os.chmod(key, 0o600)
    line = os.path.join(state, "site")
    write(line, "nonsense")
    fails(site, 2, "lone/site'", "a site line begins with", args=args)
    write(line, LINE)
    shutil.rmtree(os.path.join(state, "statements"), ignore_errors=True)
    write(os.path.join(state, "statements"), "")
    fails(site, 3, "lone/statements': Not a directory", args=args)
    os.remove(os.path.join(state, "statements"))

    daemon = site.run_transporter("lone")
    fails(site, 6, "lone' is in use by another process", args=args)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("event=reloaded")
    write(config, "nonsense", 0o644)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("event=reload_failed.*lone.conf:1")
    write(config, good, 0o644)
    daemon.process.send_signal(signal.SIGINT)
    expect(daemon.process.wait(20) == 0, "the end after SIGINT")
    expect("event=stopped" in daemon.lines()[-1], f"the last line: {daemon.lines()[-1]}")
    daemon = site.run_transporter("lone")
    daemon.kill()
    site.run_transporter("lone").stop()


def until_seen(site, state):
    """The director's last word about the vault's connection."""
    end, last = time.monotonic() + 40, None
    while time.monotonic() < end:
        seen = re.findall(r"event=(\w+) transporter=vault", "\n".join(site.daemons["director"].lines()))
        last = [event for event in seen if event in ("connected", "disconnected")][-1:]
        if last == [state]:
            return
        time.sleep(0.02)
    expect(False, f"the director does not see the vault {state}, but {last}")


def gone_disk(site):
    """A repository that was here and is gone is said so, and never made anew."""
    store = site.path("store", "main")
    site.daemons["vault"].stop()
    os.rename(site.path("store"), site.path("away"))
    daemon = site.run_transporter("vault")
    line = daemon.wait_for("event=repository_not_open")
    expect("is its disk mounted?" in line and store in line, line)
    expect(not os.path.exists(site.path("store")), "the directory of a repository that is gone was made anew")
    daemon.stop()
    write(site.path("store"), "")
    site.run_transporter("vault").wait_for("event=repository_not_open.*Not a directory")
    site.daemons["vault"].stop()
    until_seen(site, "disconnected")
    os.remove(site.path("store"))
    os.rename(site.path("away"), site.path("store"))
    site.run_transporter("vault").wait_for("event=repository_open")
    until_seen(site, "connected")


def threads(process):
    return len(os.listdir(f"/proc/{process.pid}/task"))


def cpu_seconds(process):
    with open(f"/proc/{process.pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def draining(site):
    """SIGTERM while a restore waits for a source that has stopped to breathe."""
    vault, web = site.daemons["vault"], site.daemons["web"]
    idle = threads(web.process)
    vault.process.send_signal(signal.SIGSTOP)
    try:
        site.sealift("restore", "job@latest", "--to", f"web:{site.path('out')}")
        end = time.monotonic() + 20
        while threads(web.process) < idle + 2 and time.monotonic() < end:
            time.sleep(0.02)
        web.process.send_signal(signal.SIGTERM)
        web.wait_for("event=draining")
        before, began = cpu_seconds(web.process), time.monotonic()
        time.sleep(1.5)
        used, passed = cpu_seconds(web.process) - before, time.monotonic() - began
        expect(web.process.poll() is None, "a run was not waited for")
        expect(used < passed / 8, f"draining took {used:.2f} s of a processor in {passed:.2f} s")
        print(f"draining: {used:.2f} s of a processor in {passed:.2f} s")
        web.process.send_signal(signal.SIGTERM)
        web.wait_for('event=drained.*"asked to stop again"')
        expect(web.process.wait(20) == 0, "the end after a second SIGTERM")
    finally:
        vault.process.send_signal(signal.SIGCONT)


with Site(lease="60s") as site:
    words(site)
    config, state = making(site)
    configuration(site, config)
    benching(site)
    starting(site, config, state)
    site.begin()
    tree = site.path("data")
    make_tree(tree, files=20)
    site.add_transporter("web", "trusted", read=[tree], restore=[site.path("out")])
    site.add_transporter("vault", "untrusted", repositories=[site.path("store")], extra='drain = "0s";\n')
    site.sealift("repository", "create", "main", "--on", "vault", "--path", site.path("store", "main"))
    site.sealift("key", "create", "main", "--description", "for tests", "--generate")
    site.sealift("job", "create", "job", "--backup", f"web:{tree}", "--repository", "main", "--encrypt", "source",
                 "--key", "main")
    site.sealift("job", "run", "job", "--wait")
    gone_disk(site)
    draining(site)
print("the transporter starts, stops and says what is wrong")
