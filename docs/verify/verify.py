"""Verifies what Portillon sends, in Python 3.9 or later with the package `cryptography`.

    python verify.py keys.txt request.http TAG ISSUER [NOW]

`keys.txt` is what `portillon keys export` prints; `request.http` is the head of a request as the application got it.
"""

import base64
import json
import re
import sys
import time
from urllib.parse import unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

INPUT = re.compile(
    r'portillon=(\(("@method" "@authority" "@path" "@query"(?: "[a-z0-9-]+")*)\)'
    r';created=([0-9]+);expires=([0-9]+);keyid="([\w-]+)";alg="[\w-]+";nonce="[\w-]+";tag="([^"\\]*)")'
)


def read_keys(export):
    """Public keys by keyid."""
    blocks = re.findall(r"^(?:ed25519|p256) (\S+) .*\n(-----BEGIN [^-]+-----[^-]+-----END [^-]+-----)", export, re.M)
    return {keyid: serialization.load_pem_public_key(pem.encode()) for keyid, pem in blocks}


def insist(holds, otherwise):
    if not holds:  # not `assert`, which `python -O` takes away
        raise ValueError(otherwise)


def check(key, signature, message):
    if isinstance(key, ec.EllipticCurvePublicKey):  # r and s, 32 bytes each
        r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
        key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    else:
        key.verify(signature, message)


# --- the request signature -------------------------------------------------------------------------------------------


def verify_request(method, target, headers, keys, tag, now):
    """The signed headers, decoded; an exception where the request must not be believed.

    `headers` are (name, value) pairs, one for each line of the request.
    """
    lines = {}
    for name, value in headers:
        lines.setdefault(name.lower().replace("_", "-"), []).append(value.strip())
    (text,), (signature,), (host,) = lines["signature-input"], lines["signature"], lines["host"]
    params, components, created, expires, keyid, signed_tag = INPUT.fullmatch(text).groups()
    names = components.replace('"', "").split(" ")
    values = {name: lines[name] for name in names[4:]}
    insist(len(set(names)) == len(names) and all(len(value) == 1 for value in values.values()), "a header came twice")
    unsigned = {name for name in lines if name.startswith("x-agent-")} - set(names) - {"x-agent-assertion"}
    insist(not unsigned, f"not signed: {unsigned}")
    path, _, query = target.partition("?")
    derived = {"@method": method, "@authority": host.lower(), "@path": path or "/", "@query": "?" + query}
    base = "".join(f'"{name}": {derived[name] if name in derived else values[name][0]}\n' for name in names)
    base += f'"@signature-params": {params}'
    check(keys[keyid], base64.b64decode(signature.removeprefix("portillon=").strip(":")), base.encode("ascii"))
    insist(signed_tag == tag and int(created) - 60 <= now < int(expires) + 60, "for another application, or too late")
    return {name: unquote(value[0]) for name, value in values.items()}


# --- the assertion ---------------------------------------------------------------------------------------------------


def verify_assertion(token, keys, issuer, audience, now):
    """The claims of the JWT; an exception where it must not be believed."""
    header, payload, signature = (base64.urlsafe_b64decode(part + "==") for part in token.split("."))
    header, claims = json.loads(header), json.loads(payload)
    insist(header["alg"] == "ES256" and header["typ"] == "JWT" and "crit" not in header, "not an assertion")
    check(keys[header["kid"]], signature, token.rpartition(".")[0].encode())
    insist(claims["iss"] == issuer and claims["aud"] == audience, "for another application")
    insist(claims["iat"] - 60 <= now < claims["exp"] + 60, "not in its time")
    return claims


def main(keys, request, tag, issuer, now=None):
    now = int(now or time.time())
    keys = read_keys(open(keys).read())
    start, *lines = open(request, encoding="ascii").read().split("\n\n")[0].splitlines()
    method, target, _ = start.split(" ")
    headers = [tuple(line.split(":", 1)) for line in lines]
    try:
        identity = verify_request(method, target, headers, keys, tag, now)
        print(identity.get("x-agent-given-name"), identity.get("x-agent-usual-name"))
        for token in (value.strip() for name, value in headers if name.lower() == "x-agent-assertion"):
            claims = verify_assertion(token, keys, issuer, tag, now)
            insist(claims["sid"] == identity["x-agent-session"], "the assertion is of another session")
    except (AttributeError, InvalidSignature, KeyError, ValueError) as error:
        sys.exit(f"refused: {error!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])
