#!/usr/bin/env python3
# build: asan
# timeout: 120
"""AWS KMS as a protector, against a double that verifies signatures and really encrypts: credentials from everywhere, what
refuses, what is gone, what fails for a while, what hangs and what lies."""

import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from urllib.parse import quote

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "support"))
import kms_caller
from kms_caller import CONFIG, DAMAGED, NOT_AUTHENTIC, NOT_FOUND, POLICY, PROTOCOL, S, TRUNCATED, UNREACHABLE, WRONG_KEY
from sealift_site import Failed, expect

# nothing of the machine that the test runs on
BARE = {"HOME": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true", "http_proxy": "http://127.0.0.1:1",
        "https_proxy": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1"}


def call(what, uri, *args, env=None, **more):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    return kms_caller.call(what, uri, *args, env={**BARE, **(env or {})}, **more)


class Aws:
    def __init__(self, directory):
        os.makedirs(directory)
        self.dir = directory
        self.process = subprocess.Popen([os.path.join(HERE, "support", "aws_kms_double.py"), directory],
                                        stdout=subprocess.PIPE, stderr=open(os.path.join(directory, "err"), "wb"))
        line = self.process.stdout.readline()
        if not line:
            with open(os.path.join(directory, "err"), encoding="utf-8") as file:
                raise Failed("the double does not start: " + file.read()[-2000:])
        self.said = json.loads(line)

    def uri(self, key="alias/main", secret=None, user=None, token=None, region=None, endpoint=None):
        said = self.said
        return (f"aws:///{self.said['keys'].get(key, key)}?REGION={region or said['region']}"
                f"&AWS_ACCESS_KEY_ID={user or said['access_key_id']}"
                f"&AWS_SECRET_ACCESS_KEY={quote(secret or said['secret_key'], safe='')}"
                + (f"&AWS_SESSION_TOKEN={quote(token, safe='')}" if token else "")
                + f"&AWS_ENDPOINT={endpoint or self.endpoint()}")

    def implicit(self):
        return f"aws:///alias/main?REGION={self.said['region']}&AUTH=implicit&AWS_ENDPOINT={self.endpoint()}"

    def endpoint(self, certificate=None):
        if certificate:
            return f"https://127.0.0.1:{self.said['tls'][certificate]}"
        return f"http://127.0.0.1:{self.said['port']}"

    def steer(self, **what):
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            self.endpoint() + "/double", json.dumps(what).encode()).read()

    def counts(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return json.loads(opener.open(self.endpoint() + "/double").read())


def works(aws):
    wrap = call("wrap", aws.uri())
    arn = aws.said["keys"]["main"]
    expect(call("unwrap", aws.uri(), wrap) == S, "what was wrapped is unwrapped")
    expect(call("describe", aws.uri()) == arn, "the master key is told by its ARN")
    expect(arn.encode().hex() in wrap, "the wrap names its master key, not the alias")
    # the alias leads to a new master key: what the earlier one wrapped still opens
    expect(call("unwrap", aws.uri("second"), wrap) == S, "an earlier master key still unwraps")
    expect(call("wrap", aws.uri()) != wrap, "each wrap is another")
    for key in (arn, arn.rpartition("/")[2]):
        expect(call("describe", aws.uri(key)) == arn, f"{key} names the master key")
    # of a multi-Region key, the replica of our region opens what the one of another region made
    for name, code in (("global", kms_caller.OK), ("second", NOT_FOUND)):
        data = bytes.fromhex(call("wrap", aws.uri(name)))
        there = data[:64].replace(aws.said["region"].encode(), b"us-test-9") + data[64:]
        expect(there != data, "the wrap names the region")
        call("unwrap", aws.uri(name), there.hex(), code=code)
    return wrap


def refuses(aws, wrap):
    call("wrap", aws.uri("disabled"), code=POLICY, says="the master key is disabled")
    call("wrap", aws.uri("pending"), code=POLICY, says="about to be deleted")
    call("wrap", aws.uri("signing"), code=CONFIG, says="not one for encrypting")
    call("wrap", aws.uri("alias/nothing"), code=NOT_FOUND, says="no such master key")
    call("describe", aws.uri("disabled"), code=POLICY, says="is disabled")
    call("describe", aws.uri("pending"), code=POLICY, says="about to be deleted")
    call("describe", aws.uri("signing"), code=CONFIG, says="not one for encrypting")
    for state, code, says in (("Disabled", POLICY, "is disabled"), ("PendingDeletion", POLICY, "about to be deleted"),
                              ("Deleted", NOT_FOUND, "no such master key")):
        aws.steer(state={"main": state})
        call("unwrap", aws.uri("second"), wrap, code=code, says=says)
        call("unwrap", aws.uri("second"), wrap, code=code, says=aws.said["keys"]["main"])
    aws.steer(state={"main": "Enabled"}, deny=["Decrypt"])
    call("unwrap", aws.uri(), wrap, code=POLICY, says="not authorized to perform: kms:Decrypt")
    # a key is not protected by what could not bring it back
    call("wrap", aws.uri(), code=POLICY, says="does not unwrap what it has just wrapped")
    aws.steer(deny=[])
    call("wrap", aws.uri(user="AKIDPOOR", secret="poor/secret"), code=POLICY, says="policies do not let us")
    call("wrap", aws.uri(user="AKIDNONE"), code=POLICY, says="does not know our credentials")
    call("wrap", aws.uri(secret="wrong"), code=POLICY, says="does not take our signature")
    call("wrap", aws.uri(region="eu-test-2"), code=POLICY, says="scoped to another region")


def tampered(aws, wrap):
    data = bytes.fromhex(wrap)
    second = bytes.fromhex(call("wrap", aws.uri("second")))
    name = len(aws.said["keys"]["main"])
    blob = 2 + 2 + name + 2  # version, kind, length and ARN, length
    for at, codes in ((len(data) - 1, (DAMAGED,)), (blob + name + 5, (DAMAGED,)), (blob, (DAMAGED, WRONG_KEY)), (5, (NOT_FOUND, DAMAGED))):
        bad = data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]
        done = subprocess.run([os.path.join(kms_caller.BIN, "kms_call"), "unwrap", aws.uri(), "10000", bad.hex()], capture_output=True,
                              text=True, timeout=60, env=dict(os.environ, SEALIFT_DUMPABLE="1", **BARE))
        expect(done.returncode in codes and S not in done.stdout, f"a flipped bit at {at}: {done}")
    for length in [*range(0, blob, 7), len(data) - 1]:
        call("unwrap", aws.uri(), data[:length].hex(), code=TRUNCATED)
    call("unwrap", aws.uri(), wrap + "00", code=DAMAGED, says="too long")
    # the name of one master key before what another made
    mixed = second[:4 + len(aws.said["keys"]["second"])] + data[4 + name:]
    call("unwrap", aws.uri(), mixed.hex(), code=WRONG_KEY, says="made by another master key")


