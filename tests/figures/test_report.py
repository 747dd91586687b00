import json
import re

import pytest

from sftheory.figures import report

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)


def claim(**changes):
    base = dict(statement="a < b & c", relation="==", expected=1.0, computed=1.0, tolerance=0.0)
    return {"id": "X", "source": "key", "holds": True, "known_failure": None, **base, **changes}


@pytest.fixture
def folder(tmp_path):
    manifest = {
        "figure": "X01",
        "title": "A title",
        "caption": "A caption.",
        "source": "key",
        "quick": False,
        "claims": [
            claim(),
            claim(holds=False, known_failure="because of this"),
            claim(holds=False),
            claim(holds=True, known_failure="should have failed"),
            claim(relation="in", expected=[0.5, 1.5], tolerance=0.1),
        ],
        "versions": {"python": "3"},
        "commit": "abc",
        "wall_seconds": 1.0,
    }
    (tmp_path / "X01.json").write_text(json.dumps(manifest))
    for ending in ("png", "dark.png"):
        (tmp_path / f"X01.{ending}").write_bytes(PIXEL)
    return tmp_path


def test_the_page_counts_held_known_and_differing_claims(folder):
    text = report.write_report(folder).read_text()
    assert "make 5 claims: 3 hold, 1 fail for a reason" in text
    assert "2 differ from what is recorded" in text


def test_a_known_failure_is_shown_with_its_reason(folder):
    text = report.write_report(folder).read_text()
    assert "✗ failed, reason known" in text and "because of this" in text
    assert "! holds, recorded as failing" in text


def test_the_page_needs_nothing_else_and_escapes_text(folder):
    text = report.write_report(folder).read_text()
    sources = re.findall(r'(?:src|srcset)="([^"]{0,30})', text)
    assert len(sources) == 2 and all(s.startswith("data:image/png;base64,") for s in sources)
    assert "<script" not in text and "http" not in text.replace("https://", "http")
    assert "a &lt; b &amp; c" in text


def test_an_empty_folder_gives_a_page_that_says_so(tmp_path):
    assert "No figures yet" in report.write_report(tmp_path).read_text()
