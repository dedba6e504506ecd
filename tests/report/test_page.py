"""Embedding that no text can break out of."""

import json
import re

import pytest

from whyact.report import page
from whyact.report.page import read_template, render_page, script_json

HOSTILE = "</script><script>alert(1)</script><!-- \" ' & \u2028 \u2029"


def test_json_holds_no_character_that_ends_a_script() -> None:
    text = str(script_json({"name": HOSTILE}))
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text) == {"name": HOSTILE}
    with pytest.raises(ValueError, match="not JSON compliant"):
        script_json(float("nan"))


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of one block."""
    from jinja2 import DictLoader

    text = '{% extends "page.html" %}{% block main %}<h1>{{ name }}</h1>{% endblock %}'
    loader = DictLoader({"bare.html": text, "page.html": read_template("page.html")})
    monkeypatch.setattr(page, "PackageLoader", lambda package: loader)


def test_a_page_escapes_its_texts_and_lets_only_its_script_run(bare: None) -> None:
    text = render_page("bare.html", title=HOSTILE, data={"a": HOSTILE}, values={"name": HOSTILE})
    assert text.count("<script") == 2 and text.count("</script>") == 2
    assert "&lt;/script&gt;" in text and "alert(1)</script>" not in text
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert "default-src &#39;none&#39;" in policy and "unsafe" not in policy
    other = render_page("bare.html", title="", data=0, values={"name": ""}, policy={"img-src": "*"})
    assert "img-src *" in other and "img-src data:" not in other


def test_a_name_that_the_template_lacks_is_an_error(bare: None) -> None:
    with pytest.raises(Exception, match="'name' is undefined"):
        render_page("bare.html", title="", data=0)
