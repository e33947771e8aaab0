"""A stub of a judge: an OpenAI-compatible server on loopback that fills in the schema it is given.

It understands nothing. It says whatever rating it was made with, or no JSON at all.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def fill(schema: dict[str, Any], rating: int, definitions: dict[str, Any]) -> Any:
    """Return the smallest value of a JSON schema."""
    if "$ref" in schema:
        return fill(definitions[schema["$ref"].rpartition("/")[2]], rating, definitions)
    kind = schema.get("type")
    if kind == "object":
        return {name: fill(each, rating, definitions) for name, each in schema["properties"].items()}
    if kind == "array":
        return [fill(schema["items"], rating, definitions)]
    return rating if kind == "integer" else "a statement"


@contextmanager
def stub_judge(*, rating: int | None) -> Iterator[str]:
    """Yield the address of a stub that gives this rating; None: it answers without JSON."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            schema = asked["response_format"]["json_schema"]["schema"]
            said = "I had rather not say."
            if rating is not None:
                said = json.dumps(fill(schema, rating, schema.get("$defs", {})))
            choice = {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": said},
            }
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            answer = {"id": "stub", "object": "chat.completion", "created": 0, "model": asked["model"]}
            body = json.dumps({**answer, "choices": [choice], "usage": usage}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
