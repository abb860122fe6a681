"""A Sealift site of real daemons, for system tests: on loopback or, each on a host of its own, in network namespaces
(netns.py). Everything lies under one directory; on leaving the `with` block every daemon is ended, and one that does not
end in time is an error."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

FINGERPRINT = re.compile(r"([A-Z2-7]{4}-){7}[A-Z2-7]{4}")


class Failed(Exception):
    pass


class Daemon:
    def __init__(self, name, argv, log, env):
        self.name, self.argv, self.log, self.env = name, argv, log, env
        self.process = None
        self.start()

    def start(self):
        with open(self.log, "ab") as log:
            self.seen = log.tell()
            self.process = subprocess.Popen(self.argv, stderr=log, stdout=log, stdin=subprocess.DEVNULL, env=self.env)

    def lines(self):
        """What it has logged since it was last started."""
        with open(self.log, "rb") as log:
            log.seek(self.seen)
            return log.read().decode(errors="replace").splitlines()

    def wait_for(self, pattern, seconds=30):
        """The first line that matches; the daemon must live on until then."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in self.lines():
                if re.search(pattern, line):
                    return line
            if self.process.poll() is not None:
                raise Failed(f"{self.name} ended with {self.process.returncode}:\n" + "\n".join(self.lines()[-20:]))
            time.sleep(0.02)
        raise Failed(f"{self.name} did not log '{pattern}' within {seconds} s:\n" + "\n".join(self.lines()[-20:]))

    def reload(self):
        """It has read its configuration again."""
        def times():
            return sum("event=reloaded" in line for line in self.lines())
        before = times()
        self.process.send_signal(signal.SIGHUP)
        wait_until(lambda: times() > before, f"{self.name} reads its configuration again")

    def anonymous_bytes(self):
        """The memory that is its own."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"RssAnon:\s*(\d+) kB", status.read()).group(1)) * 1024

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
                raise Failed(f"{self.name} did not end on SIGTERM:\n" + "\n".join(self.lines()[-20:]))


def value(line, key):
    """key=value of a log line"""
    found = re.search(rf'\b{key}=("[^"]*"|\S+)', line)
    return found.group(1).strip('"') if found else None


class Site:
    def __init__(self, name="site", lease="5s", hosts=None, director=""):
        """`hosts`: {name of a daemon, or "operator": netns.Host}; who has none runs here, and the operator at the director.
        `director`: more settings of it, or other ones."""
        self.hosts, self.director = hosts or {}, director
        self.bin = os.path.join(os.environ["BUILD_DIR"], "bin")
        self.dir = os.path.join(os.environ["TMPDIR"], name)
        self.lease = lease
        self.env = dict(os.environ, SEALIFT_STATE=self.path("operator"))
        self.daemons = {}
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        failures = []
        for daemon in reversed(list(self.daemons.values())):
            try:
                daemon.stop()
            except Failed as failure:
                failures.append(str(failure))
        if kind is not None:
            for daemon in self.daemons.values():
                print(f"--- the end of {daemon.name}'s log")
                print("\n".join(daemon.lines()[-25:]))
        elif failures:
            raise Failed("\n".join(failures))

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def command(self, who, program, *args):
        """The command line of a program of the build, on the host of `who`."""
        argv = [os.path.join(self.bin, program), *args]
        return self.hosts[who].command(*argv) if who in self.hosts else argv

    def operator_command(self, *args):
        return self.command("operator" if "operator" in self.hosts else "director", "sealift", *args)

    def run(self, program, *args, code=0, timeout=120, text=True, env=None, stdin=None):
        """Runs a program of the build; `code` is the exit code (or a tuple of codes) that it must end with."""
        argv = self.operator_command(*args) if program == "sealift" else [os.path.join(self.bin, program), *args]
        done = subprocess.run(argv, capture_output=True, text=text, timeout=timeout, env=env or self.env,
                              input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL)
        wanted = code if isinstance(code, tuple) else (code,)
        if done.returncode not in wanted:
            raise Failed(f"{' '.join([program, *args])}: exit code {done.returncode} instead of {code}\n"
                         f"{done.stdout}\n{done.stderr}")
        return done

    def sealift(self, *args, **how):
        return self.run("sealift", *args, **how)

    def begin_run(self, job="web"):
        """Starts a run, and waits for nothing."""
        return subprocess.Popen(self.operator_command("--json", "job", "run", job, "--wait"), env=self.env, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)

    def end_run(self, process, code=0, timeout=60):
        """What it came to."""
        said, errors = process.communicate(timeout=timeout)
        if process.returncode not in (code if isinstance(code, tuple) else (code,)):
            raise Failed(f"the run ended with {process.returncode} instead of {code}:\n{said}\n{errors}")
        return json.loads(said) if said.strip() else {}

    def stored_bytes(self, *parts):
        """Of a repository's files, store/r if nothing is said: what has arrived, durable or about to be."""
        total = 0
        for where, _, names in os.walk(self.path(*(parts or ("store", "r")))):
            for name in names:
                try:
                    total += os.path.getsize(os.path.join(where, name))
                except FileNotFoundError:  # it is under another name by now
                    pass
        return total

    def until_stored(self, more, process, *parts):
        """Until so many bytes more have arrived; the run must last so long."""
        begun = self.stored_bytes(*parts)
        wait_until(lambda: process.poll() is not None or self.stored_bytes(*parts) >= begun + more, "the run stores nothing",
                   60)
        if process.poll() is not None:
            raise Failed(f"the run was over too soon:\n{process.communicate()}")

    def start_director(self):
        config = self.path("director.conf")
        where = ["--bind", "127.0.0.1", "--operator-port", "0", "--control-port", "0"]
        if "director" in self.hosts:
            where = ["--bind", "0.0.0.0"]
        said = self.run("sealift-director", "--init", "--config", config, "--state", self.path("director"), *where).stdout
        self.change_settings(config, self.director)
        self.director_key = re.search(r"\b[0-9a-f]{64}\b", said).group(0)
        self.claim = re.search(r"claim code: *(\S+)", said, re.I).group(1)
        self.run_director()

    def run_director(self):
        """(Re)starts the director; its ports must stay the same, so they are pinned after the first start."""
        config = self.path("director.conf")
        self.daemons["director"] = Daemon("director", self.command("director", "sealift-director", "--config", config),
                                          self.path("director.log"), self.env)
        ready = self.daemons["director"].wait_for("event=ready")
        self.operator_address = value(ready, "operator").replace("tcp://", "")
        self.control_address = value(ready, "control").replace("tcp://", "")
        if "director" in self.hosts:  # it listens everywhere, others know it by name
            domain = self.hosts["director"].domain
            self.operator_address, self.control_address = f"{domain}:9446", f"{domain}:9447"
        with open(config) as file:
            text = file.read()
        text = re.sub(r"(operator_port *= *)\d+", rf"\g<1>{self.operator_address.rsplit(':', 1)[1]}", text)
        text = re.sub(r"(control_port *= *)\d+", rf"\g<1>{self.control_address.rsplit(':', 1)[1]}", text)
        with open(config, "w") as file:
            file.write(text)

    def init_operator(self):
        claim = self.path("claim")
        with open(claim, "w") as file:
            file.write(self.claim + "\n")
        said = self.sealift("operator", "init", "--director", f"{self.director_key}@{self.operator_address}",
                            "--claim-code-file", claim, "--no-password").stdout
        self.line = re.search(r"sealift1:\S+", said).group(0)

    def init_transporter(self, name, read=("/",), restore=(), repositories=(), extra="", data=""):
        """Its configuration; `extra`: more settings, `data`: more in the group of that name. Returns the fingerprint."""
        config = self.path(f"{name}.conf")
        where = ["--data-listen", "tcp://127.0.0.1:0"]
        if name in self.hosts:
            where = ["--data-advertise", f"tcp://{self.hosts[name].domain}:9448"]
        argv = ["--init", "--site", self.line, "--name", name, "--config", config, "--state", self.path(name), *where]
        for option, paths in (("--read", read), ("--restore", restore), ("--repositories", repositories)):
            for path in paths:
                argv += [option, path]
        said = self.run("sealift-transporter", *argv).stdout
        with open(config) as file:
            text = re.sub(r'lease = "2m"', f'lease = "{self.lease}"', file.read())
        if data:
            text = text.replace("data = {\n", f"data = {{\n    {data}\n")
        with open(config, "w") as file:
            file.write(text)
        self.change_settings(config, extra)
        return FINGERPRINT.search(said).group(0)

    @staticmethod
    def change_settings(config, settings):
        """Lines that begin as these do are taken out, and these put to the end."""
        with open(config) as file:
            text = file.read()
        for setting in re.findall(r"^(\w+) = ", settings, re.M):
            text = re.sub(rf"^{setting} = .*\n", "", text, flags=re.M)
        with open(config, "w") as file:
            file.write(text + settings)

    def add_transporter(self, name, zone, **settings):
        """Made with these settings of init_transporter, started and let in."""
        fingerprint = self.init_transporter(name, **settings)
        self.run_transporter(name).wait_for("event=pending")
        self.sealift("transporter", "approve", name, "--zone", zone, "--fingerprint", fingerprint)
        self.daemons[name].wait_for("event=admitted")
        # over a long way the director hears of it a moment later
        if "director" in self.daemons:
            self.daemons["director"].wait_for(f"event=connected transporter={name} ")

    def run_transporter(self, name, prefix=()):
        """`prefix`: a command line that runs what follows it."""
        argv = [*prefix, *self.command(name, "sealift-transporter", "--config", self.path(f"{name}.conf"))]
        self.daemons[name] = Daemon(name, argv, self.path(f"{name}.log"), self.env)
        self.daemons[name].wait_for("event=ready")
        return self.daemons[name]

    def run_daemon(self, name):
        """Starts it again, be it the director or a transporter."""
        if name == "director":
            self.run_director()
        else:
            self.run_transporter(name)

    def begin(self):
        """A director, an operator: what every site starts from."""
        self.start_director()
        self.init_operator()
        return self

    def add_backup(self, tree, repository=None, restore=(), job=(), source=(), vault=()):
        """The usual backup: the job 'web' of the host 'source', which may restore to out/ too, into the repository
        'offsite' (store/r) of the untrusted host 'vault', sealed for the key 'main'; `job`: more options of it; `source`,
        `vault`: more of init_transporter."""
        repository = repository or self.path("store", "r")
        self.add_transporter("source", "trusted", read=[tree], restore=[self.path("out"), *restore], **dict(source))
        self.add_transporter("vault", "untrusted", repositories=[os.path.dirname(repository)], **dict(vault))
        self.sealift("repository", "create", "offsite", "--on", "vault", "--path", repository)
        self.sealift("key", "create", "main", "--description", "for tests", "--generate")
        self.sealift("job", "create", "web", "--backup", f"source:{tree}", "--repository", "offsite", "--encrypt",
                     "source", "--key", "main", *job)


