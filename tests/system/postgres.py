#!/usr/bin/env python3
# build: asan
# timeout: 170
"""A real PostgreSQL: pg_dump as a stream while pgbench writes, restored by psql into a fresh database and
compared; a killed pg_dump commits nothing."""

import glob
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Site, expect, wait_until

SKIPPED = 77
BIN = "/usr/lib/postgresql/15/bin"
OWNER = "sealift"


class Cluster:
    """A cluster of its own on a Unix socket, run by a user without privileges."""

    def __init__(self):
        # not below TMPDIR: the other user must get there, and the socket's path must be short
        self.dir = tempfile.mkdtemp(prefix="sealift-pg-", dir="/tmp")
        self.as_user = []
        if os.geteuid() == 0:
            user = pwd.getpwnam("nobody")
            os.chown(self.dir, user.pw_uid, user.pw_gid)
            self.as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self.server = None

    def __enter__(self):
        data = os.path.join(self.dir, "data")
        self.call("initdb", "--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8",
                  f"--username={OWNER}", data)
        self.server = subprocess.Popen(
            [*self.as_user, f"{BIN}/postgres", "-D", data, "-k", self.dir, "-c", "listen_addresses=",
             "-c", "fsync=off", "-c", "max_wal_size=256MB", "-c", "shared_buffers=32MB"],
            stdout=subprocess.DEVNULL, stderr=open(os.path.join(self.dir, "log"), "wb"), cwd="/")
        end = time.monotonic() + 30
        while subprocess.run([f"{BIN}/pg_isready", "-q", "-h", self.dir]).returncode != 0:
            expect(time.monotonic() < end and self.server.poll() is None, "the cluster starts")
            time.sleep(0.1)
        return self

    def __exit__(self, *_):
        if self.server:
            self.server.send_signal(signal.SIGINT)
            try:
                self.server.wait(20)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.server.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def call(self, program, *args):
        env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
        return subprocess.run([*self.as_user, f"{BIN}/{program}", *args], check=True, capture_output=True, text=True,
                              cwd="/", env=env, timeout=120).stdout

    def sql(self, database, text):
        return self.call("psql", "-h", self.dir, "-U", OWNER, "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d",
                         database, "-c", text).strip()

    def dump(self, database):
        return comparable(self.call("pg_dump", "-h", self.dir, "-U", OWNER, database))


def comparable(dump):
    """pg_dump begins and ends with a random word of its own."""
    return [line for line in dump.splitlines() if not line.startswith(("\\restrict ", "\\unrestrict "))]


def clients(*words):
    """Processes of pg_dump that name our cluster."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as file:
                arguments = file.read().decode(errors="replace").split("\0")
        except OSError:
            continue
        if arguments[0].endswith("pg_dump") and all(word in arguments for word in words):
            found.append(int(path.split("/")[2]))
    return found


def balanced(cluster, database):
    """pgbench's transactions keep these four sums equal: a dump that is no snapshot would not."""
    return cluster.sql(database, """
        SELECT count(*) = 1 FROM (SELECT sum(abalance) FROM pgbench_accounts UNION SELECT sum(bbalance)
        FROM pgbench_branches UNION SELECT sum(tbalance) FROM pgbench_tellers UNION SELECT coalesce(sum(delta), 0)
        FROM pgbench_history) AS sums""") == "t"


def run(site, code=0):
    return site.sealift("--json", "job", "run", "db", "--wait", code=code)


def words(*texts):
    return "[ " + ", ".join(f'"{text}"' for text in texts) + " ]"


