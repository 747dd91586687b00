import importlib
import subprocess
import sys

import pytest

import sftheory
from sftheory.core.errors import InputError, UnknownNameError
from sftheory.core.registry import key_of

KINDS = {
    "schedules": "SCHEDULES",
    "methods": "METHODS",
    "problems": "PROBLEMS",
    "bounds": "BOUNDS",
}
every_kind = pytest.mark.parametrize("kind", KINDS)
HEAVY = ("torch", "scipy", "matplotlib", "cvxpy", "numba", "sklearn", "polars")


def registry(kind):
    return getattr(importlib.import_module(f"sftheory.{kind}"), KINDS[kind])


def loaded_after(statements):
    """Which heavy packages a fresh process has imported after the statements."""
    code = f"{statements}; import sys; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_the_package_imports_nothing_heavy():
    assert loaded_after("import sftheory; dir(sftheory); sftheory.Tableau, sftheory.run") == "[]"


def test_listing_imports_nothing_heavy():
    listing = "; ".join(
        f"import sftheory.{kind}; sftheory.{kind}.{name}.summaries()"
        for kind, name in KINDS.items()
    )
    assert loaded_after(f"import sftheory; {listing}") == "[]"


def test_loading_every_entry_and_bounding_a_run_imports_nothing_heavy():
    loading = "; ".join(f"import sftheory.{k}; sftheory.{k}.{n}.load()" for k, n in KINDS.items())
    using = "sftheory.bounds.omega([0.1, 0.1], D=1, G=1)"
    assert loaded_after(f"import sftheory; {loading}; {using}") == "[]"


@every_kind
def test_the_listing_names_what_loading_registers(kind):
    known = registry(kind)
    loaded = known.load()
    assert list(known.summaries()) == known.names() == list(loaded)
    assert [entry.name for entry in known] == known.names()
    assert {name: entry.summary for name, entry in loaded.items()} == known.summaries()


@every_kind
def test_every_entry_has_a_summary_a_formula_and_a_public_name(kind):
    package = importlib.import_module(f"sftheory.{kind}")
    for entry in registry(kind).load().values():
        assert entry.summary.endswith(".") or entry.summary.endswith(":"), entry.name
        assert entry.tex, entry.name
        symbol = entry.object.__name__
        assert getattr(package, symbol) is entry.object and symbol in dir(package)


@every_kind
def test_a_name_is_found_whatever_its_case_and_hyphens(kind):
    known = registry(kind)
    for name in known.names():
        for spelt in (name.upper(), name.replace("_", "-"), name.replace("_", "")):
            assert known[spelt].name == name


@pytest.mark.parametrize(
    ("kind", "name", "hint"),
    [
        ("schedules", "linaer", "There is no schedule 'linaer'; did you mean 'linear'?"),
        ("schedules", "COSIN", "did you mean 'cosine'?"),
        ("methods", "schedulefree2", "did you mean 'schedule_free'?"),
        ("bounds", "omga", "did you mean 'omega'?"),
        ("problems", "qqqq", "choose one of bigram_valley, "),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(kind, name, hint):
    with pytest.raises(UnknownNameError) as error:
        registry(kind)[name]
    assert hint in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_attribute_is_an_attribute_error_with_the_nearest(kind):
    package = importlib.import_module(f"sftheory.{kind}")
    assert not hasattr(package, "NoSuchThing")
    name = registry(kind).load()[registry(kind).names()[0]].object.__name__
    with pytest.raises(AttributeError, match=f"did you mean '{name}'"):
        getattr(package, name + "x")
    assert issubclass(UnknownNameError, InputError)


def test_the_package_offers_its_public_names_and_no_others():
    for name in sftheory.__all__:
        if name != "figures":  # draws, so it is not imported here
            assert getattr(sftheory, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sftheory.nothing


@pytest.mark.parametrize(
    ("symbol", "key"),
    [
        ("ScheduleFree", "schedule_free"),
        ("WSD", "wsd"),
        ("EMA", "ema"),
        ("L1Regression", "l1_regression"),
        ("PolyakSGD", "polyak_sgd"),
        ("SGDRestarts", "sgd_restarts"),
        ("omega", "omega"),
    ],
)
def test_a_key_is_the_symbol_in_lower_case_words(symbol, key):
    assert key_of(symbol) == key
