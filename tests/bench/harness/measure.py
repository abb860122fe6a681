"""Runs one command and tells what it cost: wall time, CPU time and memory of every process."""
import dataclasses
import os
import re
import signal
import subprocess
import threading
import time

SAMPLE_S = 0.020
TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A command ended badly; the text says which, how, and what it printed last."""


@dataclasses.dataclass
class Cost:
    wall_s: float
    cpu_user_s: float
    cpu_sys_s: float
    others_user_s: float  # user time of the rest of the machine (kernel threads work for the tool as well)
    peak_anon: dict  # name of the program: bytes of its largest process
    output: str


def processes():
    """Every process of our space but ourselves."""
    own = os.getpid()
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != own]


def cpu_s(pid):
    """(user, system) seconds of a process and of those of its children that it has waited for."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return (0.0, 0.0)
    utime, stime, cutime, cstime = (int(field) / TICKS for field in fields[11:15])
    return (utime + cutime, stime + cstime)


def machine_user_s():
    """Seconds that all cores together have spent in user space."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice = file.readline().split()[1:3]
    return (int(user) + int(nice)) / TICKS


def wait_for_calm(limit_s):
    """Until the cores have spent at most a tenth of a second in user space, or for limit_s."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        before_s = machine_user_s()
        time.sleep(1)
        if machine_user_s() - before_s < 0.1 * os.cpu_count():
            return


def label(pid, name):
    """What a process is called in the results: daemons of one program differ in their configuration."""
    with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
        words = file.read().split("\0")
    if "--config" not in words[:-1]:
        return name
    config = words[words.index("--config") + 1]
    return f"{os.path.basename(words[0])} {os.path.basename(config).removesuffix('.conf')}"


class Sampler(threading.Thread):
    """Notes the most anonymous memory that each process held, until stopped."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peaks = {}
        self.ended = threading.Event()

    def sample(self):
        for pid in processes():
            try:
                with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
                    status = file.read()
                name = label(pid, re.match(r"Name:\t(.*)", status).group(1))
            except OSError:
                continue
            anon = re.search(r"^RssAnon:\s+(\d+)", status, re.MULTILINE)
            if anon:
                self.peaks[name] = max(self.peaks.get(name, 0), int(anon.group(1)) * 1024)

    def run(self):
        while not self.ended.wait(SAMPLE_S):
            self.sample()

    def stop(self):
        self.ended.set()
        self.join()
        return self.peaks


def last_lines(path, count=12):
    with open(path, encoding="utf-8", errors="replace") as file:
        return "".join(file.readlines()[-count:])


def take_precedence():
    """Before everything else that runs here. Where the kernel schedules by session, the session's
    niceness is what counts."""
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    if os.path.exists("/proc/self/autogroup"):
        with open("/proc/self/autogroup", "w", encoding="ascii") as file:
            file.write("-20")


def run(argv, log, *, cwd, env, prepare=None, timeout_s=1200):
    """The cost of `argv`, from its start to its exit. CPU includes its children and what every other
    process of the space (a tool's daemons) spent meanwhile. Output goes to the file `log`. `prepare`
    is called in the new process first."""
    before = {pid: cpu_s(pid) for pid in processes()}
    user_before_s = machine_user_s()
    sampler = Sampler()
    with open(log, "w", encoding="utf-8") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=cwd, env=env,
            start_new_session=True, preexec_fn=prepare)
        alarm = threading.Timer(timeout_s, os.killpg, (process.pid, signal.SIGKILL))
        alarm.start()
        sampler.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            wall_s = time.monotonic() - started
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
            alarm.cancel()
            peaks = sampler.stop()
    if process.returncode != 0:
        raise Failed(f"{' '.join(argv[:3])} … ended with {process.returncode}:\n{last_lines(log)}")
    all_user_s = machine_user_s() - user_before_s
    daemons = [(cpu_s(pid), spent) for pid, spent in before.items()]
    user_s = usage.ru_utime + sum(now[0] - then[0] for now, then in daemons)
    sys_s = usage.ru_stime + sum(now[1] - then[1] for now, then in daemons)
    with open(log, encoding="utf-8", errors="replace") as output:
        return Cost(wall_s, user_s, sys_s, max(0.0, all_user_s - user_s), peaks, output.read())


def end_all(grace_s=10):
    """Ends what the tool left running: politely, then by force."""
    for sign, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, grace_s)):
        for pid in processes():
            try:
                os.kill(pid, sign)
            except ProcessLookupError:
                pass
        deadline = time.monotonic() + wait_s
        while processes() and time.monotonic() < deadline:
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(0.02)
            except ChildProcessError:
                return
