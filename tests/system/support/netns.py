"""Hosts for system tests, with firewalls that are real: network namespaces, each at a link of its own to one router.

    with Network("reverse") as net:                   # where this is not permitted the test is skipped, with the reason
        web, vault = net.host("web"), net.host("vault")
        vault.firewall(inbound="drop")
        ...
        expect(vault.knocks() == {}, "nobody dialled the target")

    web (10.77.1.2) ──── router ──── vault (10.77.2.2)     NAME.example leads to each; hosts know no other names

A link can be cut, slow, lossy or long (Host.cut, .rate, .loss; host(delay_ms=)). Everything goes with the `with` block,
also on a failure, on SIGTERM and on sys.exit; what a killed test left behind is cleared away by the next one."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

from sealift_site import Failed, wait_until

NAME = re.compile(r"sealift-(\d+)-(\d+)-")
RUN_DIRECTORY, ETC_DIRECTORY = "/run/netns", "/etc/netns"

# Counted where packets come in and go out, before and after any firewall: that nothing connected is a number here.
WITNESS = """
table inet witness {
    counter opened { }
    set knockers {
        type ipv4_addr . inet_service
        flags dynamic
        counter
    }
    set flows {
        type ipv4_addr . inet_service . inet_service
        flags dynamic
        counter
    }
    chain arrivals {
        type filter hook prerouting priority -300; policy accept;
        iifname "eth0" meta l4proto tcp update @flows { ip saddr . tcp sport . tcp dport }
        iifname "eth0" tcp flags & (fin | syn | rst | ack) == syn update @knockers { ip saddr . tcp dport }
    }
    chain departures {
        type filter hook postrouting priority 300; policy accept;
        oifname "eth0" tcp flags & (syn | ack) == (syn | ack) counter name opened
    }
}
"""

# What inbound and outbound can say to what is not allowed; "drop" answers nothing: filtered
VERDICTS = {
    "drop": "counter drop",
    "reject": "meta l4proto tcp counter reject with tcp reset\n        counter reject",
    "unreachable": "counter reject with icmpx type no-route",
}


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def run(*argv, text=None, check=True):
    done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=30,
                          stdin=None if text is not None else subprocess.DEVNULL)
    if check and done.returncode != 0:
        raise Failed(f"{shlex.join(argv)}: {done.stderr.strip() or done.stdout.strip() or done.returncode}")
    return done


def start_time(pid):
    """A pid alone is used again; with this it names one process for ever. None: there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(")")[2].split()[19])
    except OSError:
        return None


def remove_namespace(name):
    """With all processes in it: they are of a test's own making."""
    for pid in run("ip", "netns", "pids", name, check=False).stdout.split():
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            pass
    run("ip", "netns", "del", name, check=False)
    shutil.rmtree(os.path.join(ETC_DIRECTORY, name), ignore_errors=True)


def clear_leftovers():
    for directory in (RUN_DIRECTORY, ETC_DIRECTORY):
        for name in os.listdir(directory) if os.path.isdir(directory) else ():
            owner = NAME.match(name)
            if owner and start_time(int(owner.group(1))) != int(owner.group(2)):
                remove_namespace(name)


