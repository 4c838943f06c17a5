"""The report of one training run: a page that stands alone, what counts at its top, made from what the run keeps."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

from training.paper import shell
from training.report import sections
from training.report.kept import Kept, read
from training.tracking import Run, Store

REPORT = "report.html"

#: Anchor -> the question, and what answers it.
SECTIONS: dict[str, tuple[str, Callable[[Kept], str]]] = {
    "gate": ("May it serve?", sections.verdict),
    "recipes": ("Is it better than what is simpler?", sections.recipes),
    "value": ("What would routing by it bring?", sections.value),
    "probabilities": ("Do its probabilities mean what they say?", sections.probabilities),
    "slices": ("Where is it good, where not?", sections.slices),
    "families": ("What is each family of features worth?", sections.families),
    "features": ("What does it look at?", sections.features),
    "canaries": ("Does it learn from nothing?", sections.canaries),
    "labels": ("Which offers taught it?", sections.labels),
    "made": ("How was it made?", sections.made),
}


def page(kept: Kept, status: str = "") -> str:
    """The page as HTML: it loads nothing, and names no person. status: a sentence on whether the model serves."""
    title = f"Model {kept.version}: {kept.params['recipe.name']} recipe"
    links = "".join(f'<a href="#{anchor}">{escape(question)}</a> ' for anchor, (question, _) in SECTIONS.items())
    body = [f"<h1>{escape(title)}</h1>", sections.opening(kept, status), f"<nav>{links}</nav>"]
    for anchor, (question, answer) in SECTIONS.items():
        body += [f'<h2 id="{anchor}">{escape(question)}</h2>', answer(kept)]
    body += ["<h2>What the words mean</h2>", sections.glossary()]
    return shell(f"Callsheet: {title}", body)


def renew(store: Store, run_id: str) -> None:
    """Write the report of a run that has one again: it has been judged since, say."""
    if store.open(run_id).holds(REPORT):
        write(store, run_id)


def write(store: Store, run_id: str, out: Path | None = None, status: str = "") -> Path:
    """Write a run's report to a file, and keep it with the run; returns the file.

    out      None: HOME/reports/training-model-VERSION.html
    status   a sentence on whether the model serves
    Raises   UsageError when the run is no training, or not one of this version of Callsheet
    """
    kept = read(store, run_id)
    html = page(kept, status)
    path = out or store.home / "reports" / f"training-model-{kept.version}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(html, encoding="utf-8")
    part.replace(path)
    Run(store.client, run_id).text(REPORT, html)
    return path
