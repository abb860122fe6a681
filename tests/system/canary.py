#!/usr/bin/env python3
# build: asan release
# timeout: 280
"""The canary test: known strings in a file's name, its content and the key's password are searched in every
byte of each party that a placement does not entrust with them: always the director's state, logs and memory,
the wire, and the stored repository; the target's memory and state where it is untrusted. Then the same search
must find them where they are allowed, or it proves nothing."""

import os
import re
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Failed, Site, expect

NAME = b"canary-name-Quetzalcoatl"
CONTENT = b"canary-content-Huitzilopochtli-0123456789"
PASSWORD = b"canary-password-Tezcatlipoca"


class Wire(threading.Thread):
    """A TCP relay that keeps every byte that passes."""

    def __init__(self, target):
        super().__init__(daemon=True)
        self.host, self.port = target.rsplit(":", 1)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.server.getsockname()[1]
        self.seen = bytearray()
        self.bytes = 0
        self.start()

    def run(self):
        while True:
            near, _ = self.server.accept()
            far = socket.create_connection((self.host, int(self.port)))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    def pump(self, a, b):
        try:
            while data := a.recv(1 << 16):
                self.seen += data
                b.sendall(data)
        except OSError:
            pass
        for end in (a, b):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def memory_of(pid):
    """All readable memory of a process."""
    found = bytearray()
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            area, access, *_ = line.split()
            start, end = (int(x, 16) for x in area.split("-"))
            # AddressSanitizer's shadow is terabytes of address space, all but none of it there
            if "r" not in access or end - start > 1 << 32 or start > 0x7fffffffffff:
                continue
            try:
                mem.seek(start)
                found += mem.read(end - start)
            except OSError:
                pass
    return bytes(found)


def files_below(*roots):
    found = bytearray()
    for root in roots:
        for where, directories, names in os.walk(root) if os.path.isdir(root) else [(os.path.dirname(root), [], [os.path.basename(root)])]:
            for name in directories + names:
                found += name.encode(errors="surrogateescape") + b"\0"
                path = os.path.join(where, name)
                if os.path.isfile(path):
                    with open(path, "rb") as file:
                        found += file.read() + b"\0"
    return bytes(found)


def absent(where, data, *secrets):
    for secret in secrets:
        for form in (secret, secret.hex().encode(), secret.decode().encode("utf-16-le")):
            at = data.find(form)
            expect(at < 0, f"{where} holds {secret!r}: …{data[max(0, at - 60):at + 80]!r}…")


def placement(encrypt, zone, kind=()):
    """One job with this placement; returns nothing, or fails."""
    secrets = (NAME, CONTENT, PASSWORD)
    with Site(f"site-{encrypt}-{zone}") as site:
        site.begin()
        tree = site.path("data")
        os.makedirs(tree)
        with open(os.path.join(tree.encode(), NAME), "wb") as file:
            file.write(CONTENT + os.urandom(200000) + CONTENT)
        os.symlink(CONTENT.decode(), os.path.join(tree, "link"))
        os.makedirs(site.path("store"))
        password = site.path("operator-only-password")
        with open(password, "wb") as file:
            file.write(PASSWORD + b"\n")

        site.add_transporter("source", "trusted", read=[tree], restore=[site.path("out")],
                             extra='plaintext_to = ( "target" );\n')
        # every byte between source and target passes a relay
        site.add_transporter("target", zone, repositories=[site.path("store")],
                             extra='plaintext_to = ( "source" );\n' if encrypt == "none" else "")
        data_port = re.search(r"data=tcp://(\S+)", site.daemons["target"].wait_for("event=ready")).group(1)
        wire = Wire(data_port)
        site.daemons["target"].stop()
        config = site.path("target.conf")
        with open(config) as file:
            text = file.read()
        text = re.sub(r'listen = "[^"]*"', f'listen = "tcp://{data_port}"', text)
        text = re.sub(r"\n\s*#\s*advertise = [^\n]*", f'\n    advertise = "tcp://{wire.address}";', text)
        with open(config, "w") as file:
            file.write(text)
        site.run_transporter("target")

        site.sealift("repository", "create", "store", "--on", "target", "--path", site.path("store", "r"), *kind)
        words = ["--encrypt", encrypt]
        if encrypt != "none":
            site.sealift("key", "create", "main", "--description", "x", "--password", "--password-file", password)
            words += ["--key", "main"]
        site.sealift("job", "create", "job", "--backup", f"source:{tree}", "--repository", "store", *words)
        site.sealift("job", "run", "job", "--wait")
        if zone == "untrusted" or encrypt == "source":
            # while the daemons live, right after the run
            memory = memory_of(site.daemons["target"].process.pid)
            expect(len(memory) > 1 << 20, "the target's memory could not be read")
            absent("the target's memory", memory, *secrets)
            absent("the target's state", files_below(site.path("target"), site.path("target.log")), *secrets)
        site.sealift("restore", "job@latest", "--to", f"source:{site.path('out')}", "--wait")
        site.sealift("cat", "job@latest", os.path.join(tree, NAME.decode()), text=False)
        site.sealift("point", "files", "job@latest")
        with open(os.path.join(site.path("out") + tree, NAME.decode()), "rb") as file:
            expect(CONTENT in file.read(), "the restored file has the canary")

        memory = memory_of(site.daemons["director"].process.pid)
        expect(len(memory) > 1 << 20, "the director's memory could not be read")
        absent("the director's memory", memory, *secrets)
        absent("the director's state and log", files_below(site.path("director"), site.path("director.log")), *secrets)
        expect(len(wire.seen) > 200000, f"only {len(wire.seen)} bytes passed the wire")
        absent("the wire", bytes(wire.seen), *secrets)
        stored = files_below(site.path("store"))
        if encrypt == "none":
            expect(NAME in stored or CONTENT in stored, "the search finds plain text in a plaintext repository")
        else:
            absent("the stored repository", stored, *secrets)
        absent("the logs", files_below(site.path("source.log"), site.path("target.log")), *secrets)
        # the search itself: the source knows name and content, and its cache may
        expect(NAME in files_below(tree), "the search finds the canary where it is")


os.environ["SEALIFT_DUMPABLE"] = "1"  # lets the test read the daemons' memory
placement("source", "untrusted")
placement("target", "trusted")
placement("none", "trusted", ["--plaintext"])
print("no party that is not entrusted has seen a canary")
