"""The way of a model into service and back: the gate, the release row, then MLflow's alias as a mirror of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.config import Config
from features.errors import UsageError
from serving.actor import GUARD
from serving.cache import ModelCache, probe
from serving.challenge import settle
from serving.ledger import Ledger
from serving.ledger.challengers import Challengers
from serving.ledger.releases import Release, Released, Releases
from serving.ledger.shadows import watched

if TYPE_CHECKING:
    from features.snapshot import Snapshot
    from training.champion import Champion
    from training.gate import Harm, Shadowed, Verdict
    from training.tracking import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Promotion:
    """What came of asking for a release.

    verdict   what the gate said
    release   the row that was added; None: refused, or it served already
    mirrored  None, or why MLflow's alias could not be set; the release counts all the same
    """

    version: str
    verdict: Verdict
    release: Release | None
    mirrored: str | None = None
    already: bool = False

    @property
    def serves(self) -> bool:
        """Whether this version serves now."""
        return self.release is not None or self.already

    @property
    def forced(self) -> bool:
        """Whether it was released although the gate refused."""
        return self.release is not None and self.release.forced


def promote(
    home: Path,
    ledger: Ledger,
    config: Config,
    *,
    version: str | None = None,
    reason: str | None = None,
    force: bool = False,
    seen: int | None = None,
    snapshot: Snapshot | None = None,
) -> Promotion:
    """Judge a model and release it when it passes.

    version  a registered version; None: the challenger
    reason   why, for the history; force needs one
    force    release it although the gate refuses; a model that cannot be loaded is refused all the same
    seen     the revision that the decision is based on; None: what serves when the judging starts
    snapshot data in which offers may have been answered since the model's cut, to try it on
    Raises   Conflict when another release came in between; UsageError; ModelError
    """
    from training.gate import judge
    from training.report import renew
    from training.tracking import Store

    if force and not (reason or "").strip():
        raise UsageError("To overrule the gate, say why; the history keeps it.", field="--reason")
    releases, registry = Releases(ledger), Store(home)
    current = releases.current()
    based_on = seen if seen is not None else (current.revision if current else 0)
    found = registry.challenger() if version is None else registry.version(version)
    if found is None:
        raise UsageError("There is no trained model to promote; run `callsheet train` first.", field="model")
    serving, digest = _champion(home, current), found.content_hash
    past = _watched(ledger, digest), _harm(releases, config, digest)
    verdict = judge(home, found.run_id, config, serving, snapshot, *past)
    renew(registry, found.run_id)
    if not verdict.passed and not force:
        return Promotion(found.version, verdict, None)
    model = Released(found.version, verdict.content_hash, found.feature_version, found.market_fingerprint)
    folder = ModelCache(home).fetch(model.content_hash, registry.product_folder(found.version))
    probe(folder, model.content_hash)
    if current is not None and current.model == model and based_on == current.revision:
        return Promotion(found.version, verdict, None, already=True)
    release = releases.promote(
        model, seen=based_on, reason=reason or verdict.reason, gate=_gate(verdict), forced=not verdict.passed
    )
    settle(ledger, model)
    return Promotion(found.version, verdict, release, mirrored=_mirror(registry, release))


def _watched(ledger: Ledger, content_hash: str) -> Shadowed | None:
    from training.gate import Shadowed

    with ledger.reading() as connection:
        seen = watched(connection, content_hash)
    return Shadowed(seen.decisions, seen.errors, seen.agreed) if seen.decisions else None


def _harm(releases: Releases, config: Config, content_hash: str) -> Harm | None:
    """The guard's last word against these files, where none of their later releases came through probation."""
    from serving.guard import came_through
    from training.gate import Harm

    back = releases.rolled_back(content_hash, GUARD)
    if back is None or came_through(releases.ledger, config, content_hash, back.revision, datetime.now(UTC)):
        return None
    return Harm(back.promoted_at, back.revision, back.reason)


def champion(home: Path, ledger: Ledger) -> Champion | None:
    """The model that serves, as training asks for it: what a challenger has to beat. None: the rules serve."""
    return _champion(home, Releases(ledger).current())


def _champion(home: Path, current: Release | None) -> Champion | None:
    from training.champion import Champion

    if current is None or current.model is None:
        return None
    held = current.model
    return Champion.read(held.version, held.content_hash, ModelCache(home).folder(held.content_hash))


