"""How long a PostgreSQL that is well takes, at most; what takes longer hangs."""

from __future__ import annotations

from typing import Final

#: Seconds to connect, and to answer what waits for nothing else.
CONNECT_SECONDS: Final = 5
ANSWER_SECONDS: Final = 2.0
