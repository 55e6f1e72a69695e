"""Verifies requests with an implementation of RFC 9421 that is not ours: PyPI `http-message-signatures`.

Reads a JSON object from standard input: `keys` (by keyid: `algorithm`, and `pem` or `secret` in base64) and `requests`
(`name`, `algorithm`, `method`, `url`, `headers` as pairs whose values stand for bytes in ISO-8859-1, `tag`,
`identity_prefix`). Writes a JSON object: for each name, null where the request is accepted, or why it is refused.

It does what an application would do: every header under the prefix must be covered, the assertion excepted.
"""

import base64
import json
import sys

from http_message_signatures import (
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    algorithms,
)

ALGORITHMS = {
    "ecdsa-p256-sha256": algorithms.ECDSA_P256_SHA256,
    "ed25519": algorithms.ED25519,
    "hmac-sha256": algorithms.HMAC_SHA256,
}
DERIVED = ("@method", "@authority", "@path", "@query")


class Headers:
    """Field lines in their order, several of one name as several."""

    def __init__(self, lines):
        self.lines = lines

    def items(self):
        return list(self.lines)


class Request:
    def __init__(self, described):
        self.method = described["method"]
        self.url = described["url"]
        self.headers = Headers([(name, value) for name, value in described["headers"]])


class Keys(HTTPSignatureKeyResolver):
    def __init__(self, described):
        self.described = described

    def resolve_public_key(self, key_id):
        key = self.described.get(key_id)
        if key is None:
            return None
        return key["pem"].encode() if "pem" in key else base64.b64decode(key["secret"])


def required(described):
    """The components that a signature must cover for this request to be believed."""
    prefix = described["identity_prefix"].lower()
    names = []
    for name, value in described["headers"]:
        name = name.lower()
        if name.startswith(prefix) and name != prefix + "assertion" and name not in names:
            names.append(name if value.isascii() else f'"{name}";bs')
    return DERIVED + tuple(names)


def refusal(described, keys):
    verifier = HTTPMessageVerifier(
        signature_algorithm=ALGORITHMS[described["algorithm"]], key_resolver=Keys(keys)
    )
    try:
        results = verifier.verify(
            Request(described), expect_tag=described["tag"], require_components=required(described)
        )
    except Exception as error:  # whatever the library raises is a refusal
        return f"{type(error).__name__}: {error}"
    return None if [result.label for result in results] == ["portillon"] else "not one signature of the gateway"


def main():
    described = json.load(sys.stdin)
    outcomes = {request["name"]: refusal(request, described["keys"]) for request in described["requests"]}
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    main()
