"""How much of routing is left to chance and to the old rules, so that what the model is worth is measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from features.config_values import Flag, Number, Section, Share, Text

Part = Annotated[Number, Field(ge=0, lt=1)]


def _all_or_share(value: object) -> float:
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, int | float) and 0 <= value <= 1:
        return float(value)
    raise ValueError(f"{value!r} is neither true nor false, nor a share from 0 to 1")


AllOrShare = Annotated[Share, BeforeValidator(_all_or_share)]


class Explore(Section):
    """A share of the leads goes to a drawn rep, so that the log knows more than one rep for a kind of lead."""

    share: Part = 0.0
    how: Literal["softmax", "epsilon"] = "softmax"
    loss: Share = 0.25
    temperature: Annotated[Number, Field(gt=0, le=10)] = 0.1


class Policy(Section):
    """Who decides: the model, the old rules for a held-out share of accounts, chance for a share of the rest.

    And what the challenger may do beside the model: look on, and decide for pilot reps; and whether a new model whose
    offers are accepted less than others is rolled back by itself.
    """

    holdout: Part = 0.0
    salt: Text = "callsheet"
    explore: Explore = Explore()
    shadow: AllOrShare = 0.0
    pilot: Flag = False
    guard: Flag = True
