#!/usr/bin/env python3
# build: asan
# timeout: 90
"""Long links, over a wire with a real delay. A fat one: a run goes over several connections, and what it stores and
restores is the same; when the wire is cut in its middle, all of them come again. A thin one, 2 Mbit/s at 300 ms: what is sent
goes by one of them (net_thin_long.py has more). Figures: tests/bench/curves."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from netns import Network
from sealift_site import Site, expect, same

FAT, THIN = {"delay_ms": 25, "rate_kbit": 200000}, {"delay_ms": 150, "rate_kbit": 2000}
FAT_SIZE, THIN_SIZE = 24 << 20, 100 << 10
STRIPES_MAX = 8


def noise(path, size):
    os.makedirs(path)
    with open(os.path.join(path, "noise"), "wb") as file:
        file.write(os.urandom(size))


def fat(site, hosts, tree):
    opened = hosts["vault"].opened()
    run = site.begin_run("fat")
    site.until_stored(FAT_SIZE // 2, run)
    before_cut = hosts["vault"].opened() - opened
    expect(hosts["vault"].carriers() > 1, "a long fat link is left to one connection")
    hosts["vault"].cut()
    site.daemons["source"].wait_for("event=peer_lost")
    hosts["vault"].mend()
    site.end_run(run)
    print(f"backup: {before_cut} connections until it was cut, {hosts['vault'].opened() - opened} in all")
    expect(1 < before_cut <= STRIPES_MAX, f"{before_cut} connections on a long fat link")
    opened = hosts["source"].opened()
    site.sealift("restore", "fat@latest", "--to", f"source:{site.path('out')}", "--wait")
    print(f"restore: {hosts['source'].opened() - opened} connections")
    expect(hosts["source"].opened() - opened > 1, "the restore has one connection")
    same(tree, site.path("out") + tree, "restore")


def thin(site, hosts):
    carriers = hosts["vault"].carriers()
    site.end_run(site.begin_run("thin"))
    expect(hosts["vault"].carriers() - carriers == 1, f"{hosts['vault'].carriers() - carriers} connections on a thin link")


def main():
    with Network("long") as net:
        hosts = {"director": net.host("director"), "source": net.host("source"), "vault": net.host("vault", **FAT),
                 "far": net.host("far", **THIN)}
        with Site(lease="20s", hosts=hosts) as site:
            tree, small = site.path("data", "fat"), site.path("data", "small")
            noise(tree, FAT_SIZE)
            noise(small, THIN_SIZE)
            quick = {"extra": 'heartbeat = "500ms";\n'}
            site.begin().add_backup(site.path("data"), source=quick, vault=quick)
            site.sealift("job", "create", "fat", "--backup", f"source:{tree}", "--repository", "offsite", "--encrypt",
                         "source", "--key", "main")
            site.add_transporter("far", "trusted", read=[small])
            site.sealift("job", "create", "thin", "--backup", f"far:{small}", "--repository", "offsite", "--encrypt",
                         "source", "--key", "main")
            fat(site, hosts, tree)
            thin(site, hosts)


main()
