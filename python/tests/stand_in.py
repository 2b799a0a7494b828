"""A server on loopback that answers as OpenAI and Anthropic do, so that their clients can be shown at work."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}


def chat(asked: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": words(asked["messages"][-1]["content"])}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": asked["model"], "choices": [choice], "usage": USAGE}


def message(asked: dict[str, Any]) -> dict[str, Any]:
    content = [{"type": "text", "text": words(asked["messages"][-1]["content"])}]
    usage = {"input_tokens": 9, "output_tokens": 12}
    return {
        "id": "1", "type": "message", "role": "assistant", "model": asked["model"], "content": content,
        "stop_reason": "end_turn", "stop_sequence": None, "usage": usage,
    }


def embeddings(asked: dict[str, Any]) -> dict[str, Any]:
    inputs = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    data = [{"object": "embedding", "index": index, "embedding": [0.5, 0.25]} for index, _ in enumerate(inputs)]
    usage = {"prompt_tokens": 9, "total_tokens": 9}
    return {"object": "list", "model": asked["model"], "data": data, "usage": usage}


def words(asked: object) -> str:
    return f"an answer to: {asked}"


KINDS = {"/chat/completions": chat, "/messages": message, "/embeddings": embeddings}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        kind = next((kind for path, kind in KINDS.items() if self.path.endswith(path)), None)
        answer = kind(asked) if kind else {"error": {"message": f"this server knows no {self.path}"}}
        body = json.dumps(answer).encode()
        self.send_response(200 if kind else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[str]:
    """The address of such a server, while it is there."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
