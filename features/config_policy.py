"""How much of routing is left to chance and to the old rules, so that what the model is worth is measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from features.config_values import Flag, Number, Section, Share, Text

Part = Annotated[Number, Field(ge=0, lt=1)]


class Explore(Section):
    """A share of the leads goes to a drawn rep, so that the log knows more than one rep for a kind of lead."""

    share: Part = 0.0
    how: Literal["softmax", "epsilon"] = "softmax"
    loss: Share = 0.25
    temperature: Annotated[Number, Field(gt=0, le=10)] = 0.1


class Policy(Section):
    """Who decides: the model, the old rules for a held-out share of accounts, chance for a share of the rest.

    And what the challenger may do beside the model: look on, and decide for pilot reps.
    """

    holdout: Part = 0.0
    salt: Text = "callsheet"
    explore: Explore = Explore()
    shadow: Flag | Share = False
    pilot: Flag = False

    @property
    def shadow_share(self) -> float:
        """Of the committed decisions on a lead, in how many the challenger looks on."""
        return float(self.shadow)
