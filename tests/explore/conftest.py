import pytest
from browser import browser


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    """A tab of a headless chromium, one for each file of tests."""
    with browser(tmp_path_factory.mktemp("chromium")) as page:
        yield page
