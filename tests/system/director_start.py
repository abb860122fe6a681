#!/usr/bin/env python3
# build: asan release
# timeout: 120
"""The director as a daemon: making it, its configuration, readiness, signals, one process for each state,
and what it leaves on disk. No operator, no transporter."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys

PROGRAM = os.path.join(os.environ["BUILD_DIR"], "bin", "sealift-director")
HERE = os.environ["TMPDIR"]
failures = []


def path(*parts):
    return os.path.join(HERE, *parts)


def run(*args, code=0):
    done = subprocess.run([PROGRAM, *args], capture_output=True, text=True, timeout=30)
    if done.returncode != code:
        failures.append(f"{' '.join(args)}: exit code {done.returncode} instead of {code}\n{done.stdout}{done.stderr}")
    return done


def expect(condition, claim):
    if not condition:
        failures.append(claim)


def says(done, text):
    expect(text in done.stderr, f"expected '{text}' on stderr, got: {done.stderr}")


def mode(*parts):
    return stat.S_IMODE(os.stat(path(*parts)).st_mode)


# --- words ------------------------------------------------------------------------------------

for args in (["--help"], ["--config", "x", "--help"]):
    said = run(*args).stdout
    expect("usage: sealift-director" in said and "Example:\n  sealift-director --init" in said, "--help has no example")
expect(run("--version").stdout.startswith("sealift-director "), "--version")
says(run(code=2), "--config FILE is needed")
says(run("--nonsense", code=2), "see --help")
says(run("--config", "x", "more", code=2), "'more' is no option")
says(run("--config", "x", "--init", "--check-config", code=2), "only one of")
says(run("--config", "x", "--bind", "127.0.0.1", code=2), "--bind belongs to --init")
says(run("--config", "x", "--init", "--operator-port", "70000", code=2), "'70000' is no port")
says(run("--config", path("none.conf"), code=2), "none.conf")

# --- making one -------------------------------------------------------------------------------

config = path("director.conf")
begin = ["--init", "--config", config, "--state", path("state"), "--bind", "127.0.0.1", "--operator-port", "0",
         "--control-port", "0"]
said = run(*begin).stdout
key = re.search(r"director key: ([0-9a-f]{64})\n", said)
code = re.search(r"claim code: ([A-Z2-7]{4}(?:-[A-Z2-7]{4}){3})\n", said)
expect(key and code, f"--init does not say key and code: {said}")
expect(f"sealift operator init --director {key.group(1)}@127.0.0.1:" in said, "--init does not say what to type next")
expect(mode("state") == 0o700 and mode("state", "director.key") == 0o600 and mode("state", "catalog.sqlite") == 0o600,
       "the state is open to others")
with open(path("state", "director.key")) as file:
    expect(f"public {key.group(1)}\n" in file.read(), "the printed key is not the one in the state")
for name in os.listdir(path("state")):
    with open(path("state", name), "rb") as file:
        expect(code.group(1).encode() not in file.read(), f"the claim code itself stands in {name}")
expect("good" in run("--check-config", "--config", config).stdout, "--check-config")
says(run(*begin, code=3), "director.conf' exists already")
says(run("--init", "--config", path("second.conf"), "--state", path("state"), code=3), "director.key': File exists")
expect(not os.path.exists(path("second.conf")), "a failed --init leaves a configuration")
os.mkdir(path("open"), 0o755)
says(run("--init", "--config", path("third.conf"), "--state", path("open"), code=5), "is open to others")
says(run("--init", "--config", path("third.conf"), "--state", path("new"), "--bind", "nowhere", code=2), "'nowhere' is no address")
says(run("--init", "--config", path("no", "such", "dir.conf"), "--state", path("new"), code=4), "dir.conf")
expect(os.listdir(path("new")) == [], "a failed --init leaves state")

# --- configuration ----------------------------------------------------------------------------

with open(config) as file:
    good = file.read()
for broken, message in (
        (good + "ports = 1;\n", "ports"),
        (good.replace("operator_port = 0", "operator_port = 66000"), "operator_port"),
        (good.replace("control_port = 0", "control_port = 9;\noperator_porty = 9"), "operator_porty"),
        (good.replace("operator_port = 0", "operator_port = 9").replace("control_port = 0", "control_port = 9"), "is the operator port as well"),
        (good.replace('lease = "2m"', 'lease = "1"'), "lease"),
        (good.replace('"info"', '"loud"'), "log_level"),
        (good.replace('bind = "127.0.0.1"', 'bind = "localhost"'), "no address to listen at"),
        (good + 'dial = ( { address = "tcp://nowhere"; } );\n', "dial[0].address: must be tcp://HOST:PORT"),
        (good + 'dial = ( { address = "tcp://a:1"; }, { address = "tcp://a:1"; } );\n', "'tcp://a:1' is there twice"),
        (good + 'dial = ( { address = "tcp://a:1"; proxy = "b"; } );\n', "dial[0].proxy: must be HOST:PORT"),
        (good + 'proxies = ( { address = "a:1"; user = "u"; password_file = "/etc/passwd"; } );\n',
         "password_file: '/etc/passwd' may be read by others"),
        (good.replace("state_dir", "# state_dir"), "state_dir"),
        ("state_dir = ", "broken.conf")):
    with open(path("broken.conf"), "w") as file:
        file.write(broken)
    os.chmod(path("broken.conf"), 0o644)
    done = run("--check-config", "--config", path("broken.conf"), code=2)
    says(done, message)
    expect(re.search(r"broken\.conf:\d+", done.stderr) or message == "state_dir", f"no line is named: {done.stderr}")

# --- running ----------------------------------------------------------------------------------


class Running:
    def __init__(self, ready_socket=None):
        env = dict(os.environ)
        if ready_socket:
            env["NOTIFY_SOCKET"] = ready_socket
        self.process = subprocess.Popen([PROGRAM, "--config", config], stderr=subprocess.PIPE, text=True, env=env)

    def line(self, pattern):
        for line in self.process.stderr:
            if re.search(pattern, line):
                return line
        raise SystemExit(f"the director ended and did not say '{pattern}'")

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        expect(self.process.wait(timeout=20) == 0, f"the director ended with {self.process.returncode} after {how}")
        self.process.stderr.close()


with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
    notified.bind(path("notify"))
    notified.settimeout(20)
    director = Running(path("notify"))
    ready = director.line("event=ready")
    expect(notified.recv(100) == b"READY=1", "systemd is not told when it is ready")
    for port in ("operator", "control"):
        address = re.search(rf"{port}=tcp://127\.0\.0\.1:(\d+)", ready)
        expect(address, f"the {port} port is not named: {ready}")
        socket.create_connection(("127.0.0.1", int(address.group(1))), timeout=10).close()
    says(run("--config", config, code=6), "in use by another process")
    says(run("--new-claim-code", "--config", config, code=6), "the director is running: stop it first: '")
    with open(config, "w") as file:
        file.write(good.replace('"info"', '"debug"'))
    director.process.send_signal(signal.SIGHUP)
    director.line("event=reloaded")
    with open(config, "w") as file:
        file.write("nonsense")
    director.process.send_signal(signal.SIGHUP)
    director.line("event=reload_failed")
    with open(config, "w") as file:
        file.write(good)
    director.stop()
    expect(notified.recv(100) == b"STOPPING=1", "systemd is not told that it stops")

director = Running()
director.line("event=unclaimed")
director.stop(signal.SIGINT)
killed = Running()
killed.line("event=ready")
killed.process.kill()
killed.process.wait()
killed.process.stderr.close()
director = Running()
director.line("event=ready")
director.stop()

again = re.search(r"claim code: (\S+)", run("--new-claim-code", "--config", config).stdout)
expect(again and again.group(1) != code.group(1), "--new-claim-code gives no new code")

# --- ports that are in use ---------------------------------------------------------------------

with socket.socket() as taken:
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = taken.getsockname()[1]
    for name in ("operator", "control"):
        with open(path("taken.conf"), "w") as file:
            file.write(good.replace(f"{name}_port = 0", f"{name}_port = {port}"))
        os.chmod(path("taken.conf"), 0o644)
        done = run("--config", path("taken.conf"), code=3)
        says(done, f"the {name} port: cannot listen at 'tcp://127.0.0.1:{port}': Address already in use")
        expect(done.stderr.count("\n") == 1, f"more than one line: {done.stderr}")

# --- damaged state ----------------------------------------------------------------------------

os.chmod(path("state", "director.key"), 0o640)
says(run("--config", config, code=5), "can be read by others")
os.chmod(path("state", "director.key"), 0o600)
with open(path("state", "director.key")) as file:
    whole = file.read()
for bad, exit_code in ((whole[:-2], 22), (whole.replace("key 1", "key 2"), 3), (whole.replace("secret ", "secret f")[:len(whole)], 22),
                       (whole.replace(key.group(1), "0" * 64), 22), ("", 22)):
    with open(path("state", "director.key"), "w") as file:
        file.write(bad)
    says(run("--config", config, code=exit_code), "director.key")
os.remove(path("state", "director.key"))
says(run("--config", config, code=4), "director.key")

for failure in failures:
    print("FAIL:", failure)
sys.exit(1 if failures else 0)