def rollback(
    home: Path, ledger: Ledger, *, reason: str = "rolled back by hand", seen: int | None = None
) -> tuple[Release, str | None]:
    """Return to what served before: an earlier model, or the rules. Needs neither the registry nor the data.

    Returns  the new release, and why MLflow's alias could not be set, if it could not
    Raises   Refused when the rules serve already; Conflict when another release came in between
    """
    releases = Releases(ledger)
    current = releases.current()
    release = releases.rollback(seen=seen if seen is not None else (current.revision if current else 0), reason=reason)

    def registry() -> Store:
        from training.tracking import Store

        return Store(home)

    return release, _mirror(registry, release)


def models(home: Path, ledger: Ledger) -> list[dict[str, Any]]:
    """What serves, what served before and what waits, one row each: the releases, then what was never released.

    The challenger is of the kind `shadow`, since when `promoted_at` says.
    Columns: serves, version, revision, kind, promoted_at, forced, reason, content_hash, feature_version, run_id.
    """
    releases = Releases(ledger)
    history, rows, released = releases.history(), [], set[str | None]()
    tried = Challengers(ledger).current()
    runs: dict[str, str] = {}
    waiting = []
    try:
        from training.tracking import Store

        if (home / "mlflow.db").exists():
            waiting = Store(home).versions()
            runs = {v.version: v.run_id for v in waiting}
    except Exception as error:
        log.warning("MLflow's store cannot be read, so only releases are listed: %s", type(error).__name__)
    for place, release in enumerate(history):
        version = release.model.version if release.model else None
        released.add(version)
        rows.append(
            {
                "serves": place == 0, "version": version or "rules", "revision": release.revision,
                "kind": release.kind, "promoted_at": release.promoted_at.isoformat(timespec="seconds"),
                "forced": release.forced, "reason": release.reason,
                "content_hash": release.model.content_hash if release.model else None,
                "feature_version": release.model.feature_version if release.model else None,
                "run_id": runs.get(version or ""),
            }
        )  # fmt: skip
    if tried is not None and tried.model is not None:
        released.add(tried.model.version)
        rows.append(
            {
                "serves": False, "version": tried.model.version, "revision": None, "kind": "shadow",
                "promoted_at": tried.at.isoformat(timespec="seconds"), "forced": None, "reason": tried.reason,
                "content_hash": tried.model.content_hash, "feature_version": tried.model.feature_version,
                "run_id": runs.get(tried.model.version),
            }
        )  # fmt: skip
    for one in waiting:
        if one.version not in released:
            rows.append(
                {
                    "serves": False, "version": one.version, "revision": None,
                    "kind": ", ".join(one.aliases) or "registered", "promoted_at": None, "forced": None,
                    "reason": None, "content_hash": one.content_hash, "feature_version": one.feature_version,
                    "run_id": one.run_id,
                }
            )  # fmt: skip
    return rows


MODEL_COLUMNS = (
    "serves", "version", "revision", "kind", "promoted_at", "forced", "reason", "content_hash", "feature_version",
    "run_id",
)  # fmt: skip


def _gate(verdict: Verdict) -> dict[str, Any]:
    """The verdict as the release row keeps it: JSON values, numbers that are none as null."""
    return {
        "passed": verdict.passed,
        "reason": verdict.reason,
        "checks": [
            {
                "name": c.name,
                "passed": c.passed,
                "tried": c.tried,
                "text": c.text,
                "numbers": {k: _finite(v) for k, v in c.numbers.items()},
            }
            for c in verdict.checks
        ],
    }


def _finite(value: object) -> object:
    if not isinstance(value, int | float):
        return None
    number = float(value)
    if number != number or abs(number) == float("inf"):
        return None
    return int(value) if isinstance(value, int) else number


def _mirror(registry: Store | Callable[[], Store], release: Release) -> str | None:
    """Point MLflow's alias at what serves, and mark what was forced. Best effort: the service never looks there."""
    try:
        store = registry() if callable(registry) else registry
        if release.model is None:
            store.clear_alias("champion")
        else:
            store.set_alias("champion", release.model.version)
            if release.forced and release.kind == "promote":
                store.tag_forced(release.model.version, release.reason)
    except Exception as error:
        log.warning("The alias `champion` could not be set in MLflow: %s", str(error).partition("\n")[0])
        return f"{type(error).__name__}: {error}"
    return None
