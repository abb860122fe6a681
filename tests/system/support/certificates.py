"""Certificates for test servers and clients (of Debian's own Python: it has the module cryptography)."""

import datetime
import ipaddress
import os

from cryptography import x509
from cryptography.hazmat.backends import default_backend
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
NOW = datetime.datetime.utcnow()


def write(path, data):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)


def certificate(directory, name, issuer=None, usage=None, expired=False, address="127.0.0.1", common_name=None):
    """Writes name.pem and name.key, signed by `issuer` or by itself as a CA. A server's is of `address`, or of none."""
    key = rsa.generate_private_key(65537, 2048, default_backend())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name or name)])
    by, signer = issuer if issuer else (subject, key)
    builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(by).public_key(key.public_key())
               .serial_number(x509.random_serial_number()).not_valid_before(NOW - datetime.timedelta(days=3))
               .not_valid_after(NOW + datetime.timedelta(days=-1 if expired else 3))
               .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True))
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if usage == SERVER and address:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
    made = builder.sign(signer, hashes.SHA256(), default_backend())
    write(os.path.join(directory, name + ".pem"), made.public_bytes(serialization.Encoding.PEM))
    write(os.path.join(directory, name + ".key"),
          key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                            serialization.NoEncryption()))
    return subject, key


def servers(directory):
    """ca.pem, foreign-ca.pem, and of servers: server, and what is wrong: expired-server, elsewhere (of another address),
    foreign-server, odd-server (of a name that no terminal should get). The two CAs."""
    ca, foreign = certificate(directory, "ca"), certificate(directory, "foreign-ca")
    certificate(directory, "server", ca, SERVER)
    certificate(directory, "expired-server", ca, SERVER, expired=True)
    certificate(directory, "elsewhere", ca, SERVER, address="127.0.0.9")
    certificate(directory, "foreign-server", foreign, SERVER)
    certificate(directory, "odd-server", ca, SERVER, address=None, common_name="b\u00fcro\x1b[31m")
    return ca, foreign
