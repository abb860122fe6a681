#!/usr/bin/env python3
# build: asan
# timeout: 90
"""Reverse connections to a target whose site lets nobody in: a backup over a cut link, a copy and a restore go through, and
counters prove that nobody has so much as tried to open a connection into that site. `link test` says of each way why it does
not work: no answer, refused, no route, no name, another key."""

import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from netns import Network
from sealift_site import Site, expect, make_tree, same, wait_until

QUICK = 'heartbeat = "200ms";\nreconnect = { first = "50ms"; most = "300ms"; };\n'
REVERSE = 'reverse = {{ listen = "0.0.0.0:9450"; advertise = "{}:9450"; }};'
SIZE, RATE_KBIT = 12 << 20, 40000


def reasons(site, *words, code=(0, 1, 7)):
    """{mode: None if it works, else why not}"""
    ways = json.loads(site.sealift("--json", "link", "test", "source", "vault", *words, code=code).stdout)["ways"]
    for way in ways:
        print(f"{way['mode']}: {'works' if way['works'] else way['why']}", flush=True)
    return {way["mode"]: None if way["works"] else way["why"] for way in ways}


def goes_through(site, hosts, tree):
    """A backup whose link is cut in its middle; then the copy of another repository, and a restore"""
    web, vault = hosts["source"], hosts["vault"]
    site.sealift("link", "set", "source", "vault", "--connection", "reverse")
    web.rate(RATE_KBIT)
    begun = web.sent_bytes()
    run = site.begin_run()
    site.until_stored(SIZE // 2, run)
    vault.cut()
    begun_cut = time.monotonic()
    wait_until(lambda: time.monotonic() > begun_cut + 2, "the target misses the source's heartbeats")
    vault.mend()  # its next dial replaces the connection that the source still believes in
    site.end_run(run)
    expect(any("event=peer_back" in line for line in site.daemons["source"].lines()), "the run went on")
    sent = web.sent_bytes() - begun
    print(f"{SIZE >> 10} KiB of data, {sent >> 10} KiB on the wire", flush=True)
    expect(sent < SIZE * 1.1 + (4 << 20), f"{sent} bytes on the wire for {SIZE}")
    web.rate(1000000)
    site.sealift("job", "run", "near", "--wait")
    site.sealift("job", "run", "copy", "--wait")
    for point, repository, out in (("web@latest", "offsite", "of-backup"), ("near@latest", "away", "of-copy")):
        site.sealift("restore", point, "--repository", repository, "--to", f"source:{site.path('out', out)}", "--wait")
        same(tree[out], site.path("out", out) + tree[out], point)


def says_why(site, hosts):
    """The reverse way works; then its port is closed in each manner."""
    web, vault = hosts["source"], hosts["vault"]
    expect(reasons(site, code=0)["reverse"] is None, "reverse works")
    web.firewall(inbound="reject", allow=(9448,))
    vault.firewall(inbound="unreachable")
    found = reasons(site, code=7)
    expect("refused" in found["reverse"] and "no route" in found["direct"], f"a port that rejects, a way that is not: {found}")
    web.firewall(inbound="drop", allow=(9448,))
    vault.firewall(inbound="drop")
    found = reasons(site, code=7)
    expect("no answer" in found["reverse"] and "no answer" in found["direct"], f"two sites that drop: {found}")
    web.firewall()
    vault.firewall()
    vault.knows({"director.example": hosts["director"].address})
    web.knows({"director.example": hosts["director"].address, "vault.example": web.address})
    found = reasons(site, code=7)
    expect("name" in found["reverse"], f"a name that the target does not know: {found}")
    expect("another key is there" in found["direct"], f"a name that leads to another host: {found}")


def main():
    with Network("reverse") as net:
        hosts = {name: net.host(name) for name in ("director", "source", "vault")}
        with Site(lease="10s", hosts=hosts) as site:
            tree = {"of-backup": site.path("data"), "of-copy": site.path("small")}
            os.makedirs(tree["of-backup"])
            with open(os.path.join(tree["of-backup"], "big"), "wb") as file:
                file.write(os.urandom(SIZE))
            make_tree(tree["of-copy"], files=12)
            site.begin()
            hosts["vault"].firewall(inbound="drop")
            site.add_backup(tree["of-backup"], source={"extra": QUICK + f'read = ( "{site.path()}" );\n'
                                                       f'repositories = ( "{site.path("near")}" );\n',
                                                       "data": REVERSE.format(hosts["source"].domain)},
                            vault={"extra": QUICK})
            for name, host, path in (("own", "source", "near"), ("away", "vault", "store")):
                site.sealift("repository", "create", name, "--on", host, "--path", site.path(path, name))
            site.sealift("job", "create", "near", "--backup", f"source:{tree['of-copy']}", "--repository", "own",
                         "--encrypt", "source", "--key", "main")
            site.sealift("job", "create", "copy", "--copy", "near", "--repository", "away")
            goes_through(site, hosts, tree)
            expect(hosts["vault"].knocks() == {} and hosts["vault"].opened() == 0,
                   f"nobody dials into the target's site: {hosts['vault'].knocks()}")
            expect({port for _, port in hosts["source"].knocks()} == {9448, 9450}, "the target has dialled")
            says_why(site, hosts)
            expect(hosts["vault"].knocks() != {}, "the counter counts: the direct way was tried")


main()