def recovers(aws, wrap):
    before = aws.counts()["Decrypt"]
    aws.steer(next=["throttle", "500", "502", "close"])
    expect(call("unwrap", aws.uri(), wrap) == S, "what fails for a while is asked again")
    expect(aws.counts()["Decrypt"] == before + 5, f"five questions: {before}, {aws.counts()}")
    aws.steer(next=["throttle"] * 100)
    call("unwrap", aws.uri(), wrap, code=UNREACHABLE, says="it throttles: Rate exceeded", timeout_ms=800)
    expect(call.seconds() < 8, f"the time limit of 0.8 s took {call.seconds()} s")
    aws.steer(next=["500"] * 100)
    call("unwrap", aws.uri(), wrap, code=UNREACHABLE, says="it fails for now", timeout_ms=300)
    aws.steer(next=["hang"])
    call("unwrap", aws.uri(), wrap, code=UNREACHABLE, says="no answer in time", timeout_ms=500)
    expect(0.4 < call.seconds() < 8, f"the time limit of 0.5 s took {call.seconds()} s")
    aws.steer(next=[])
    call("unwrap", aws.uri(endpoint="http://127.0.0.1:1"), wrap, code=UNREACHABLE, says="Failed to connect")


def lies(aws, wrap):
    for fault, code, says in (("lie", NOT_AUTHENTIC, "something that is not the key"),
                              ("short", NOT_AUTHENTIC, "something that is not the key"),
                              ("other-key", PROTOCOL, "of another master key"),
                              ("text", PROTOCOL, "not JSON"), ("huge", PROTOCOL, "more than"), ("headers", PROTOCOL, "more than"),
                              ("redirect", PROTOCOL, "HTTP status 307"), ("cut", UNREACHABLE, "cannot reach")):
        aws.steer(next=[fault] * 10)
        call("unwrap", aws.uri(), wrap, code=code, says=says)
    aws.steer(next=["lie", "lie"])
    call("wrap", aws.uri(), code=NOT_AUTHENTIC, says="does not unwrap what it has just wrapped")
    # what it says of a request is shown, but not if that says the secret
    aws.steer(next=["echo"])
    call("describe", aws.uri(), code=CONFIG, says='cannot read {"KeyId"')
    aws.steer(next=["echo"])
    try:
        call("wrap", aws.uri(), says="\0")
    except Failed as failed:
        expect("not valid" in str(failed) and "AAECAwQF" not in str(failed), f"the secret shows: {failed}")
    aws.steer(next=[])


