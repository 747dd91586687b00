"""The static page in a real browser: offline, by keyboard, by mouse, on a phone, in the dark."""

import json

import numpy as np
import pytest
from dropped_samples import OTHER, SEVERAL, SIMPLE

from sftheory.cli import main
from sftheory.explore import law_data, worst_case_data
from sftheory.explore.drawn_schedules import PLATEAU
from sftheory.explore.pages import write_page


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    return write_page(tmp_path_factory.mktemp("site")).as_uri()


@pytest.fixture
def page(tab, address):
    tab.problems.clear()
    tab.open(address)
    tab.wait("document.querySelectorAll('#worst_case path.line').length > 3")
    yield tab
    assert tab.problems == []


def text(page, selector):
    return page.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")


def line(page, explorer, figure=1):
    """The first line that is drawn in colour 0."""
    selector = f"#{explorer} figure:nth-of-type({figure}) svg path.line.c0"
    return page.evaluate(f"document.querySelector({json.dumps(selector)}).getAttribute('d')")


def control(name):
    """A control of the page by the beginning of its label, as JavaScript."""
    return (
        "[...document.querySelectorAll('.control')].find((one) => "
        f"one.textContent.startsWith({json.dumps(name)})).querySelector('input, select')"
    )


def drop(page, content, name="run.csv"):
    page.evaluate(
        "(() => { const data = new DataTransfer();"
        f"data.items.add(new File([{json.dumps(content)}], {json.dumps(name)}));"
        "document.querySelector('#law').dispatchEvent("
        "new DragEvent('drop', {dataTransfer: data, bubbles: true, cancelable: true})); })()"
    )


def shown(page, explorer):
    return page.evaluate(
        f"(() => {{ const one = document.querySelector('#{explorer} .error');"
        "return one.hidden ? '' : one.textContent; })()"
    )


def test_it_asks_for_nothing_but_itself(page, address):
    assert page.requests == [address]


def test_sliders_move_by_keyboard_and_the_picture_follows(page):
    before, facts = line(page, "river"), text(page, "#river .facts")
    page.evaluate(f"{control('noise')}.focus()")
    page.press("ArrowRight")
    assert line(page, "river") != before and text(page, "#river .facts") != facts
    page.press("ArrowLeft")
    assert line(page, "river") == before and text(page, "#river .facts") == facts


def test_every_control_is_reached_by_tab_and_has_a_name(page):
    count = page.evaluate(
        "[...document.querySelectorAll('input, select, button, a, [tabindex]')]"
        ".filter((one) => !one.disabled && one.getClientRects().length).length"
    )
    reached = set()
    for _ in range(count):
        page.press("Tab")
        name = page.evaluate(
            "(() => { const one = document.activeElement; one.seen = 1;"
            "return one.getAttribute('aria-label') || one.labels?.[0]?.textContent"
            "|| one.textContent; })()"
        )
        assert name and name.strip(), page.evaluate("document.activeElement.outerHTML")
        reached.add(name)
    seen = "[...document.querySelectorAll('*')].filter((one) => one.seen).length"
    assert page.evaluate(seen) == count and len(reached) > 25


def test_a_point_moves_by_arrow_keys_and_the_value_is_pythons(page):
    page.evaluate("document.querySelectorAll('#worst_case .handle')[2].focus()")
    for key in ("ArrowDown", "ArrowDown", "PageDown", "ArrowLeft"):
        page.press(key)
    points = [list(map(float, p)) for p in PLATEAU]
    points[2] = [0.39, 0.76]
    expected = worst_case_data(points=points, steps=400)
    assert f"worst case W {expected['value']:.6g}" in text(page, "#worst_case .facts")
    focused = "document.activeElement.getAttribute('aria-valuetext')"
    assert page.evaluate(focused) == "height 0.76 at 39%"


def test_a_point_is_dragged_by_mouse_and_the_worst_function_follows(page):
    place = page.evaluate(
        "(() => { const one = document.querySelectorAll('#worst_case .handle')[1];"
        "one.scrollIntoView({block: 'center'}); const box = one.querySelector('.knob')"
        ".getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })()"
    )
    before = line(page, "worst_case", 2)
    page.drag(place, (place[0] + 20, place[1] + 40))
    told = page.evaluate(
        "document.querySelectorAll('#worst_case .handle')[1].getAttribute('aria-valuetext')"
    )
    height = float(told.split()[1])
    assert 0.5 < height < 0.9 and line(page, "worst_case", 2) != before


def test_a_preset_and_the_best_scale_reach_the_least_possible_value(page):
    page.evaluate(
        f"(() => {{ const one = {control('start from')}; one.value = 'linear decay';"
        "one.dispatchEvent(new Event('change')); })()"
    )
    page.evaluate("document.querySelector('#worst_case button').click()")
    assert f"worst case W {401**-0.5:.6g}" in text(page, "#worst_case .facts")


