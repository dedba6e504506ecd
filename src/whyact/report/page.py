"""What all HTML pages share: one self-contained file, safe embedding, the frame around a page.

A page is a template of ``templates/`` that extends ``page.html``, with the scripts and style sheets
it names. Everything is embedded: it opens offline and asks the network for nothing. Its content
security policy lets only the embedded script run, so text that slipped through as markup could not.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

_UNSAFE = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}
"""Characters that could end a script element, or a line of old JavaScript, inside JSON."""


def script_json(values: Any) -> Markup:
    """Values as JSON that is safe inside a ``<script type="application/json">``.

    Raises:
        ValueError: numbers that JSON has not (NaN, infinities).
    """
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(_UNSAFE))


def read_template(name: str) -> str:
    """The text of a file of ``templates/``."""
    return (files("whyact.report") / "templates" / name).read_text(encoding="utf-8")


def render_page(
    template: str, *, title: str, data: Any, scripts: Sequence[str] = (),
    styles: Sequence[str] = (), values: Mapping[str, Any] | None = None,
    policy: Mapping[str, str] | None = None,
) -> str:  # fmt: skip
    """A page as HTML.

    Args:
        template: file of ``templates/`` that extends ``page.html``; it fills the blocks ``main``
            and, where wanted, ``footer``. All text that it prints is escaped.
        title: of the page. data: JSON values, which the scripts get from ``pageData()``.
        scripts, styles: files of ``templates/``; they come after ``page.js`` and ``page.css``.
        values: further names for the template.
        policy: directives of the content security policy that replace the page's own, e.g.
            ``{"img-src": "data: 'self'"}`` for pictures beside the page.
    """
    environment = Environment(
        loader=PackageLoader("whyact.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    script = "\n".join(read_template(name) for name in ("page.js", *scripts))
    style = "\n".join(read_template(name) for name in ("page.css", *styles))
    directives = {
        "default-src": "'none'", "img-src": "data:", "base-uri": "'none'", "form-action": "'none'",
        "script-src": _digest(script), "style-src": _digest(style), **(policy or {}),
    }  # fmt: skip
    return environment.get_template(template).render(
        title=title, data=script_json(data), script=Markup(script), style=Markup(style),
        policy="; ".join(f"{k} {v}" for k, v in directives.items()), **(values or {}),
    )  # fmt: skip


def _digest(text: str) -> str:
    """How a content security policy names an embedded text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
