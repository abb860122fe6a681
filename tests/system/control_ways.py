#!/usr/bin/env python3
# build: asan
# timeout: 120
"""The ways between director and transporters: through SOCKS5 servers of others (microsocks with and without a login,
dante) and through sealift-proxy, with wrong logins said on both sides, and with the director dialling transporters that
listen for it. Each joins by its way, and finds back to it when the director was restarted. A backup and a restore go through
the SOCKS5 server of a site to the proxy where both ends meet, and to a reverse port."""

import os
import re
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from sealift_site import Daemon, Site, expect, same, value, wait_until

DANTE = """logoutput: stderr
internal: 127.0.0.1 port = {port}
external: 127.0.0.1
clientmethod: none
socksmethod: none
user.privileged: root
user.unprivileged: nobody
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
socks pass {{ from: 127.0.0.0/8 to: 127.0.0.0/8 command: connect }}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until_open(port, what):
    def is_open():
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
    wait_until(is_open, f"{what} does not listen")


class Ways:
    def __init__(self, site):
        self.site = site

    def put_password(self, name, text):
        path = self.site.path(f"{name}.password")
        with open(path, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.write(text + "\n")
        return path

    def start(self, name, argv, port):
        site = self.site
        site.daemons[name] = Daemon(name, argv, site.path(f"{name}.log"), site.env)
        until_open(port, name)
        return f"127.0.0.1:{port}"

    def microsocks(self, name, *login):
        port = free_port()
        return self.start(name, ["microsocks", "-i", "127.0.0.1", "-p", str(port), *login], port)

    def dante(self, name):
        port = free_port()
        with open(self.site.path(f"{name}.conf"), "w") as file:
            file.write(DANTE.format(port=port))
        return self.start(name, ["danted", "-f", self.site.path(f"{name}.conf"), "-p", self.site.path(f"{name}.pid"),
                                 "-N", "1"], port)

    def proxy(self, name, user, password):
        """sealift-proxy, which dials the director for who logs in, and joins."""
        port = free_port()
        with open(self.site.path(f"{name}.conf"), "w") as file:
            file.write(f'listen = ( "127.0.0.1:{port}" );\nallow = ( "{self.site.control_address}" );\n'
                       f'users = ( {{ name = "{user}"; password_file = "{password}"; }} );\n')
        return self.start(name, [os.path.join(self.site.bin, "sealift-proxy"), "--config",
                                 self.site.path(f"{name}.conf")], port)

    def init(self, name, *options, extra=""):
        """As Site.init_transporter, with --init's own options for the way to the director."""
        site = self.site
        argv = ["--init", "--site", site.line, "--name", name, "--config", site.path(f"{name}.conf"), "--state",
                site.path(name), "--data-listen", "tcp://127.0.0.1:0", "--repositories", site.path("store"), *options]
        said = site.run("sealift-transporter", *argv).stdout
        with open(site.path(f"{name}.conf"), "a") as file:
            file.write(extra + 'reconnect = { first = "50ms"; most = "500ms"; };\n')
        return re.search(r"fingerprint: *(\S+)", said).group(1)

    def approve(self, name, fingerprint):
        site = self.site
        site.daemons[name].wait_for("event=pending")
        site.sealift("transporter", "approve", name, "--zone", "trusted", "--fingerprint", fingerprint)
        site.daemons[name].wait_for("event=admitted")

    def join(self, name, *options, extra=""):
        fingerprint = self.init(name, *options, extra=extra)
        self.site.run_transporter(name)
        self.approve(name, fingerprint)


def login(proxy, user, path):
    return f'proxies = ( {{ address = "{proxy}"; user = "{user}"; password_file = "{path}"; }} );\n'


def check_third_party(ways):
    plain = ways.microsocks("microsocks")
    ways.join("plain", "--director-proxy", plain)
    found = ways.site.daemons["plain"].wait_for("event=director_connected")
    expect(f"proxy={plain}" in found, f"the way is not told: {found}")
    ways.join("dante-way", "--director-proxy", ways.dante("dante"))


