#!/usr/bin/env python3
# build: release
# timeout: 600
# long
"""A backup, a restore and a copy over 2 Mbit/s at a round trip of 300 ms, with the heartbeat and the lease that hosts have
by default: nothing times out, no connection is lost, and one of them carries it all."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from netns import Network
from sealift_site import Site, expect, same

SIZE = 8 << 20  # half a minute each


def main():
    with Network("thin") as net:
        hosts = {name: net.host(name) for name in ("director", "vault")}
        hosts["source"] = net.host("source", delay_ms=150, rate_kbit=2000)
        with Site(lease="2m", hosts=hosts) as site:
            tree = site.path("data")
            os.makedirs(tree)
            with open(os.path.join(tree, "noise"), "wb") as file:
                file.write(os.urandom(SIZE))
            site.begin().add_backup(tree, source={"repositories": [site.path("near")]})
            site.sealift("repository", "create", "second", "--on", "source", "--path", site.path("near", "r"))
            site.sealift("job", "create", "copy", "--copy", "offsite", "--repository", "second")
            for words, host in ((("job", "run", "web"), "vault"),
                                (("restore", "web@latest", "--to", f"source:{site.path('out')}"), "source"),
                                (("job", "run", "copy"), "source")):
                carriers = hosts[host].carriers()
                site.sealift(*words, "--wait", timeout=300)
                print(words[0], words[-1], hosts[host].carriers() - carriers)
                expect(hosts[host].carriers() - carriers == 1, f"{words}: {hosts[host].carriers() - carriers} connections")
            same(tree, site.path("out") + tree, "restore")
            for daemon in site.daemons.values():
                lost = [line for line in daemon.lines() if "peer_lost" in line or "offline" in line]
                expect(not lost, f"{daemon.name}: {lost}")


main()
