"""The key that only the process that starts engines has: no other account on this machine may use them.

vLLM asks for it on every route below ``/v1``, which answer, embed and exchange adapters.
"""

from __future__ import annotations

import secrets

KEY = secrets.token_urlsafe(32)
HEADERS = {"Authorization": f"Bearer {KEY}"}
