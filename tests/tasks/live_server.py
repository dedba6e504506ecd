"""A server of the live page around an untrained model, for tests."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.tasks.tiny import CLASSES, tiny_config

from whyact.data.film import Limits
from whyact.models.builders import build_model
from whyact.tasks.serve import app, listen, uvicorn_server
from whyact.training.checkpoint import save_checkpoint


def untrained(folder: Path, classes: Sequence[str] = CLASSES, **given: Any) -> Path:
    """A checkpoint with random weights that takes 4 frames of 32 x 32."""
    config = tiny_config(folder, folder, **given)
    model = build_model(config.model, classes=len(classes), scenes=0, seed=0)
    save_checkpoint(
        folder / "run", weights=model.state_dict(), config=config, classes=classes, scenes=(),
        state={},
    )  # fmt: skip
    return folder / "run"


@contextmanager
def serving(
    checkpoint: Path, clips: Sequence[Path] = (), limits: Limits | None = None
) -> Iterator[str]:
    """The address of a server that runs while the block does, ``127.0.0.1:<port>``."""
    server = uvicorn_server(app(checkpoint, [str(c) for c in clips], limits=limits))
    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=10)


def request(
    address: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer; a body makes it a POST."""
    connection = HTTPConnection(address, timeout=30)
    try:
        method = "GET" if body is None else "POST"
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def page_data(address: str) -> dict[str, Any]:
    """The data of a freshly loaded page, with its token in ``live``."""
    status, _, body = request(address, "/")
    assert status == 200
    start = body.index(b'id="data">') + len(b'id="data">')
    found: dict[str, Any] = json.loads(body[start : body.index(b"</script>", start)])
    return found


def ask(address: str, token: str, path: str, body: Any) -> tuple[int, Any]:
    """Status and JSON of a question, as the page asks it."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    status, _, answer = request(address, path, data, {"X-Whyact-Token": token})
    return status, json.loads(answer)
