#!/usr/bin/env python3
# build: asan
# timeout: 120
"""The unlock order, one leg removed after the other: read grant, operator's copy, KMS (a file and a KMIP server, also
when the key has no KMS any more; one that lies is passed over), password, and at last not even its salt; what KMS gave comes back to the operators."""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from urllib.parse import quote

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "support"))
from sealift_site import Failed, Site, expect, make_tree, same

NO_KEY, WRONG_KEY, DAMAGED, SALT_MISSING = 20, 21, 22, 25


def put(path, data):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    return path


class Kmip:
    def __init__(self, directory):
        os.makedirs(directory)
        self.process = subprocess.Popen([os.path.join(HERE, "support", "kmip_server.py"), directory],
                                        stdout=subprocess.PIPE, stderr=open(os.path.join(directory, "err"), "wb"),
                                        start_new_session=True)
        said = json.loads(self.process.stdout.readline())
        self.uri = (f"kmip://127.0.0.1:{said['port']}/{said['key']}?cert={directory}/client.pem"
                    f"&key={directory}/client.key&ca={directory}/ca.pem")

    def stop(self):
        if self.process.poll() is None:  # it may have been stopped in between
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Aws:
    """A KMS that can be told to lie."""

    def __init__(self):
        self.process = subprocess.Popen([os.path.join(HERE, "support", "aws_kms_double.py")], stdout=subprocess.PIPE)
        self.said = json.loads(self.process.stdout.readline())
        self.endpoint = f"http://127.0.0.1:{self.said['port']}"
        self.uri = (f"aws:///{self.said['keys']['main']}?REGION={self.said['region']}"
                    f"&AWS_ACCESS_KEY_ID={self.said['access_key_id']}"
                    f"&AWS_SECRET_ACCESS_KEY={quote(self.said['secret_key'], safe='')}&AWS_ENDPOINT={self.endpoint}")

    def lie(self, *how):
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            self.endpoint + "/double", json.dumps({"next": list(how)}).encode()).read()

    def stop(self):
        self.process.kill()
        self.process.wait()


class Legs:
    """What opens the points of this site, and how each is taken away."""

    def __init__(self, site, kmip, aws):
        self.site, self.kmip, self.aws, self.count = site, kmip, aws, 0
        self.wrapping = put(site.path("wrapping.key"), os.urandom(32))
        self.bytes = open(self.wrapping, "rb").read()
        self.liar = put(site.path("liar.uri"), aws.uri.encode() + b"\n")
        self.words = put(site.path("words"), b"correct horse battery\n")
        self.wrong = put(site.path("wrong"), b"incorrect horse battery\n")
        self.me = None

    def entries(self):
        return (f'kms = ( {{ name = "near"; uri = "file://{self.wrapping}"; }},\n'
                f'        {{ name = "far"; uri = "{self.kmip.uri}"; timeout = "3s"; }},\n'
                f'        {{ name = "liar"; uri_file = "{self.liar}"; timeout = "3s"; }} );\n')

    def section(self, key, *words):
        done = self.site.run("key_section", key, *words, code=(0, 1))
        expect(done.returncode == 0, f"another section of '{key}': {done.stderr}")

    def forget_copy(self, key):
        self.site.sealift("key", "withdraw", key, self.me, "--half", "read")
        shutil.rmtree(self.site.path("operator", "grants"), ignore_errors=True)

    def file_away(self):
        put(self.wrapping, os.urandom(32))

    def file_back(self):
        put(self.wrapping, self.bytes)

    def restore(self, point, *options, code=0):
        self.count += 1
        out = self.site.path("out", str(self.count))
        done = self.site.sealift("restore", point, "--to", f"source:{out}", "--wait", *options, code=code)
        if code == 0:
            same(self.site.path("data"), out + self.site.path("data"), f"restore of {point}")
        else:
            expect(not os.path.exists(out) or not os.listdir(out), "what is not opened restores nothing")
        return done.stderr

    def explain(self, point, *options, code=0):
        """{(step, from): (opens, reason)}"""
        said = json.loads(self.site.sealift("--json", "key", "explain", point, *options, code=code).stdout)
        expect(said["opens"] == (code == 0), f"the verdict fits the exit code: {said}")
        return {(row["step"], row["from"]): (row["opens"], row["reason"] or "") for row in said["steps"]}


