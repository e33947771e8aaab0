"""Pictures of the page and of an evaluation report, as somebody sees them.

    .venv/bin/python -m tests.screenshots FOLDER

The gateway and the report are those of the tests: real code, made-up mail and engines.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).parent
sys.path[:0] = [str(TESTS / "serving"), str(TESTS / "evaluation")]  # where pytest finds what tests share
SCHEMES = ("light", "dark")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        os.environ |= {"MAILROOM_HOME": f"{made}/home", "MAILROOM_KEYS": f"{made}/keys"}
        dataset = write(Path(made) / "data")
        report = propose(Path(made), dataset)
        take_page(Path(made), dataset, folder)
        take_report(report, folder)
    print(f"wrote {len(list(folder.glob('*.png')))} pictures into {folder}")


def write(dataset: Path) -> Path:
    from made_dataset import write_dataset

    return write_dataset(dataset, channels=("email", "chat"), languages=("en", "en", "en", "de"))


def propose(made: Path, dataset: Path) -> Path:
    from made_review import propose_with_report

    return propose_with_report(made / "evaluation", dataset)


def take_page(made: Path, dataset: Path, folder: Path) -> None:
    """Take every view of the page by a reviewer: on a phone and on a wide screen, in both schemes."""
    from made_gateway import made_door
    from made_page import opened_page, served, tour

    with served(made_door(made / "bundle", dataset)) as address:
        for width, scheme in ((width, scheme) for width in (390, 1400) for scheme in SCHEMES):
            with opened_page(address, width=width, scheme=scheme) as page:
                for view in tour(page):
                    page.screenshot(path=folder / f"page-{view}-{width}-{scheme}.png", full_page=True)


def take_report(report: Path, folder: Path) -> None:
    """Take a report as it stands in MLflow's pane (540 px) and in a window of its own."""
    from made_page import opened_page

    for width, scheme in ((width, scheme) for width in (540, 1400) for scheme in SCHEMES):
        with opened_page(report.as_uri(), width=width, scheme=scheme) as page:
            page.screenshot(path=folder / f"report-{width}-{scheme}.png", full_page=True)


if __name__ == "__main__":
    main()
