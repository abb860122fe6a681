#!/usr/bin/env python3
# build: asan
# timeout: 120
"""A site whose hosts meet directly, in reverse, and at a proxy: backup, restore, browse, check and copy in each mode; a
proxy that ends in the middle, that changes bytes, that wants a login; strangers at the reverse port, and intruders where
two meet; a host whose clock is wrong."""

import base64
import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import sqlite3
import struct
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "support"))
from raw_peer import Peer, field, head, transport_key
from sealift_site import Daemon, Failed, Site, expect, make_tree, same, value, wait_until

MODES = ("direct", "reverse", "rendezvous")
OPEN = 80
HELD_S = 2  # an end that may still be expected waits so long (HELD_MS)
CURVE_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00CURVE" + bytes(15) + b"\x00" + bytes(31)


class Middleman:
    """A TCP relay before a proxy, that can change what it passes on, or cut it."""

    def __init__(self, port):
        self.to, self.flip_after, self.flips, self.seen = port, 0, 0, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            caller, _ = self.listener.accept()
            try:
                callee = self.dial()
            except OSError:
                caller.close()
                continue
            self.seen += 1
            for pair in ((caller, callee), (callee, caller)):
                threading.Thread(target=self.pass_on, args=pair, daemon=True).start()

    def dial(self):
        return socket.create_connection(("127.0.0.1", self.to))

    def pass_on(self, one, other):
        passed = 0
        try:
            while data := one.recv(65536):
                if self.flips and passed <= self.flip_after < passed + len(data):
                    self.flips -= 1
                    at = self.flip_after - passed
                    data = data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1:]
                passed += len(data)
                other.sendall(data)
        except OSError:
            pass
        for end in (one, other):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Guest(Middleman):
    """Asks a proxy for a name, and passes on to whom it meets there."""

    def __init__(self, port, name):
        self.name = name
        super().__init__(port)

    def dial(self):
        callee = super().dial()
        expect(request_name(callee, self.name)[1] == 0, f"'{self.name}' is met")
        return callee


