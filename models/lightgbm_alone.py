"""LightGBM without scikit-learn, which it imports where it finds it: half of every start, for wrappers unused here."""

import sys

_there = "sklearn" in sys.modules
if not _there:
    sys.modules["sklearn"] = None  # type: ignore[assignment] # so that it is not found; whoever asks later finds it
try:
    import lightgbm as lgb
finally:
    if not _there:
        del sys.modules["sklearn"]

__all__ = ["lgb"]