COPY = ("known key", "this operator's copy")
GRANT = ("known key", "read grant of 'source'")
NEAR, FAR = ("KMS", "KMS 'near' of 'source'"), ("KMS", "KMS 'far' of 'source'")
PASSWORD = ("password", "the recovery point")


def known(legs):
    """A grant of the opener, else the operator's copy."""
    legs.site.sealift("key", "grant", "main", "source", "--half", "read")
    steps = legs.explain("web@latest")
    expect(all(steps[leg][0] for leg in (GRANT, COPY, NEAR, FAR)), f"all legs stand: {steps}")
    expect(steps[PASSWORD][0] is None and steps[("recovery kit", "-")][0] is None, f"not asked: {steps}")
    legs.site.sealift("key", "withdraw", "main", "source", "--half", "read")
    steps = legs.explain("web@latest")
    expect(not steps[GRANT][0] and steps[COPY][0], f"the grant is gone: {steps}")
    said = legs.restore("web@latest")
    expect("KMS" not in said, f"what is known asks nobody: {said}")


def kms(legs):
    """Neither: a KMS, though the key has none any more; and the operators have their copies again."""
    legs.section("main", "without-kms")
    legs.forget_copy("main")
    steps = legs.explain("web@latest")
    expect(not steps[COPY][0] and steps[NEAR][0] and steps[FAR][0], f"the copy is gone: {steps}")
    said = legs.restore("web@latest")
    expect("KMS 'near': it opens the recovery point" in said and "password hash restored" in said, f"by KMS: {said}")
    legs.file_away()
    said = legs.restore("web@latest")
    expect("KMS" not in said, f"the copy is back: {said}")
    legs.forget_copy("main")
    said = legs.restore("web@latest")
    expect("KMS 'near': " in said and "KMS 'far': it opens" in said, f"the next entry is asked: {said}")
    legs.forget_copy("main")


def liar(legs):
    """A KMS that gives another key, or what is none: it is told, opens nothing, and the next one is asked."""
    for how, says in (("lie", "something that is not the key"), ("short", "KMS 'liar'")):
        legs.forget_copy("lied")
        legs.aws.lie(how)
        said = legs.restore("lied@latest")
        expect("KMS 'liar': " in said and "KMS 'near': it opens" in said and says in said, f"{how}: {said}")
        expect("KMS 'liar': KMS" not in said, f"{how}: an entry is named once: {said}")
    legs.forget_copy("lied")
    legs.file_away()
    legs.aws.lie("lie", "lie")
    said = legs.restore("lied@latest", code=NO_KEY)
    expect("KMS 'liar': " in said and "password hash restored" not in said, f"nothing else opens it: {said}")
    legs.aws.lie()
    said = legs.restore("lied@latest")
    expect("KMS 'liar': it opens" in said, f"an honest one does: {said}")
    legs.file_back()


def password(legs):
    """No KMS: one has another key, the other does not answer."""
    legs.kmip.stop()
    said = legs.restore("web@latest", code=NO_KEY)
    expect("wrapping key" in said and "KMS 'far'" in said, f"every reason is told: {said}")
    expect("password" in said, f"and what to do next: {said}")
    steps = legs.explain("web@latest", code=NO_KEY)
    expect(not steps[NEAR][0] and not steps[FAR][0] and steps[PASSWORD][0] is None, f"{steps}")
    legs.restore("web@latest", "--password-file", legs.wrong, code=WRONG_KEY)
    said = legs.restore("web@latest", "--password-file", legs.words)
    expect("KMS 'far'" in said and "password: opens the recovery point" in said, f"in one command: {said}")
    expect(legs.explain("web@latest", "--password-file", legs.words)[PASSWORD][0], "the password is tried")
    content = legs.site.sealift("cat", "web@latest", legs.site.path("data", "d0", "e0", "file-0"),
                                "--password-file", legs.words)
    expect(content.stdout == "", "cat goes the same way")
    legs.site.sealift("point", "verify", "web@latest", "--level", "decrypt", "--password-file", legs.words)


