"""Serve the explanation page with a live model behind it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from whyact.data.film import Limits
from whyact.tasks.answers import Answers
from whyact.tasks.films import FilmStore
from whyact.tasks.inputs import find_clips
from whyact.tasks.serve_http import application
from whyact.training.checkpoint import load_model
from whyact.types import WhyactError


def app(
    checkpoint: str | Path, clips: Sequence[str] = (), *, limits: Limits | None = None,
    device: str = "cpu",
) -> Starlette:  # fmt: skip
    """The server as an ASGI application.

    Args:
        checkpoint: of a run. clips: files, folders, globs, offered to every page.
        limits: of uploads and clips. device: torch device.
    """
    answers = Answers(
        loaded=load_model(checkpoint, device), limits=limits or Limits(), store=FilmStore(),
        clips=find_clips(clips) if clips else (),
    )  # fmt: skip
    return application(answers)


def serve(
    checkpoint: str | Path, clips: Sequence[str] = (), *, host: str = "127.0.0.1",
    port: int = 8321, limits: Limits | None = None, device: str = "cpu",
    ready: Callable[[str], None] = print,
) -> None:  # fmt: skip
    """Serve until interrupted.

    Args:
        checkpoint, clips, limits, device: as of `app`. host: address to listen on; others than
            127.0.0.1 let other machines in. port: 0 for any free one.
        ready: called with the address once it answers.

    Raises:
        WhyactError: the address cannot be listened on.
    """
    with listen(host, port) as listening:  # before a model is loaded in vain
        server = uvicorn_server(app(checkpoint, clips, limits=limits, device=device))
        shown = f"[{host}]" if ":" in host else host
        ready(f"http://{shown}:{listening.getsockname()[1]}/")
        server.run(sockets=[listening])


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; arguments and errors as of `serve`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error).rstrip(".")
        raise WhyactError(
            f"Cannot listen on {host}, port {port}: {why}; choose another with --port."
        ) from error


def uvicorn_server(made: Starlette) -> uvicorn.Server:
    """What runs the application; it trusts no proxy's headers and says nothing of itself."""
    config = uvicorn.Config(
        made, log_level="warning", access_log=False, server_header=False, proxy_headers=False,
        ws="none", limit_concurrency=64,
    )  # fmt: skip
    return uvicorn.Server(config)
