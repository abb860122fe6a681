#!/usr/bin/python3
"""A double of AWS KMS on loopback, and of the endpoints that give credentials (Debian's own Python has the AES-GCM).

usage: aws_kms_double.py [DIR]

It does what the published API says of Encrypt, Decrypt and DescribeKey, and no more: it verifies each request's
Signature Version 4 itself, really encrypts, takes the encryption context as associated data. Prints a line of JSON with
`port`, `access_key_id`, `secret_key`, `session_token` (of the credentials that endpoints give), `region` and `keys`, names
to ARNs. With DIR, in which it makes the certificates of certificates.py, also `tls`: ports with TLS by the certificate's
name. Serves until it is ended.

Tests steer it by POST /double with JSON: {"state": {KEY: STATE}}, {"deny": [OPERATION…]}, {"next": [FAULT…]}: the next
requests meet these faults, see `fault`. GET /double answers how many requests of each operation there were.

  GET  /container                              credentials, for who says Authorization: container-token
  PUT  /latest/api/token, GET /latest/meta-data/iam/security-credentials/…    an instance's, IMDSv2
"""

import base64
import hashlib
import hmac
import json
import os
import ssl
import sys
import threading
import time
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote

REGION = "eu-test-1"
ACCOUNT = "111122223333"
# long-lived, of the user; and temporary, of the role
SECRETS = {"AKIDUSER": ("user/secret+key=EXAMPLE", None), "ASIAROLE": ("role/secret+key=EXAMPLE", "session/token+EXAMPLE=="),
           "AKIDPOOR": ("poor/secret", None)}
NAMES = ("main", "second", "disabled", "pending", "signing", "global")


# --- Signature Version 4 ------------------------------------------------------------------------------------------

def sha256(data):
    return hashlib.sha256(data).hexdigest()


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def canonical_query(query):
    pairs = [part.partition("=")[::2] for part in query.split("&")] if query else []
    return "&".join(sorted(f"{quote(unquote(k), safe='-_.~')}={quote(unquote(v), safe='-_.~')}" for k, v in pairs))


def signature(secret, method, path, query, headers, signed, body, when, scope):
    """The signature of a request; `headers` is a list of pairs, `signed` the names that count, in lower case."""
    values = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(" ".join(value.split()))
    canonical = "\n".join([method, quote(unquote(path), safe="/-_.~"), canonical_query(query)]
                          + [f"{name}:{','.join(values[name])}" for name in signed] + ["", ";".join(signed), sha256(body)])
    date, region, service, _ = scope.split("/")
    key = mac(mac(mac(mac(b"AWS4" + secret.encode(), date), region), service), "aws4_request")
    return mac(key, "\n".join(["AWS4-HMAC-SHA256", when, scope, sha256(canonical.encode())])).hex()


def check_vectors():
    """From the test suite for Signature Version 4 that AWS publishes (aws-sig-v4-test-suite): get-vanilla,
    get-vanilla-query-order-key-case, post-x-www-form-urlencoded."""
    secret, scope, when = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830/us-east-1/service/aws4_request", "20150830T123600Z"
    headers = [("Host", "example.amazonaws.com"), ("X-Amz-Date", when)]
    form = [("Content-Type", "application/x-www-form-urlencoded")] + headers
    for due, method, query, given, signed, body in (
            ("5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", "GET", "", headers, ["host", "x-amz-date"], b""),
            ("b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500", "GET", "Param2=value2&Param1=value1", headers,
             ["host", "x-amz-date"], b""),
            ("ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a", "POST", "", form,
             ["content-type", "host", "x-amz-date"], b"Param1=value1")):
        found = signature(secret, method, "/", query, given, signed, body, when, scope)
        if found != due:
            sys.exit(f"this double does not sign as AWS does: {method} {query}: {found} instead of {due}")


class Refusal(Exception):
    def __init__(self, kind, text="", status=400):
        super().__init__(text)
        self.kind, self.status = kind, status


