"""Off-policy evaluation: what a policy would have earned, told from a log that another policy left behind."""
