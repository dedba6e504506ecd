"""The server: what it answers, whom it refuses, what it does with hostile uploads."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.data.media import write_audio, write_video
from tests.tasks.live_server import ask, page_data, request, serving, untrained
from tests.tasks.tiny import CLASSES, write_clip

from whyact.data.film import Limits
from whyact.tasks.serve import app, listen
from whyact.types import WhyactError

LEFT_HALF = {"left": 0, "top": 0, "right": 0.5, "bottom": 1, "first": 0, "last": 3}
LIMITS = Limits(megabytes=0.5, seconds=20, frames=30, side=640)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("serve")


@pytest.fixture(scope="module")
def clips(folder: Path) -> list[Path]:
    return [write_clip(folder / f"{name}.mp4", i, i) for i, name in enumerate(("a", "b"))]


@pytest.fixture(scope="module")
def address(folder: Path, clips: list[Path]) -> Iterator[str]:
    with serving(untrained(folder), clips, LIMITS) as found:
        yield found


def upload(address: str, data: bytes, name: str = "x.mp4", token: str = "") -> tuple[int, Any]:
    token = token or page_data(address)["live"]["token"]
    return ask(address, token, f"/clips?name={name}", data)


def test_a_page_comes_with_its_first_clip(address: str) -> None:
    data = page_data(address)
    assert data["clip"]["source"] == "a.mp4" and len(data["explanations"]) == len(CLASSES)
    assert data["live"]["clips"] == [
        {"id": "clip-0", "name": "a.mp4"}, {"id": "clip-1", "name": "b.mp4"},
    ]  # fmt: skip
    assert data["live"]["seconds"] == pytest.approx(9 / 25)
    assert data["live"]["limits"] == {"bytes": 500_000, "seconds": 20}


def test_an_upload_is_explained_as_the_command_explains_it(
    address: str, folder: Path, clips: list[Path]
) -> None:
    from whyact.tasks.explain import explain

    status, found = upload(address, clips[1].read_bytes(), "mine.mp4")
    assert status == 200 and found["opened"]["name"] == "mine.mp4"
    (expected,) = explain(folder / "run", [str(clips[1])], output=folder / "explained")
    assert expected.data
    values = json.loads(expected.data.read_text())
    shown = found["explanations"][0]
    assert shown["logit"] == pytest.approx(values["logit"], abs=1e-5)
    assert shown["class"] == values["class"] and found["clip"]["times"] == values["times"]
    assert shown["action_share"] == values["action_share"]


def test_questions_change_the_answer(address: str) -> None:
    token = page_data(address)["live"]["token"]
    _, whole = ask(address, token, "/what-if", {"clip": "clip-0", "class": "right"})
    assert whole["explanations"][0]["class"] == "right"
    box = {"left": 0, "top": 0, "right": 0.5, "bottom": 1, "first": 0, "last": 3}
    status, hidden = ask(
        address,
        token,
        "/what-if",
        {"clip": "clip-0", "class": "right", "changes": {"boxes": [box]}},
    )
    assert status == 200
    assert hidden["explanations"][0]["logit"] != whole["explanations"][0]["logit"]
    assert hidden["clip"]["frames"]["uri"] != whole["clip"]["frames"]["uri"]


def test_the_saved_page_is_static(address: str) -> None:
    token = page_data(address)["live"]["token"]
    question = json.dumps({"clip": "clip-0"}).encode()
    status, headers, body = request(address, "/page", question, {"X-Whyact-Token": token})
    assert status == 200 and headers["content-type"].startswith("text/html")
    assert token.encode() not in body and b'"live":null' in body and b"connect-src" not in body
    assert b'"changed":""' in body
    question = json.dumps({
        "clip": "clip-0", "changes": {
            "trim": [0, 0.3], "prompts_off": [1, 0],
            "edges_off": [edge((0, "region", 1), (0, "region", 2))],
        },
    }).encode()  # fmt: skip
    _, _, body = request(address, "/page", question, {"X-Whyact-Token": token})
    said = (
        "only 0.00 to 0.30 s; without prompt 0, 1; without 1 edge "
        "(region 1 in step 1 → region 2 in step 1)"
    )
    assert body.decode().count(said) == 2  # in the title and on the page


def edge(*ends: tuple[int, str, int]) -> dict[str, Any]:
    nodes = [{"step": t, "node": kind, "index": i} for t, kind, i in ends]
    return {"from": nodes[0], "to": nodes[1]}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"nonsense": 1}, "Expected changes as an object"),
        ([], "Expected changes as an object"),
        ({"trim": [3, 4]}, "no frame between 3.00 s and 4.00 s"),
        ({"trim": [1, 0]}, "from a second to a later one"),
        ({"trim": [10**400, 1]}, "'trim' must hold numbers"),
        ({"background": "moon"}, "'background' must be one of"),
        ({"background": "swapped"}, "Choose the clip that lends the background"),
        ({"donor": "clip-9"}, "not held"),
        ({"boxes": [{}]}, "A box needs exactly"),
        ({"boxes": [{**LEFT_HALF, "right": 0}]}, "left < right"),
        ({"boxes": [{**LEFT_HALF, "last": 4}]}, "below 4 frames"),
        ({"boxes": "x" * 100}, "'boxes' must be a list"),
        ({"prompts_off": [7]}, "no prompt 7; the model has 2"),
        ({"prompts_off": [True]}, "whole numbers"),
        ({"edges_off": [{"from": 1, "to": 2}]}, "A node of an edge"),
        ({"edges_off": [edge((0, "region", 0), (99, "region", 0))]}, "no such edge"),
        ({"edges_off": [edge((0, "region", 0), (2, "region", 0))]}, "no such edge"),
        ({"edges_off": [edge((0, "prompt", 0), (1, "region", 0))]}, "no such edge"),
        ({"edges_off": [edge((0, "prompt", 9), (0, "region", 0))]}, "no such edge"),
    ],
)  # fmt: skip
def test_questions_that_make_no_sense(address: str, changes: Any, text: str) -> None:
    token = page_data(address)["live"]["token"]
    status, found = ask(address, token, "/what-if", {"clip": "clip-0", "changes": changes})
    assert status == 422 and text in found["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 60_000, b"\xff", b'{"clip": 3}', b"[]"])
def test_questions_that_are_none(address: str, body: bytes) -> None:
    status, found = ask(address, page_data(address)["live"]["token"], "/what-if", body)
    assert status == 422 and found["error"]


def test_pages_do_not_reach_each_others_clips(address: str, clips: list[Path]) -> None:
    """Two users at once: each gets answers on the own clip, and none on the other's."""
    tokens = [page_data(address)["live"]["token"] for _ in range(2)]
    answers: dict[int, Any] = {}

    def use(i: int) -> None:
        answers[i] = upload(address, clips[i].read_bytes(), f"{i}.mp4", tokens[i])

    users = [threading.Thread(target=use, args=(i,)) for i in range(2)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    for i in range(2):
        status, found = answers[i]
        assert status == 200 and found["clip"]["source"] == f"{i}.mp4"
        clip = found["opened"]["id"]
        again = ask(address, tokens[i], "/what-if", {"clip": clip})
        assert again[0] == 200
        assert again[1]["explanations"][0]["logit"] == found["explanations"][0]["logit"]
        other = ask(address, tokens[1 - i], "/what-if", {"clip": clip})
        assert other[0] == 422 and "not held" in other[1]["error"]
        donor = {"clip": "clip-0", "changes": {"background": "swapped", "donor": clip}}
        assert ask(address, tokens[1 - i], "/what-if", donor)[0] == 422


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({"Origin": "http://evil.example"}, "another origin"),
        ({"Origin": "null"}, "another origin"),
        ({"Origin": "http://localhost:1"}, "another origin"),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"}, "another site"),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "empty"}, "another site"),
        ({"Host": "evil.example"}, "by its address"),  # DNS rebinding
        ({"Host": "evil.example:80", "Origin": "http://evil.example:80"}, "by its address"),
        ({"Host": "localhost.evil.example"}, "by its address"),
        ({"Host": "[::1"}, "by its address"),
        ({"Host": ""}, "by its address"),
    ],
)
def test_requests_from_elsewhere_are_refused(
    address: str, headers: dict[str, str], text: str
) -> None:
    token = page_data(address)["live"]["token"]
    for path, body in (("/", None), ("/what-if", b'{"clip": "clip-0"}')):
        status, _, answer = request(address, path, body, {"X-Whyact-Token": token, **headers})
        assert status == 403 and text in json.loads(answer)["error"]