def whole(cluster, site):
    connection = ("-h", cluster.dir, "-U", OWNER)
    psql = ("-X", "-q", "-v", "ON_ERROR_STOP=1", "--single-transaction")
    config = f"""streams = (
        {{ name = "db"; command = {words(f"{BIN}/pg_dump", *connection, "bench")};
           restore = {words(f"{BIN}/psql", *connection, *psql, "-d", "restored")}; timeout = "5m"; }}
    );\n"""
    site.begin()
    site.add_transporter("dbhost", "trusted", extra=config)
    site.add_transporter("vault", "untrusted", repositories=[site.path("store")])
    site.sealift("repository", "create", "offsite", "--on", "vault", "--path", site.path("store", "r"))
    site.sealift("key", "create", "main", "--description", "for tests", "--generate")
    site.sealift("job", "create", "db", "--stream", "dbhost:db", "--repository", "offsite", "--encrypt", "source",
                 "--key", "main")
    cluster.sql("postgres", "CREATE DATABASE bench")
    cluster.call("pgbench", *connection, "-i", "-q", "-s", "3", "bench")

    # while it is written to
    bench = subprocess.Popen([*cluster.as_user, f"{BIN}/pgbench", *connection, "-c", "2", "-T", "600", "bench"],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
    try:
        wait_until(lambda: int(cluster.sql("bench", "SELECT count(*) FROM pgbench_history")) > 20, "pgbench writes")
        first = json.loads(run(site).stdout)
        written = int(cluster.sql("bench", "SELECT count(*) FROM pgbench_history"))
        expect(bench.poll() is None, "pgbench wrote all the time")
    finally:
        bench.send_signal(signal.SIGTERM)
        bench.wait()
    cluster.sql("postgres", "CREATE DATABASE restored")
    site.sealift("restore", "db@latest", "--into", "dbhost:db", "--wait")
    kept = int(cluster.sql("restored", "SELECT count(*) FROM pgbench_history"))
    expect(20 < kept < written, f"{kept} transactions in the dump, {written} afterwards")
    expect(cluster.sql("restored", "SELECT count(*) FROM pgbench_accounts") == "300000", "all accounts are there")
    expect(balanced(cluster, "restored"), "the restored database is one snapshot")
    stored = comparable(site.sealift("cat", "db@latest").stdout)
    expect(cluster.dump("restored") == stored, "a dump of the restored database is the stream that was stored")

    # at rest: two databases that are the same
    second = json.loads(run(site).stdout)
    again = json.loads(run(site).stdout)
    expect(again["sent_bytes"] * 4 < first["sent_bytes"], f"an unchanged database travels once: {first}, {again}")
    cluster.sql("postgres", "DROP DATABASE restored")
    cluster.sql("postgres", "CREATE DATABASE restored")
    site.sealift("restore", "db@latest", "--into", "dbhost:db", "--wait")
    expect(cluster.dump("restored") == cluster.dump("bench"), "the restored database is the one that was dumped")

    # restoring over what is there fails, and changes nothing
    failed = site.sealift("restore", "db@latest", "--into", "dbhost:db", "--wait", code=3).stderr
    expect("already exists" in failed, f"the reason is told: {failed}")
    expect(cluster.dump("restored") == cluster.dump("bench"), "a failed restore left the database as it was")

    # killed, and failing
    locker = subprocess.Popen([f"{BIN}/psql", *connection, "-X", "-q", "-d", "bench"], stdin=subprocess.PIPE, text=True)
    try:
        locker.stdin.write("BEGIN; LOCK TABLE pgbench_accounts IN ACCESS EXCLUSIVE MODE;\n")
        locker.stdin.flush()
        wait_until(lambda: cluster.sql("bench", "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' "
                                                "AND relation = 'pgbench_accounts'::regclass") == "1", "a lock")
        site.sealift("job", "run", "db")
        wait_until(lambda: clients(cluster.dir), "pg_dump waits for the lock")
        os.kill(clients(cluster.dir)[0], signal.SIGKILL)
        wait_until(lambda: "ended by signal 9" in site.sealift("job", "log", "db").stderr, "the run says why it failed")
    finally:
        locker.stdin.close()
        locker.wait()
    cluster.sql("postgres", "ALTER DATABASE bench RENAME TO elsewhere")
    failed = run(site, code=3).stderr
    expect("does not exist" in failed, f"pg_dump's own words: {failed}")
    points = json.loads(site.sealift("--json", "point", "list", "--job", "db").stdout)["points"]
    expect(len(points) == 3, f"only whole dumps are points: {points}")
    return first, second, again


if not os.path.exists(f"{BIN}/postgres"):
    print("skipped: PostgreSQL 15 is not installed")
    sys.exit(SKIPPED)
with Cluster() as cluster, Site() as site:
    first, second, again = whole(cluster, site)
print(f"a database came back whole: {first['content_bytes']} bytes dumped while it was written to; sent "
      f"{first['sent_bytes']}, then {second['sent_bytes']}, unchanged {again['sent_bytes']}")
