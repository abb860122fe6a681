#!/usr/bin/env python3
# build: asan
# timeout: 120
"""Protectors outside: a secret is wrapped and unwrapped by a real KMIP server, PyKMIP, over mutual TLS. What refuses,
what is gone, what hangs and what lies is told apart."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "support"))
from kms_caller import BIN, CONFIG, DAMAGED, NOT_AUTHENTIC, NOT_FOUND, POLICY, PROTOCOL, S, TRUNCATED, UNREACHABLE, call
from sealift_site import Failed, expect


class Kmip:
    def __init__(self, directory, *options):
        self.dir = directory
        os.makedirs(directory)
        self.process = subprocess.Popen([os.path.join(HERE, "support", "kmip_server.py"), directory, *options],
                                        stdout=subprocess.PIPE, stderr=open(os.path.join(directory, "err"), "wb"),
                                        start_new_session=True)  # the server has helpers of its own
        line = self.process.stdout.readline()
        if not line:
            with open(os.path.join(directory, "err"), encoding="utf-8") as file:
                raise Failed("the KMIP server does not start: " + file.read()[-2000:])
        self.said = json.loads(line)

    def uri(self, key="key", who="client", ca="ca", host="127.0.0.1", port=None, key_file=None):
        at = self.dir
        return (f"kmip://{host}:{port or self.said['port']}/{self.said.get(key, key)}?cert={at}/{who}.pem"
                f"&key={at}/{key_file or who}.key&ca={at}/{ca}.pem")

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def works(kmip):
    wrap = call("wrap", kmip.uri())
    expect(call("unwrap", kmip.uri(), wrap) == S, "what was wrapped is unwrapped")
    expect(call("describe", kmip.uri()) == kmip.said["key"], "the master key has its name")
    # the entry names a new master key: what the earlier one wrapped still opens
    expect(call("unwrap", kmip.uri("second"), wrap) == S, "an earlier master key still unwraps")
    expect(call("wrap", kmip.uri("second")) != wrap, "each wrap is another")
    return wrap


def refuses(kmip, wrap):
    call("wrap", kmip.uri("inactive"), code=POLICY, says="refuses Encrypt")
    call("wrap", kmip.uri("revoked"), code=POLICY, says="refuses Encrypt")
    call("wrap", kmip.uri("4711"), code=NOT_FOUND, says="4711")
    # keys belong to who made them
    call("unwrap", kmip.uri(who="other"), wrap, code=POLICY, says="Could not locate")


def tampered(kmip, wrap):
    # ‖ 01 02 01 | length | name | iv 12 | sealed 32 | tag 16
    name = 5 * 2
    for at in (len(wrap) - 2, len(wrap) - 40, len(wrap) - 100):
        bad = wrap[:at] + f"{int(wrap[at:at + 2], 16) ^ 1:02x}" + wrap[at + 2:]
        done = subprocess.run([os.path.join(BIN, "kms_call"), "unwrap", kmip.uri(), "10000", bad], capture_output=True,
                              text=True, env=dict(os.environ, SEALIFT_DUMPABLE="1"), timeout=60)
        expect(done.returncode not in (0, 1) and S not in done.stdout, f"a flipped bit: {done}")
    for length in (0, 2, 4, 6, 8, name, name + 2, len(wrap) - 2):
        call("unwrap", kmip.uri(), wrap[:length], code=TRUNCATED)
    call("unwrap", kmip.uri(), wrap + "00", code=DAMAGED, says="too long")
    call("unwrap", kmip.uri(), wrap[:4] + "07" + wrap[6:], code=67, says="unknown way 7")
    call("unwrap", kmip.uri(), wrap[:2] + "01" + wrap[4:], code=CONFIG, says="another kind")


def certificates(kmip):
    call("describe", kmip.uri(ca="foreign-ca"), code=NOT_AUTHENTIC, says="not who it should be")
    call("describe", kmip.uri(host="localhost"), code=NOT_AUTHENTIC, says="not who it should be")
    call("describe", kmip.uri(who="foreign"), code=POLICY, says="refuses the connection")
    call("describe", kmip.uri(who="expired"), code=POLICY, says="refuses the connection")
    call("describe", kmip.uri(key_file="other"), code=CONFIG, says="certificate's key")
    call("describe", kmip.uri(who="nobody"), code=CONFIG, says="nobody.key")
    call("describe", kmip.uri(who="nobody", key_file="client"), code=CONFIG, says="nobody.pem")
    os.chmod(f"{kmip.dir}/client.key", 0o640)
    call("describe", kmip.uri(), code=CONFIG, says="can be read by others")
    os.chmod(f"{kmip.dir}/client.key", 0o600)
    call("describe", kmip.uri(ca="nothing"), code=CONFIG, says="nothing.pem")


class Hostile:
    """A server with the right certificate that answers `reply` to everything, or with None nothing at all."""

    def __init__(self, kmip, reply, tls=True, certificate="server"):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.reply, self.tls, self.kept = reply, tls, []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(f"{kmip.dir}/{certificate}.pem", f"{kmip.dir}/{certificate}.key")
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer = self.listener.accept()[0]
                self.kept.append(peer)
                if self.tls:
                    peer = self.context.wrap_socket(peer, server_side=True)
                    self.kept[-1] = peer
                    peer.recv(4096)
                if self.reply is not None:
                    peer.sendall(self.reply)
                    peer.close()
            except OSError:
                pass


def hostile(kmip):
    for reply, code, says in (
            (b"", UNREACHABLE, "cannot reach"),
            (b"HTTP/1.1 200 OK\r\n\r\n", PROTOCOL, "no message begins"),
            (bytes.fromhex("42007b01fffffff8"), PROTOCOL, "a message of"),
            (bytes.fromhex("42007b0100000010") + b"\0" * 8, UNREACHABLE, "cannot reach"),
            (bytes.fromhex("42007b0100000008") + b"\0" * 8, PROTOCOL, "TTLV")):
        call("describe", kmip.uri(port=Hostile(kmip, reply).port), code=code, says=says)
    for certificate, says in (("expired-server", "expired"), ("elsewhere", "mismatch"), ("foreign-server", "issuer"),
                              ("client", "purpose")):
        port = Hostile(kmip, b"", certificate=certificate).port
        call("describe", kmip.uri(port=port), code=NOT_AUTHENTIC, says=says)
    for tls in (True, False):  # it takes the connection, or even the question, and says nothing
        call("describe", kmip.uri(port=Hostile(kmip, None, tls).port), code=UNREACHABLE, says="no answer in time",
             timeout_ms=500)
        expect(0.4 < call.seconds < 8, f"the time limit of 0.5 s took {call.seconds} s")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    call("describe", kmip.uri(port=port), code=UNREACHABLE, says="Connection refused")


def falls_back(kmip, other):
    """A server that cannot encrypt gives its key, which wraps here; such a wrap opens there too."""
    wrap = call("wrap", kmip.uri())
    expect(wrap[4:6] == "02", f"the way is told in the wrap: {wrap}")
    expect(call("unwrap", kmip.uri(), wrap) == S, "by a key that was fetched")
    bad = wrap[:-2] + f"{int(wrap[-2:], 16) ^ 1:02x}"
    call("unwrap", kmip.uri(), bad, code=DAMAGED)
    call("unwrap", other.uri(), wrap, code=DAMAGED)  # the same name, another key


with tempfile.TemporaryDirectory() as scratch:
    servers = []
    try:
        servers.append(Kmip(os.path.join(scratch, "full")))
        wrapped = works(servers[0])
        refuses(servers[0], wrapped)
        tampered(servers[0], wrapped)
        certificates(servers[0])
        hostile(servers[0])
        servers.append(Kmip(os.path.join(scratch, "get"), "--only-get"))
        falls_back(servers[1], servers[0])
    finally:
        for server in servers:
            server.stop()
    call("unwrap", servers[0].uri(), wrapped, code=UNREACHABLE, says="Connection refused")
print("a KMIP server wraps and unwraps, and every failure has its name")
