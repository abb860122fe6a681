#!/usr/bin/env python3
# build: asan
# timeout: 200
"""Hostile peers on every port, strangers and members: each is refused by name, the others go on, and nobody's
memory grows. A repository of a format that is not ours is refused by name, and not touched."""

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import sys
import time

os.environ["ASAN_OPTIONS"] = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "quarantine_size_mb=4"]))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from raw_peer import Peer, field, head, key_pair, sign, transport_key
from sealift_site import Site, expect, make_tree, same

FAIL, DONE, OPERATOR_HELLO, GET, JOIN, HELLO, RUN_END, POINT_NEWS, REPOSITORY_STATE = 10, 11, 21, 24, 50, 51, 55, 57, 58
OPEN, BATCH, OPENED = 80, 83, 90
HELLO_BODY = field(1, "0.1.0") + field(2, 1) + field(3, b"i" * 16) + field(4, 1)
MIB = 1 << 20


def bombard(address, server_key, pair):
    """What nobody should send, many times over, each on a connection of its own."""
    huge = b"x" * (12 * MIB)
    for frames in ((b"",), (b"", b""), (b"garbage" * 50, b""), (b"\xff" * 4096, b""), (b"h" * 5000, b""),
                   (head(HELLO), b"p" * MIB), (head(HELLO, HELLO_BODY), huge), (huge, huge), (b"a", b"b", b"c"),
                   (head(99, b"x"), b""), (head(HELLO, b"\x0a\xff\xff\xff\xff\x0f"), b""),
                   (head(HELLO, HELLO_BODY + field(5, b"r" * 16) * 250), b"")):
        with Peer(address, server_key, pair) as peer:
            for _ in range(3):
                peer.send(*frames)
            answer = peer.receive(0.05)
            expect(answer is None or b"\x52" in answer[:8] or len(answer) < 600, f"an answer to garbage: {answer!r}")


def dropped(daemon, reason):
    daemon.wait_for(rf'event=(dropped|data_peer_refused|denied|data_peer_denied).*{reason}', 15)