def test_requests_without_a_page_are_refused(address: str) -> None:
    for token in ("", "guess"):
        for path in ("/what-if", "/clips", "/page"):
            status, found = ask(address, token, path, b"{}")
            assert status == 403 and "load it again" in found["error"]
    assert request(address, "/clips")[0] == 405
    assert request(address, "/../../etc/passwd")[0] == 404


def test_own_origin_and_headers(address: str) -> None:
    port = address.rsplit(":", 1)[1]
    for host in (address, f"localhost:{port}"):
        status, headers, _ = request(address, "/", None, {"Host": host, "Origin": f"http://{host}"})
        assert status == 200
    for site in ("none", "same-origin", "cross-site"):  # typed in, reloaded, by a link
        told = {"Sec-Fetch-Site": site, "Sec-Fetch-Dest": "document"}
        assert request(address, "/", None, told)[0] == 200
    assert headers["content-security-policy"] == "frame-ancestors 'none'"
    assert headers["cache-control"] == "no-store" and "server" not in headers
    assert "access-control-allow-origin" not in headers


def ten_hours(folder: Path) -> bytes:
    return write_video(folder / "x.mp4", frames=2, stamps=[0, 36_000_000]).read_bytes()


def wide(folder: Path) -> bytes:
    """20,000 pixels wide and 16 high: a few hundred bytes."""
    made = write_video(
        folder / "x.avi", codec="mjpeg", size=(20_000, 16), frames=1, pixels="yuvj420p"
    )
    return made.read_bytes()