def check_logins(ways):
    site = ways.site
    path = ways.put_password("site", "wrong")
    guarded = ways.microsocks("microsocks-login", "-u", "site", "-P", "s3cret-of-the-proxy")
    fingerprint = ways.init("logged", "--director-proxy", guarded, extra=login(guarded, "site", path))
    site.run_transporter("logged").wait_for(r"director_not_reached.*the proxy refuses the user or the password")
    ways.put_password("site", "s3cret-of-the-proxy")
    site.daemons["logged"].reload()
    ways.approve("logged", fingerprint)

    own = ways.proxy("proxy", "site", path)
    ways.init("stranger", "--director-proxy", own)
    site.run_transporter("stranger").wait_for(r"director_not_reached.*the proxy wants a user and a password")
    site.daemons["proxy"].wait_for(r"event=refused.*offers no user and password")
    with open(site.path("stranger.conf"), "a") as file:
        file.write(login(own, "site", ways.put_password("other", "another")))
    site.daemons["stranger"].reload()
    site.daemons["stranger"].wait_for(r"director_not_reached.*the proxy refuses the user or the password")
    site.daemons["proxy"].wait_for(r"event=refused.*wrong user or password")
    site.daemons["stranger"].stop()

    os.chmod(path, 0o644)
    said = site.run("sealift-transporter", "--check-config", "--config", site.path("logged.conf"), code=2).stderr
    expect("may be read by others than its owner: chmod 600" in said, f"an open password file: {said}")
    os.chmod(path, 0o600)
    for name in ("logged", "director", "proxy", "stranger"):
        with open(site.daemons[name].log) as log:
            expect("s3cret-of-the-proxy" not in log.read(), f"{name} logs a password")


def add_dials(ways, dials, extra=""):
    """The director is started anew: its configuration is read once."""
    site = ways.site
    site.daemons["director"].stop()
    with open(site.path("director.conf"), "a") as file:
        file.write(f"dial = ( {', '.join(dials)} );\n{extra}")
    site.run_director()


def check_director_dials(ways):
    site = ways.site
    ports = [free_port() for _ in range(3)]
    fingerprints = [ways.init(name, "--listen-for-director", f"127.0.0.1:{port}")
                    for name, port in zip(("listens", "behind"), ports)]
    guarded = ways.microsocks("microsocks-director", "-u", "dc", "-P", "director-login")
    path = ways.put_password("dc", "wrong")
    add_dials(ways, [f'{{ address = "tcp://127.0.0.1:{ports[0]}"; }}',
                     f'{{ address = "tcp://127.0.0.1:{ports[1]}"; proxy = "{guarded}"; }}',
                     f'{{ address = "tcp://127.0.0.1:{ports[2]}"; }}'], login(guarded, "dc", path))
    director = site.daemons["director"]
    director.wait_for(rf"event=not_dialled address=tcp://127.0.0.1:{ports[2]} .*refused: nobody listens there")
    director.wait_for(rf"event=not_dialled address=tcp://127.0.0.1:{ports[1]} .*the proxy refuses the user or the password")
    ways.put_password("dc", "director-login")
    director.reload()
    director.wait_for(rf"event=not_dialled address=tcp://127.0.0.1:{ports[1]} .*the proxy cannot connect")
    site.run_transporter("listens")
    ways.approve("listens", fingerprints[0])
    director.wait_for(rf"event=dialled address=tcp://127.0.0.1:{ports[0]} proxy=none")
    site.run_transporter("behind")
    ways.approve("behind", fingerprints[1])
    director.wait_for(rf"event=dialled address=tcp://127.0.0.1:{ports[1]} proxy={guarded}")
    check_strangers(site, ports[0], director)


def check_strangers(site, port, director):
    """Who is not the director gets nothing, and ends nothing, at the port where a transporter listens for it."""
    before = len(site.daemons["listens"].lines())
    for said in (b"GET / HTTP/1.1\r\n\r\n", b"\x01\x00\x06\x00hello", b"SSH-2.0-OpenSSH_9.2\r\n", b"\xff" + bytes(63)):
        with socket.create_connection(("127.0.0.1", port), 10) as stranger:
            stranger.sendall(said)
            stranger.settimeout(20)
            try:
                while stranger.recv(4096):
                    pass
            except ConnectionResetError:
                pass
    after = [line for line in site.daemons["listens"].lines()[before:] if "call_refused" not in line]
    expect(not any("director_lost" in line for line in after), f"a stranger ended the connection: {after}")


