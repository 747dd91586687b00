"""The command that writes the explorers as a page: `sftheory report --site PATH`."""

from __future__ import annotations

import argparse

from sftheory.terminal import as_json


def add_report_options(sub: argparse.ArgumentParser) -> None:
    """The options of `sftheory report`."""
    sub.add_argument(
        "--site", required=True, metavar="PATH", help="an HTML file, or the folder of explore.html"
    )


def report(options: argparse.Namespace) -> int:
    """`sftheory report --site PATH`: the explorers in one file, without a server."""
    from sftheory.explore.pages import write_page

    place = write_page(options.site)
    print(as_json({"site": str(place)}) if options.json else f"Look at {place}")
    return 0
