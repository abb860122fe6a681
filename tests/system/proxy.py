#!/usr/bin/env python3
# build: asan
# timeout: 60
"""sealift-proxy: two stock libzmq sockets that both dial meet at a name, CURVE end to end inside; endpoints on its list
and others; floods of silent callers, slow readers, reload and drain."""

import base64
import os
import re
import resource
import secrets
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "support"))
import raw_peer
from sealift_site import Failed, expect, wait_until

PROXY = os.path.join(os.environ["BUILD_DIR"], "bin", "sealift-proxy")
CURVE_SERVER, SOCKS_PROXY = 47, 68
CONNECTED, NOT_ALLOWED, UNREACHABLE = 0, 2, 4


class Proxy:
    def __init__(self, directory, name, text):
        self.config = os.path.join(directory, name + ".conf")
        self.log = os.path.join(directory, name + ".log")
        self.write(text)
        # by --check-config first: what a person would do
        subprocess.run([PROXY, "--check-config", "--config", self.config], check=True, stdout=subprocess.DEVNULL)
        self.process = subprocess.Popen([PROXY, "--config", self.config], stderr=open(self.log, "wb"),
                                        env={**os.environ, "SEALIFT_DUMPABLE": "1"})
        self.port = int(self.wait_for(r"event=ready listen=127\.0\.0\.1:(\d+)")[1])

    def write(self, text):
        with open(self.config, "w", encoding="utf-8") as file:
            file.write('listen = ( "127.0.0.1:0" );\n' + text)

    def lines(self):
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_for(self, pattern):
        found = []
        wait_until(lambda: found.append(re.search(pattern, self.lines())) or found[-1], f"'{pattern}' in {self.log}")
        return found[-1]

    def memory(self):
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as file:
            return int(re.search(r"RssAnon:\s+(\d+)", file.read())[1]) << 10

    def call(self, client="127.0.0.1"):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=15, source_address=(client, 0))
        return connection

    def ask(self, name, port=1, client="127.0.0.1"):
        connection = self.call(client)
        connection.sendall(b"\5\1\0")
        expect(connection.recv(2) == b"\5\0", "the proxy takes callers without a login")
        connection.sendall(b"\5\1\0\3" + bytes([len(name)]) + name.encode() + struct.pack(">H", port))
        return connection

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.terminate()
        code = self.process.wait(30)
        if kind is None:
            expect(code == 0, f"the proxy ended with {code}: {self.lines()[-2000:]}")
        else:
            sys.stderr.write(self.lines()[-3000:])


def exactly(connection, size):
    """So many bytes, or as many as come before the end."""
    got = bytearray()
    while len(got) < size and (piece := connection.recv(size - len(got))):
        got += piece
    return bytes(got)


def reply(connection):
    answer = exactly(connection, 10)
    expect(len(answer) == 10 and answer[0] == 5, f"a reply, not {answer!r}")
    return answer[1]


def new_name():
    text = base64.b32encode(secrets.token_bytes(32)).decode().rstrip("=").lower()
    return lambda side, stripe=0: f"{text}.{stripe}.{side}.rendezvous.sealift"


class Stock:
    """A DEALER of libzmq as it is, that dials through the proxy with libzmq's own SOCKS client."""

    def __init__(self, proxy, address, pair, server_key=None):
        self.socket = raw_peer.zmq.zmq_socket(raw_peer.context, raw_peer.DEALER)
        self.option(raw_peer.LINGER, 0)
        self.option(raw_peer.SNDTIMEO, 15000)
        self.option(SOCKS_PROXY, f"127.0.0.1:{proxy.port}".encode())
        self.option(raw_peer.CURVE_SECRETKEY, pair[1])
        if server_key:
            self.option(raw_peer.CURVE_PUBLICKEY, pair[0])
            self.option(raw_peer.CURVE_SERVERKEY, server_key)
        else:
            self.option(CURVE_SERVER, 1)
        expect(raw_peer.zmq.zmq_connect(self.socket, f"tcp://{address}".encode()) == 0, f"libzmq dials {address}")

    def option(self, name, value):
        raw_peer.Peer.option(self, name, struct.pack("=i", value) if isinstance(value, int) else value)

    send = raw_peer.Peer.send
    receive = raw_peer.Peer.receive
    __enter__ = raw_peer.Peer.__enter__
    __exit__ = raw_peer.Peer.__exit__


