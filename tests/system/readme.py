#!/usr/bin/env python3
# build: release
# timeout: 240
"""The ten-minute guide of README.md and the commands of docs/operations.md do what they say: they are taken from
the documents as they stand and run in their order, each at a terminal of its own, and only host names, ports and
the directories of a whole machine are replaced. A command that this test does not know is an error too."""

import json
import os
import pty
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import FINGERPRINT, Daemon, Failed, Site, expect, same, value  # noqa: E402

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
PASSWORD = "a long enough password"
COMMAND = re.compile(r"^(\w+)\$ +(sealift\S*( .*)?)$")


def document(name):
    with open(os.path.join(SOURCES, name), encoding="utf-8") as file:
        return file.read()


def blocks(text):
    """[(host, command)] of all fenced blocks, in order; a line continues behind a backslash, and ends before a comment"""
    found = []
    for block in re.findall(r"^```\n(.*?)^```$", text, re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            match = COMMAND.match(line)
            if match:
                found.append((match.group(1), re.sub(r"\s+#.*", "", match.group(2))))
    return found


def mentioned(text):
    """Commands within sentences and tables"""
    return re.findall(r"`(sealift[a-z-]* [^`]+)`", re.sub(r"^```\n.*?^```$", "", text, flags=re.M | re.S))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Guide(Site):
    """The machines of the guide: a directory each, which is its home, its /etc and its /var."""

    def __init__(self):
        super().__init__("readme")
        self.ports = {"vault": free_port(), "web": free_port()}
        self.key = self.line = self.claim = self.operator = ""
        self.fingerprints = {}
        self.owner = {"/etc": "web", "/home": "web", "/var/restore": "web", "/srv/backup": "vault", "/tmp/back": "anywhere"}
        self.asked = []

    def place(self, host, text):
        """A path of the guide as it is here; those of a daemon's own state and settings belong to its host."""
        for start, owner in self.owner.items():
            if not text.startswith("/etc/sealift"):
                text = re.sub(rf"(?<![\w./-]){re.escape(start)}(?=/|$)", self.path(owner) + start, text)
        return re.sub(r"^/(etc/sealift|var/lib)", self.path(host) + r"/\1", text)

    def words(self, host, command):
        # the source's `/etc` is not that of the host that restores it
        words = [self.place(host, word) for word in shlex.split(command, comments=True)]
        words = [word.replace("KEY@director.example:9446", f"{self.key}@{self.operator}").replace("SITE-LINE", self.line)
                 for word in words]
        for name, port in self.ports.items():
            words = [word.replace(f"{name}.example:9448", f"127.0.0.1:{port}") for word in words]
        if "--init" in words and words[0] == "sealift-director":
            words += ["--bind", "127.0.0.1", "--operator-port", "0", "--control-port", "0"]
        if "--init" in words and words[0] == "sealift-transporter":
            port = self.ports[host] if "--data-advertise" in words else 0
            words += ["--state", self.path(host, "state"), "--data-listen", f"tcp://127.0.0.1:{port}"]
        return words

    def home(self, host):
        env = {key: text for key, text in self.env.items() if key != "SEALIFT_STATE"}
        os.makedirs(self.path(host, "etc", "sealift"), exist_ok=True)
        return dict(env, HOME=self.path(host), SEALIFT_DUMPABLE="1")

    def answer_to(self, prompt):
        if "claim code" in prompt:
            return self.claim
        if "[y/N]" in prompt:
            shown = FINGERPRINT.search(prompt)
            expect(not shown or shown.group(0) in self.fingerprints.values(), f"another fingerprint is asked for: {prompt}")
            return "y"
        return PASSWORD

    def talk(self, host, words, seconds=60):
        """Runs a program at a terminal and types what it asks for: (exit code, what the terminal showed)"""
        env = self.home(host)
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.dir)
            os.execve(os.path.join(self.bin, words[0]), words, env)
        shown, answered, end = b"", 0, time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([terminal], [], [], max(0, end - time.monotonic()))
            if not ready:
                os.kill(pid, signal.SIGKILL)
            try:
                data = os.read(terminal, 4096) if ready else b""
            except OSError:  # the terminal's other side is closed
                data = b""
            if not data:
                break
            shown += data
            rest = shown[answered:].decode(errors="replace").split("\n")[-1]
            if re.search(r"(: |\[y/N\] )$", rest):
                self.asked.append(rest)
                os.write(terminal, self.answer_to(rest).encode() + b"\n")
                answered = len(shown)
        _, status = os.waitpid(pid, 0)
        os.close(terminal)
        return os.waitstatus_to_exitcode(status), shown.decode(errors="replace").replace("\r\n", "\n")

    def start(self, host, words):
        log = self.path(host, "log")
        argv = [os.path.join(self.bin, words[0]), *words[1:]]
        daemon = self.daemons[host] = Daemon(host, argv, log, self.home(host))
        if words[0] == "sealift-director":
            self.operator = value(daemon.wait_for("event=ready"), "operator").replace("tcp://", "")
        else:
            daemon.wait_for("event=pending")

    def step(self, host, command, code=0):
        print(f"{host}$ {command}", flush=True)
        words = self.words(host, command)
        if words[0] != "sealift" and words[1] == "--config":
            self.start(host, words)
            return ""
        began = time.monotonic()
        got, shown = self.talk(host, words)
        print(re.sub(r"^", "    ", shown.strip(), flags=re.M), f"\n    [{time.monotonic() - began:.1f} s]", flush=True)
        expect(got == code, f"'{command}' ended with {got} instead of {code}")
        self.learn(host, words, shown)
        return shown

    def learn(self, host, words, shown):
        """What the guide says to carry over to the next command"""
        if words[0] == "sealift-director" and "--init" in words:
            self.key = re.search(r"\b[0-9a-f]{64}\b", shown).group(0)
            self.claim = re.search(r"claim code: *(\S+)", shown).group(1)
        if words[0] == "sealift-transporter" and "--init" in words:
            self.fingerprints[host] = FINGERPRINT.search(shown).group(0)
        line = re.search(r"sealift1:\S+", shown)
        if line:
            self.line = line.group(0)
        if "approve" in words:
            self.daemons[words[words.index("approve") + 1]].wait_for("event=admitted")

    def make_data(self):
        for host, paths in (("web", ("etc/nginx/sites", "home/anna")), ("vault", ("srv/backup",))):
            for path in paths:
                os.makedirs(self.path(host, path))
        for number in range(40):
            for place in ("etc/nginx/sites", "home/anna"):
                with open(self.path("web", place, f"file-{number}"), "wb") as file:
                    file.write(f"{place} {number}\n".encode() * (number * number * 3))
        with open(self.path("web", "etc", "hostname"), "w") as file:
            file.write("web\n")