def run_proxy(site, port=0, users=False, allow="127.0.0.1:1-65535"):
    """A sealift-proxy of the site; started again it keeps its port."""
    config, password = site.path("proxy.conf"), site.path("proxy.password")
    with open(password, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write("a pass phrase\n")
    with open(config, "w") as file:
        file.write(f'listen = ( "127.0.0.1:{port}" );\ndrain = "100ms";\nallow = ( "{allow}" );\n')
        if users:
            file.write(f'users = ( {{ name = "site"; password_file = "{password}"; }} );\n')
    site.daemons["proxy"] = Daemon("proxy", [os.path.join(site.bin, "sealift-proxy"), "--config", config],
                                   site.path("proxy.log"), site.env)
    ready = site.daemons["proxy"].wait_for("event=ready")
    return int(value(ready, "listen").rsplit(":", 1)[1])


def set_links(site, mode, proxy):
    options = ["--connection", mode] + (["--proxy", proxy] if mode == "rendezvous" else [])
    for one, other in (("source", "vault"), ("vault", "source"), ("vault", "third")):
        site.sealift("link", "set", one, other, *options)


def reverse_port(site, name):
    line = next(line for line in site.daemons[name].lines() if "event=ready" in line)
    return int(value(line, "reverse").rsplit(":", 1)[1])


def everything(site, tree, mode):
    """All that crosses the way between two hosts, in one mode."""
    with open(os.path.join(tree, "mode"), "w") as file:
        file.write(mode)
    begun = time.monotonic()
    site.sealift("job", "run", "web", "--wait")
    out = site.path("out", mode)
    site.sealift("restore", "web@latest", "--to", f"source:{out}", "--wait")
    same(tree, out + tree, f"what was restored in mode {mode}")
    listed = json.loads(site.sealift("--json", "point", "files", "web@latest").stdout)["files"]
    expect(any(entry["path"].endswith("/mode") for entry in listed), f"{mode}: a browse shows the newest file")
    site.sealift("point", "verify", "web@latest", "--level", "decrypt")
    site.sealift("job", "run", "second-site", "--wait")
    print(f"{mode}: backup, restore, browse, check and copy in {time.monotonic() - begun:.1f} s")


def check_who_connected(site, mode):
    """By what the port that is dialled has logged since the daemons were started."""
    joined = {name: sum("event=reverse_joined" in line for line in site.daemons[name].lines()) for name in ("source", "vault")}
    at_proxy = sum("event=joined" in line for line in site.daemons["proxy"].lines())
    if mode == "direct":
        expect(joined == {"source": 0, "vault": 0} and at_proxy == 0, f"direct: nobody meets anywhere: {joined}, {at_proxy}")
    elif mode == "reverse":
        expect(joined["source"] > 0 and joined["vault"] > 0 and at_proxy == 0, f"reverse: {joined}, {at_proxy}")
    else:
        expect(at_proxy > 0, "rendezvous: both meet at the proxy")


def all_modes(site, tree, proxy):
    tested = json.loads(site.sealift("--json", "link", "test", "source", "vault", "--proxy", proxy).stdout)
    works = {way["mode"]: way["works"] for way in tested["ways"]}
    expect(works == dict.fromkeys(MODES, True), f"every mode works on one host: {tested}")
    for name in ("source", "vault", "proxy"):  # what is counted below is of runs
        site.daemons[name].seen = os.path.getsize(site.daemons[name].log)
    for mode in MODES:
        set_links(site, mode, proxy)
        everything(site, tree, mode)
        check_who_connected(site, mode)
    for name in ("source", "vault", "third"):
        with open(site.path(f"{name}.log")) as log:
            strange = [line for line in log if re.search("event=(data_peer_denied|data_peer_refused|reverse_refused)", line)]
        expect(not strange, f"'{name}' takes nobody for a stranger whose work this was: {strange}")


def grow(tree, megabytes, seed):
    with open(os.path.join(tree, f"more-{seed}"), "wb") as file:
        for _ in range(megabytes):
            file.write(secrets.token_bytes(1 << 20))


def restart_in_the_middle(site, tree, middle):
    """What was durable is not sent again: the run sends less than all of it twice."""
    grow(tree, 48, "restart")
    run = site.begin_run()
    site.until_stored(8 << 20, run)
    site.daemons["proxy"].kill()
    middle.to = run_proxy(site)
    ended = site.end_run(run)
    sent = ended["counters"]["sent_bytes"] if "counters" in ended else ended["sent_bytes"]
    expect(sent < 48 * 1.05 * (1 << 20) + (8 << 20), f"{sent} bytes were sent for 48 MiB that were new")
    print(f"a proxy that was killed in the middle: {sent >> 20} MiB sent for 48 MiB")


def changed_bytes(site, tree, middle):
    grow(tree, 24, "flipped")
    middle.flip_after, middle.flips = 3 << 20, 2
    before = middle.seen
    site.end_run(site.begin_run())
    expect(middle.flips < 2, "bytes were changed")
    expect(middle.seen > before + 2, "a connection on which a byte was changed was given up")
    middle.flips = 0
    site.sealift("repository", "check", "offsite", "--level", "hash", "--wait")
    out = site.path("out", "flipped")
    site.sealift("restore", "web@latest", "--to", f"source:{out}", "--wait")
    same(tree, out + tree, "what was restored over a proxy that changes bytes")
    print("a proxy that changes bytes: the run ends well, and nothing is damaged")


def login(site, middle):
    """A proxy with users: without a login the run says so, with one it goes on."""
    site.daemons["proxy"].stop()
    narrow = f"127.0.0.1:{run_proxy(site, allow='127.0.0.1:1')}"
    ways = json.loads(site.sealift("--json", "link", "test", "source", "vault", "--proxy", narrow, code=(0, 1, 7)).stdout)["ways"]
    why = [way["why"] for way in ways if way["mode"] == "direct" and way["proxy"]][0]
    expect(f"through proxy '{narrow}'" in why and "not allowed by its rules" in why, f"whose rule forbids it: {why}")
    site.daemons["proxy"].stop()
    middle.to = run_proxy(site, users=True)
    run = site.begin_run()
    said = "wants a user and a password"
    wait_until(lambda: any(said in (row["text"] or "") for row in json.loads(site.sealift("--json", "status").stdout)["runs"]),
               "the status says what the run waits for")
    text = json.dumps(site.end_run(run, code=7))
    expect("rendezvous at" in text and said in text, f"it is said what the proxy wants: {text}")
    logins = (f'proxies = ( {{ address = "{middle.address}"; user = "site"; '
              f'password_file = "{site.path("proxy.password")}"; }} );\n')
    for name in ("source", "vault"):  # neither is started anew
        site.change_settings(site.path(f"{name}.conf"), logins)
        site.daemons[name].reload()
    site.sealift("job", "run", "web", "--wait")
    for name in ("source", "vault", "director"):
        expect("pass phrase" not in open(site.path(f"{name}.log")).read(), f"{name} logs no password")
    print("a proxy that wants a login: said, and given")


def wrong_link(site):
    """A link that leads nowhere is a denial of service, until it is taken away, and nothing more."""
    site.sealift("link", "set", "source", "vault", "--connection", "direct", "--proxy", "127.0.0.1:9")
    text = json.dumps(site.end_run(site.begin_run(), code=7))
    expect("proxy '127.0.0.1:9': refused" in text, f"it is said where the link leads: {text}")
    site.sealift("link", "remove", "source", "vault")
    site.sealift("link", "remove", "vault", "source")
    site.sealift("job", "run", "web", "--wait")
    print("a link that leads nowhere: said, and taken away")


def shut_down(site, tree):
    """A run that a transporter's own end has ended says so, and is not called cancelled."""
    grow(tree, 24, "shutdown")
    site.sealift("job", "edit", "web", "--bandwidth", "6MiB")
    run = site.begin_run()
    site.until_stored(2 << 20, run)
    vault = site.daemons["vault"]
    for _ in range(2):
        vault.process.send_signal(signal.SIGTERM)
        vault.wait_for("event=draining")
    vault.process.wait(30)
    site.run_transporter("vault")
    text = json.dumps(site.end_run(run, code=3))
    expect("vault: stopped by the shutdown of this transporter" in text and "cancelled" not in text, f"why it ended: {text}")
    site.sealift("job", "edit", "web", "--bandwidth", "unlimited")
    print("a transporter that is stopped: its runs say so")


def request_name(connection, name):
    connection.sendall(b"\5\1\0")
    connection.recv(2)
    connection.sendall(b"\5\1\0\3" + bytes([len(name)]) + name.encode() + struct.pack(">H", 1))
    return connection.recv(10)


def ask(port, name, first=b""):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(first)
        return connection.recv(64) if first else request_name(connection, name)


def run_secrets(site):
    """(id, ticket, id of the rendezvous) of the newest run, as its director keeps them (director/catalog/run_record.c)."""
    copy = site.path("catalog.sqlite")  # the director has locked its own
    for suffix in ("", "-wal"):
        if os.path.exists(site.path("director", "catalog.sqlite" + suffix)):
            shutil.copy(site.path("director", "catalog.sqlite" + suffix), copy + suffix)
    with contextlib.closing(sqlite3.connect(copy)) as catalog:
        (record,) = catalog.execute("SELECT record FROM run ORDER BY serial DESC LIMIT 1").fetchone()
    at = 1 + 16 + 1 + 16 + 8 + 1 + 16
    for _ in ("source", "target"):
        at += 32
        at += 2 + struct.unpack_from("<H", record, at)[0] + 1 + 16 + 4
        at += 2 + struct.unpack_from("<H", record, at)[0] + 11 * 8
    return record[1:17], record[at + 5:at + 37], base64.b32encode(record[-33:-1]).decode().lower().rstrip("=")


def open_of(run, ticket):
    return head(OPEN, field(1, run) + field(2, 1) + field(3, ticket) + field(4, b"s" * 16))


def intruders(site, tree, middle):
    """Who knows where two hosts meet, and even has the source's key, gets no further with the ticket of an earlier run, nor
    with frames that are too long; and the run goes on when its own source comes."""
    source, vault = site.daemons["source"], site.daemons["vault"]
    set_links(site, "rendezvous", middle.address)
    old_run, old_ticket, _ = run_secrets(site)
    grow(tree, 1, "intruders")
    pair, server_key = transport_key(site.path("source", "identity.key")), transport_key(site.path("vault", "identity.key"))[0]
    memory = vault.anonymous_bytes()
    source.process.send_signal(signal.SIGSTOP)
    try:
        site.sealift("job", "run", "web")
        wait_until(lambda: run_secrets(site)[0] != old_run, "the run begins")
        run, ticket, name = run_secrets(site)
        expect(ticket != old_ticket, "each run has a ticket of its own")
        guest = Guest(middle.to, f"{name}.0.a.rendezvous.sealift")
        huge = b"x" * (12 << 20)
        for said in ((open_of(run, old_ticket), b""), (open_of(old_run, old_ticket), b""), (huge, huge), (open_of(run, ticket), huge)):
            with Peer("tcp://" + guest.address, server_key, pair) as peer:
                peer.send(*said)
                got = peer.receive(5 if len(said[1]) == 0 else 0.5)
                expect((got is None) == (len(said[1]) > 0), f"a refusal in words, or a cut: {got!r}")
                expect(got is None or b"admits to no run here" in got + peer.receive(1), f"the ticket is refused: {got!r}")
    finally:
        source.process.send_signal(signal.SIGCONT)
    wait_until(lambda: json.loads(site.sealift("--json", "job", "history", "web").stdout)["runs"][0]["state"] in ("ok", "failed"),
               "the run ends", 60)
    expect(json.loads(site.sealift("--json", "job", "history", "web").stdout)["runs"][0]["state"] == "ok", "the run goes on")
    expect(vault.anonymous_bytes() - memory < 64 << 20, "memory does not grow with what is sent")
    print("an intruder at a rendezvous: a replayed ticket and giant frames are refused, and the run goes on")


def impostor(site, port):
    """In the target's place at the reverse port, with the name that only the two know: a greeting, and a frame without end."""
    _, _, name = run_secrets(site)
    memory = site.daemons["source"].anonymous_bytes()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        expect(request_name(connection, f"{name}.0.b.rendezvous.sealift")[1:2] in (b"\0", b""), "the source's own end comes")
        try:
            connection.sendall(CURVE_GREETING + b"\x06" + struct.pack(">Q", 1 << 40) + b"x" * (16 << 20))
            while connection.recv(65536):
                pass
        except (ConnectionResetError, BrokenPipeError):
            pass
    expect(site.daemons["source"].anonymous_bytes() - memory < 64 << 20, "memory does not grow with what is sent")


def strangers(site, tree, port):
    """Who speaks another protocol, or asks for what no run expects, is turned away while a run goes on; a name that might
    be that of a run, of which this host has not heard yet, after a moment."""
    set_links(site, "reverse", None)
    grow(tree, 24, "strangers")
    run = site.begin_run()
    site.until_stored(4 << 20, run)
    impostor(site, port)
    unknown = "a" * 52 + ".0.b.rendezvous.sealift"
    expect(ask(port, unknown)[1] == 2, "a name that no run expects is refused")
    for _ in range(5):  # a machine that stands still for a moment does not do so each time
        begun = time.monotonic()
        expect(ask(port, "director.example")[1] == 2, "the reverse port dials nothing")
        expect(ask(port, "127.0.0.1")[1] == 2, "not even its own host")
        expect(ask(port, "", CURVE_GREETING) == b"", "CURVE without SOCKS5 is turned away")
        expect(ask(port, "", b"GET / HTTP/1.1\r\n\r\n") == b"", "so is HTTP")
        took = time.monotonic() - begun
        if took < HELD_S:
            break
    expect(took < HELD_S, f"all of them at once, not after {took:.1f} s")
    site.end_run(run)
    log = "\n".join(site.daemons["source"].lines())
    expect(re.search(r"event=reverse_refused client=127\.0\.0\.1:\d+ reason=\"no run here expects this name\"", log),
           "it is logged with the address")
    print("strangers at the reverse port: refused, and the run goes on")


def wrong_clock(site, tree):
    """The source's clock is a year ahead: its points go their way, and an order to restore there has expired, which is said
    with both times. With a clock a year behind all goes well."""
    for days in (366, -366):
        site.daemons["source"].stop()
        site.run_transporter("source", ("env", f"SHIFTED_CLOCK_S={days * 86400}",
                                        f"LD_PRELOAD={os.path.join(site.bin, 'shifted_clock.so')}", "ASAN_OPTIONS=" + ":".join(
                                            (os.environ.get("ASAN_OPTIONS", ""), "verify_asan_link_order=0"))))
        site.daemons["director"].wait_for("event=connected transporter=source ")
        with open(os.path.join(tree, "clock"), "w") as file:
            file.write(str(days))
        site.sealift("job", "run", "web", "--wait")
        site.sealift("job", "run", "second-site", "--wait")
        newest = json.loads(site.sealift("--json", "point", "list", "--job", "web", "--repository", "offsite").stdout)["points"]
        newest = max(newest, key=lambda point: point["number"])
        now = time.strftime("%Y-%m-%d", time.gmtime())
        expect(newest["time"].startswith(now) and newest["written"][:10] == time.strftime(
            "%Y-%m-%d", time.gmtime(time.time() + days * 86400)), f"a point has the time of the repository's host: {newest}")
        out = site.path("out", f"clock{days}")
        said = site.sealift("restore", "web@latest", "--to", f"source:{out}", "--wait", code=26 if days > 0 else 0)
        text = said.stdout + said.stderr
        if days > 0:
            expect(re.search(r"the order statement has expired: it was good until \S+Z, and the clock here says \S+Z", text),
                   f"whose clock says what: {text}")
        else:
            same(tree, out + tree, "what was restored to a host a year behind")
    site.daemons["source"].stop()
    site.run_transporter("source")
    print("a host whose clock is a year off: backups and copies go on, and a restore says so or works")


def no_reverse_port(site):
    """The third host has none: said by the test, with the way that is left."""
    tested = json.loads(site.sealift("--json", "link", "test", "third", "vault", code=(0, 1)).stdout)
    why = next(way for way in tested["ways"] if way["mode"] == "reverse")
    expect(not why["works"] and "reverse port" in why["why"], f"it is said that there is no reverse port: {why}")


def main():
    with Site("modes", lease="4s") as site:
        tree = site.path("tree")
        make_tree(tree, files=60)
        site.begin()
        meets = {"data": 'reverse = { listen = "127.0.0.1:0"; };', "extra": 'reconnect = { first = "50ms"; most = "500ms"; };\n'}
        site.add_backup(tree, source=meets, vault=meets)
        site.add_transporter("third", "untrusted", repositories=[site.path("third-store")])
        site.sealift("repository", "create", "second", "--on", "third", "--path", site.path("third-store", "r"))
        site.sealift("job", "create", "second-site", "--copy", "web", "--repository", "second")
        middle = Middleman(run_proxy(site))
        no_reverse_port(site)
        port = reverse_port(site, "source")
        all_modes(site, tree, middle.address)
        restart_in_the_middle(site, tree, middle)
        changed_bytes(site, tree, middle)
        intruders(site, tree, middle)
        login(site, middle)
        wrong_link(site)
        strangers(site, tree, port)
        wrong_clock(site, tree)
        shut_down(site, tree)


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"modes: {failure}")
