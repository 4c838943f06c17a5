"""Who else may vouch for a caller of the service: an issuer of OpenID Connect tokens."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_validator


class Oidc(BaseModel):
    """Lets callers in by an issuer's signed tokens, beside API keys; each names its audience, scopes and end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: str
    audience: str
    jwks: str
    scopes_claim: str = "scope"
    rep_claim: str | None = None
    leeway: str = "60s"

    @model_validator(mode="before")
    @classmethod
    def _beside_the_configuration(cls, given: Any, info: ValidationInfo) -> Any:
        """A relative path of a file starts where the configuration lies."""
        jwks = given.get("jwks") if isinstance(given, dict) else None
        if not isinstance(jwks, str) or "://" in jwks:
            return given
        folder: Path = (info.context or {}).get("folder", Path())
        return given | {"jwks": str((folder / jwks).resolve())}

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if not self.issuer or not self.audience:
            raise ValueError("name the issuer and the audience that a token must have")
        if "://" in self.jwks and not _private(self.jwks):
            raise ValueError("jwks is a file, or an https address (http on this machine alone)")
        if "://" not in self.jwks and not Path(self.jwks).is_file():
            raise ValueError(f"there is no file {self.jwks} of keys (jwks)")
        found = re.fullmatch(r"([0-9]{1,2})s", self.leeway)
        if not found or int(found[1]) > 60:
            raise ValueError("leeway is 0s to 60s: how far the issuer's clock may be off")
        return self

    @property
    def leeway_seconds(self) -> int:
        """How far the issuer's clock may be off."""
        return int(self.leeway[:-1])


def _private(address: str) -> bool:
    """Whether nobody on the way can put other keys in their place."""
    parts = urlsplit(address)
    if parts.scheme == "https":
        return bool(parts.hostname)
    try:
        return parts.scheme == "http" and ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