def why_not():
    """Why hosts cannot be made here; None: they can. Tried, not guessed."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "nft", "tc"):
        if not shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"):
            return f"'{program}' is not installed: see .ci/install"
    probe = f"sealift-{os.getpid()}-{start_time(os.getpid())}-probe"
    rules = WITNESS + "table inet firewall {\n chain x {\n" + "\n".join(VERDICTS.values()) + """
        ct state established accept
        numgen random mod 1000 < 20 drop
    }
}
table ip nat {
    chain x {
        type nat hook postrouting priority 100;
        masquerade
    }
}
"""
    steps = (
        ("network namespaces", ("ip", "netns", "add", probe), None),
        ("veth pairs", ("ip", "-n", probe, "link", "add", "one", "type", "veth", "peer", "name", "two"), None),
        ("running a program in a namespace", ("ip", "netns", "exec", probe, "true"), None),
        ("nftables rules", ("ip", "netns", "exec", probe, "nft", "-f", "-"), rules),
        ("queueing by tbf",
         ("tc", "-n", probe, "qdisc", "add", "dev", "one", "root", "tbf", "rate", "1mbit", "burst", "16kb", "latency", "50ms"),
         None))
    try:
        for what, argv, text in steps:
            done = run(*argv, text=text, check=False)
            if done.returncode != 0:
                return f"{what} are not permitted here: {(done.stderr.strip() or 'failed').splitlines()[0]}"
    finally:
        remove_namespace(probe)
    return None


class Host:
    """One machine. `namespace` is what `ip netns exec` takes, `address` where others find it, `site` its name for them."""

    def __init__(self, network, name, number, nat):
        self.network, self.name, self.number, self.nat = network, name, number, nat
        self.namespace = network.add_namespace(name)
        self.gate = network.add_namespace(f"{name}-nat") if nat else self.namespace  # what hangs on the router's link
        self.outside = self.address = f"10.77.{number}.2"
        self.router_address, self.port = f"10.77.{number}.1", f"host{number}"
        self.domain = f"{name}.example"
        self.opposed = {}  # by direction: what the firewall does
        self.line = None
        if nat:
            self.put_behind_nat()

    def put_behind_nat(self):
        self.address = f"192.168.{self.number}.2"
        inner = f"192.168.{self.number}.1"
        run("ip", "link", "add", "inside", "netns", self.gate, "type", "veth", "peer", "name", "eth0", "netns",
            self.namespace)
        for namespace, device, address in ((self.gate, "inside", inner), (self.namespace, "eth0", self.address)):
            run("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", device)
            run("ip", "-n", namespace, "link", "set", device, "up")
        run("ip", "-n", self.namespace, "route", "add", "default", "via", inner)
        self.exec("sysctl", "-q", "-w", "net.ipv4.ip_forward=1", at=self.gate)
        self.nft("table ip nat {\n chain outbound {\n type nat hook postrouting priority 100;\n"
                 'oifname "eth0" masquerade\n }\n}\n'
                 "table inet firewall {\n chain input {\n type filter hook input priority 0; policy drop;\n }\n}\n", at=self.gate)

    def witness(self):
        for namespace in {self.namespace, self.gate}:
            self.nft(WITNESS, at=namespace)

    def plug(self, delay_ms, rate_kbit, queue_kib):
        """Its cable: a veth pair, or a long line."""
        router = self.network.router
        if delay_ms:
            self.line = self.network.start_line(f"{self.gate}/eth0", f"{router}/{self.port}", delay_ms, rate_kbit, queue_kib)
        else:
            run("ip", "link", "add", "eth0", "netns", self.gate, "type", "veth", "peer", "name", self.port, "netns", router)
        self.take_address(self.outside, self.router_address)

    def take_address(self, own, router):
        for namespace, device, address, peer in ((self.gate, "eth0", own, router),
                                                 (self.network.router, self.port, router, own)):
            run("ip", "-n", namespace, "addr", "add", *([address, "peer", peer] if self.line else [f"{address}/24"]), "dev",
                device)
            run("ip", "-n", namespace, "link", "set", device, "up", *(["mtu", "1500"] if self.line else []))
        run("ip", "-n", self.gate, "route", "replace", "default", "via", router)

    # --- programs ---

    def command(self, *argv):
        """What to start instead, for this to run here; `ip` becomes the program itself: its pid is that of the program."""
        return ["ip", "netns", "exec", self.namespace, *argv]

    def exec(self, *argv, at=None, text=None, check=True):
        return run("ip", "netns", "exec", at or self.namespace, *argv, text=text, check=check)

    def nft(self, rules, at=None):
        self.exec("nft", "-f", "-", at=at, text=rules)

    def knows(self, names):
        """What its /etc/hosts says: {name: address}. Written in place: programs see it at their next look-up."""
        directory = os.path.join(ETC_DIRECTORY, self.namespace)
        os.makedirs(directory, exist_ok=True)
        lines = "".join(f"{address} {name}\n" for name, address in names.items())
        for name, text in (("hosts", f"127.0.0.1 localhost\n{lines}"), ("resolv.conf", ""),
                           ("nsswitch.conf", "hosts: files\n")):
            with open(os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), "w", encoding="ascii") as file:
                file.write(text)

    # --- the firewall ---

    def firewall(self, inbound="accept", allow=(), outbound="accept", to=()):
        """inbound, outbound: accept, drop (no answer), reject (refused) or unreachable, for what is not an answer; `allow`:
        ports that are open all the same; `to`: (host or address, port) that may be dialled all the same."""
        accept = "tcp dport {{ {} }} accept".format(", ".join(str(port) for port in allow)) if allow else ""
        away = "\n".join(f"ip daddr {getattr(host, 'outside', host)} tcp dport {port} accept" for host, port in to)
        self.exec("nft", "delete", "table", "inet", "firewall", check=False)
        self.nft(f"""