def guide(site):
    """README.md, as it is written"""
    text = document("README.md")
    text = text[text.index("## Ten minutes"):text.index("## Read on")]
    commands = blocks(text)
    expect(len(commands) >= 15, f"README.md: only {len(commands)} commands are found")
    for host, command in commands:
        shown = site.step(host, command)
        if "pending" in command:
            expect(all(name in shown for name in site.fingerprints.values()), "pending shows other fingerprints")
        if "restore web@latest" in command:
            same(site.path("web/etc/nginx"), site.path("web/var/restore") + site.path("web/etc/nginx"), command)
        if "offline restore" in command:
            for place in ("etc/nginx", "home"):
                same(site.path("web", place), site.path("anywhere/tmp/back") + site.path("web", place), command)
    expect(any("claim code" in prompt for prompt in site.asked), "nobody asked for the claim code")
    for command in mentioned(text):
        if "--copy" in command:  # "one more repository, made as in step 4"
            site.step("you", "sealift repository create elsewhere --on vault --path /srv/backup/elsewhere")
        shown = site.step("you", command)
        if "point files" in command:
            expect("/etc/nginx/sites/file-7" in shown, "point files lists something else")
            shown = site.step("you", command.replace("sealift", "sealift --json"))
            rows = json.loads(shown[shown.index("{"):])["files"]
            expect(all(row["path"].startswith("/") for row in rows), "a path in JSON is not the one to restore by")
    site.step("you", "sealift job run second --wait")
    shown = site.step("anywhere", "sealift offline list /srv/backup/elsewhere")
    expect("main" in shown, "the copy has no point")


