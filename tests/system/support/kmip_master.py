#!/usr/bin/python3
"""What the keeper of a KMIP server does (kmip_server.py, in DIR) while it is used.

usage: kmip_master.py DIR renew          makes DIR/renewed/client.pem and .key: another certificate of the same client
       kmip_master.py DIR destroy PORT KEY    revokes and destroys a master key
"""

import os
import sys

import certificates
from cryptography import x509
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import serialization
from kmip.core import enums
from kmip.pie.client import ProxyKmipClient

DIR = sys.argv[1]


def at(name):
    return os.path.join(DIR, name)


def content(name):
    with open(at(name), "rb") as file:
        return file.read()


def renew():
    subject = x509.load_pem_x509_certificate(content("ca.pem"), default_backend()).subject
    signer = serialization.load_pem_private_key(content("ca.key"), None, default_backend())
    os.makedirs(at("renewed"))
    certificates.certificate(at("renewed"), "client", (subject, signer), certificates.CLIENT)


def destroy(port, key):
    with ProxyKmipClient(hostname="127.0.0.1", port=int(port), cert=at("client.pem"), key=at("client.key"),
                         ca=at("ca.pem"), ssl_version="PROTOCOL_TLSv1_2", config_file=at("client.conf"),
                         kmip_version=enums.KMIPVersion.KMIP_1_4) as client:
        client.revoke(enums.RevocationReasonCode.KEY_COMPROMISE, key)
        client.destroy(key)


{"renew": renew, "destroy": destroy}[sys.argv[2]](*sys.argv[3:])