def salt(legs):
    """A point without the salt: another point of the key has it; of a key whose salt is nowhere it is corrupted."""
    for point, code in (("unsalted@latest", 0), ("bare@latest", SALT_MISSING)):
        said = legs.restore(point, "--password-file", legs.words, code=code)
        expect(code == 0 or "corrupted: the salt of password key 'bare'" in said, f"{point}: {said}")
    steps = legs.explain("bare@latest", code=SALT_MISSING)
    expect(steps[("password", "nowhere")][0] is False, f"{steps}")


def offline(legs):
    """Without the site: a KMS by a file, a password, the salt of another point."""
    site, count = legs.site, 0
    nobody = dict(site.env, SEALIFT_STATE=site.path("nobody"))
    entries = put(site.path("kms.conf"), legs.entries().encode())

    def restore(point, *options, code=0):
        nonlocal count
        count += 1
        out = site.path("out", f"offline-{count}")
        done = site.sealift("offline", "restore", site.path("store", "r"), point, "--to", out, *options, code=code,
                            env=nobody)
        if code == 0:
            same(site.path("data"), out + site.path("data"), f"offline restore of {point}")
        return done.stderr

    restore("web@latest", "--kms-file", entries, code=NO_KEY)
    said = restore("web@latest", "--kms-file", entries, "--password-file", legs.words)
    expect("KMS 'far'" in said and "unlocking by password: done" in said, f"after the KMS the password: {said}")
    legs.file_back()
    said = restore("web@latest", "--kms-file", entries)
    expect("unlocking by KMS 'near': done" in said, f"by the file's entry: {said}")
    restore("unsalted@latest", "--password-file", legs.words)
    restore("bare@latest", "--password-file", legs.words, code=SALT_MISSING)


with Site() as site:
    site.begin()
    tree = site.path("data")
    make_tree(tree, files=8)
    os.truncate(os.path.join(tree, "big"), 1 << 18)
    legs = Legs(site, Kmip(site.path("kmip")), Aws())
    try:
        site.add_transporter("source", "trusted", read=[tree], restore=[site.path("out")], extra=legs.entries())
        site.add_transporter("vault", "untrusted", repositories=[site.path("store")])
        site.sealift("repository", "create", "offsite", "--on", "vault", "--path", site.path("store", "r"))
        legs.me = json.loads(site.sealift("--json", "operator", "list").stdout)["operators"][0]["name"]

        def job(name, key):
            site.sealift("job", "create", name, "--backup", f"source:{tree}", "--repository", "offsite", "--encrypt",
                         "source", "--key", key)
            site.sealift("job", "run", name, "--wait")

        site.sealift("key", "create", "lied", "--description", "x", "--generate", "--kms", "liar", "--kms", "near")
        job("lied", "lied")
        for key in ("main", "bare"):
            site.sealift("key", "create", key, "--description", "x", "--password", "--password-file", legs.words)
        legs.section("main", "wrap", "near", f"file://{legs.wrapping}", "wrap", "far", legs.kmip.uri)
        job("web", "main")
        legs.section("main", "without-salt", "without-kms")
        job("unsalted", "main")
        legs.section("bare", "without-salt")
        job("bare", "bare")
        legs.forget_copy("bare")
        known(legs)
        liar(legs)
        kms(legs)
        password(legs)
        salt(legs)
        offline(legs)
        expect(all(daemon.process.poll() is None for daemon in site.daemons.values()), "every daemon lives")
    finally:
        legs.kmip.stop()
        legs.aws.stop()
print("each leg of the unlock order holds when those before it are gone")