# `sealift …` in the sentences of docs/operations.md: what to put for its words, and the exit code
MENTIONED = {
    "sealift offline check REPOSITORY --level hash": ("sealift offline check /srv/backup/offsite --level hash", 0),
    "sealift-director --new-claim-code --config FILE":
        ("sealift-director --new-claim-code --config /etc/sealift/director.conf", 3),  # it is claimed
}


NOUNS = ("operator", "transporter", "link", "repository", "key", "job", "point", "offline", "config")
# what a lost director or host is replaced by: state.py does it, here is only whether there are such words
REPLACES = r"transporter revoke|config (import|proceed)|operator move|--move|repository (attach|detach)"


def ask_help(site, host, command):
    """Every option that the command uses is in its verb's help"""
    program, *words = [word for word in shlex.split(command) if not re.match(r"^(--|[A-Z-]+$|/)", word)]
    verb = words[:2] if words and words[0] in NOUNS else words[:1]
    shown = site.step(host, " ".join([program, *verb, "--help"]))
    for option in re.findall(r"(?<!\S)--[a-z-]+", command):
        expect(option in shown or option in ("--json", "--quiet", "--state"), f"'{option}' of: {command}")


def operations(site):
    """docs/operations.md: its blocks in order, then what its sentences tell to type"""
    text = document("docs/operations.md")
    commands = blocks(text)
    expect(len(commands) >= 8, f"docs/operations.md: only {len(commands)} commands are found")
    site.owner["/var/restore"] = "web2"
    for host, command in commands:
        if re.match(r"sealift (repository check|point verify) .*--level (decrypt|restore)", command):
            ask_help(site, host, command)  # the host that would open is gone by then; verify.py does it
            continue
        if re.search(r"\b(shop|srv)\b", command):  # streams and scripts are streams.py's: here, that there are such verbs
            ask_help(site, host, command)
            continue
        if host == "new" and not command.startswith("sealift "):
            continue  # a director is made and started as in the guide
        if host in ("new", "ben") or re.search(REPLACES, command):
            ask_help(site, host, command)
            continue
        if command.startswith("sealift restore"):
            site.daemons["web"].stop()  # the host is gone
        shown = site.step(host, command)
        if command.startswith("sealift restore"):
            same(site.path("web/etc/nginx"), site.path("web2/var/restore") + site.path("web/etc/nginx"), command)
        if "offline restore" in command:
            back = site.place(host, shlex.split(command, comments=True)[shlex.split(command, comments=True).index("--to") + 1])
            same(site.path("web/etc"), back + site.path("web/etc"), command)
        if "offline cat" in command:
            expect("web\n" in shown, "offline cat shows something else")
    site.daemons["director"].stop()  # as it says before --new-claim-code
    for command in dict.fromkeys(mentioned(text)):
        if command in MENTIONED:
            site.step("director" if "director" in command else "anywhere", *MENTIONED[command])
        else:
            ask_help(site, "you", command)


def main():
    began = time.monotonic()
    with Guide() as site:
        site.make_data()
        guide(site)
        print(f"--- the guide took {time.monotonic() - began:.1f} s")
        operations(site)
    print(f"all of it took {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    try:
        main()
    except (Failed, subprocess.SubprocessError) as failure:
        sys.exit(f"FAIL: {failure}")
