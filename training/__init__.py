"""Past offers in, a tracked, evaluated and gated model out."""