table inet firewall {{
    chain input {{
        type filter hook input priority 0; policy accept;
        iif lo accept
        ct state established,related accept
        {accept}
        {VERDICTS.get(inbound, "accept")}
    }}
    chain output {{
        type filter hook output priority 0; policy accept;
        oif lo accept
        ct state established,related accept
        {away}
        {VERDICTS.get(outbound, "accept")}
    }}
}}
""")

    def knocks(self):
        """Who tried to open a TCP connection into this site, whatever became of it: {(address, port): packets}"""
        found = {}
        for namespace in {self.namespace, self.gate}:
            said = json.loads(self.exec("nft", "-j", "list", "set", "inet", "witness", "knockers", at=namespace).stdout)
            for entry in next(part["set"] for part in said["nftables"] if "set" in part).get("elem", ()):
                where = tuple(entry["elem"]["val"]["concat"])
                found[where] = found.get(where, 0) + entry["elem"]["counter"]["packets"]
        return found

    def opened(self):
        """How many connections this host has taken from outside"""
        said = json.loads(self.exec("nft", "-j", "list", "counter", "inet", "witness", "opened").stdout)
        return next(part["counter"]["packets"] for part in said["nftables"] if "counter" in part)

    def carriers(self, least=64 << 10):
        """How many connections have brought so many bytes here"""
        said = json.loads(self.exec("nft", "-j", "list", "set", "inet", "witness", "flows").stdout)
        flows = next(part["set"] for part in said["nftables"] if "set" in part).get("elem", ())
        return sum(entry["elem"]["counter"]["bytes"] >= least for entry in flows)

    # --- the link ---

    def wire(self, *rules):
        """What happens to each packet that passes the router from or to this host"""
        run("ip", "netns", "exec", self.network.router, "nft", "-f", "-",
            text=f"flush chain inet wire {self.port}\n" + "".join(f"add rule inet wire {self.port} {rule}\n" for rule in rules))

    def cut(self):
        """Packets vanish, both ways; nobody is told."""
        self.wire("counter drop")

    def mend(self):
        self.wire()

    def loss(self, percent):
        self.wire(f"numgen random mod 1000 < {round(percent * 10)} counter drop")

    def rate(self, kbit, latency_ms=50):
        """In each direction; of a veth link."""
        burst = max(16384, kbit * 1000 // 8 // 100)  # 10 ms
        for namespace, device in ((self.gate, "eth0"), (self.network.router, self.port)):
            run("tc", "-n", namespace, "qdisc", "replace", "dev", device, "root", "tbf", "rate", f"{kbit}kbit", "burst",
                str(burst), "latency", f"{latency_ms}ms")

    def sent_bytes(self):
        """By this site, on its link, ever: IP and TCP headers and resent segments counted"""
        return self.statistics()["tx"]["bytes"]

    def received_bytes(self):
        return self.statistics()["rx"]["bytes"]

    def statistics(self):
        return json.loads(run("ip", "-n", self.gate, "-j", "-s", "link", "show", "dev", "eth0").stdout)[0]["stats64"]

    def move(self):
        """Another address on the same link; what stood on the old one hears nothing more. Its name leads to the new one."""
        old, router = self.outside, self.router_address
        self.number = self.network.next_number()
        self.outside, self.router_address = f"10.77.{self.number}.2", f"10.77.{self.number}.1"
        if not self.nat:
            self.address = self.outside
        for namespace, device in ((self.gate, "eth0"), (self.network.router, self.port)):
            run("ip", "-n", namespace, "addr", "flush", "dev", device)
        self.take_address(self.outside, self.router_address)
        self.network.tell_names()
        return old, router


class Network:
    def __init__(self, name="net"):
        self.name, self.hosts, self.namespaces, self.lines, self.numbers = name, [], [], [], 0
        self.prefix = f"sealift-{os.getpid()}-{start_time(os.getpid())}-"
        clear_leftovers()
        why = why_not()
        if why:
            skip(why)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # for `with` to end
        try:
            self.router = self.add_namespace(f"{name}-router")
            run("ip", "netns", "exec", self.router, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
            run("ip", "netns", "exec", self.router, "nft", "-f", "-", text="""
