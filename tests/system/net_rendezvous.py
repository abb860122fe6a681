#!/usr/bin/env python3
# build: asan
# timeout: 90
"""Two sites that let nobody in meet at sealift-proxy: a backup goes on when the proxy is killed and started again, a restore
comes back the same way, and counters prove that nobody has tried to open a connection into either. A side that got another
address while it waited notices. Then the data goes
through dante, which stands where a company's SOCKS5 server does."""

import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from netns import Network
from sealift_site import Daemon, Site, expect, same, wait_until

QUICK = 'heartbeat = "200ms";\nreconnect = { first = "50ms"; most = "300ms"; };\n'
SIZE, RATE_KBIT = 10 << 20, 60000
DANTE = """logoutput: stderr
internal: 0.0.0.0 port = 1080
external: eth0
clientmethod: none
socksmethod: none
user.privileged: root
user.unprivileged: nobody
client pass { from: 0.0.0.0/0 to: 0.0.0.0/0 }
socks pass { from: 0.0.0.0/0 to: 0.0.0.0/0 port = 9448 command: connect }
"""


def start_proxy(site, host):
    config = site.path("proxy.conf")
    with open(config, "w", encoding="ascii") as file:
        file.write('listen = ( "0.0.0.0:9449" );\nallow = ( );\n')
    site.daemons["proxy"] = Daemon("proxy", host.command(os.path.join(site.bin, "sealift-proxy"), "--config", config),
                                   site.path("proxy.log"), site.env)
    site.daemons["proxy"].wait_for("event=ready")


def start_dante(site, host):
    config = site.path("dante.conf")
    with open(config, "w", encoding="ascii") as file:
        file.write(DANTE)
    site.daemons["dante"] = Daemon("dante", host.command("danted", "-f", config, "-p", site.path("dante.pid"), "-N", "1"),
                                   site.path("dante.log"), site.env)
    site.daemons["dante"].wait_for("running")


def restored(site, tree, name):
    site.sealift("restore", "web@latest", "--to", f"source:{site.path('out', name)}", "--wait")
    same(tree, site.path("out", name) + tree, f"restore, {name}")


def meets(site, hosts, tree):
    web = hosts["source"]
    site.sealift("link", "set", "source", "vault", "--connection", "rendezvous", "--proxy", "proxy.example:9449")
    web.rate(RATE_KBIT)
    begun = web.sent_bytes()
    run = site.begin_run()
    site.until_stored(SIZE // 4, run)
    site.daemons["proxy"].kill()
    site.daemons["source"].wait_for("event=peer_lost")
    start_proxy(site, hosts["proxy"])
    site.end_run(run)
    sent = web.sent_bytes() - begun
    print(f"{SIZE >> 10} KiB of data, {sent >> 10} KiB on the wire", flush=True)
    expect(sent < SIZE * 1.1 + (4 << 20), f"{sent} bytes on the wire for {SIZE}")
    web.rate(1000000)
    restored(site, tree, "met")
    for name in ("source", "vault"):
        expect(hosts[name].knocks() == {} and hosts[name].opened() == 0, f"nobody dials '{name}': {hosts[name].knocks()}")
    ways = json.loads(site.sealift("--json", "link", "test", "source", "vault").stdout)["ways"]
    print("\n".join(f"{way['mode']}: {'works' if way['works'] else way['why']}" for way in ways), flush=True)
    works = [way["mode"] for way in ways if way["works"]]
    expect(works == ["rendezvous"], f"only this way works, and it is the one that is set: {ways}")


def moves_while_it_waits(site, hosts):
    """The source waits at the proxy for a target that is gone, and gets another address: nobody tells it that its connection
    leads nowhere. By its heartbeats it finds out, and calls again."""
    web, vault, source = hosts["source"], hosts["vault"], site.daemons["source"]
    with open(site.path("data", "moved"), "wb") as file:
        file.write(os.urandom(SIZE))
    web.rate(RATE_KBIT)
    run = site.begin_run()
    site.until_stored(SIZE // 4, run)
    times = sum("event=peer_lost" in line for line in source.lines())
    vault.cut()
    wait_until(lambda: sum("event=peer_lost" in line for line in source.lines()) > times, "the source misses the target")
    begun = time.monotonic()
    wait_until(lambda: time.monotonic() > begun + 0.5, "the source calls the proxy again")
    web.move()
    vault.mend()
    begun = time.monotonic()
    wait_until(lambda: sum("event=peer_back" in line for line in source.lines()) > times, "they meet again")
    took = time.monotonic() - begun
    site.end_run(run)
    web.rate(1000000)
    print(f"another address while it waited: they met again after {took:.1f} s", flush=True)
    expect(took < 8, f"a connection that leads nowhere was kept for {took:.1f} s")


def through_dante(site, hosts):
    """Only the SOCKS5 server may be dialled from the source's site, and into the target's."""
    socks = hosts["socks"]
    start_dante(site, socks)
    hosts["source"].firewall(inbound="drop", outbound="drop", to=((socks, 1080), (hosts["director"], 9447)))
    hosts["vault"].firewall(inbound="drop", allow=(9448,))
    site.sealift("link", "set", "source", "vault", "--connection", "direct", "--proxy", "socks.example:1080")
    with open(site.path("data", "more"), "wb") as file:
        file.write(os.urandom(1 << 20))
    site.sealift("job", "run", "web", "--wait")
    expect({address for address, port in hosts["vault"].knocks() if port == 9448} >= {socks.address}, "dante dials")


def main():
    with Network("rendezvous") as net:
        hosts = {name: net.host(name) for name in ("director", "source", "vault", "proxy", "socks")}
        with Site(lease="10s", hosts=hosts) as site:
            tree = site.path("data")
            os.makedirs(tree)
            with open(os.path.join(tree, "big"), "wb") as file:
                file.write(os.urandom(SIZE))
            start_proxy(site, hosts["proxy"])
            site.begin()
            for name in ("source", "vault"):
                hosts[name].firewall(inbound="drop")
            site.add_backup(tree, source={"extra": QUICK}, vault={"extra": QUICK})
            meets(site, hosts, tree)
            moves_while_it_waits(site, hosts)
            expect(hosts["source"].knocks() != {} or hosts["vault"].knocks() != {}, "the counter counts what a test tried")
            through_dante(site, hosts)


main()