def credentials(aws, scratch):
    said = aws.said
    user = {"AWS_ACCESS_KEY_ID": said["access_key_id"], "AWS_SECRET_ACCESS_KEY": said["secret_key"]}
    path = os.path.join(scratch, "credentials")

    def file(text, mode=0o600):
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(path, mode)

    def works_with(**env):
        expect(call("describe", aws.implicit(), env=env) == said["keys"]["main"], f"with {sorted(env)}")

    call("describe", aws.implicit(), code=CONFIG, says="there are no credentials for AWS")
    works_with(**user)
    call("describe", aws.implicit(), env={**user, "AWS_SECRET_ACCESS_KEY": ""}, code=CONFIG, says="'AWS_SECRET_ACCESS_KEY' is missing")
    role = f"[backup]\naws_access_key_id = ASIAROLE\naws_secret_access_key=role/secret+key=EXAMPLE\naws_session_token = {said['session_token']}\n"
    file("# ours\n[default]\r\naws_access_key_id=AKIDUSER\r\naws_secret_access_key = " + said["secret_key"] + "\r\n" + role)
    works_with(AWS_SHARED_CREDENTIALS_FILE=path)
    works_with(AWS_SHARED_CREDENTIALS_FILE=path, AWS_PROFILE="backup")
    os.makedirs(os.path.join(scratch, "home", ".aws"))
    os.symlink(path, os.path.join(scratch, "home", ".aws", "credentials"))
    works_with(HOME=os.path.join(scratch, "home"))
    call("describe", aws.implicit(), env={"AWS_SHARED_CREDENTIALS_FILE": path, "AWS_PROFILE": "none"}, code=CONFIG, says="no profile 'none'")
    call("describe", aws.implicit(), env={"AWS_PROFILE": "none"}, code=CONFIG, says="cannot open")
    call("describe", aws.implicit(), env={"AWS_SHARED_CREDENTIALS_FILE": path + "2"}, code=CONFIG, says="cannot open")
    file(role, 0o644)
    call("describe", aws.implicit(), env={"AWS_SHARED_CREDENTIALS_FILE": path}, code=CONFIG, says="can be read by others")
    # the URI's own token, and a wrong one
    call("describe", aws.uri(user="ASIAROLE", secret="role/secret+key=EXAMPLE", token=said["session_token"]))
    call("describe", aws.uri(user="ASIAROLE", secret="role/secret+key=EXAMPLE", token="x"), code=POLICY, says="does not know our credentials")
    container = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": aws.endpoint() + "/container"}
    works_with(AWS_CONTAINER_AUTHORIZATION_TOKEN="container-token", **container)
    file("container-token\n", 0o644)  # as it is mounted
    works_with(AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=path, **container)
    call("describe", aws.implicit(), env=container, code=POLICY, says="the container's endpoint: the answer has the HTTP status 404")
    for uri in ("http://10.1.2.3/x", "http://localhost.evil/x", "ftp://localhost/", "http://127.0.0.1.evil:80/"):
        call("describe", aws.implicit(), env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": uri}, code=CONFIG, says="must be https://, or http:// of this")
    works_with(AWS_EC2_METADATA_DISABLED="", AWS_EC2_METADATA_SERVICE_ENDPOINT=aws.endpoint())
    call("describe", aws.implicit(), env={"AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"},
         code=CONFIG, says="there are no credentials for AWS")


def certificates(aws):
    bundle = {"AWS_CA_BUNDLE": os.path.join(aws.dir, "ca.pem")}
    call("describe", aws.uri(endpoint=aws.endpoint("server")), env=bundle)
    call("describe", aws.uri(endpoint=aws.endpoint("server")), code=NOT_AUTHENTIC, says="is not who it should be")  # the system's CAs
    for name in ("expired-server", "elsewhere", "foreign-server"):
        call("describe", aws.uri(endpoint=aws.endpoint(name)), env=bundle, code=NOT_AUTHENTIC, says="is not who it should be")
    call("describe", aws.uri(endpoint=aws.endpoint("odd-server")), env=bundle, code=NOT_AUTHENTIC, says="certificate subject name 'b??ro?[31m'")
    call("describe", aws.uri(endpoint=aws.endpoint("server")), env={"AWS_CA_BUNDLE": "/nonexistent"}, code=CONFIG, says="file of CAs")


call.seconds = lambda: kms_caller.call.seconds
with tempfile.TemporaryDirectory() as directory:
    double = Aws(os.path.join(directory, "double"))
    try:
        wrapped = works(double)
        refuses(double, wrapped)
        tampered(double, wrapped)
        recovers(double, wrapped)
        lies(double, wrapped)
        credentials(double, directory)
        certificates(double)
    finally:
        double.process.kill()
        double.process.wait()
print("AWS KMS, as its double has it, wraps and unwraps, and every failure has its name")
