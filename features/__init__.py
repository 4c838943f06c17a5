"""CRM facts in, a feature matrix and the eligibility of each (lead, rep, as-of) pair out."""