def strangers(site, vault_data, vault_key):
    director = site.daemons["director"]
    server_key = bytes.fromhex(site.director_key)
    stranger = key_pair()
    # on the control port a stranger is pending: he may join, and nothing else
    with Peer("tcp://" + site.control_address, server_key, stranger) as peer:
        peer.send(head(HELLO, HELLO_BODY), b"")
        expect(peer.receive(0.3) is None, "a stranger's hello is answered")
    dropped(director, "an unknown key may only join")
    with Peer("tcp://" + site.control_address, server_key, stranger) as peer:
        peer.send(head(JOIN), b"j" * 5000)
        expect(peer.receive(0.3) is None, "an oversized join is answered")
    dropped(director, "payload")
    # on the others he does not get in at all
    for address, key, daemon in (("tcp://" + site.operator_address, server_key, director),
                                 (vault_data, vault_key, site.daemons["vault"])):
        with Peer(address, key, stranger) as peer:
            peer.send(head(OPERATOR_HELLO), b"")
            expect(peer.receive(0.3) is None, f"a stranger is answered at {address}")
        daemon.wait_for(rf"event=(denied|data_peer_denied).*{stranger[0].hex()}", 10)
    # a wrong server key, and no ZeroMQ at all
    with Peer("tcp://" + site.control_address, key_pair()[0], stranger) as peer:
        peer.send(head(JOIN), b"")
        expect(peer.receive(0.3) is None, "an answer under a wrong server key")
    for address in (site.control_address, site.operator_address, vault_data.replace("tcp://", "")):
        host, port = address.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as raw:
            raw.sendall(b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x00CURVE" + os.urandom(100000))


def member(site):
    """With the keys of an admitted transporter."""
    director = site.daemons["director"]
    site.daemons["evil"].stop()
    address, server_key = "tcp://" + site.control_address, bytes.fromhex(site.director_key)
    pair = transport_key(site.path("evil", "identity.key"))
    for frames, reason in (((head(HELLO, HELLO_BODY + field(77, 1), protocol=2), b""), "version 2"),
                           ((head(RUN_END, field(1, b"r" * 16)), b""), "begins with 'hello'"),
                           ((b"h" * 5000, b""), "header is longer"),
                           ((b"garbage", b""), "")):
        with Peer(address, server_key, pair) as peer:
            peer.send(*frames)
            answer = peer.receive(0.3)
            expect(answer is None or b"hello" in answer or len(answer) < 600, f"{answer!r}")
        dropped(director, reason)
    with Peer(address, server_key, pair) as peer:
        peer.send(head(HELLO, HELLO_BODY), b"")
        expect(peer.receive(5) is not None, "a proper hello is answered")
        peer.send(head(OPENED), b"")  # legal elsewhere
        dropped(director, "opened")
    # what is not his: a run and a repository that he has no part in
    with Peer(address, server_key, pair) as peer:
        repository = re.search(r"type=repository id=([0-9a-f]{32})", "\n".join(director.lines())).group(1)
        peer.send(head(HELLO, HELLO_BODY), b"")
        peer.send(head(RUN_END, field(1, b"r" * 16) + field(2, 1) + field(3, 2)), b"")
        peer.send(head(REPOSITORY_STATE, field(1, bytes.fromhex(repository)) + field(2, 10**12) +
                       field(3, b"h" * 32)), b"")
        peer.send(head(POINT_NEWS, field(1, bytes.fromhex(repository)) + field(2, 7) + field(3, 1) +
                       field(4, b"h" * 32)), b"not a point")
        while peer.receive(0.3) is not None:
            pass
    state = json.loads(site.sealift("--json", "repository", "list").stdout)["repositories"]
    expect(all("10000" not in json.dumps(row) for row in state), f"another's repository was believed: {state}")
    bombard(address, server_key, pair)


def during_a_run(site, vault_data, vault_key):
    """The source's own key, while the target waits for it: only the assignment's ticket lets it in."""
    vault, source = site.daemons["vault"], site.daemons["source"]
    pair = transport_key(site.path("source", "identity.key"))
    before = len(vault.lines())
    source.process.send_signal(signal.SIGSTOP)
    try:
        site.sealift("job", "run", "web")
        end = time.monotonic() + 10
        got = None
        # the target listens once it is assigned
        while got is None and time.monotonic() < end:
            with Peer(vault_data, vault_key, pair) as peer:
                peer.send(head(OPEN, field(1, b"r" * 16) + field(2, 1) + field(3, b"t" * 32) + field(4, b"s" * 16)), b"")
                got = peer.receive(0.5)
        expect(got is not None and b"\x52" in got[:6], f"a wrong ticket is refused by a Fail: {got!r}")
        for frames in ((head(OPEN, b"", protocol=2), b""), (head(BATCH, field(1, 1)), b"b" * 1000), (b"garbage", b"")):
            with Peer(vault_data, vault_key, pair) as peer:
                peer.send(*frames)
                peer.receive(0.3)
        bombard(vault_data, vault_key, pair)
    finally:
        source.process.send_signal(signal.SIGCONT)
    said = "\n".join(vault.lines()[before:])
    for reason in ("version 2", "data_peer_refused"):
        expect(reason in said, f"the target says '{reason}': {said}")
    site.sealift("job", "log", "web")
    end = time.monotonic() + 60
    while json.loads(site.sealift("--json", "job", "history", "web").stdout)["runs"][0]["state"] not in ("ok", "failed"):
        expect(time.monotonic() < end, "the run does not end")
        time.sleep(0.2)
    row = json.loads(site.sealift("--json", "job", "history", "web").stdout)["runs"][0]
    expect(row["state"] == "ok", f"the run goes on when its own source speaks: {row}")


def snapshot(root):
    return {os.path.join(where, name): hashlib.sha256(open(os.path.join(where, name), "rb").read()).hexdigest()
            for where, _, names in os.walk(root) for name in names}


def foreign_format(site):
    site.daemons["vault"].stop()
    root = site.path("store", "r")
    kept = site.path("kept")
    shutil.copytree(root, kept)
    newest = os.path.join(root, "log", sorted(os.listdir(os.path.join(root, "log")))[-1])
    with open(newest, "rb") as file:
        data = file.read()
    # as a later program would write it: another version, and a field that this one does not know
    payload = data[data.index(b"\x08\x01\x12\x10"):-(2 + 32 + 2 + 64)]
    payload = b"\x08\x07" + payload[2:] + field(99, b"new")
    signer, signature = sign(site.path("vault", "identity.key"), b"sealift log v1\0" + payload)
    with open(os.path.join(root, "log", f"{int(os.path.basename(newest)) + 1:010}"), "xb") as file:
        file.write(field(1, payload) + field(2, signer) + field(3, signature))
    before = snapshot(root)
    for words in (["list"], ["check"]):
        refused = site.sealift("offline", *words, root, code=3)
        expect("version 7" in refused.stderr, f"the version is named: {refused.stderr}")
    site.run_transporter("vault").wait_for("event=repository_not_open.*version 7")
    refused = site.sealift("job", "run", "web", "--wait", code=3)
    expect("version 7" in refused.stderr, f"the run names the version: {refused.stderr}")
    expect("version 7" in site.sealift("status", code=(0, 1)).stdout, "and so does the status")
    site.daemons["vault"].stop()
    expect(snapshot(root) == before, "nothing was changed on disk")
    shutil.rmtree(root)
    os.rename(kept, root)
    site.run_transporter("vault").wait_for("event=repository_open")
    site.sealift("job", "run", "web", "--wait")


with Site() as site:
    site.begin()
    tree = site.path("data")
    make_tree(tree, files=20)
    site.add_backup(tree)
    site.add_transporter("evil", "untrusted")
    site.sealift("job", "run", "web", "--wait")
    vault_data = re.search(r"data=(tcp://\S+)", site.daemons["vault"].wait_for("event=ready")).group(1)
    vault_key = transport_key(site.path("vault", "identity.key"))[0]
    before = {name: site.daemons[name].anonymous_bytes() for name in ("director", "vault")}
    strangers(site, vault_data, vault_key)
    member(site)
    during_a_run(site, vault_data, vault_key)
    for name, bytes_before in before.items():
        grown = site.daemons[name].anonymous_bytes() - bytes_before
        expect(grown < 64 * MIB, f"{name} grew by {grown >> 20} MiB")
    site.run_transporter("evil").wait_for("event=director_connected")
    site.sealift("job", "run", "web", "--wait")
    out = site.path("out")
    site.sealift("restore", "web@latest", "--to", f"source:{out}", "--wait")
    same(tree, out + tree, "a restore after all that")
    foreign_format(site)
print("hostile peers and foreign formats are refused by name")
