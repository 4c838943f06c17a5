"""Writes what requirements.lock would install as a CycloneDX bill of materials: python .ci/sbom.py > sbom.json."""

from __future__ import annotations

import hashlib
import re
import sys
import tomllib
from pathlib import Path
from typing import Any
from uuid import UUID

from cyclonedx.contrib.this.builders import this_component
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]


def bill(lock: str, project: dict[str, Any]) -> str:
    """The bill as JSON, CycloneDX 1.6: every pin with the hashes of its files, its marker, and what it is there for.

    The serial number is made from the lock and the version, so that one lock has one bill; the time is now.
    """
    bom = Bom(serial_number=UUID(hashlib.sha256(f"{project['version']}\n{lock}".encode()).hexdigest()[:32], version=5))
    root = Component(
        type=ComponentType.APPLICATION, name=project["name"], version=project["version"], bom_ref=project["name"],
        licenses=[LicenseExpression(project["license"])],
    )  # fmt: skip
    bom.metadata.component = root
    bom.metadata.tools.components.add(this_component())
    pins = [_pin(text) for text in re.split(r"\n(?=[a-zA-Z0-9])", lock)[1:]]
    for pin, _ in pins:
        bom.components.add(pin)
    for component in (root, *(pin for pin, _ in pins)):
        # A package pinned once for each of several Pythons is needed, or needs, as each of them.
        bom.register_dependency(component, [pin for pin, wanted_by in pins if component.name in wanted_by])
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)


def _pin(text: str) -> tuple[Component, set[str]]:
    """A pin of the lock, and who wants it: the lines from its name to its last `# via`."""
    head, *rest = text.split("\n")
    requirement = Requirement(head.rstrip("\\ "))
    version = next(iter(requirement.specifier)).version
    files = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(f"https://pypi.org/project/{requirement.name}/{version}/#files"),
        hashes=[
            HashType(alg=HashAlgorithm.SHA_256, content=found)
            for found in re.findall(r"--hash=sha256:([0-9a-f]{64})", text)
        ],
    )
    marker = [Property(name="callsheet:marker", value=str(requirement.marker))] if requirement.marker else []
    component = Component(
        name=requirement.name, version=version, bom_ref=f"{requirement.name}=={version}",
        purl=PackageURL("pypi", name=requirement.name, version=version), external_references=[files], properties=marker,
    )  # fmt: skip
    wanted_by = re.findall(r"^ +#(?: via)? +(?!via\b)([A-Za-z0-9_.-]+)", "\n".join(rest), re.M)
    return component, set(wanted_by)


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    sys.stdout.write(bill((ROOT / "requirements.lock").read_text(encoding="utf-8"), project) + "\n")
