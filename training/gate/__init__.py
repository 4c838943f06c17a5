"""The gate: whether what a run trained has earned its place, check by check, with the numbers of each."""

from training.gate.case import NOT_ENOUGH, PRIMARY, Case, Check, Harm, Shadowed, Verdict
from training.gate.judge import CHECKS, judge, weigh

__all__ = ["CHECKS", "NOT_ENOUGH", "PRIMARY", "Case", "Check", "Harm", "Shadowed", "Verdict", "judge", "weigh"]
