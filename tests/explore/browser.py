"""A headless chromium that a test talks to: load, evaluate, press keys, take pictures."""

import base64
import json
import shutil
import subprocess
import time
import urllib.request
from contextlib import contextmanager

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
# no network: nothing here needs one
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--force-device-scale-factor=1", "--remote-allow-origins=*"),
    "--remote-debugging-port=0",
]


class Page:
    """One tab over the debugging protocol; what the page complains of is kept in `problems`."""

    def __init__(self, socket):
        self.socket, self.last, self.problems, self.requests = socket, 0, [], []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        self.last += 1
        self.socket.send(json.dumps({"id": self.last, "method": method, "params": params}))
        end = time.monotonic() + 60
        while True:
            assert time.monotonic() < end, f"no answer to {method} {params}; {self.problems}"
            message = json.loads(self.socket.recv())
            self._note(message)
            if message.get("id") == self.last:
                assert "error" not in message, message
                return message["result"]

    def _note(self, message):
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.problems.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def evaluate(self, code):
        """The value of a JavaScript expression, awaited if it is a promise."""
        answer = self.call(
            "Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition, seconds=60.0, what=""):
        """Until a JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(f"!!({condition})"):
            assert time.monotonic() < end, (
                f"{what or condition}: not in {seconds} s; {self.problems}"
            )
            time.sleep(0.1)

    def open(self, url, width=1200, height=900, dark=False, offline=True):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 500,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        state = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.call("Network.emulateNetworkConditions", offline=offline, **state)
        self.requests.clear()
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def press(self, key):
        """A key, such as 'ArrowUp' or 'Tab', at what has the focus."""
        codes = {"ArrowUp": 38, "ArrowDown": 40, "ArrowLeft": 37, "ArrowRight": 39, "Tab": 9}
        codes |= {"PageUp": 33, "PageDown": 34}
        event = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
        self.call("Input.dispatchKeyEvent", type="rawKeyDown", **event)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def drag(self, start, end):
        """The mouse from one point of the window to another, button held."""
        event = {"button": "left", "clickCount": 1}
        for kind, (x, y) in [("Pressed", start), ("Moved", end), ("Released", end)]:
            self.call("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, **event, buttons=1)

    def picture(self, file=None, whole=True):
        """The page as PNG bytes, also written to `file`."""
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        data = base64.b64decode(answer["data"])
        if file is not None:
            file.write_bytes(data)
        return data


@contextmanager
def browser(folder):
    """A `Page` of a fresh chromium whose profile lies in `folder`; skips where there is none."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    websocket = pytest.importorskip("websocket", reason="websocket-client comes with jupyter")
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            port = _port(folder / "profile" / "DevToolsActivePort", process)
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=30) as answer:
                tabs = json.load(answer)
            tab = next(tab for tab in tabs if tab["type"] == "page")
            socket = websocket.create_connection(tab["webSocketDebuggerUrl"], timeout=60)
            try:
                yield Page(socket)
            finally:
                socket.close()
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _port(file, process):
    end = time.monotonic() + 60
    while not (file.exists() and file.read_text().strip()):
        assert process.poll() is None and time.monotonic() < end, "chromium did not start"
        time.sleep(0.1)
    return file.read_text().split()[0]