def make_tree(root, files=200, seed="a"):
    """Files of many sizes, links, holes, an empty directory. The same seed makes the same bytes."""
    import hashlib
    os.makedirs(root)
    for i in range(files):
        directory = os.path.join(root, f"d{i % 7}", f"e{i % 3}")
        os.makedirs(directory, exist_ok=True)
        size = [0, 1, 700, 5000, 40000, 300000][i % 6]
        block = hashlib.sha256(f"{seed}{i}".encode()).digest()
        with open(os.path.join(directory, f"file-{i}"), "wb") as file:
            file.write((block * (size // 32 + 1))[:size])
    with open(os.path.join(root, "big"), "wb") as file:
        for i in range(5000):
            file.write(hashlib.sha512(f"{seed}big{i}".encode()).digest() * 16)
    with open(os.path.join(root, "sparse"), "wb") as file:
        file.seek(3 << 20)
        file.write(b"after the hole")
        file.truncate(5 << 20)
    os.symlink("big", os.path.join(root, "symlink"))
    os.link(os.path.join(root, "big"), os.path.join(root, "hard-link"))
    os.mkdir(os.path.join(root, "empty"))
    os.mkfifo(os.path.join(root, "fifo"))
    os.chmod(os.path.join(root, "big"), 0o4750)
    os.utime(os.path.join(root, "empty"), ns=(1, 1234567890123456789))


def describe(root):
    """Everything that a restore must bring back: {path: (type, mode, owner, time, size, link, content hash)}"""
    import hashlib
    import stat
    out = {}
    for where, directories, names in os.walk(root):
        for name in directories + names:
            path = os.path.join(where, name)
            st = os.lstat(path)
            kind = stat.S_IFMT(st.st_mode)
            content = None
            if kind == stat.S_IFREG:
                with open(path, "rb") as file:
                    content = hashlib.file_digest(file, "sha256").hexdigest()
            elif kind == stat.S_IFLNK:
                content = os.readlink(path)
            out[os.path.relpath(path, root)] = (kind, stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid, st.st_mtime_ns,
                                                st.st_size if kind == stat.S_IFREG else 0,
                                                st.st_nlink if kind == stat.S_IFREG else 0, content)
    return out


def same(a, b, what):
    """Compares two trees, names the first difference."""
    left, right = describe(a), describe(b)
    for path in sorted(set(left) | set(right)):
        if left.get(path) != right.get(path):
            raise Failed(f"{what}: '{path}' differs: {left.get(path)} and {right.get(path)}")


def flip(path, at):
    """One bit of a file."""
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def expect(holds, what):
    if not holds:
        raise Failed(what)


def wait_until(holds, what, seconds=20):
    """`holds` is asked again and again; `what` says what should have come to be."""
    end = time.monotonic() + seconds
    while not holds():
        expect(time.monotonic() < end, what)
        time.sleep(0.05)