def check_signature(handler, body):
    """The access key id that the request is signed with."""
    given = handler.headers.get("Authorization", "")
    if not given.startswith("AWS4-HMAC-SHA256 "):
        raise Refusal("MissingAuthenticationTokenException", "Missing Authentication Token")
    try:
        parts = dict(part.strip().split("=", 1) for part in given[len("AWS4-HMAC-SHA256 "):].split(","))
        key_id, _, scope = parts["Credential"].partition("/")
        signed = parts["SignedHeaders"].split(";")
    except (KeyError, ValueError):
        raise Refusal("IncompleteSignatureException", "what follows the algorithm is not complete") from None
    secret, token = SECRETS.get(key_id, (None, None))
    when = handler.headers.get("X-Amz-Date", "")
    if secret is None or handler.headers.get("X-Amz-Security-Token") != token:
        raise Refusal("UnrecognizedClientException", "The security token included in the request is invalid.")
    if scope != f"{when[:8]}/{REGION}/kms/aws4_request":
        raise Refusal("InvalidSignatureException", f"Credential should be scoped to another region or service: {scope}")
    needed = {"host", "x-amz-date", "x-amz-target"} | ({"x-amz-security-token"} if token else set())
    if not needed <= set(signed) or signed != sorted(signed):
        raise Refusal("InvalidSignatureException", f"signed headers: {signed}")
    age = time.time() - datetime.strptime(when, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()
    if abs(age) > 300:
        raise Refusal("InvalidSignatureException", "Signature expired")
    path, _, query = handler.path.partition("?")
    due = signature(secret, handler.command, path, query, handler.headers.items(), signed, body, when, scope)
    if not hmac.compare_digest(due, parts.get("Signature", "")):
        raise Refusal("InvalidSignatureException", "The request signature we calculated does not match")
    return key_id


# --- the keys -----------------------------------------------------------------------------------------------------

class Keys:
    def __init__(self):
        self.arns = {name: f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{'mrk-' if name == 'global' else ''}{os.urandom(4).hex()}-{name}"
                     for name in NAMES}
        self.secrets = {arn: os.urandom(32) for arn in self.arns.values()}
        self.states = dict.fromkeys(self.secrets, "Enabled")
        self.states[self.arns["disabled"]] = "Disabled"
        self.states[self.arns["pending"]] = "PendingDeletion"

    def find(self, key_id):
        for name, arn in self.arns.items():
            if key_id in (arn, arn.rpartition("/")[2], f"alias/{name}") and self.states[arn] != "Deleted":
                return arn
        raise Refusal("NotFoundException", f"Key '{key_id}' does not exist")

    def usable(self, key_id):
        arn = self.find(key_id)
        if self.states[arn] == "Disabled":
            raise Refusal("DisabledException", f"{arn} is disabled.")
        if self.states[arn] != "Enabled":
            raise Refusal("KMSInvalidStateException", f"{arn} is pending deletion.")
        if arn == self.arns["signing"]:
            raise Refusal("InvalidKeyUsageException", f"{arn} key usage is SIGN_VERIFY which is not valid for Encrypt.")
        return arn

    def encrypt(self, asked):
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        arn, nonce = self.usable(asked["KeyId"]), os.urandom(12)
        sealed = AESGCM(self.secrets[arn]).encrypt(nonce, base64.b64decode(asked["Plaintext"]), context(asked))
        blob = arn.encode() + b"\0" + nonce + sealed
        return {"CiphertextBlob": base64.b64encode(blob).decode(), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "KeyId": arn}

    def decrypt(self, asked):
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        maker, _, rest = base64.b64decode(asked["CiphertextBlob"]).partition(b"\0")
        arn = self.usable(asked["KeyId"])
        if maker.decode(errors="replace") not in self.secrets:
            raise Refusal("InvalidCiphertextException")
        if maker.decode() != arn:
            raise Refusal("IncorrectKeyException", "The key ID in the request does not identify a CMK that can do this")
        try:
            plain = AESGCM(self.secrets[arn]).decrypt(rest[:12], rest[12:], context(asked))
        except (InvalidTag, ValueError):
            raise Refusal("InvalidCiphertextException") from None
        return {"Plaintext": base64.b64encode(plain).decode(), "EncryptionAlgorithm": "SYMMETRIC_DEFAULT", "KeyId": arn}

    def describe(self, asked):
        arn = self.find(asked["KeyId"])
        use = "SIGN_VERIFY" if arn == self.arns["signing"] else "ENCRYPT_DECRYPT"
        return {"KeyMetadata": {"Arn": arn, "KeyId": arn.rpartition("/")[2], "KeyState": self.states[arn],
                                "Enabled": self.states[arn] == "Enabled", "KeyUsage": use}}


def context(asked):
    return json.dumps(asked.get("EncryptionContext", {}), sort_keys=True).encode()


# --- serving ------------------------------------------------------------------------------------------------------

KEYS = Keys()
STEER = {"next": [], "deny": [], "count": {}}
OPERATIONS = {"Encrypt": KEYS.encrypt, "Decrypt": KEYS.decrypt, "DescribeKey": KEYS.describe}
INSTANCE_TOKEN = "instance-token=="


def role_credentials():
    secret, token = SECRETS["ASIAROLE"]
    return {"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": "ASIAROLE", "SecretAccessKey": secret, "Token": token,
            "Expiration": "2099-01-01T00:00:00Z"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def reply(self, status, body, kind="application/x-amz-json-1.1", **headers):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def fault(self, what, answer):
        """What goes wrong instead of, or with, this answer. False: the answer still goes out."""
        if what == "throttle":
            self.reply(400, {"__type": "ThrottlingException", "message": "Rate exceeded"})
        elif what == "500":
            self.reply(500, {"__type": "com.amazonaws.kms#KMSInternalException", "message": "try again"})
        elif what == "502":
            self.reply(502, b"<html>bad gateway</html>", "text/html")
        elif what == "close":
            self.close_connection = True
        elif what == "hang":
            time.sleep(30)
        elif what == "redirect":
            self.reply(307, b"", Location="http://127.0.0.1:1/")
        elif what == "text":
            self.reply(200, b"<html>hello</html>", "text/html")
        elif what == "huge":
            self.reply(200, b"{" + b" " * 100000 + b"}")
        elif what == "headers":
            self.send_response(200)
            for _ in range(2000):
                self.send_header("X-More", "x" * 60)
            self.end_headers()
        elif what == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"{")
            self.close_connection = True
        elif what == "lie" and "Plaintext" in answer:
            answer["Plaintext"] = base64.b64encode(os.urandom(32)).decode()
            return False
        elif what == "short" and "Plaintext" in answer:
            answer["Plaintext"] = base64.b64encode(b"short").decode()
            return False
        elif what == "other-key":
            answer["KeyId"] = KEYS.arns["second"]
            return False
        elif what == "echo":
            self.reply(400, {"__type": "ValidationException", "message": "cannot read " + self.said})
        else:
            return False
        return True

    def kms(self, body):
        user = check_signature(self, body)
        operation = self.headers.get("X-Amz-Target", "").partition("TrentService.")[2]
        STEER["count"][operation] = STEER["count"].get(operation, 0) + 1
        if operation not in OPERATIONS:
            raise Refusal("UnknownOperationException")
        if operation in STEER["deny"] or user == "AKIDPOOR":
            raise Refusal("AccessDeniedException", f"User: arn:aws:iam::{ACCOUNT}:user/{user} is not authorized to perform: "
                          f"kms:{operation}")
        return OPERATIONS[operation](json.loads(body))

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.said = body.decode(errors="replace")
        if self.path == "/double":
            steer = json.loads(body)
            for name, state in steer.pop("state", {}).items():
                KEYS.states[KEYS.arns[name]] = state
            STEER.update(steer)
            self.reply(200, {})
            return
        what = STEER["next"].pop(0) if STEER["next"] else ""
        try:
            answer = self.kms(body)
            if not self.fault(what, answer):
                self.reply(200, answer)
        except Refusal as refusal:
            self.reply(refusal.status, {"__type": refusal.kind, "message": str(refusal)})

    def do_PUT(self):
        if self.path != "/latest/api/token" or not self.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "").isdigit():
            self.reply(400, b"")
        else:
            self.reply(200, INSTANCE_TOKEN.encode(), "text/plain")

    def do_GET(self):
        place = "/latest/meta-data/iam/security-credentials/"
        if self.path == "/double":
            self.reply(200, STEER["count"])
        elif self.path == "/container" and self.headers.get("Authorization") == "container-token":
            self.reply(200, role_credentials())
        elif self.path.startswith(place) and self.headers.get("X-aws-ec2-metadata-token") != INSTANCE_TOKEN:
            self.reply(401, b"")
        elif self.path == place:
            self.reply(200, b"backup-role", "text/plain")
        elif self.path == place + "backup-role":
            self.reply(200, role_credentials())
        else:
            self.reply(404, b"")


def serve(context=None):
    """The port of a server that has begun."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def serve_tls(directory):
    import certificates
    certificates.servers(directory)
    ports = {}
    for name in ("server", "expired-server", "elsewhere", "foreign-server", "odd-server"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(directory, name + ".pem"), os.path.join(directory, name + ".key"))
        ports[name] = serve(context)
    return ports


def main():
    check_vectors()
    said = {"port": serve(), "access_key_id": "AKIDUSER", "secret_key": SECRETS["AKIDUSER"][0],
            "session_token": SECRETS["ASIAROLE"][1], "region": REGION, "keys": KEYS.arns}
    if len(sys.argv) > 1:
        said["tls"] = serve_tls(sys.argv[1])
    print(json.dumps(said), flush=True)
    threading.Event().wait()


main()
