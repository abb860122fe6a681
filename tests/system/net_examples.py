#!/usr/bin/env python3
# build: release
# timeout: 150
"""Every topology of docs/networks.md, as it stands there: the files of configs/examples on hosts with such firewalls, and
the commands of the section. Only the directories of a whole machine are replaced. A backup and a restore go through, and
counters on the hosts prove what must not happen: that anybody connects into a site that lets nobody in."""

import os
import re
import shlex
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from netns import Network, clear_leftovers, skip, why_not
from sealift_site import FINGERPRINT, Daemon, Failed, Site, expect, make_tree, same, value

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
EXAMPLES = os.path.join(SOURCES, "configs", "examples")
AT_ONCE = 3
SOCKS_LOGIN = ("backup", "correct horse")


def sections():
    """{title: text} of docs/networks.md"""
    with open(os.path.join(SOURCES, "docs", "networks.md"), encoding="utf-8") as file:
        parts = re.split(r"^## (.*)$", file.read(), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def commands(text):
    """What a section tells `you` to type"""
    return [re.sub(r"\s+#.*", "", line) for line in re.findall(r"^you\$ sealift +(.*)$", text, re.M)]


class Example(Site):
    """The hosts of one directory of configs/examples, each with its own /etc, /srv and /var."""

    def __init__(self, name, hosts):
        super().__init__(f"example-{name}", hosts=hosts)
        self.files = os.path.join(EXAMPLES, name)

    def place(self, host, text):
        return re.sub(r'(?<![\w.])/(?=(etc/sealift|var/lib|var/restore|srv)\b)', self.path(host) + "/", text)

    def config(self, host, name):
        """Puts the example where --init has written its own; returns what it says."""
        with open(os.path.join(self.files, name + ".conf"), encoding="utf-8") as file:
            text = self.place(host, file.read())
        with open(self.path(host, name + ".conf"), "w", encoding="utf-8") as file:
            file.write(text)
        return text

    def daemon(self, host, program, name, pattern):
        os.makedirs(self.path(host), exist_ok=True)
        argv = self.command(host, program, "--config", self.path(host, name + ".conf"))
        daemon = self.daemons[name] = Daemon(name, argv, self.path(name + ".log"), self.env)
        daemon.wait_for(pattern)
        return daemon

    def start(self, place):
        """A director at the host `place`, an operator there."""
        state, config = self.path(place, "var/lib/sealift-director"), self.path(place, "director.conf")
        os.makedirs(os.path.dirname(state), exist_ok=True)
        said = self.run("sealift-director", "--init", "--config", config, "--state", state).stdout
        self.director_key = re.search(r"\b[0-9a-f]{64}\b", said).group(0)
        self.claim = re.search(r"claim code: *(\S+)", said, re.I).group(1)
        bind = re.search(r'^bind = "(.*)"', self.config(place, "director"), re.M).group(1)
        self.daemon(place, "sealift-director", "director", "event=ready")
        self.operator_address = f"{'127.0.0.1' if bind == '127.0.0.1' else 'director.example'}:9446"
        self.init_operator()

    def join(self, name, zone, file=None):
        for directory in ("etc/sealift", "srv/backup", "srv/data", "var/restore", "var/lib"):
            os.makedirs(self.path(name, directory), exist_ok=True)
        login = self.path(name, "etc/sealift/socks.password")
        with open(os.open(login, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as secret:
            secret.write(SOCKS_LOGIN[1] + "\n")
        file = file or name
        said = self.run("sealift-transporter", "--init", "--site", self.line, "--name", name, "--config",
                        self.path(name, file + ".conf"), "--state", self.path(name, "var/lib/sealift-transporter")).stdout
        self.config(name, file)
        daemon = self.daemon(name, "sealift-transporter", file, "event=ready")
        daemon.wait_for("event=pending")
        self.sealift("transporter", "approve", name, "--zone", zone, "--fingerprint", FINGERPRINT.search(said).group(0))
        daemon.wait_for("event=admitted")

    def type(self, command, host="vault"):
        done = self.sealift(*[self.place(host, word) for word in shlex.split(command)])
        print(f"$ sealift {command}\n{done.stdout}", end="")
        return done.stdout

    def data(self):
        make_tree(self.path("web", "srv/data/tree"), files=24)

    def backup_and_restore(self):
        self.sealift("job", "run", "web", "--wait")
        tree = self.path("web", "srv/data/tree")
        self.type("restore web@latest --to web:/var/restore --wait", "web")
        same(tree, self.path("web", "var/restore") + tree, "restore")


def between_hosts(net, name, topic, others=(), firewalls=lambda hosts: None, nat=()):
    """What all but the first example do; `others`: {host: what starts there first}. Returns the hosts, with their counters."""
    hosts = {host: net.host(host, nat=host in nat) for host in ("director", "web", "vault", *others)}
    firewalls(hosts)
    with Example(name, hosts) as site:
        for other, start in dict(others).items():
            start(site, hosts[other])
        site.start("director")
        site.join("web", "trusted")
        site.join("vault", "untrusted")
        site.data()
        for command in commands(sections()[topic]):
            site.type(command)
        site.sealift("repository", "create", "offsite", "--on", "vault", "--path", site.place("vault", "/srv/backup/offsite"))
        site.sealift("key", "create", "main", "--description", "examples", "--generate")
        site.sealift("job", "create", "web", "--backup", f"web:{site.place('web', '/srv/data')}", "--repository", "offsite",
                     "--encrypt", "source", "--key", "main")
        site.backup_and_restore()
    return hosts


def same_host(net):
    web = net.host("web")
    web.firewall(inbound="drop")
    with Example("same-host", {"web": web, "director": web}) as site:
        site.start("web")
        site.join("web", "trusted", file="transporter")
        site.data()
        site.sealift("key", "create", "main", "--description", "examples", "--generate")
        for command in commands(sections()["Same host"]):
            site.type(command, "web")
        site.backup_and_restore()
    expect(web.knocks() == {} and web.sent_bytes() < 2000, f"nothing leaves the host: {web.sent_bytes()}")


def lan(net):
    hosts = between_hosts(net, "lan", "LAN", firewalls=lambda hosts: (
        hosts["vault"].firewall(inbound="drop", allow=(9448,)), hosts["web"].firewall(inbound="drop", allow=(9448,))))
    expect(hosts["vault"].opened() > 0, "the source dials the target")


def target_behind_nat(net):
    hosts = between_hosts(net, "target-behind-nat", "Target behind NAT", nat=("vault",), firewalls=lambda hosts:
                          hosts["web"].firewall(inbound="drop", allow=(9448, 9450)))
    knocked_at_nobody(hosts["vault"])
    expect({port for _, port in hosts["web"].knocks()} == {9448, 9450}, f"the target dials: {hosts['web'].knocks()}")


def source_in_dmz(net):
    hosts = between_hosts(net, "source-in-dmz", "Source in a locked DMZ", firewalls=lambda hosts: (
        hosts["web"].firewall(inbound="drop", allow=(9448, 9450, 9451), outbound="drop"),
        hosts["vault"].firewall(inbound="drop")))
    knocked_at_nobody(hosts["vault"])
    expect(not any(address == hosts["web"].address for address, _ in hosts["director"].knocks()), "the DMZ dials nobody")


def both_behind_firewalls(net):
    def start_proxy(site, host):
        os.makedirs(site.path("proxy"))
        site.config("proxy", "proxy")
        site.daemon("proxy", "sealift-proxy", "proxy", "event=ready")
    hosts = between_hosts(net, "both-behind-firewalls", "Both behind firewalls", {"proxy": start_proxy}, lambda hosts: (
        hosts["web"].firewall(inbound="drop"), hosts["vault"].firewall(inbound="drop")))
    for name in ("web", "vault"):
        knocked_at_nobody(hosts[name])


def corporate_socks(net):
    def start_socks(site, host):
        site.daemons["socks"] = Daemon("socks", host.command("microsocks", "-i", "0.0.0.0", "-p", "1080", "-u", SOCKS_LOGIN[0],
                                                             "-P", SOCKS_LOGIN[1]), site.path("socks.log"), site.env)
    hosts = between_hosts(net, "corporate-socks", "Through a corporate SOCKS proxy", {"socks": start_socks}, lambda hosts:
                          hosts["web"].firewall(inbound="drop", outbound="drop", to=((hosts["socks"], 1080),)))
    knocked_at_nobody(hosts["web"])
    expect({address for address, _ in hosts["vault"].knocks()} <= {hosts["socks"].address}, "the vault sees the proxy only")


def director_elsewhere(net):
    hosts = between_hosts(net, "director-elsewhere", "Director in a third place", firewalls=lambda hosts: (
        hosts["web"].firewall(inbound="drop", allow=(9448,)),
        hosts["vault"].firewall(inbound="drop", allow=(9448,)),
        hosts["director"].firewall(inbound="drop", allow=(9446, 9447), outbound="drop")))
    expect(hosts["vault"].opened() > 0, "the source dials the target")
    expect(hosts["director"].received_bytes() < 300000, "no data passes the director")


def knocked_at_nobody(host):
    expect(host.knocks() == {} and host.opened() == 0, f"nobody connects into the site of '{host.name}': {host.knocks()}")


TOPOLOGIES = {"same-host": same_host, "lan": lan, "target-behind-nat": target_behind_nat, "source-in-dmz": source_in_dmz,
              "both-behind-firewalls": both_behind_firewalls, "corporate-socks": corporate_socks,
              "director-elsewhere": director_elsewhere}


def one(name):
    with Network(name) as net:
        TOPOLOGIES[name](net)
    print(f"{name}: a backup and a restore")


def all_of_them():
    """Each in a process of its own, some at a time: they wait for each other's daemons more than they compute."""
    found = {entry.name for entry in os.scandir(EXAMPLES) if entry.is_dir()}
    expect(found == set(TOPOLOGIES), f"{EXAMPLES} holds other topologies than are tried here")
    clear_leftovers()
    why = why_not()
    if why:
        skip(why)
    waiting, running, failed = list(TOPOLOGIES), {}, []
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            name = waiting.pop(0)
            running[name] = subprocess.Popen([sys.executable, __file__, name], stdin=subprocess.DEVNULL,
                                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        name, process = next(iter(running.items()))
        said, _ = process.communicate(timeout=120)
        print(f"=== {name}\n{said}", flush=True)
        failed += [name] if process.returncode else []
        del running[name]
    expect(not failed, f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    one(sys.argv[1]) if len(sys.argv) > 1 else all_of_them()
