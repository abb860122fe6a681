#!/usr/bin/env python3
# build: asan
# timeout: 90
"""Direct connections between hosts with firewalls. A target that drops or refuses what comes in: the run fails after its
lease, with a reason that says which. A target that is gone for longer than the lease: the run fails with that reason, and
the next one sends only what the first had not stored."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from netns import Network
from sealift_site import Site, expect, same

SETTINGS = {"extra": 'heartbeat = "500ms";\nreconnect = { first = "50ms"; most = "300ms"; };\n'}
SIZE, RATE_KBIT = 12 << 20, 60000
UNREACHABLE = 7


def filtered_and_refused(site, hosts):
    """Both at once: each takes the whole lease."""
    for name, how in (("vault", "drop"), ("shed", "reject")):
        hosts[name].firewall(inbound=how)
    runs = {job: site.begin_run(job) for job in ("web", "spare")}
    for job, words, others in (("web", "no answer", "refused"), ("spare", "refused", "no answer")):
        said = site.end_run(runs[job], code=UNREACHABLE)
        print(job, said["text"])
        expect(words in said["text"] and others not in said["text"], f"'{words}' in: {said}")
    expect(hosts["vault"].opened() == 0 and hosts["vault"].knocks(), "the source has tried, and nothing was let in")
    for name in ("vault", "shed"):
        hosts[name].firewall()


def gone_for_longer(site, web, vault, tree):
    """Cut before the first heartbeat: that, too, is noticed."""
    run = site.begin_run()
    site.until_stored(SIZE // 4, run)
    vault.cut()
    said = site.end_run(run, code=UNREACHABLE)
    expect("has been gone for too long" in said["text"] and said["state"] == "unknown", f"nobody can ask the target: {said}")
    for name in ("source", "vault"):
        site.daemons[name].wait_for(f"event=run_ended run={said['run']} .*the other side was gone for more than")
    vault.mend()
    begun = web.sent_bytes()
    said = site.end_run(site.begin_run())
    sent = web.sent_bytes() - begun
    print(f"{SIZE >> 10} KiB of data, the first run had stored {SIZE // 4 >> 10} KiB, the second sent {sent >> 10} KiB")
    expect(sent < SIZE * 0.85, f"{sent} bytes of {SIZE} are sent again")
    site.sealift("restore", "web@latest", "--to", f"source:{site.path('out')}", "--wait")
    same(tree, site.path("out") + tree, "restore")


def main():
    with Network("direct") as net:
        hosts = {name: net.host(name) for name in ("director", "source", "vault", "shed")}
        with Site(lease="2s", hosts=hosts, director='lease = "3s";\nheartbeat = "300ms";\n') as site:
            tree = site.path("data")
            os.makedirs(tree)
            with open(os.path.join(tree, "big"), "wb") as file:
                file.write(os.urandom(SIZE))
            site.begin().add_backup(tree, source=SETTINGS, vault=SETTINGS)
            site.add_transporter("shed", "untrusted", repositories=[site.path("shed-store")], **SETTINGS)
            site.sealift("repository", "create", "spare", "--on", "shed", "--path", site.path("shed-store", "r"))
            site.sealift("job", "create", "spare", "--backup", f"source:{tree}", "--repository", "spare", "--encrypt",
                         "source", "--key", "main")
            filtered_and_refused(site, hosts)
            hosts["source"].rate(RATE_KBIT)
            gone_for_longer(site, hosts["source"], hosts["vault"], tree)


main()
