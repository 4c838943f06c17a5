"""Tokens of an issuer: let in when all that they say holds, and refused in one way whatever does not."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from features.config import read_config
from features.errors import ConfigError
from features.identity import Oidc
from serving.actor import LOCAL
from serving.credentials import Keys
from serving.ledger import Ledger
from serving.refusal import CredentialsUnavailable, Unauthorized
from serving.tokens import HELD_SECONDS, Tokens

ISSUER, AUDIENCE = "https://id.example.test", "callsheet"
RSA, OTHER = (rsa.generate_private_key(65537, 2048) for _ in range(2))
EC, ED = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
NOW = int(time.time())


def jwks(**keys: Any) -> str:
    """The public keys by their id."""
    kinds = {rsa.RSAPrivateKey: RSAAlgorithm, ec.EllipticCurvePrivateKey: ECAlgorithm}
    said = []
    for kid, key in keys.items():
        kind = next((v for k, v in kinds.items() if isinstance(key, k)), OKPAlgorithm)
        said.append(json.loads(kind.to_jwk(key.public_key())) | {"kid": kid, "use": "sig"})  # type: ignore[attr-defined]
    return json.dumps({"keys": said})


def token(key: Any = RSA, kid: str | None = "r", alg: str = "RS256", **claims: Any) -> str:
    """A token in which everything holds but what is given; a claim that is ... is left out."""
    held = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "router-7", "scope": "route read openid", "exp": NOW + 36_000,
        "iat": NOW,
    } | claims  # fmt: skip
    headers = {"kid": kid} if kid is not None else {}
    return jwt.encode({k: v for k, v in held.items() if v is not ...}, key, algorithm=alg, headers=headers)


@pytest.fixture
def oidc(tmp_path: Path) -> Oidc:
    (tmp_path / "keys.json").write_text(jwks(r=RSA, e=EC, d=ED))
    return Oidc(issuer=ISSUER, audience=AUDIENCE, jwks=str(tmp_path / "keys.json"))


@pytest.fixture
def tokens(oidc: Oidc) -> Tokens:
    made = Tokens(oidc)
    made.refresh()
    return made


def refused(tokens: Tokens, text: str) -> bool:
    try:
        tokens.actor(text)
    except Unauthorized:
        return True
    return False


def test_a_token_that_holds_lets_its_subject_in_with_our_scopes(tokens: Tokens) -> None:
    actor = tokens.actor(token())
    assert (actor.name, actor.scopes, actor.rep_id) == ("oidc:router-7", frozenset(["route", "read"]), None)
    for key, kid, alg in ((EC, "e", "ES256"), (ED, "d", "EdDSA")):
        assert tokens.actor(token(key, kid, alg)).name == actor.name
    assert tokens.actor(token(scope=["record", 7, "admin"])).scopes == frozenset(["record"])
    assert tokens.actor(token(aud=["other", AUDIENCE])).name == actor.name
    assert tokens.actor(token(scope=...)).scopes == frozenset()


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.test"}, {"iss": ...}, {"aud": "other"}, {"aud": ...}, {"exp": NOW - 61}, {"exp": ...},
        {"exp": "soon"}, {"nbf": NOW + 3600}, {"iat": NOW + 3600}, {"sub": ...}, {"sub": ""}, {"sub": "two words"},
        {"sub": "a\nb"}, {"sub": "x" * 151},
    ],
)  # fmt: skip
def test_a_claim_that_does_not_hold_refuses_the_token(tokens: Tokens, claims: dict[str, Any]) -> None:
    assert refused(tokens, token(**claims))


def test_a_clock_may_be_off_by_the_leeway_and_no_more(tokens: Tokens, oidc: Oidc) -> None:
    ended = int(time.time()) - 30
    assert not refused(tokens, token(exp=ended))
    strict = Tokens(oidc.model_copy(update={"leeway": "0s"}))
    strict.refresh()
    assert refused(strict, token(exp=ended))


def test_a_signature_that_is_not_the_issuers_refuses_the_token(tokens: Tokens) -> None:
    whole = token()
    head, body, signature = whole.split(".")
    public = RSA.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    claims = jwt.decode(whole, options={"verify_signature": False})
    raised = base64.urlsafe_b64encode(json.dumps(claims | {"scope": "operate"}).encode()).rstrip(b"=").decode()
    as_secret = _hs256(public, claims)
    for text in (
        token(OTHER), token(kid="unknown"), token(kid=None), token(EC, "r", "ES256"), token(RSA, "r", "PS256"),
        jwt.encode(claims, None, algorithm="none", headers={"kid": "r"}), as_secret,
        f"{head}.{raised}.{signature}", f"{head}.{body}.", f"{head}.{body}.{signature[:-4]}AAAA", "a.b.c", "..", "",
    ):  # fmt: skip
        assert refused(tokens, text), text


def _hs256(secret: bytes, claims: dict[str, Any]) -> str:
    """The public key taken for a shared secret, which the library refuses to make."""
    import hashlib
    import hmac

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    head = part(json.dumps({"alg": "HS256", "kid": "r", "typ": "JWT"}).encode())
    text = f"{head}.{part(json.dumps(claims).encode())}"
    return f"{text}.{part(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def test_a_shared_secret_among_the_keys_is_passed_over(oidc: Oidc) -> None:
    secret = base64.urlsafe_b64encode(b"x" * 32).rstrip(b"=").decode()
    mixed = json.loads(jwks(r=RSA))
    mixed["keys"] += [{"kty": "oct", "k": secret, "kid": "s"}, {"kty": "new"}, {"kid": "r2"}]
    Path(oidc.jwks).write_text(json.dumps(mixed))
    tokens = Tokens(oidc)
    tokens.refresh()
    assert not refused(tokens, token())
    assert refused(tokens, token(b"x" * 32, "s", "HS256"))


def test_a_reps_claim_makes_it_that_reps_own(oidc: Oidc) -> None:
    tokens = Tokens(oidc.model_copy(update={"rep_claim": "rep"}))
    tokens.refresh()
    assert tokens.actor(token(rep="R7")).rep_id == "R7"
    assert tokens.actor(token()).rep_id is None
    for odd in ("", 7, ["R7"], {"id": "R7"}):
        assert refused(tokens, token(rep=odd))


def test_keys_that_cannot_be_read_again_hold_for_a_while_and_then_no_token_does(
    oidc: Oidc, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = Tokens(oidc)
    with pytest.raises(CredentialsUnavailable):
        tokens.actor(token())
    tokens.refresh()
    Path(oidc.jwks).write_text("not the keys")
    tokens.refresh()
    assert not refused(tokens, token())
    since = time.monotonic()
    monkeypatch.setattr("serving.tokens.time.monotonic", lambda: since + HELD_SECONDS + 1)
    with pytest.raises(CredentialsUnavailable):
        tokens.actor(token())


class Issuer(BaseHTTPRequestHandler):
    keys = ""
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("location", "/elsewhere")
        self.end_headers()
        self.wfile.write(self.keys.encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def issuer() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Issuer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    Issuer.keys, Issuer.status = jwks(r=RSA), 200
    yield f"http://127.0.0.1:{server.server_port}/jwks"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_issuers_keys_are_fetched_and_a_new_one_is_known_after_the_next_look(issuer: str) -> None:
    tokens = Tokens(Oidc(issuer=ISSUER, audience=AUDIENCE, jwks=issuer))
    tokens.refresh()
    assert not refused(tokens, token())
    Issuer.keys = jwks(new=OTHER)
    assert refused(tokens, token(OTHER, "new"))
    assert tokens._sooner.is_set()  # which has them read again before their time
    tokens.refresh()
    assert not refused(tokens, token(OTHER, "new"))
    assert refused(tokens, token())  # signed by a key that the issuer has withdrawn


@pytest.mark.parametrize(("status", "keys"), [(302, ""), (500, ""), (200, "{"), (200, "[]"), (200, "x" * 2_000_000)])
def test_what_is_no_answer_with_keys_leaves_those_that_are_known(issuer: str, status: int, keys: str) -> None:
    tokens = Tokens(Oidc(issuer=ISSUER, audience=AUDIENCE, jwks=issuer))
    tokens.refresh()
    Issuer.status, Issuer.keys = status, keys
    tokens.refresh()
    assert not refused(tokens, token())


def test_with_an_issuer_loopback_is_not_open_and_keys_still_hold(ledger: Ledger, tokens: Tokens) -> None:
    from serving.ledger.change import changing
    from serving.ledger.keys import create

    here = {"server": ("127.0.0.1", 3000), "client": ("127.0.0.1", 50000)}
    with changing(ledger) as change:
        _, text = create(change, "a", ["route"])
    alone, both = Keys(ledger), Keys(ledger, tokens=tokens)
    for keys in (alone, both):
        keys.refresh()
    assert both.actor(here, f"Bearer {text}").name.startswith("key:")
    assert both.actor(here, f"Bearer {token()}").name == "oidc:router-7"
    for keys, given in ((both, None), (both, f"Basic {token()}"), (alone, f"Bearer {token()}")):
        with pytest.raises(Unauthorized):
            keys.actor(here, given)
    assert LOCAL.name == "local"


MARKET = "markets: {all: {countries: [US]}}\n"
HEAD = MARKET + "oidc: {issuer: i, audience: a, "


@pytest.mark.parametrize(
    "rest",
    ["jwks: http://id.example.test/jwks}", "jwks: nowhere.json}", "jwks: https://x/jwks, leeway: 61s}", "jwks: ftp://x/y}",
     "jwks: https://x/jwks, secret: s}", "jwks: https://x/jwks, leeway: 1m}"],
)  # fmt: skip
def test_an_issuer_whose_keys_could_be_another_s_is_refused(rest: str) -> None:
    with pytest.raises(ConfigError):
        read_config(HEAD + rest)


def test_a_file_of_keys_lies_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(jwks(r=RSA))
    config = read_config(HEAD + "jwks: keys.json}", tmp_path)
    assert config.oidc
    assert config.oidc.jwks == str(tmp_path / "keys.json")
    assert read_config(HEAD + "jwks: https://x/jwks}").fingerprint == read_config(MARKET).fingerprint
