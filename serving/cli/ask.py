"""Ask: batch scores, a recommendation for a person, the service, MLflow's pages, and the whole line as a demo."""

from __future__ import annotations

from typing import Annotated

import typer

from serving.cli.options import HOME, HomeOption, say


def ui(
    home: HomeOption = HOME,
    port: Annotated[int, typer.Option(min=1, max=65535, help="On loopback.")] = 5000,
) -> None:
    """Open MLflow on the local store: every run, its charts, its baselines; on loopback only, until you stop it.

    \b
    Examples
      callsheet ui
      callsheet ui --home /srv/callsheet --port 5001
    """
    from training.ui import address, run_ui

    say(f"The runs are at {address(home, port)}\nCtrl-C stops it.")
    run_ui(home, port)


def demo(
    home: HomeOption = HOME,
    accounts: Annotated[int, typer.Option(min=1, help="Companies of the made-up CRM.")] = 2_000,
    reps: Annotated[int, typer.Option(min=1, help="Its sellers.")] = 60,
    offers: Annotated[int, typer.Option(min=1, help="Its past offers.")] = 12_000,
    seed: Annotated[int, typer.Option(help="Another seed, another CRM.")] = 1,
) -> None:
    """Run the whole line once on a made-up CRM, in HOME/demo, which it makes anew each time.

    Sample, check, audit, train, promote, serve and ask: each step is shown as the
    command that you would type, with what it answers.

    \b
    Examples
      callsheet demo
      callsheet demo --accounts 400 --reps 24 --offers 4000
    """
    from serving.demo import Demo
    from serving.listing import console

    raise typer.Exit(Demo(home / "demo", accounts, reps, offers, seed).run(console()))
