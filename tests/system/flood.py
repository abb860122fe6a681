#!/usr/bin/env python3
# build: asan
# timeout: 90
"""Strangers at the ports of a director and of a transporter: ten thousand connections that say nothing, half-open ones,
and peers that speak HTTP, TLS, SSH. They are refused and logged once by address; a backup runs and ends meanwhile."""

import os
import resource
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Site, expect, value, wait_until

GREETING = b"\xff" + bytes(7) + b"\x01\x7f"  # how ZMTP begins, and no more
FOREIGN = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: sealift\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.2p1\r\n",
    "TLS": bytes.fromhex("16030100a5010000a10303") + bytes(160),
}


def call(address, source):
    host, port = address.rsplit(":", 1)
    connection = socket.socket()
    connection.settimeout(10)
    connection.bind((source, 0))
    connection.connect((host, int(port)))
    return connection


def until_cut(connection):
    connection.settimeout(20)
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        pass


def check_foreign(ports):
    """Each protocol comes from an address of its own."""
    for i, said in enumerate(FOREIGN.values()):
        for address in ports.values():
            with call(address, f"127.0.2.{i + 1}") as connection:
                connection.sendall(said)
                until_cut(connection)


def flood(ports, count):
    """Silent and half-open ones by turns, from two hundred addresses, at all ports."""
    made = []
    addresses = list(ports.values())
    for i in range(count):
        connection = call(addresses[i % len(addresses)], f"127.0.1.{i % 200 + 1}")
        if i % 4 == 0:
            connection.sendall(GREETING)
        made.append(connection)
    return made


def main():
    count = min(10000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 1000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 1000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with Site("flood", lease="20s") as site:
        site.begin()
        tree = site.path("tree")
        os.makedirs(tree)
        for i in range(100):
            with open(os.path.join(tree, f"file-{i}"), "wb") as file:
                file.write(os.urandom(50000))
        site.add_backup(tree)
        director, vault = site.daemons["director"], site.daemons["vault"]
        data = value(vault.wait_for("event=ready"), "data").replace("tcp://", "")
        ports = {"operator": site.operator_address, "control": site.control_address, "data": data}

        check_foreign(ports)
        for port in ("operator", "control"):
            director.wait_for(f"event=denied port={port} .*the connection ended without a message")
        vault.wait_for("event=data_peer_denied .*the connection ended without a message")

        begun = time.monotonic()
        silent = flood(ports, count)
        made = time.monotonic()
        site.sealift("job", "run", "web", "--wait")
        worked = time.monotonic()
        for connection in silent:
            until_cut(connection)
            connection.close()
        print(f"{count} connections in {made - begun:.1f} s, the backup among them {worked - made:.1f} s, "
              f"all cut after {time.monotonic() - begun:.1f} s")
        for daemon in (director, vault):
            told = sum("ended without a message" in line for line in daemon.lines())
            expect(told < 250, f"{daemon.name} logged {told} of {count} strangers")

        def few_left(daemon):
            return len(os.listdir(f"/proc/{daemon.process.pid}/fd")) < 100
        for daemon in (director, vault):
            wait_until(lambda: few_left(daemon), f"{daemon.name} keeps descriptors")
        site.sealift("job", "run", "web", "--wait")
        expect(not any("director_lost" in line for name in ("source", "vault") for line in site.daemons[name].lines()),
               "a transporter lost its director")
    print("strangers are refused, everything else goes on")


main()