def check_work(site, tree):
    """A backup between a host that the director dials and one behind a proxy."""
    site.sealift("repository", "create", "offsite", "--on", "plain", "--path", site.path("store", "r"))
    site.sealift("key", "create", "main", "--description", "for tests", "--generate")
    site.sealift("job", "create", "web", "--backup", f"listens:{tree}", "--repository", "offsite", "--encrypt",
                 "source", "--key", "main")
    site.sealift("job", "run", "web", "--wait")


def edit(site, name, *changes, more=""):
    """Settings of a transporter; it is started anew."""
    with open(site.path(f"{name}.conf"), "r+", encoding="ascii") as file:
        text = file.read()
        for before, after in changes:
            expect(before in text, f"{name}.conf has no '{before}'")
            text = text.replace(before, after)
        file.seek(0)
        file.write(text + more)

    def times():
        return sum(f"event=connected transporter={name} " in line for line in site.daemons["director"].lines())
    before = times()
    site.daemons[name].stop()
    site.run_transporter(name)
    wait_until(lambda: times() > before, f"{name} is connected again")


def check_two_hops(ways, tree):
    """The way out of `plain` is a microsocks that wants a login; the proxy where it meets `listens` wants another."""
    site = ways.site
    way_out = ways.microsocks("way-out", "-u", "company", "-P", "of-the-way-out")
    at = ways.proxy("meets", "site", ways.put_password("meets", "of-the-meeting"))
    inside = [login(way_out, "company", ways.put_password("company", "of-the-way-out")),
              login(at, "site", ways.put_password("plain-meets", "of-the-meeting"))]
    edit(site, "plain", ("data = {\n", f'data = {{\n    proxy = "{way_out}";\n'),
         more="proxies = ( " + ", ".join(re.search(r"\{.*\}", line).group(0) for line in inside) + " );\n")
    edit(site, "listens", ("data = {\n", 'data = {\n    reverse = { listen = "127.0.0.1:0"; };\n'),
         ("restore = ( );", f'restore = ( "{site.path("out")}" );'), more=inside[1])

    def passed(where):
        return sum(f"connected to {where}" in line for line in site.daemons["way-out"].lines())

    site.sealift("link", "set", "listens", "plain", "--connection", "rendezvous", "--proxy", at)
    site.sealift("job", "run", "web", "--wait")
    backup = passed(at)
    expect(backup > 0, "a rendezvous goes through the way out")
    site.sealift("restore", "web@latest", "--to", f"listens:{site.path('out')}", "--wait")
    same(tree, site.path("out") + tree, "restore through two proxies")
    expect(passed(at) > backup, "so does the rendezvous of a restore")
    port = reverse_port(site, "listens")
    site.sealift("link", "set", "listens", "plain", "--connection", "reverse")
    site.sealift("job", "run", "web", "--wait")
    expect(passed(port) > 0, "so does a dial of a reverse port")
    site.daemons["way-out"].stop()
    tested = site.sealift("link", "test", "listens", "plain", "--proxy", at, code=(0, 1)).stdout
    for where in (f"reverse port '{port}'", f"rendezvous at '{at}'"):
        expect(f"{where} through proxy '{way_out}': the proxy: refused" in tested, f"which proxy is not there is said: {tested}")
    site.sealift("link", "remove", "listens", "plain")


def reverse_port(site, name):
    return value(next(line for line in site.daemons[name].lines() if "event=ready" in line), "reverse")


def check_restart(site, names):
    """The director is gone and comes back: so do all, each by its way."""
    site.daemons["director"].stop()
    site.run_director()
    for name in names:
        site.daemons["director"].wait_for(f"event=connected transporter={name}")
    site.sealift("job", "run", "web", "--wait")


def main():
    with Site("control-ways", lease="5s") as site:
        site.begin()
        tree = site.path("tree")
        os.makedirs(tree)
        with open(os.path.join(tree, "file"), "wb") as file:
            file.write(os.urandom(100000))
        ways = Ways(site)
        check_third_party(ways)
        check_logins(ways)
        check_director_dials(ways)
        check_work(site, tree)
        check_two_hops(ways, tree)
        check_restart(site, ("plain", "dante-way", "logged", "listens", "behind"))
    print("control connections: every way joins, works and comes back")


main()
