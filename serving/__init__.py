"""The released model behind an HTTP API, and the ledger that remembers which model is released."""
