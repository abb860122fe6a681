#!/usr/bin/env python3
# build: release
# timeout: 900
# long
"""As net_resume.py with everything as it is by default (heartbeat 5 s, lease 2 minutes), in minutes: a run goes on after its
link was cut for a minute, after either side was suspended for a minute; a target that is gone for longer than the lease
fails it with the reason, and the next run sends only what is not stored. Times are printed."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from netns import Network, freeze, thaw
from sealift_site import Site, expect, same, wait_until

SIZE, RATE_KBIT, GONE_S = 60 << 20, 30000, 60
LEASE_S, NOTICED_S, REASON_S = 120, 20, 10


def trouble(site, run, name, begin, end):
    """For a minute; then bytes come again."""
    site.until_stored(SIZE // 12, run)
    begin()
    begun = time.monotonic()
    wait_until(lambda: time.monotonic() - begun > GONE_S, "a minute passes", GONE_S + 5)
    stored = site.stored_bytes()
    end()
    begun = time.monotonic()
    wait_until(lambda: site.stored_bytes() > stored + (1 << 20), f"{name}: it goes on", 30)
    print(f"{name}: goes on {time.monotonic() - begun:.1f} s after it was mended", flush=True)


def gone(site, web, vault):
    """The whole host, for the source; the director waits for its own lease until it gives it up, too."""
    with open(site.path("data", "new"), "wb") as file:
        file.write(os.urandom(SIZE))
    run = site.begin_run()
    site.until_stored(SIZE // 3, run)
    vault.cut()
    begun = time.monotonic()
    source = site.daemons["source"]
    source.wait_for(r"event=run_ended .*gone for more than 120 s: .*no answer", LEASE_S + NOTICED_S + REASON_S)
    print(f"gone: the source gives up after {time.monotonic() - begun:.0f} s", flush=True)
    vault.mend()
    site.end_run(run, code=(7, 1), timeout=LEASE_S * 2)
    sent = web.sent_bytes()
    site.end_run(site.begin_run(), timeout=LEASE_S * 2)
    sent = web.sent_bytes() - sent
    print(f"{SIZE >> 10} KiB of new data, a third was stored, the next run sent {sent >> 10} KiB", flush=True)
    expect(sent < SIZE * 0.75, f"{sent} bytes are sent again")


def main():
    with Network("minutes") as net:
        hosts = {name: net.host(name) for name in ("director", "source", "vault")}
        with Site(lease="2m", hosts=hosts) as site:
            tree = site.path("data")
            os.makedirs(tree)
            with open(os.path.join(tree, "big"), "wb") as file:
                file.write(os.urandom(SIZE))
            site.begin().add_backup(tree)
            web, vault = hosts["source"], hosts["vault"]
            source, target = site.daemons["source"], site.daemons["vault"]
            web.rate(RATE_KBIT)
            begun = web.sent_bytes()
            run = site.begin_run()
            trouble(site, run, "cut", vault.cut, vault.mend)
            trouble(site, run, "source suspended", lambda: freeze(source), lambda: thaw(source))
            trouble(site, run, "target suspended", lambda: freeze(target), lambda: thaw(target))
            site.end_run(run, timeout=120)
            sent = web.sent_bytes() - begun
            print(f"{SIZE >> 10} KiB of data, {sent >> 10} KiB on the wire", flush=True)
            expect(sent < SIZE * 1.1 + (12 << 20), f"{sent} bytes on the wire for {SIZE}")
            gone(site, web, vault)
            web.rate(1000000)
            site.sealift("restore", "web@latest", "--to", f"source:{site.path('out')}", "--wait")
            same(tree, site.path("out") + tree, "restore")


main()
