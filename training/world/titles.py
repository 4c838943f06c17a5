"""Free-text job titles as people type them: by function, level and language, with abbreviations and slips."""

from __future__ import annotations

import numpy as np

from training.world.setting import Ints, Texts

FUNCTIONS = ("Finance", "IT", "Operations", "Procurement", "Marketing", "HR", "Legal")
LEVELS = ("c_level", "vp", "director", "manager", "staff")

#: Chief titles per function, then words for the area, by language.
_CHIEF = {
    "Finance": ("CFO", "Chief Financial Officer", "Chief Finance Officer"),
    "IT": ("CIO", "CTO", "Chief Information Officer"),
    "Operations": ("COO", "Chief Operating Officer"),
    "Procurement": ("Chief Procurement Officer", "CPO, Procurement"),
    "Marketing": ("CMO", "Chief Marketing Officer"),
    "HR": ("CHRO", "Chief Human Resources Officer"),
    "Legal": ("General Counsel", "Chief Legal Officer"),
}
_AREA = {
    "en": {
        "Finance": ("Finance", "Treasury", "Global Treasury", "Accounting", "Financial Planning"),
        "IT": ("IT", "Information Technology", "IT Infrastructure", "Information Systems"),
        "Operations": ("Operations", "Ops", "Global Operations"),
        "Procurement": ("Procurement", "Purchasing", "Global Procurement"),
        "Marketing": ("Marketing", "Digital Marketing"),
        "HR": ("Human Resources", "HR"),
        "Legal": ("Legal", "Legal Affairs"),
    },
    "de": {
        "Finance": ("Finanzen", "Treasury"), "IT": ("IT", "Informationstechnologie"), "Operations": ("Operations",),
        "Procurement": ("Einkauf",), "Marketing": ("Marketing",), "HR": ("Personal",), "Legal": ("Recht",),
    },
    "fr": {
        "Finance": ("Finances", "Trésorerie"), "IT": ("Informatique",), "Operations": ("Opérations",),
        "Procurement": ("Achats",), "Marketing": ("Marketing",), "HR": ("Ressources Humaines",),
        "Legal": ("Juridique",),
    },
    "es": {
        "Finance": ("Finanzas", "Tesorería"), "IT": ("Informática",), "Operations": ("Operaciones",),
        "Procurement": ("Compras",), "Marketing": ("Marketing",), "HR": ("Recursos Humanos",), "Legal": ("Legal",),
    },
}  # fmt: skip
#: Level words by language; {} is the area.
_FORM = {
    "en": {
        "vp": ("VP {}", "SVP, {}", "Vice President {}", "V.P. of {}", "EVP {}"),
        "director": ("Director of {}", "{} Director", "Dir. {}", "Senior Director, {}"),
        "manager": ("{} Manager", "Manager, {}", "Sr. Manager {}", "Mgr {}"),
        "staff": ("{} Analyst", "{} Specialist", "{} Associate", "{} Coordinator"),
    },
    "de": {
        "vp": ("Vice President {}",), "director": ("Direktor {}",),
        "manager": ("Manager {}",), "staff": ("Sachbearbeiter {}", "Referent {}"),
    },
    "fr": {
        "vp": ("Vice-président {}",), "director": ("Directeur {}", "Directrice {}"),
        "manager": ("Responsable {}",), "staff": ("Assistant {}",),
    },
    "es": {
        "vp": ("Vicepresidente {}",), "director": ("Director de {}", "Directora de {}"),
        "manager": ("Gerente de {}",), "staff": ("Analista de {}",),
    },
}  # fmt: skip
#: What people type when they'd rather not say.
_NOISE = ("NA", "None", "-", "Mr.", "student", "Consultant", "n/a", "CEO", "Owner", "Assistant to the CFO")


def _written(language: str, function: str, level: str) -> tuple[str, ...]:
    if level == "c_level":
        return _CHIEF[function]
    return tuple(form.format(area) for form in _FORM[language][level] for area in _AREA[language][function])


def write_titles(rng: np.random.Generator, function: Ints, level: Ints, language: Texts) -> Texts:
    """Write a title for each person.

    function, level   (n,) positions in FUNCTIONS and LEVELS
    language          (n,) en, de, fr or es; a quarter of the non-English write English all the same
    Returns           (n,) text; None where nothing was typed
    """
    spoken = np.where(rng.random(len(function)) < 0.25, "en", language)
    titles = np.full(len(function), None, dtype=object)
    for tongue in _FORM:
        for f, name in enumerate(FUNCTIONS):
            for lv, rank in enumerate(LEVELS):
                rows = np.flatnonzero((spoken == tongue) & (function == f) & (level == lv))
                ways = np.array(_written(tongue, name, rank), dtype=object)
                titles[rows] = ways[rng.integers(0, len(ways), rows.size)]
    return _spoilt(rng, titles)


def _spoilt(rng: np.random.Generator, titles: Texts) -> Texts:
    """Slips of the pen, capitals, noise and blanks, each on a few."""
    draw = rng.random(len(titles))
    for row in np.flatnonzero(draw < 0.02):
        text = str(titles[row])
        cut = 1 + int(rng.integers(0, max(1, len(text) - 2)))
        titles[row] = text[:cut] + text[cut + 1 :] if len(text) > 6 else text
    for row in np.flatnonzero((draw >= 0.02) & (draw < 0.05)):
        titles[row] = str(titles[row]).upper() if draw[row] < 0.03 else str(titles[row]).lower()
    noise = np.flatnonzero((draw >= 0.05) & (draw < 0.08))
    titles[noise] = np.array(_NOISE, dtype=object)[rng.integers(0, len(_NOISE), noise.size)]
    titles[draw > 0.985] = None
    return titles
