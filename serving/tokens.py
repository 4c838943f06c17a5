"""OpenID Connect tokens as credentials, checked against the issuer's keys, which are read aside and kept a while."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

import jwt

from features.identity import Oidc
from serving.actor import SCOPES, Actor
from serving.refusal import CredentialsUnavailable, Unauthorized

log = logging.getLogger(__name__)

#: How often the issuer's keys are read again.
POLL_SECONDS: Final = 300.0
#: A token signed by a key that is not known yet has them read sooner, but never more often than this.
SOONER_SECONDS: Final = 10.0
#: How long keys hold that cannot be read again; then no token is taken.
HELD_SECONDS: Final = 3_600.0
FETCH_SECONDS: Final = 5.0
MAX_KEYS: Final = 1_000_000  # bytes
#: Signatures that nobody can make who only knows how to check them: no `none`, no shared secret.
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
SUBJECT: Final = re.compile(r"[\x21-\x7e]{1,150}")
FORM: Final = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")


class Tokens:
    """The tokens of one issuer."""

    def __init__(self, oidc: Oidc) -> None:
        self.oidc = oidc
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._read_at: float | None = None
        self._sooner = threading.Event()

    def start(self) -> None:
        """Read the issuer's keys, and keep reading them aside; an issuer that is down keeps nobody from starting."""
        threading.Thread(target=self._follow, name="issuer", daemon=True).start()

    def _follow(self) -> None:
        while True:
            self.refresh()
            self._sooner.clear()
            time.sleep(SOONER_SECONDS)
            self._sooner.wait(POLL_SECONDS - SOONER_SECONDS)

    def refresh(self) -> None:
        """Read the issuer's keys now; where that fails, those that are known stand for a while."""
        try:
            self._keys = _keys(_read(self.oidc.jwks))
            self._read_at = time.monotonic()
        except (OSError, HTTPException, ValueError, jwt.PyJWTError) as error:
            log.warning("The issuer's keys cannot be read: %s", type(error).__name__)

    def actor(self, text: str) -> Actor:
        """Whoever a token names. Raises Unauthorized, CredentialsUnavailable where the keys are not known any more."""
        if self._read_at is None or time.monotonic() - self._read_at > HELD_SECONDS:
            self._sooner.set()
            raise CredentialsUnavailable
        claims = self._claims(text)
        subject, rep = claims["sub"], claims.get(self.oidc.rep_claim) if self.oidc.rep_claim else None
        if not isinstance(subject, str) or not SUBJECT.fullmatch(subject):
            raise Unauthorized
        if self.oidc.rep_claim and not (rep is None or (isinstance(rep, str) and rep)):
            raise Unauthorized  # taken for nobody's own, it would allow more than it was meant to
        return Actor(f"oidc:{subject}", _scopes(claims.get(self.oidc.scopes_claim)), rep)

    def _claims(self, text: str) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(text)
            key = self._keys.get(header["kid"]) if isinstance(header.get("kid"), str) else None
            if key is None:
                self._sooner.set()
                raise Unauthorized
            if header.get("alg") not in ALGORITHMS or header["alg"] != key.algorithm_name:
                raise Unauthorized
            claims: dict[str, Any] = jwt.decode(
                text, key, algorithms=[key.algorithm_name], audience=self.oidc.audience, issuer=self.oidc.issuer,
                leeway=self.oidc.leeway_seconds, options={"require": ["exp", "iss", "aud", "sub"]},
            )  # fmt: skip
            return claims
        except (jwt.PyJWTError, ValueError):
            raise Unauthorized from None


def _scopes(claim: Any) -> frozenset[str]:
    """Those of ours that a claim holds: words of a text, or a list of them."""
    words = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
    return frozenset(word for word in words if isinstance(word, str)) & frozenset(SCOPES)


class _NoDetour(urllib.request.HTTPRedirectHandler):
    """The keys are where the configuration says, or nowhere."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """None: the redirect is an error."""


def _read(where: str) -> bytes:
    if "://" not in where:
        return Path(where).read_bytes()
    with urllib.request.build_opener(_NoDetour).open(where, timeout=FETCH_SECONDS) as answer:
        body: bytes = answer.read(MAX_KEYS + 1)
    if len(body) > MAX_KEYS:
        raise ValueError("the keys are too large")
    return body


def _keys(text: bytes) -> dict[str, jwt.PyJWK]:
    """Keys for signatures by their id; one of another kind, or without an id, is passed over."""
    told = json.loads(text)
    if not isinstance(told, dict) or not isinstance(told.get("keys"), list):
        raise ValueError("these are no keys")
    found = {}
    for said in (key for key in told["keys"] if isinstance(key, dict)):
        try:
            key = jwt.PyJWK(said)
        except jwt.PyJWTError:
            continue
        if key.key_id and said.get("use", "sig") == "sig" and key.algorithm_name in ALGORITHMS:
            found[str(key.key_id)] = key
    return found
