#!/usr/bin/python3
"""A real KMIP server on loopback: PyKMIP, of Debian's python3-pykmip (which Debian's own Python has).

usage: kmip_server.py DIR [--only-get]

Makes in DIR a CA with certificates for the server and two clients (ca.pem, client.pem, client.key, other.pem,
other.key), and what is wrong: foreign.pem/.key (of foreign-ca.pem) and expired.pem/.key; and those of certificates.py,
servers. Prints a line of JSON with
`port` and, of client's, the ids `key` and `second` (active AES-256 keys), `inactive` and `revoked`. --only-get: the
server neither encrypts nor decrypts. Serves until it is ended.
"""

import json
import os
import socket
import sys
import threading
import traceback

import certificates
from kmip.core import enums, exceptions
from kmip.pie.client import ProxyKmipClient
from kmip.services.server import KmipServer
from kmip.services.server.engine import KmipEngine

DIR = sys.argv[1]


def at(name):
    return os.path.join(DIR, name)


def write(name, data):
    certificates.write(at(name), data)


def make_certificates():
    ca, foreign = certificates.servers(DIR)
    for name in ("client", "other"):
        certificates.certificate(DIR, name, ca, certificates.CLIENT)
    certificates.certificate(DIR, "foreign", foreign, certificates.CLIENT)
    certificates.certificate(DIR, "expired", ca, certificates.CLIENT, expired=True)


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