def cut(folder: Path) -> bytes:
    whole = write_clip(folder / "x.mp4", 0, 9).read_bytes()
    return whole[: len(whole) // 2]


LYING = b"RIFF" + struct.pack("<I", 2**31) + b"AVI LIST" + bytes(500)
NO_TYPE = "not a video of a type that is taken (MP4, MOV, MKV, WebM, AVI)"
HOSTILE: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "ten hours": (ten_hours, "x.mp4: 36000 s long; at most 0.5 MB, 20 s, 30 frames and 640"),
    "20,000 pixels": (wide, "x.mp4: 20000 x 16 pixels; at most"),
    "many frames": (lambda f: write_video(f / "x.mp4").read_bytes(), "more than 30 frames"),
    "text": (lambda f: b"GET / HTTP/1.1\r\n" * 40, NO_TYPE),
    "html": (lambda f: b"<script>alert(1)</script>", NO_TYPE),
    "playlist": (lambda f: b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n", NO_TYPE),
    "list of files": (lambda f: b"ffconcat version 1.0\nfile /etc/passwd\n", NO_TYPE),
    "picture": (lambda f: b"\x89PNG\r\n\x1a\n" + bytes(64), NO_TYPE),
    "nothing": (lambda f: b"", NO_TYPE),
    "cut": (cut, "x.mp4: damaged, or no video"),
    "only a head": (lambda f: b"\0\0\0\x18ftypmp42" + bytes(300), "x.mp4: "),
    "a lying head": (lambda f: LYING, "x.mp4: "),
    "sound": (lambda f: write_audio(f / "x.mp4").read_bytes(), "no video stream"),
    "matroska of nothing": (lambda f: b"\x1aE\xdf\xa3" + bytes(range(256)) * 4, "x.mp4: "),
}
"""Uploads by what is wrong with them, and what is said of each."""


@pytest.mark.parametrize("kind", list(HOSTILE))
def test_hostile_uploads_get_a_clear_message(address: str, tmp_path: Path, kind: str) -> None:
    make, text = HOSTILE[kind]
    status, found = upload(address, make(tmp_path))
    assert status == 422 and text in found["error"], found
    assert "/tmp" not in found["error"] and "Traceback" not in found["error"]
    assert page_data(address)["clip"]  # it still serves


def test_what_is_too_large_is_not_read(address: str) -> None:
    token = page_data(address)["live"]["token"]
    status, found = ask(address, token, "/clips?name=x", bytes(600_000))
    assert status == 413 and "More than 0.5 MB are not taken" in found["error"]
    # Without an announced length, in pieces.
    from http.client import HTTPConnection

    connection = HTTPConnection(address, timeout=30)
    pieces = iter([bytes(100_000)] * 6)
    connection.request(
        "POST", "/clips?name=x", pieces, {"X-Whyact-Token": token}, encode_chunked=True
    )
    assert connection.getresponse().status == 413
    connection.close()


def test_a_name_with_markup_stays_text(address: str, clips: list[Path]) -> None:
    from urllib.parse import quote

    name = "</script><img src=x onerror=alert(1)>\"'.mp4"
    token = page_data(address)["live"]["token"]
    status, found = upload(address, clips[0].read_bytes(), quote(name), token)
    assert status == 200 and found["clip"]["source"] == name
    question = json.dumps({"clip": found["opened"]["id"]}).encode()
    _, _, body = request(address, "/page", question, {"X-Whyact-Token": token})
    assert b"<img" not in body and b"\\u003cimg" in body


def test_nothing_is_written(
    address: str, clips: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a temporary file")

    monkeypatch.setattr(tempfile, "_mkstemp_inner", refuse)
    assert upload(address, clips[0].read_bytes())[0] == 200


def test_a_port_in_use_is_said() -> None:
    with (
        listen("127.0.0.1", 0) as taken,
        pytest.raises(WhyactError, match=r"Cannot listen on 127.0.0.1, port .* with --port"),
    ):
        listen("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(WhyactError, match=r"port 70000: .*0-65535; choose another"):
        listen("127.0.0.1", 70000)


def test_a_clip_that_is_no_file_is_said(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "0001.jpg").write_bytes(b"")
    with pytest.raises(WhyactError, match=r"frames: cannot be read.*takes video files"):
        app(untrained(folder), [str(tmp_path / "frames")])
