"""How well redaction finds labelled personal data, by kind, beside Presidio's pattern recognisers.

    .venv/bin/python -m tests.benchmarks.pii DATA.parquet [--split valid] [--archive ARCHIVE]

The table needs the columns text, split and spans (JSON: start, end, type). Presidio takes part when it is
installed (`uv pip install presidio-analyzer`), with its default recognisers that need no model.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow.parquet as pq

from data.intake import read
from data.normalise import clean
from data.record import Record
from data.redact import redact
from data.sources import discover

KINDS = {
    "EMAIL_ADDRESS": "EMAIL",
    "PHONE_NUMBER": "PHONE",
    "CREDIT_CARD": "CARD",
    "IBAN_CODE": "IBAN",
    "US_SSN": "SSN",
    "IP_ADDRESS": "IP",
    "PERSON": "PERSON",
    "STREET_ADDRESS": "ADDRESS",
    "ADDRESS": "ADDRESS",
}
COVERED = 0.9  # of a labelled value's characters, for it to count as found
Spans = list[tuple[int, int, str]]
Finder = Callable[[str], Spans]


def ours(text: str) -> Spans:
    """Find with the product's redaction; no name is known beforehand."""
    return [(span.start, span.end, span.kind) for span in redact(text, key=bytes(32)).spans]


def presidio() -> Finder | None:
    """Return Presidio's pattern recognisers as a finder, or None where it is not installed."""
    try:
        from presidio_analyzer import RecognizerRegistry
        from presidio_analyzer.nlp_engine import NlpArtifacts
        from tldextract import tldextract
    except ImportError:
        return None
    tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=())  # its own copy, not the network's
    registry = RecognizerRegistry()
    registry.load_predefined_recognizers(languages=["en"])
    patterns = [each for each in registry.recognizers if "Spacy" not in type(each).__name__]
    nothing = NlpArtifacts([], [], [], [], None, "en")

    def find(text: str) -> Spans:
        results = [
            found for each in patterns for found in each.analyze(text, each.supported_entities, nothing) or []
        ]
        return [(each.start, each.end, KINDS.get(each.entity_type, each.entity_type)) for each in results]

    return find


def measure(
    texts: Sequence[str], labelled: Sequence[Spans], find: Finder
) -> dict[str, tuple[int, float, float]]:
    """Return values, recall and precision by kind.

    A value is found when its characters are covered, by whatever kind: that is what redaction is for.
    A find is right when it touches a labelled value of its kind.
    """
    values, hits, finds, right = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for text, spans in zip(texts, labelled, strict=True):
        found = find(text)
        covered = {place for start, end, _ in found for place in range(start, end)}
        for start, end, kind in spans:
            values[kind] += 1
            hits[kind] += len(covered.intersection(range(start, end))) >= COVERED * (end - start)
        for start, end, kind in found:
            finds[kind] += 1
            right[kind] += any(kind == of and start < last and first < end for first, last, of in spans)
    return {
        kind: (
            values[kind],
            hits[kind] / values[kind] if values[kind] else float("nan"),
            right[kind] / finds[kind] if finds[kind] else float("nan"),
        )
        for kind in dict.fromkeys(KINDS.values())
    }


def speed(archive: Path) -> str:
    """Say how fast the bodies of an archive are redacted, with the names of their headers and without."""
    entries = (entry for item in discover(archive) for entry in read(item))
    records = [
        (clean(entry.body), (*entry.names, *entry.strangers))
        for entry in entries
        if isinstance(entry, Record)
    ]
    megabytes = sum(len(body.encode()) for body, _ in records) / 1e6
    rates = []
    for names_known in (True, False):
        started = time.process_time()
        for body, names in records:
            redact(body, key=bytes(32), names=names if names_known else ())
        rates.append(f"{megabytes / (time.process_time() - started):.2f}")
    size = f"{len(records):,} messages, {megabytes:.1f} MB"
    return f"{size}: {rates[0]} MB per CPU-second, {rates[1]} without names"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", help="only the rows of this split")
    parser.add_argument("--archive", type=Path, help="messages to measure the speed on as well")
    given = parser.parse_args()
    rows = pq.read_table(given.data, columns=["text", "spans", "split"]).to_pylist()
    rows = [row for row in rows if given.split in (None, row["split"])]
    ours("Jane Roe")  # the lists of names are read once
    texts = [row["text"] for row in rows]
    labelled = [
        [
            (span["start"], span["end"], KINDS[span["type"]])
            for span in json.loads(row["spans"])
            if span["type"] in KINDS
        ]
        for row in rows
    ]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    finders: dict[str, Finder | None] = {"mailroom": ours, "presidio": presidio()}
    for name, find in finders.items():
        if find is None:
            print(f"{name}: not installed")
            continue
        started = time.process_time()
        table = measure(texts, labelled, find)
        seconds = time.process_time() - started
        print(f"{name}: {len(texts):,} texts, {megabytes / seconds:.2f} MB per CPU-second")
        for kind, (count, recall, precision) in table.items():
            print(f"  {kind:<8} {count:>6,} values   recall {recall:.3f}   precision {precision:.3f}")
    if given.archive:
        print(speed(given.archive))


if __name__ == "__main__":
    main()
