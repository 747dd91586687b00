"""Names that are imported when they are asked for."""

import importlib

import pytest

import sftheory as sft

LAZY = ["optim", "fits", "design", "exact_moments", "probes", "figures", "worst_cases", "lm"]


@pytest.mark.parametrize("package", LAZY)
def test_dir_lists_what_the_package_offers_and_nothing_else(package):
    module = importlib.import_module(f"sftheory.{package}")
    names = dir(module)
    assert names == sorted(names) and "attributes" not in names
    for name in names:
        assert getattr(module, name) is not None


@pytest.mark.parametrize(
    ("package", "typed", "meant"),
    [
        ("optim", "ScheduleFreAdamW", "ScheduleFreeAdamW"),
        ("fits", "raed", "read"),
        ("figures", "dashbord", "dashboard"),
        ("probes", "prob", "probe"),
    ],
)
def test_a_typo_is_answered_with_the_nearest_name(package, typed, meant):
    with pytest.raises(AttributeError, match=f"did you mean '{meant}'"):
        getattr(importlib.import_module(f"sftheory.{package}"), typed)


def test_a_typo_of_a_public_name_is_answered_too():
    with pytest.raises(AttributeError, match="did you mean 'worst_case"):
        sft.worst_cas  # noqa: B018
    assert "worst_case" in dir(sft)