table inet wire {
    chain passing {
        type filter hook forward priority 0; policy accept;
    }
}
""")
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for line in self.lines:
            line.terminate()
            line.wait(10)
        for namespace in self.namespaces:
            remove_namespace(namespace)
        self.namespaces, self.lines = [], []

    def next_number(self):
        self.numbers += 1
        return self.numbers

    def add_namespace(self, name):
        namespace = self.prefix + name
        self.namespaces.append(namespace)
        run("ip", "netns", "add", namespace)
        run("ip", "-n", namespace, "link", "set", "lo", "up")
        return namespace

    def host(self, name, nat=False, delay_ms=0, rate_kbit=0, queue_kib=0):
        """`nat`: behind a router of its own that lets nobody in. With delay_ms its link is a long line (one way)."""
        host = Host(self, name, self.next_number(), nat)
        self.hosts.append(host)
        host.plug(delay_ms, rate_kbit, queue_kib)
        host.witness()
        host.firewall()  # so that connections are tracked before it lets in only those that it knows
        run("ip", "netns", "exec", self.router, "nft", "-f", "-", text=f"""
add chain inet wire {host.port}
add rule inet wire passing iifname {host.port} jump {host.port}
add rule inet wire passing oifname {host.port} jump {host.port}
""")
        self.tell_names()
        return host

    def tell_names(self, **other):
        """Everybody knows everybody's name; `other`: host name = address, besides"""
        names = {host.domain: host.outside for host in self.hosts}
        for host in self.hosts:
            host.knows({**names, host.domain: host.address, **{f"{name}.example": where for name, where in other.items()}})

    def start_line(self, one, other, delay_ms, rate_kbit, queue_kib):
        program = os.path.join(os.environ["BUILD_DIR"], "bin", "delay_line")
        words = ["--delay-ms", str(delay_ms)]
        for option, number in (("--rate-kbit", rate_kbit), ("--queue-kib", queue_kib)):
            words += [option, str(number)] if number else []
        line = subprocess.Popen([program, *words, one, other], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
        self.lines.append(line)
        said = line.stdout.readline().strip()
        if said != "ready":
            why = (said + line.stderr.read()).strip()
            if line.wait(10) == 77:
                skip(f"a long line is not permitted here: {why}")
            raise Failed(f"delay_line: {why}")
        return line


def freeze(daemon):
    """Stopped as by SIGSTOP: its host is there, it says nothing. thaw() lets it go on."""
    daemon.process.send_signal(signal.SIGSTOP)

    def state():
        with open(f"/proc/{daemon.process.pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    wait_until(lambda: state() == "T", f"{daemon.name} stops")


def thaw(daemon):
    daemon.process.send_signal(signal.SIGCONT)