def test_steps_that_are_too_large_are_a_sentence_in_place_and_no_more_when_smaller(page):
    page.evaluate(
        f"(() => {{ const one = {control('method')}; one.value = 'last iterate';"
        f"one.dispatchEvent(new Event('change')); const gamma = {control('largest step')};"
        "gamma.value = -0.3; gamma.dispatchEvent(new Event('input')); })()"
    )
    assert "leaves the valley" in shown(page, "river")
    page.evaluate(
        f"(() => {{ const gamma = {control('largest step')};"
        "gamma.value = -2; gamma.dispatchEvent(new Event('input')); })()"
    )
    assert shown(page, "river") == "" and "loss" in text(page, "#river .facts")


@pytest.mark.parametrize("name", ["csv", "json lines", "csv with a cooldown", "diverging"])
def test_a_dropped_log_gets_the_verdict_of_python(page, name):
    drop(page, SIMPLE[name])
    ours = law_data(text=SIMPLE[name], name="run.csv")
    page.wait("document.querySelector('#law .verdict').textContent")
    for one in ours["verdicts"]:
        assert f"{one['verdict']} {one['reason']}." in text(page, "#law .verdict")
    assert "sftheory fit run.csv" in text(page, "#law .verdict + .note")
    if ours["parameters"]:
        assert f"c {ours['parameters']['c']:.5g}" in text(page, "#law .facts")


@pytest.mark.parametrize("name", ["prose", "json document", "not finite", "bytes"])
def test_what_is_no_log_is_a_sentence_in_place(page, name):
    drop(page, OTHER[name], "run.log")
    page.wait("!document.querySelector('#law .error').hidden")
    assert shown(page, "law").startswith("run.log") and "\n" not in shown(page, "law")


def test_one_of_several_losses_is_chosen(page):
    drop(page, SEVERAL)
    page.wait("!document.querySelector('#law .error').hidden")
    page.evaluate(
        f"(() => {{ const one = {control('which loss')}; one.value = 'val_loss';"
        "one.dispatchEvent(new Event('change')); })()"
    )
    assert shown(page, "law") == "" and "c 3." in text(page, "#law .facts")


@pytest.mark.parametrize("width", [360, 800, 1200])
def test_nothing_is_wider_than_the_window(tab, address, width):
    tab.open(address, width=width)
    tab.evaluate("document.querySelector('#law button').click()")
    tab.wait("document.querySelector('#law .verdict').textContent")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    out = (
        "[...document.querySelectorAll('svg text, .control, .facts, figcaption')].filter((one) => "
        "{ const box = one.getBoundingClientRect(); return box.width && "
        "(box.left < -0.5 || box.right > window.innerWidth + 0.5); }).length"
    )
    assert tab.evaluate(out) == 0


COLOURS = {  # of the page and of a line in colour 0
    "light": ["rgb(255, 255, 255)", "rgb(0, 114, 178)"],
    "dark": ["rgb(14, 16, 19)", "rgb(91, 184, 240)"],
}


def colours(page):
    return page.evaluate(
        "[getComputedStyle(document.querySelector('.sftx')).backgroundColor,"
        "getComputedStyle(document.querySelector('#river path.line.c0')).stroke]"
    )


@pytest.mark.parametrize("reader", COLOURS)
def test_the_page_takes_the_colours_of_the_reader_and_a_notebook_its_own(tab, address, reader):
    tab.open(address, dark=reader == "dark")
    tab.wait("document.querySelectorAll('#river path.line').length > 3")
    assert colours(tab) == COLOURS[reader]
    for light, theme in (("true", "light"), ("false", "dark")):
        tab.evaluate(f"document.body.setAttribute('data-jp-theme-light', '{light}')")
        assert colours(tab) == COLOURS[theme]


def test_a_finger_drags_a_point_on_a_phone(tab, address):
    tab.open(address, width=360, height=640)
    tab.wait("document.querySelectorAll('#worst_case .handle').length > 3")
    point = "document.querySelectorAll('#worst_case .handle')[3]"
    tab.evaluate(f"{point}.scrollIntoView({{block: 'center'}})")
    place = (
        f"(() => {{ const box = {point}.querySelector('.knob').getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2, scrollY]; })()"
    )
    x, y, scrolled = tab.evaluate(place)
    before = text(tab, "#worst_case .facts")
    for i, down in enumerate((8, 30, 60)):  # it begins beside the point: a finger is thick
        kind, at = "touchMove" if i else "touchStart", [{"x": x + 10, "y": y + down}]
        tab.call("Input.dispatchTouchEvent", type=kind, touchPoints=at)
    tab.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    assert text(tab, "#worst_case .facts") != before
    np.testing.assert_allclose(tab.evaluate(place), [x, y + 52, scrolled], atol=1)


def test_the_command_writes_the_page_and_says_where(tmp_path, capsys):
    assert main(["report", "--site", str(tmp_path / "a")]) == 0
    assert str(tmp_path / "a" / "explore.html") in capsys.readouterr().out
    assert main(["report", "--site", str(tmp_path / "b.html"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["site"] == str(tmp_path / "b.html")
    both = [(tmp_path / name).read_text() for name in ("a/explore.html", "b.html")]
    assert both[0] == both[1] and len(both[0]) < 250_000


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["report", "--site", str(tmp_path / "file" / "x.html")]) == 2
    assert "choose another path" in capsys.readouterr().err
