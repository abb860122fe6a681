#!/usr/bin/python3
"""A real KMIP server on loopback: PyKMIP, of Debian's python3-pykmip (which Debian's own Python has).

usage: kmip_server.py DIR [--only-get]

Makes in DIR a CA with certificates for the server and two clients (ca.pem, client.pem, client.key, other.pem,
other.key), and what is wrong: foreign.pem/.key (of foreign-ca.pem) and expired.pem/.key. Prints a line of JSON with
`port` and, of client's, the ids `key` and `second` (active AES-256 keys), `inactive` and `revoked`. --only-get: the
server neither encrypts nor decrypts. Serves until it is ended.
"""

import datetime
import ipaddress
import json
import os
import socket
import sys
import threading
import traceback

from cryptography import x509
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from kmip.core import enums, exceptions
from kmip.pie.client import ProxyKmipClient
from kmip.services.server import KmipServer
from kmip.services.server.engine import KmipEngine

DIR = sys.argv[1]
NOW = datetime.datetime.utcnow()


def at(name):
    return os.path.join(DIR, name)


def write(name, data):
    with open(os.open(at(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)


def certificate(name, issuer=None, usage=None, expired=False):
    """Writes name.pem and name.key, signed by `issuer` or by itself as a CA."""
    key = rsa.generate_private_key(65537, 2048, default_backend())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    by, signer = issuer if issuer else (subject, key)
    builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(by).public_key(key.public_key())
               .serial_number(x509.random_serial_number()).not_valid_before(NOW - datetime.timedelta(days=3))
               .not_valid_after(NOW + datetime.timedelta(days=-1 if expired else 3))
               .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True))
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if usage == ExtendedKeyUsageOID.SERVER_AUTH:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
    made = builder.sign(signer, hashes.SHA256(), default_backend())
    write(name + ".pem", made.public_bytes(serialization.Encoding.PEM))
    write(name + ".key", key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                                           serialization.NoEncryption()))
    return subject, key


def make_certificates():
    ca, foreign = certificate("ca"), certificate("foreign-ca")
    certificate("server", ca, ExtendedKeyUsageOID.SERVER_AUTH)
    for name in ("client", "other"):
        certificate(name, ca, ExtendedKeyUsageOID.CLIENT_AUTH)
    certificate("foreign", foreign, ExtendedKeyUsageOID.CLIENT_AUTH)
    certificate("expired", ca, ExtendedKeyUsageOID.CLIENT_AUTH, expired=True)


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def forget_encryption():
    """A server without Encrypt and Decrypt says so, and refuses them."""
    query = KmipEngine._process_query

    def process_query(self, payload):
        answer = query(self, payload)
        answer.operations = [one for one in answer.operations
                             if one not in (enums.Operation.ENCRYPT, enums.Operation.DECRYPT)]
        return answer

    def refuse(self, payload):
        raise exceptions.OperationNotSupported("not here")

    KmipEngine._process_query = process_query
    KmipEngine._process_encrypt = KmipEngine._process_decrypt = refuse


def make_keys(port):
    """Waits for the server by asking it."""
    usage = [enums.CryptographicUsageMask.ENCRYPT, enums.CryptographicUsageMask.DECRYPT]
    made = {"port": port}
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            threading.Event().wait(0.05)
    write("client.conf", b"[client]\n")
    with ProxyKmipClient(hostname="127.0.0.1", port=port, cert=at("client.pem"), key=at("client.key"), ca=at("ca.pem"),
                         ssl_version="PROTOCOL_TLSv1_2", config_file=at("client.conf"),
                         kmip_version=enums.KMIPVersion.KMIP_1_4) as client:
        for name in ("key", "second", "inactive", "revoked"):
            made[name] = client.create(enums.CryptographicAlgorithm.AES, 256, cryptographic_usage_mask=usage)
            if name != "inactive":
                client.activate(made[name])
        client.revoke(enums.RevocationReasonCode.KEY_COMPROMISE, made["revoked"])
    print(json.dumps(made), flush=True)


def begin(port):
    try:
        make_keys(port)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def main():
    make_certificates()
    os.makedirs(at("policy"), exist_ok=True)
    port = free_port()
    write("server.conf", f"""[server]
hostname=127.0.0.1
port={port}
certificate_path={at("server.pem")}
key_path={at("server.key")}
ca_path={at("ca.pem")}
auth_suite=TLS1.2
policy_path={at("policy")}
enable_tls_client_auth=True
database_path={at("kmip.db")}
logging_level=ERROR
""".encode())
    if "--only-get" in sys.argv:
        forget_encryption()
    server = KmipServer(config_path=at("server.conf"), log_path=at("server.log"))
    threading.Thread(target=begin, args=(port,), daemon=True).start()
    with server:
        server.serve()


main()
