"""Where the sample's companies are and what they do: regions, industries and their codes, solutions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Region:
    """A sales region; weight is its share of the accounts."""

    name: str
    countries: tuple[str, ...]
    weight: float
    zone: str
    language: str = "en"


REGIONS = (
    Region("us-east", ("US",), 0.15, "America/New_York"),
    Region("us-central", ("US",), 0.11, "America/Chicago"),
    Region("us-west", ("US",), 0.11, "America/Los_Angeles"),
    Region("canada", ("CA",), 0.07, "America/Toronto"),
    Region("uk", ("GB", "IE"), 0.12, "Europe/London"),
    Region("dach", ("DE", "AT", "CH"), 0.13, "Europe/Berlin", "de"),
    Region("france", ("FR",), 0.09, "Europe/Paris", "fr"),
    Region("benelux", ("NL", "BE", "LU"), 0.07, "Europe/Amsterdam"),
    Region("nordics", ("SE", "DK", "NO", "FI"), 0.06, "Europe/Stockholm"),
    Region("iberia", ("ES", "PT"), 0.05, "Europe/Madrid", "es"),
    # Nobody sells here, but people fill in forms from everywhere; NA is Namibia, not a null.
    Region("apac", ("JP", "AU", "SG"), 0.025, "Asia/Singapore"),
    Region("africa", ("ZA", "NA", "KE"), 0.015, "Africa/Johannesburg"),
)
SOLD_REGIONS = tuple(range(10))


@dataclass(frozen=True)
class Industry:
    """A line of business, with codes of both systems; some SIC codes begin with a zero that must stay."""

    name: str
    naics: tuple[str, ...]
    sic: tuple[str, ...]
    weight: float
    words: tuple[str, ...]


INDUSTRIES = (
    Industry("banking", ("522110", "522130", "522180"), ("6021", "6022", "6029", "6061"), 0.22,
             ("Bank", "Savings Bank", "Bancorp", "Credit Union")),
    Industry("securities", ("523110", "523940", "523999"), ("6211", "6282"), 0.11,
             ("Capital", "Securities", "Asset Management")),
    Industry("growers", ("111110", "111998", "112120"), ("0111", "0119", "0182", "0241"), 0.10,
             ("Farms", "Growers, Inc.", "Orchards")),
    Industry("food makers", ("311224", "311421", "311812"), ("2041", "2033", "2051"), 0.16,
             ("Foods", "Mills", "Bakeries")),
    Industry("beverages", ("312111", "312120"), ("2086", "2082"), 0.07, ("Brewing", "Beverages", "Bottling")),
    Industry("insurance", ("524113", "524126"), ("6311", "6331"), 0.08, ("Insurance", "Mutual")),
    Industry("software", ("541511", "511210"), ("7371", "7372"), 0.08, ("Software", "Systems", "Labs")),
    Industry("retail", ("445110", "452210"), ("5411", "5311"), 0.06, ("Stores", "Retail Group")),
    Industry("health", ("622110", "621111"), ("8062", "8011"), 0.06, ("Hospitals", "Clinics")),
    Industry("forestry", ("113310", "113210"), ("0811", "0831"), 0.06, ("Timber", "Forests")),
)  # fmt: skip
SERVED_INDUSTRIES = tuple(range(5))

SOLUTIONS = ("payments", "risk", "analytics", "supply", "service", "archive")
#: Nobody sells it any more; leads for it still come in.
RETIRED_SOLUTION = 5
SOLD_SOLUTIONS = tuple(range(5))