def exchange(one, other):
    for sender, receiver in ((one, other), (other, one)):
        for i in range(20):
            body = bytes([i]) * 60000
            expect(sender.send(body), "a message goes out")
            got = receiver.receive(15)
            expect(got == body, f"a message arrives whole, not {got and len(got)}")


def check_libzmq(proxy):
    """Both dial; what they say to each other is CURVE's. Then one is made anew, and they meet again."""
    name = new_name()
    server, client = raw_peer.key_pair(), raw_peer.key_pair()
    with Stock(proxy, name("b") + ":9448", server) as target:
        with Stock(proxy, name("a") + ":9448", client, server[0]) as source:
            exchange(source, target)
        with Stock(proxy, name("a") + ":9448", client, server[0]) as source:
            exchange(source, target)


def check_list(proxy, allowed):
    with proxy.ask("127.0.0.1", allowed.getsockname()[1]) as connection:
        expect(reply(connection) == CONNECTED, "what is on the list is dialled")
        served, _ = allowed.accept()
        with served:
            served.sendall(b"hello")
            expect(exactly(connection, 5) == b"hello", "and heard")
    with socket.create_server(("127.0.0.1", 0)) as other:
        with proxy.ask("127.0.0.1", other.getsockname()[1]) as connection:
            expect(reply(connection) == NOT_ALLOWED, "what is not on the list is not dialled")
            other.settimeout(0.2)
            try:
                other.accept()
                raise Failed("an endpoint that is not on the list was dialled")
            except TimeoutError:
                pass
    with proxy.ask("localhost", allowed.getsockname()[1]) as connection:
        expect(reply(connection) == NOT_ALLOWED, "a name that is not on the list is refused, wherever it leads")


def check_slow_reader(proxy):
    """Of what nobody reads, the kernel's buffers and one pipe are filled, and the proxy's memory does not grow."""
    name = new_name()
    with proxy.ask(name("a")) as a, proxy.ask(name("b")) as b:
        expect(reply(a) == CONNECTED and reply(b) == CONNECTED, "both are joined")
        before = proxy.memory()
        a.setblocking(False)
        sent, until = 0, time.monotonic() + 1.5
        while time.monotonic() < until:
            try:
                sent += a.send(bytes(1 << 20))
            except BlockingIOError:
                time.sleep(0.02)
        grown = proxy.memory() - before
        expect(sent < 64 << 20, f"a sender is held back, not let go on to {sent >> 20} MiB")
        expect(grown < 4 << 20, f"the proxy grew by {grown >> 10} KiB")
        a.setblocking(True)
        got = 0
        a.shutdown(socket.SHUT_WR)
        while piece := b.recv(1 << 20):
            got += len(piece)
        expect(got == sent, f"{sent} bytes sent, {got} arrived")


def check_big(proxy):
    name, size = new_name(), 256 << 20
    with proxy.ask(name("a", 7)) as a, proxy.ask(name("b", 7)) as b:
        expect(reply(a) == CONNECTED and reply(b) == CONNECTED, "both are joined")
        block = secrets.token_bytes(1 << 20)

        def send():
            for _ in range(size >> 20):
                a.sendall(block)
            a.shutdown(socket.SHUT_WR)
        thread = threading.Thread(target=send)
        thread.start()
        for _ in range(size >> 20):
            expect(exactly(b, 1 << 20) == block, "what arrives is what was sent")
        thread.join()


