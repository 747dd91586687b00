"""One explorer in a real JupyterLab: a slider is moved, Python computes, the picture changes."""

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

import pytest
from browser import browser

pytest.importorskip("anywidget", reason="the extra 'explore' is not installed")
pytest.importorskip("jupyterlab", reason="jupyter is not installed")

NOTEBOOK = {
    "cells": [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": "one",
            "metadata": {},
            "outputs": [],
            "source": "from sftheory import explore\nwidget = explore.river()\nwidget",
        }
    ],
    "metadata": {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}
    },
    "nbformat": 4,
    "nbformat_minor": 5,
}


@contextmanager
def lab(folder):
    """The address of a JupyterLab that serves `folder`, in a process of its own."""
    token = secrets.token_hex(16)
    options = [
        *("--no-browser", "--ServerApp.port=0", "--ServerApp.ip=127.0.0.1"),
        *(f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder / 'work'}"),
        *("--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None"),
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    places = {
        f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")
    }
    environment = os.environ | places | {"PYTHONWARNINGS": "ignore", "IPYTHONDIR": str(folder)}
    log = folder / "lab.log"
    with log.open("w") as file:
        command = [sys.executable, "-m", "jupyterlab", "--allow-root", *options]
        with subprocess.Popen(command, stdout=file, stderr=file, env=environment) as process:
            try:
                yield _address(folder / "runtime", token, process, log)
            finally:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()


def _address(runtime, token, process, log):
    end = time.monotonic() + 120
    while True:
        assert process.poll() is None and time.monotonic() < end, log.read_text()[-2000:]
        for file in runtime.glob("jpserver-*.json"):
            url = json.loads(file.read_text())["url"]
            try:
                urllib.request.urlopen(f"{url}api/status?token={token}", timeout=10).close()
                return f"{url}lab/tree/river.ipynb?token={token}"
            except urllib.error.URLError:
                pass
        time.sleep(0.3)


@pytest.mark.slow
def test_a_slider_moved_in_jupyterlab_changes_the_picture(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "river.ipynb").write_text(json.dumps(NOTEBOOK))
    with lab(tmp_path) as address, browser(tmp_path) as page:
        page.open(address, offline=False)
        page.wait("window.jupyterapp && document.querySelector('.jp-Notebook .jp-Cell')", 60)
        kernel = "[...window.jupyterapp.shell.widgets('main')][0].sessionContext.session?.kernel"
        page.wait(f"{kernel}?.connectionStatus === 'connected' && {kernel}.status === 'idle'")
        page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells') && 1")
        page.wait("document.querySelectorAll('.sftx path.line').length > 5")
        seen = "document.querySelector('.sftx figure svg path.c0').getAttribute('d')"
        facts = "document.querySelector('.sftx .facts').textContent"
        before = page.evaluate(seen), page.evaluate(facts)
        page.evaluate(
            "(() => { const one = [...document.querySelectorAll('.sftx .control')]"
            ".find((c) => c.textContent.startsWith('noise')).querySelector('input');"
            "one.value = 0; one.dispatchEvent(new Event('input', {bubbles: true})); })()"
        )
        page.wait(f"{seen} !== {json.dumps(before[0])}")
        assert page.evaluate(facts) != before[1]
        page.picture(tmp_path / "lab.png", whole=False)
