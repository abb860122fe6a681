#!/usr/bin/env python3
# build: asan
# timeout: 150
"""No secret leaves the file that somebody made for it: passwords, keys, credentials and claim codes that are known here
go through every verb that takes one, right and wrong, plain and --json, at debug level; then every answer, log and state
directory, the repository, and each process's arguments and environment are searched for them in many encodings."""

import base64
import json
import os
import pty
import re
import resource
import shutil
import subprocess
import sys
from urllib.parse import quote

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "support"))
from sealift_site import Failed, Site, expect, wait_until

USAGE, NO_KEY, WRONG_KEY = 2, 20, 21
WORDS = {name: f"{word} {name} horse at 7 o'clock" for name, word in (
    ("key", "Quetzal"), ("rotated", "Tlaloc"), ("further", "Xolotl"), ("kit", "Mictlan"), ("identity", "Coatlicue"),
    ("bundle", "Tonatiuh"), ("export", "Chalchi"), ("typed", "Ehecatl"), ("wrong", "Itzpapalotl"))}
WORDS["weak"] = "Zx9weakQ"


def forms(secret):
    """How these bytes might show: as they are, in UTF-16, hex, base64 and base32 at every alignment, in a URI, in JSON."""
    found = {secret, secret.hex().encode(), secret.hex().upper().encode(), secret[::-1]}
    found.add(" ".join(f"{byte:02x}" for byte in secret).encode())
    for before in range(3):
        text = base64.b64encode(bytes(before) + secret)
        text = text[(0, 2, 3)[before]:len(text) - 4]
        found |= {text, text.replace(b"+", b"-").replace(b"/", b"_")}
    for before in range(5):
        text = base64.b32encode(bytes(before) + secret)
        text = text[-(-before * 8 // 5):len(text) - 8]
        found |= {text, text.lower()}
    try:
        found |= {secret.decode().encode("utf-16-le"), quote(secret.decode(), safe="").encode(),
                  json.dumps(secret.decode())[1:-1].encode()}
    except UnicodeDecodeError:
        pass
    return {form for form in found if len(form) >= 8}


class Canaries:
    """What nobody may find, and what was said so far."""

    def __init__(self):
        self.forms, self.said, self.lived = {}, [], {}

    def add(self, name, secret):
        self.forms[name] = forms(secret)
        return secret

    def search(self, where, data):
        for name, needles in self.forms.items():
            for form in needles:
                at = data.find(form)
                expect(at < 0, f"{where} holds the {name}: …{data[max(0, at - 80):at + 20]!r}…")

    def look_at(self, process):
        """Its arguments and its environment, as `ps` shows them."""
        seen = b""
        for name in ("cmdline", "environ"):
            try:
                with open(f"/proc/{process.pid}/{name}", "rb") as file:
                    seen += file.read() + b"\0"
            except OSError:
                pass
        self.lived[process.pid] = max(self.lived.get(process.pid, b""), seen, key=len)


class Leaks(Site):
    """A site whose every command is listened to. What somebody made for himself lies in mine/, and is not searched."""

    def __init__(self):
        super().__init__("leaks")
        self.canaries = Canaries()
        self.mine = os.path.join(os.environ["TMPDIR"], "mine")
        shutil.rmtree(self.mine, ignore_errors=True)
        os.makedirs(self.mine, 0o700)
        self.files = {name: self.put(name, self.canaries.add(f"{name} password", text.encode()) + b"\n")
                      for name, text in WORDS.items()}
        self.verbs, self.json = set(), False

    def put(self, name, data, mode=0o600):
        path = os.path.join(self.mine, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            file.write(data)
        return path

    def secret_file(self, name, size=32):
        return self.put(name.replace(" ", "-"), self.canaries.add(name, os.urandom(size)))

    def listen(self, argv, code, env, fd_text=None):
        """Runs it; its arguments and environment are looked at while it lives."""
        read_end = None
        if fd_text is not None:
            read_end, write_end = os.pipe()
            argv = [word.replace("@FD", str(read_end)) for word in argv]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
                                   pass_fds=() if read_end is None else (read_end,))
        self.canaries.look_at(process)
        if read_end is not None:
            os.close(read_end)
            os.write(write_end, fd_text + b"\n")
            os.close(write_end)
        out, err = process.communicate(timeout=60)
        self.canaries.said.append((" ".join(argv[1:]), out + b"\0" + err))
        if process.returncode not in (code if isinstance(code, tuple) else (code,)):
            raise Failed(f"{' '.join(argv[1:])}: {process.returncode} instead of {code}: {out!r} {err!r}")
        return out

    def cli(self, *words, code=0, who="operator", fd_text=None):
        self.verbs.add(" ".join(words[:2] if words[0] not in ("restore", "cat") else words[:1]))
        argv = [os.path.join(self.bin, "sealift"), *words]
        return self.listen(argv, code, dict(self.env, SEALIFT_STATE=self.path(who)), fd_text)

    def refused(self, code, *words, **how):
        """Said to people or, every other time, to programs: a derivation from a password takes long."""
        self.json = not self.json
        self.cli(*words, *(["--json"] if self.json else []), code=code, **how)

    def typed(self, lines, *words, code=0):
        """At a terminal."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(os.path.join(self.bin, "sealift"), ["sealift", *words], self.env)
        seen = b""
        try:
            for line in lines:
                before = len(seen)
                while b": " not in seen[before:]:  # the prompt
                    seen += os.read(terminal, 4096)
                os.write(terminal, line.encode() + b"\n")
            while data := os.read(terminal, 4096):
                seen += data
        except OSError:
            pass
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(terminal)
        self.canaries.said.append((" ".join(words) + " (typed)", seen))
        expect(status == code, f"{words} at a terminal: {status}: {seen!r}")

    def debug(self, name):
        """At the most talkative level that there is."""
        config = self.path(f"{name}.conf")
        with open(config, encoding="utf-8") as file:
            text = file.read()
        with open(config, "w", encoding="utf-8") as file:
            file.write(re.sub(r'log_level = "\w+"', 'log_level = "debug"', text)
                       if "log_level" in re.sub(r"#.*", "", text) else text + 'log_level = "debug";\n')
        self.daemons[name].stop()
        self.run_daemon(name)

    def undumpable(self):
        """As they are started by everybody but a test: without a core file, whatever limit they are given. (That they
        are not dumpable either is asserted where it can be asked: tests/unit/base/secret_test.c.)"""
        plain = {name: value for name, value in self.env.items() if name != "SEALIFT_DUMPABLE"}
        plain["ASAN_OPTIONS"] = plain.get("ASAN_OPTIONS", "") + ":detect_leaks=0"  # it would have to trace the process
        most = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.setrlimit(resource.RLIMIT_CORE, (most, most))
        self.env.pop("SEALIFT_DUMPABLE", None)

        def limit(pid):
            with open(f"/proc/{pid}/limits", encoding="ascii") as file:
                return re.search(r"Max core file size +(\S+) +(\S+)", file.read()).groups()

        expect(most == 0 or limit("self") != ("0", "0"), "this test may write a core file, so that it is seen who does not")
        for name in ("director", "vault"):
            self.daemons[name].stop()
            self.daemons[name].env = plain
            self.daemons[name].start()
            self.daemons[name].wait_for("event=ready")
            found = limit(self.daemons[name].process.pid)
            expect(found == ("0", "0"), f"{name} may write {found} bytes of a core file")
        # and the command line, while it waits for a password
        read_end, write_end = os.pipe()
        words = ["key", "create", "never", "--description", "x", "--password", "--password-fd", str(read_end)]
        process = subprocess.Popen([os.path.join(self.bin, "sealift"), *words], env=plain, pass_fds=(read_end,),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: limit(process.pid) == ("0", "0"), "the command line may write a core file")
        finally:
            process.kill()
            process.wait()
            os.close(read_end)
            os.close(write_end)


def begin(site):
    site.start_director()
    site.canaries.add("claim code", site.claim.encode())
    site.debug("director")
    site.put("claim", site.claim.encode() + b"\n")
    director = f"{site.director_key}@{site.operator_address}"
    init = ("operator", "init", "--director", director, "--no-password", "--name", "root", "--claim-code-file")
    site.refused((3, WRONG_KEY), *init, site.files["wrong"])
    said = site.cli(*init, os.path.join(site.mine, "claim")).decode()
    site.line = re.search(r"sealift1:\S+", said).group(0)
    site.refused((3, 5, WRONG_KEY), "operator", "move", "--director", director, "--claim-code-file", site.files["wrong"])
    # a second one, whose identity is under a password
    identity = ("operator", "identity", "--name", "ben", "--out", site.path("ben.identity"), "--identity-password-file")
    site.cli(*identity, site.files["weak"], code=USAGE, who="ben")
    site.cli(*identity, site.files["identity"], who="ben")
    site.cli("operator", "add", "ben", "--identity", site.path("ben.identity"), "--yes")
    site.cli("operator", "join", "--site", site.line, "--director", director, "--identity-password-fd", "@FD", who="ben",
             fd_text=WORDS["identity"].encode())
    site.cli("operator", "export", "--out", site.path("root.export"), "--password-file", site.files["weak"], code=USAGE)
    site.cli("operator", "export", "--out", site.path("root.export"), "--password-file", site.files["export"])
    importing = ("operator", "import", site.path("root.export"))
    for option in ("--identity-password-file", "--password-file"):
        site.refused(WRONG_KEY, *importing, option, site.files["wrong"], who="again")
    site.cli(*importing, "--password-fd", "@FD", who="again", fd_text=WORDS["export"].encode())


def hosts(site, double):
    role = dict(AWS_ACCESS_KEY_ID="ASIAROLE", AWS_SECRET_ACCESS_KEY="role/secret+key=EXAMPLE",
                AWS_SESSION_TOKEN=double["session_token"])
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        site.canaries.add(name, role[name].encode())
    at = f"REGION={double['region']}&AWS_ENDPOINT=http://127.0.0.1:{double['port']}"
    uri = f"aws:///alias/main?{at}&" + "&".join(f"{name}={quote(value, safe='')}" for name, value in role.items())
    bad = uri.replace("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY")
    site.put("aws.uri", uri.encode() + b"\n")
    site.put("bad.uri", bad.encode() + b"\n")
    wrapping = site.secret_file("wrapping key")
    own = site.secret_file("own key")
    entries = (f'kms = ( {{ name = "cloud"; uri_file = "{site.mine}/aws.uri"; timeout = "5s"; }},\n'
               f'{{ name = "near"; uri = "file://{wrapping}"; }} );\n')
    site.put("kms.conf", entries.encode())
    site.put("bad-kms.conf", entries.replace("aws.uri", "bad.uri").encode())
    tree = site.path("data")
    os.makedirs(tree)
    with open(os.path.join(tree, "file"), "wb") as file:
        file.write(b"some content\n" * 1000)
    site.add_transporter("source", "trusted", read=[tree], restore=[site.path("out")],
                         extra=f'own_key = "{own}";\n' + entries)
    site.add_transporter("vault", "untrusted", repositories=[site.path("store")])
    for name in ("source", "vault"):
        site.debug(name)
    # a configuration with a URI that says too much, in a file that everybody can read, and one with a typing error
    config = site.path("source.conf")
    with open(config, encoding="utf-8") as file:
        text = file.read()
    for name, broken in (("open.conf", text.replace(f'uri_file = "{site.mine}/aws.uri"', f'uri = "{uri}"')),
                         ("typing.conf", text.replace("aws.uri", "bad.uri"))):
        path = site.put(name, broken.encode(), 0o644)
        site.listen([os.path.join(site.bin, "sealift-transporter"), "--check-config", "--config", path], (1, 2, 3, 5), site.env)
    site.cli("repository", "create", "offsite", "--on", "vault", "--path", site.path("store", "r"))


def protect(site):
    """What a KMS holds of the key, and a further password."""
    for entry in ("cloud", "near"):
        site.cli("key", "protect", "file", "--kms", entry, "--at", "source", "--json")
    site.cli("key", "protect", "file", "--password", "--description", "in the safe", "--existing", "--password-file",
             site.files["further"])


def keys(site):
    files = site.files
    key_file = site.secret_file("key file")
    encoded = site.put("encoded", base64.b64encode(site.canaries.add("key in base64", os.urandom(32))) + b"\n")
    short = site.secret_file("key of 31 bytes", 31)
    create = ("key", "create", "bad", "--description", "x")
    site.refused(USAGE, *create, "--from-file", short)
    site.refused(USAGE, *create, "--password", "--password-file", files["weak"])
    site.cli("key", "create", "words", "--description", "x", "--password", "--password-fd", "@FD", "--json",
             fd_text=WORDS["key"].encode())
    site.cli("key", "create", "file", "--description", "x", "--from-file", key_file, "--json")
    site.refused(3, *create, "--from-file", key_file)
    site.cli("key", "create", "spare", "--description", "x", "--from-file", encoded)
    site.cli("key", "create", "own", "--description", "x", "--own", "source")
    site.typed([WORDS["typed"], WORDS["typed"]], "key", "create", "typed", "--description", "x", "--password")
    ben = ("key", "create", "bens", "--description", "x", "--generate", "--identity-password-file")
    site.refused(WRONG_KEY, *ben, files["wrong"], who="ben")
    site.cli(*ben, files["identity"], who="ben")
    protect(site)
    for key in ("words", "file", "own"):
        site.cli("job", "create", key, "--backup", f"source:{site.path('data')}", "--repository", "offsite", "--encrypt",
                 "source", "--key", key, "--json")
        site.cli("job", "run", key, "--wait", "--json")
    site.cli("key", "grant", "file", "source", "--half", "read", "--json")
    site.cli("key", "withdraw", "file", "source", "--half", "read")
    site.cli("key", "protect", "words", "--password", "--description", "drawer", "--password-file", site.files["further"])
    site.cli("key", "unprotect", "words", "--password", "drawer", "--yes", "--json")


def opening(site):
    """Every verb that opens something, with what is wrong and what is right."""
    files, kit = site.files, site.path("file.kit")
    site.cli("key", "export", "file", "--out", kit, "--password-file", files["weak"], code=USAGE)
    site.cli("key", "export", "file", "--out", kit, "--password-file", files["kit"])
    printed = site.cli("key", "export", "file", "--print", "--password-fd", "@FD", fd_text=WORDS["kit"].encode())
    expect(b"offline restore" in printed, "a printed kit is searched too")
    right = ("--kit", kit, "--kit-password-file", files["kit"])
    site.refused(WRONG_KEY, "key", "import", *right[:3], files["wrong"])
    site.cli("key", "import", *right, "--json")
    # no copy any more: passwords and KMS come into play
    for who in ("root", "ben"):
        site.cli("key", "withdraw", "words", who, "--half", "read")
    shutil.rmtree(site.path("operator", "grants"), ignore_errors=True)
    to = ("--to", f"source:{site.path('out')}", "--wait")
    wrong, word = ("--password-file", files["wrong"]), ("--password-file", files["key"])
    site.refused(WRONG_KEY, "restore", "words@latest", *to, *wrong)
    site.cli("restore", "words@latest", *to, *word)
    site.cli("cat", "words@latest", os.path.join(site.path("data"), "file"), *word)
    site.cli("point", "files", "file@latest", "--json", *word)
    site.cli("point", "verify", "file@latest", "--level", "decrypt", "--json", *word)
    site.cli("key", "explain", "words@latest", "--json", *word)
    site.cli("key", "explain", "file@latest", "--json", *right)
    site.cli("repository", "check", "offsite", "--level", "decrypt", "--json", *word, code=(0, NO_KEY))
    store = site.path("store", "r")
    site.cli("offline", "list", store, "--json")
    restore = ("offline", "restore", store)
    site.refused(WRONG_KEY, *restore, "words@latest", "--to", site.path("out", "1"), *wrong)
    site.refused(WRONG_KEY, *restore, "file@latest", "--to", site.path("out", "1"), "--key-file",
                 os.path.join(site.mine, "wrapping-key"))
    site.refused(WRONG_KEY, *restore, "file@latest", "--to", site.path("out", "1"), *right[:3], files["wrong"])
    site.cli(*restore, "file@latest", "--to", site.path("out", "2"), "--key-file", os.path.join(site.mine, "key-file"))
    site.cli(*restore, "own@latest", "--to", site.path("out", "3"), "--key-file", os.path.join(site.mine, "own-key"), "--json")
    for config, code in (("bad-kms.conf", (USAGE, 3)), ("kms.conf", 0)):
        site.cli(*restore, "file@latest", "--to", site.path("out", config), "--kms-file", os.path.join(site.mine, config),
                 code=code, who="nobody")
    site.cli("offline", "check", store, "--level", "decrypt", "--json", *right, code=(NO_KEY, WRONG_KEY), who="nobody")
    site.cli("offline", "cat", store, "file@latest", os.path.join(site.path("data"), "file"), *right, who="nobody")


def turning(site):
    """Rotation, the director's state, and what only lists."""
    files = site.files
    site.cli("key", "rotate", "file", "--password", "--password-file", files["rotated"], "--yes", "--without-kms", "cloud",
             "--without-kms", "near", "--json")
    site.cli("key", "rotate", "words", "--from-file", site.secret_file("rotated key file"), "--yes",
             code=(0, NO_KEY))  # nobody has the earlier one any more
    site.cli("key", "rewrap", "file", "--at", "source", "--json")
    bundle = site.path("director.sealift")
    site.cli("config", "export", "--out", bundle, "--password-file", files["weak"], code=USAGE)
    site.cli("config", "export", "--out", bundle, "--password-file", files["bundle"], "--json")
    site.cli("config", "show", bundle, "--json")
    site.refused(WRONG_KEY, "config", "import", bundle, "--dry-run", "--password-file", files["wrong"])
    site.cli("config", "import", bundle, "--dry-run", "--password-fd", "@FD", fd_text=WORDS["bundle"].encode())
    site.cli("config", "set-password", "--password-file", files["bundle"])
    for words in (("key", "list"), ("key", "show", "file"), ("transporter", "show", "source"), ("job", "history", "file"),
                  ("job", "log", "words"), ("point", "list"), ("point", "show", "file@latest"), ("status",)):
        site.cli(*words)
        site.cli(*words, "--json", code=(0, 1))
    site.cli("key", "delete", "spare", "--yes", "--json")


def every_verb(site, tried):
    """Each verb that can be told a secret was told one."""
    overview = site.cli("--help").decode()
    there = re.findall(r"^  (operator|key|config|offline|repository|point|restore|cat)\b ?([a-z-]*)  ", overview.split("Not there yet")[0], re.M)
    missing = []
    for noun, verb in there:
        name = f"{noun} {verb}".strip()
        said = site.cli(*name.split(), "--help").decode().split("options of every command")[0]
        takes = re.findall(r"--(?:password|kit|key-file|kms-file|claim-code-file|from-file)\b", said)
        if takes and name not in tried:
            missing.append(f"'{name}' takes {sorted(set(takes))}")
    expect(not missing, f"not tried here: {missing}")


def everything(site):
    canaries = site.canaries
    for said, data in canaries.said:
        canaries.search(f"what '{said}' says", data)
    for daemon in site.daemons.values():
        canaries.look_at(daemon.process)
    # many end before they are looked at; those that wait for a password, and the daemons, do not
    seen = sum(b"sealift" in seen for seen in canaries.lived.values())
    expect(seen >= 7, f"only {seen} processes were seen alive")
    for seen in canaries.lived.values():
        canaries.search("a process's arguments or environment", seen)
    count = 0
    for where, directories, names in os.walk(site.dir):
        for name in names:
            path = os.path.join(where, name)
            canaries.search("the name of a file", name.encode())
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    data = file.read()
                canaries.search(path, data)
                count += 1
    expect(count > 60, f"only {count} files were searched")
    # the other way around: the same search finds them where they were put
    for name in ("aws.uri", "own-key", "key"):
        with open(os.path.join(site.mine, name), "rb") as file:
            data = file.read()
        try:
            canaries.search(name, data)
        except Failed:
            continue
        raise Failed(f"the search does not find what is in '{name}'")


with Leaks() as site:
    double = subprocess.Popen([os.path.join(HERE, "support", "aws_kms_double.py")], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
    try:
        begin(site)
        hosts(site, json.loads(double.stdout.readline()))
        keys(site)
        opening(site)
        turning(site)
        every_verb(site, set(site.verbs))
        everything(site)
        site.undumpable()
    finally:
        double.kill()
        double.wait()
print("no secret is anywhere but where somebody put it")