def check_flood(directory):
    """2,000 silent callers at a proxy that has room for 100: a caller that asks is served at once."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with Proxy(directory, "flood", "limits = { connections = 100; per_client = 100; };\n") as proxy:
        silent = [proxy.call(f"127.0.1.{i % 100 + 1}") for i in range(2000)]
        name, begun = new_name(), time.monotonic()
        with proxy.ask(name("a")) as a, proxy.ask(name("b")) as b:
            expect(reply(a) == CONNECTED and reply(b) == CONNECTED, "good callers come through")
        waited = time.monotonic() - begun
        expect(waited < 5, f"within the handshake limit, not after {waited:.1f} s")
        for connection in silent:
            connection.close()
        lines = proxy.lines().count("event=refused ")
        expect(lines < 200, f"the log is not flooded, too: {lines} lines")
    with Proxy(directory, "one", "limits = { per_client = 20; handshake = \"500ms\"; };\n") as proxy:
        silent = [proxy.call("127.0.1.1") for _ in range(50)]
        name = new_name()
        with proxy.ask(name("a")) as a, proxy.ask(name("b")) as b:
            expect(reply(a) == CONNECTED and reply(b) == CONNECTED, "a client with too many harms only itself")
        for connection in silent:
            connection.settimeout(5)
            try:
                expect(connection.recv(1) == b"", "silent callers are dropped")
            except ConnectionResetError:
                pass
            connection.close()


def check_names(directory, allowed):
    """A name leads where it may lead: without resolve_within, not to the proxy's own host."""
    port = allowed.getsockname()[1]
    rule = f'allow = ( "localhost:{port}" );\n'
    with Proxy(directory, "pinned", rule + 'resolve_within = ( "127.0.0.0/8" );\n') as proxy:
        with proxy.ask("LocalHost", port) as connection:
            expect(reply(connection) == CONNECTED, "a name on the list is dialled")
            allowed.accept()[0].close()
        with proxy.ask("127.0.0.1", port) as connection:
            expect(reply(connection) == NOT_ALLOWED, "its address is not on the list")
    with Proxy(directory, "elsewhere", rule) as proxy:
        proxy.wait_for("event=name_unknown name=localhost")
        with proxy.ask("localhost", port) as connection:
            expect(reply(connection) == UNREACHABLE, "a name that leads to the proxy's own host leads nowhere")


def check_reload_and_drain(proxy, text, added):
    port = added.getsockname()[1]
    with proxy.ask("127.0.0.1", port) as connection:
        expect(reply(connection) == NOT_ALLOWED, "not yet on the list")
    name = new_name()
    with proxy.ask(name("a")) as a, proxy.ask(name("b")) as b:
        expect(reply(a) == CONNECTED and reply(b) == CONNECTED, "both are joined")
        proxy.write("nonsense = 1;\n")
        proxy.process.send_signal(signal.SIGHUP)
        proxy.wait_for("event=reload_failed .*nonsense: unknown setting")
        proxy.write(text.replace("allow = (", f'allow = ( "127.0.0.1:{port}",'))
        proxy.process.send_signal(signal.SIGHUP)
        proxy.wait_for("event=reloaded")
        with proxy.ask("127.0.0.1", port) as connection:
            expect(reply(connection) == CONNECTED, "on the list after a reload")
            added.accept()[0].close()
        with proxy.ask(new_name()("a")) as waiting:
            proxy.process.terminate()
            expect(waiting.recv(1) == b"", "who waits is let go when the proxy drains")
        a.sendall(b"still here")
        expect(exactly(b, 10) == b"still here", "who is joined may end")
    expect(proxy.process.wait(10) == 0, "and then the proxy ends")


def check_init(directory):
    config = os.path.join(directory, "made.conf")
    run = [PROXY, "--init", "--config", config, "--allow", "backup.example:9448", "--listen", "127.0.0.1:0"]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
    subprocess.run([PROXY, "--check-config", "--config", config], check=True, stdout=subprocess.DEVNULL)
    expect(subprocess.run(run, capture_output=True, check=False).returncode != 0, "--init overwrites nothing")


def main():
    with tempfile.TemporaryDirectory() as directory, socket.create_server(("127.0.0.1", 0)) as allowed, \
            socket.create_server(("127.0.0.1", 0)) as added:
        text = f'allow = ( "127.0.0.1:{allowed.getsockname()[1]}" );\n'
        check_init(directory)
        with Proxy(directory, "proxy", text) as proxy:
            check_libzmq(proxy)
            check_list(proxy, allowed)
            check_slow_reader(proxy)
            check_big(proxy)
            check_reload_and_drain(proxy, text, added)
            expect(".rendezvous.sealift" not in proxy.lines(), "no name of a rendezvous gets into the log")
        check_names(directory, allowed)
        check_flood(directory)


main()
