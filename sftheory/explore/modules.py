"""The JavaScript modules as one script: each keeps a scope of its own, nothing is fetched."""

from __future__ import annotations

import re
from importlib.resources import files

IMPORT = re.compile(r'^import \{([^}]*)\} from "\./(\w+)\.js";\n', re.M)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*?|const|class) (\w+))", re.M)


def source(name: str) -> str:
    """The text of a packaged file of the explorers, such as 'plots.js'."""
    return (files("sftheory.explore") / "js" / name).read_text(encoding="utf-8")


def bundle(*names: str) -> str:
    """A script that defines each module `name.js` as an object `name`, after what it imports.

    Example:
        >>> script = bundle("tableaus")
        >>> "const tableaus = (() => {" in script, "export" in script, "import" in script
        (True, False, False)
    """
    parts: dict[str, str] = {}

    def add(name: str) -> None:
        if name in parts:
            return
        text = source(f"{name}.js")
        for _, needed in IMPORT.findall(text):
            add(needed)
        exported = ", ".join(EXPORT.findall(text))
        text = IMPORT.sub(lambda found: _constants(found[1], found[2]), text)
        body = EXPORT.sub("", text)
        parts[name] = f"const {name} = (() => {{\n{body}return {{ {exported} }};\n}})();\n"

    for name in names:
        add(name)
    return "".join(parts.values())


def _constants(names: str, module: str) -> str:
    return f"const {{{names.replace(' as ', ': ')}}} = {module};\n"


def widget_module(name: str) -> str:
    """The ES module that anywidget loads: the explorer `name.js`, rendered from Python's data."""
    return f"{bundle(name)}export default {{ render: {name}.render }};\n"


def style() -> str:
    """The style sheet of the explorers, light and dark."""
    return (files("sftheory.explore") / "explore.css").read_text(encoding="utf-8")
