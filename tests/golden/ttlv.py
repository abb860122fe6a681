#!/usr/bin/env python3
"""Writes ttlv.hex in this folder: requests and answers of KMIP 1.4 as PyKMIP (Debian's python3-pykmip) encodes them.

usage: /usr/bin/python3 tests/golden/ttlv.py
"""

from pathlib import Path

from kmip.core import attributes, enums, misc, objects, primitives, secrets, utils
from kmip.core.messages import contents, messages, payloads

VERSION = enums.KMIPVersion.KMIP_1_4
KEY = "7f1c-42"
IV, AAD, PLAIN = bytes(range(12)), b"a" * 32, b"p" * 32
SEALED, TAG = b"s" * 32, b"t" * 16


def encode(message):
    stream = utils.BytearrayStream()
    message.write(stream, kmip_version=VERSION)
    return stream.buffer.hex()


def request(operation, payload):
    header = messages.RequestHeader(protocol_version=contents.ProtocolVersion(1, 4),
                                    batch_count=contents.BatchCount(1))
    item = messages.RequestBatchItem(operation=primitives.Enumeration(enums.Operation, operation,
                                                                      tag=enums.Tags.OPERATION),
                                     request_payload=payload)
    return encode(messages.RequestMessage(request_header=header, batch_items=[item]))


def response(operation, payload=None, reason=None, words=None):
    header = messages.ResponseHeader(protocol_version=contents.ProtocolVersion(1, 4),
                                     time_stamp=contents.TimeStamp(1700000000), batch_count=contents.BatchCount(1))
    status = enums.ResultStatus.SUCCESS if reason is None else enums.ResultStatus.OPERATION_FAILED
    item = messages.ResponseBatchItem(
        operation=primitives.Enumeration(enums.Operation, operation, tag=enums.Tags.OPERATION),
        result_status=contents.ResultStatus(status),
        result_reason=contents.ResultReason(reason) if reason else None,
        result_message=contents.ResultMessage(words) if words else None, response_payload=payload)
    return encode(messages.ResponseMessage(response_header=header, batch_items=[item]))


PARAMETERS = attributes.CryptographicParameters(block_cipher_mode=enums.BlockCipherMode.GCM,
                                                cryptographic_algorithm=enums.CryptographicAlgorithm.AES,
                                                tag_length=16)
Op = enums.Operation
SYMMETRIC = secrets.SymmetricKey(
    objects.KeyBlock(key_format_type=misc.KeyFormatType(enums.KeyFormatType.RAW), key_compression_type=None,
                     key_value=objects.KeyValue(objects.KeyMaterial(b"k" * 32)),
                     cryptographic_algorithm=attributes.CryptographicAlgorithm(enums.CryptographicAlgorithm.AES),
                     cryptographic_length=attributes.CryptographicLength(256), key_wrapping_data=None))
VECTORS = {
    "encrypt": request(Op.ENCRYPT, payloads.EncryptRequestPayload(KEY, PARAMETERS, PLAIN, IV, AAD)),
    "decrypt": request(Op.DECRYPT, payloads.DecryptRequestPayload(KEY, PARAMETERS, SEALED, IV, AAD, TAG)),
    "get": request(Op.GET, payloads.GetRequestPayload(KEY, enums.KeyFormatType.RAW)),
    "query": request(Op.QUERY, payloads.QueryRequestPayload([enums.QueryFunction.QUERY_OPERATIONS])),
    "discover": request(Op.DISCOVER_VERSIONS,
                        payloads.DiscoverVersionsRequestPayload([contents.ProtocolVersion(1, 4)])),
    "encrypted": response(Op.ENCRYPT, payloads.EncryptResponsePayload(KEY, SEALED, None, TAG)),
    "decrypted": response(Op.DECRYPT, payloads.DecryptResponsePayload(KEY, PLAIN)),
    "got": response(Op.GET, payloads.GetResponsePayload(enums.ObjectType.SYMMETRIC_KEY, KEY, SYMMETRIC)),
    "queried": response(Op.QUERY, payloads.QueryResponsePayload(operations=[Op.LOCATE, Op.GET, Op.ENCRYPT])),
    "versions": response(Op.DISCOVER_VERSIONS,
                         payloads.DiscoverVersionsResponsePayload([contents.ProtocolVersion(1, 4)])),
    "no_versions": response(Op.DISCOVER_VERSIONS, payloads.DiscoverVersionsResponsePayload([])),
    "not_found": response(Op.DECRYPT, None, enums.ResultReason.ITEM_NOT_FOUND, "Could not locate object: 7f1c-42"),
    "denied": response(Op.DECRYPT, None, enums.ResultReason.PERMISSION_DENIED, "not\nyours"),
    "failed": response(Op.DECRYPT, None, enums.ResultReason.GENERAL_FAILURE),
}
with open(Path(__file__).parent / "ttlv.hex", "w", encoding="ascii") as file:
    file.write("# KMIP 1.4 as PyKMIP encodes it; written by tests/golden/ttlv.py\n")
    for name, text in VECTORS.items():
        file.write(f"{name} {text}\n")
