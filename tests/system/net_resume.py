#!/usr/bin/env python3
# build: asan
# timeout: 90
"""One run between two hosts, on a link that loses 5 % of all packets, without the director: it goes on where it was when
the link is cut and mended, when either side is suspended and woken, when the target's address changes behind its name. What
is durable is not sent twice: the bytes on the wire are counted. It commits alone, and the point restores."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from netns import Network, freeze, thaw
from sealift_site import Site, expect, same, wait_until

QUICK = 'heartbeat = "100ms";\nreconnect = { first = "50ms"; most = "300ms"; };\n'
SIZE, RATE_KBIT = 20 << 20, 80000
RESENT = 2 << 20  # what may be under way, and not yet durable, when a connection is lost


def count(daemon, event):
    return sum(f"event={event} " in line for line in daemon.lines())


def troubles(site, web, vault, run):
    sent, stored = web.sent_bytes(), site.stored_bytes()
    source, target = site.daemons["source"], site.daemons["vault"]

    def is_lost_and_back(name, begin, end):
        times = count(source, "peer_lost")
        begin()
        if name != "source suspended":
            wait_until(lambda: count(source, "peer_lost") > times, f"{name}: the source misses the target")
        else:
            time.sleep(1)  # it cannot tell anybody
        end()
        wait_until(lambda: count(source, "peer_lost") == count(source, "peer_back") > times, f"{name}: back")
        site.until_stored(SIZE // 10, run)
        print(f"{name}: {site.stored_bytes() - stored >> 10} KiB are stored, {web.sent_bytes() - sent >> 10} KiB sent", flush=True)

    is_lost_and_back("cut", vault.cut, lambda: vault.loss(5))
    is_lost_and_back("source suspended", lambda: freeze(source), lambda: thaw(source))
    is_lost_and_back("target suspended", lambda: freeze(target), lambda: thaw(target))
    is_lost_and_back("moved", vault.move, lambda: None)


def main():
    with Network("resume") as net:
        hosts = {"director": net.host("director"), "source": net.host("source"), "vault": net.host("vault")}
        with Site(lease="20s", hosts=hosts) as site:
            tree = site.path("data")
            os.makedirs(tree)
            with open(os.path.join(tree, "big"), "wb") as file:
                file.write(os.urandom(SIZE))
            site.begin().add_backup(tree, source={"extra": QUICK}, vault={"extra": QUICK})
            web, vault = hosts["source"], hosts["vault"]
            vault.loss(5)
            web.rate(RATE_KBIT)
            begun = web.sent_bytes()
            run = site.begin_run()
            site.until_stored(SIZE // 10, run)
            site.daemons["director"].stop()
            troubles(site, web, vault, run)
            site.daemons["source"].wait_for("event=run_ended", 60)
            sent = web.sent_bytes() - begun
            site.run_director()
            said = site.end_run(run)
            expect(said["state"] == "ok", f"the run: {said}")
            most = SIZE * 1.08 + 4 * RESENT
            print(f"{SIZE >> 10} KiB of data, {sent >> 10} KiB on the wire, at most {int(most) >> 10} KiB")
            expect(sent < most, f"{sent} bytes on the wire for {SIZE}: what was durable is sent twice")
            web.rate(1000000)
            vault.mend()
            site.sealift("restore", "web@latest", "--to", f"source:{site.path('out')}", "--wait")
            same(tree, site.path("out") + tree, "restore")


main()
