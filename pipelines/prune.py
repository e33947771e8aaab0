"""What no release needs any more: datasets, models, indexes, bundles and weights, taken away on record."""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from data import governance
from data.at_rest import at_rest
from data.dataset import MANIFEST as DATASET
from data.dataset import read_manifest
from data.erase import datasets_below, files_of, held_through_copies
from data.erasing import rows_of
from data.retention import Orders, orders_of
from data.workspace import home, secret
from evaluation import decision
from evaluation.release import Release
from pipelines.prune_weights import Weights, remove_weights, unneeded_weights
from pipelines.run import forget_cached
from serving.adapter import DIGEST as ADAPTER
from serving.adapter import ORIGIN
from serving.bundle import MANIFEST as BUNDLE
from serving.bundle import read_bundle
from serving.decisions import made_live, standing
from serving.digest import file_digest, folder_digest
from serving.erase import bundles_below, indexes_below
from serving.index import MARKER as INDEX
from serving.index import Index, read_index
from serving.milvus import milvus_client

Kind = Literal["bundle", "dataset", "index", "model"]
KINDS: tuple[Kind, ...] = get_args(Kind)
TRAINED = "training.json"
RECORD = "pruned"
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of the workspace that a run can make again; ``names`` are what it goes by, mostly digests."""

    path: Path
    kind: Kind
    names: tuple[str, ...]
    made: float  # seconds since 1970


@dataclass(frozen=True, slots=True)
class Held:
    """A dataset that stays although no release needs it: it has messages under a hold that no other has."""

    folder: Folder
    holds: Counter[str]

    def __str__(self) -> str:
        holds = ", ".join(f"{count:,} under {name}" for name, count in sorted(self.holds.items()))
        return f"{self.folder.path} stays: it alone has messages that are held ({holds})"


@dataclass(frozen=True, slots=True)
class Plan:
    """What would go, and what stays for a hold alone."""

    goes: tuple[Folder, ...]
    held: tuple[Held, ...]
    weights: tuple[Weights, ...] = ()  # in MLflow

    def __len__(self) -> int:
        return len(self.goes) + len(self.weights)

    def __str__(self) -> str:
        weights = f" and the weights of {len(self.weights):,} models in MLflow" if self.weights else ""
        return f"{len(self.goes):,} folders{weights}"

    @property
    def frees(self) -> int:
        """Bytes that would be free: of files that stand nowhere else, too."""
        links: Counter[tuple[int, int]] = Counter()
        sizes = {}
        for folder in self.goes:
            for file in _files(folder.path):
                links[file.st_dev, file.st_ino] += 1
                sizes[file.st_dev, file.st_ino] = (file.st_size, file.st_nlink)
        free = sum(size for name, (size, count) in sizes.items() if links[name] == count)
        return free + sum(each.size for each in self.weights)


def plan(*, older_than_days: int, keep: int) -> Plan:
    """Return what no release needs and is older than so many days; nothing is touched.

    Needed are the live release, the ``keep`` releases below it, to which a rollback leads, and all that wait
    for a decision: their dataset, models, index and bundles. The newest dataset stays, too. What shows why
    a decision was made is never listed: evaluations, executed notebooks, ledgers, MLflow's runs and versions.
    Of MLflow go the weights that no release names, neither a past one nor a rejected one.

    Raises:
        UserError: the decision log or a policy of holds is damaged.
    """
    names = {name for release in _needed(keep) for name in _names(release) if name}
    before = time.time() - older_than_days * DAY_S
    folders = list(_folders(home()))
    newest = max((each.made for each in folders if each.kind == "dataset"), default=0.0)
    live = (home() / "live").resolve()
    goes: list[Folder] = []
    stays: list[Folder] = []
    for each in folders:
        is_needed = not names.isdisjoint(each.names) or each.path == live
        is_newest = each.kind == "dataset" and each.made == newest
        (stays if is_needed or is_newest or each.made > before else goes).append(each)
    held = _held([each for each in goes if each.kind == "dataset"], stays)
    kept = {each.folder for each in held}
    leaving = tuple(each for each in goes if each not in kept)
    waiting = _trained_models({each.path for each in leaving})
    return Plan(leaving, held, unneeded_weights(before=before, waiting=waiting))


def prune(planned: Plan, *, by: str = "") -> None:
    """Take away what was planned; the governance ledger says so first, with the digests.

    Each folder leaves its place in one step. Interrupted, it is planned anew, and what had left is removed.

    Raises:
        UserError: an archive is being prepared, the ledger is damaged, or a Milvus server does not answer.
    """
    with at_rest():
        shutil.rmtree(_aside(), ignore_errors=True)
        weights = sorted(each.model_id for each in planned.weights)
        names = {kind: _all_names(planned, kind) for kind in KINDS}
        governance.record(RECORD, by=by, weights=weights, **names)
        forget_cached(each.path for each in planned.goes)
        _drop_collections([each.path for each in planned.goes])
        _aside().mkdir()
        for each in planned.goes:
            os.replace(each.path, _aside() / uuid.uuid4().hex)
        remove_weights(planned.weights)
    shutil.rmtree(_aside())


def show(planned: Plan, console: Console) -> None:
    """Print what would go, largest first, and what stays for a hold alone."""
    table = Table("what", "made", "size", "where", box=None, pad_edge=False)
    sizes = {each: sum(file.st_size for file in _files(each.path)) for each in planned.goes}
    for each in sorted(planned.goes, key=lambda folder: (-sizes[folder], folder.path)):
        made = datetime.fromtimestamp(each.made, UTC).date().isoformat()
        table.add_row(each.kind, made, decimal(sizes[each]), str(each.path.relative_to(home().resolve())))
    for weights in sorted(planned.weights, key=lambda each: (-each.size, each.model_id)):
        made = datetime.fromtimestamp(weights.made, UTC).date().isoformat()
        table.add_row("weights", made, decimal(weights.size), f"MLflow, model {weights.model_id}")
    if len(planned):
        console.print(table)
    for held in planned.held:
        console.print(str(held), highlight=False, soft_wrap=True)


def pruned_by(digest: str) -> str:
    """Return who took away the dataset of this digest and when, or nothing."""
    for entry in governance.verified():
        if entry.event["kind"] == RECORD and digest in entry.event["dataset"]:
            return f"{entry.event['by']} pruned it on {entry.time[:10]}"
    return ""


def _needed(keep: int) -> list[Release]:
    stand = standing([str(release["id"]) for release in made_live()])[-1 - keep :]
    waiting = decision.pending()
    return [release for release in decision.releases().values() if release.id in stand or release in waiting]


def _names(release: Release) -> Iterator[str]:
    """Yield what the folders of a release go by."""
    yield release.id
    yield release.index_digest
    for name in ("dataset", "classifier weights", "embedder weights", ADAPTER):
        yield release.digests.get(name, "")


def _folders(root: Path) -> Iterator[Folder]:
    """Yield all folders of the four kinds; what lies in a bundle is the bundle's."""
    bundles = bundles_below(root)
    for bundle in map(read_bundle, _finished(bundles)):
        yield _folder(bundle.folder, "bundle", BUNDLE, bundle.digest, bundle.release_id)
    for path in _finished(datasets_below(root)):
        yield _folder(path, "dataset", DATASET, *read_manifest(path).names)
    for path in _finished(indexes_below(root)):
        if not any(path.is_relative_to(each) for each in bundles):
            yield _folder(path, "index", INDEX, file_digest(path / INDEX))
    for marker in _finished((root / "pipeline").rglob(TRAINED)):
        written = json.loads(marker.read_text(encoding="utf-8"))
        yield _folder(marker.parent, "model", TRAINED, written["weights_digest"], _adapter(marker.parent))
    for origin in _finished((root / "adapters").glob(f"*/{ORIGIN}")):
        yield _folder(origin.parent, "model", ORIGIN, folder_digest(origin.parent))


def _finished(paths: Iterable[Path]) -> list[Path]:
    """Leave out what is being written, or was about to go: such folders are hidden."""
    root = home().resolve()
    return [
        path
        for path in sorted(paths)
        if not any(part.startswith(".") for part in path.resolve().relative_to(root).parts)
    ]


def _trained_models(leaving: set[Path]) -> set[str]:
    """Return MLflow's models of the trainings whose folders stay: they may be judged yet."""
    found = set()
    for marker in _finished(home().rglob(TRAINED)):
        if not leaving & set(marker.resolve().parents):
            found.add(str(json.loads(marker.read_text(encoding="utf-8")).get("model_id", "")))
    return found


def _adapter(trained: Path) -> str:
    """Return the digest by which a release names a generator's adapter."""
    return folder_digest(trained / "adapter") if (trained / "adapter").is_dir() else ""


def _folder(path: Path, kind: Kind, marker: str, *names: str) -> Folder:
    return Folder(path.resolve(), kind, names, (path / marker).stat().st_mtime)


def _files(folder: Path) -> Iterator[os.stat_result]:
    return (path.stat() for path in folder.rglob("*") if path.is_file())


def _all_names(planned: Plan, kind: Kind) -> list[str]:
    return sorted({name for each in planned.goes if each.kind == kind for name in each.names})


def _aside() -> Path:
    return home() / ".pruned"


def _held(datasets: Sequence[Folder], stays: Sequence[Folder]) -> tuple[Held, ...]:
    """Return the datasets with messages under a hold that no dataset has that stays."""
    orders = orders_of("", key=secret("redaction"))
    if not (datasets and orders.holds):
        return ()
    safe: set[str] = set()
    for each in stays:
        if each.kind == "dataset":
            safe |= _ids(each.path)
    found = []
    for each in sorted(datasets, key=lambda folder: folder.made, reverse=True):  # one copy is enough
        holds = _holds_in(each.path, orders)
        if alone := Counter(name for message_id, name in holds.items() if message_id not in safe):
            found.append(Held(each, alone))
            safe |= _ids(each.path)
    return tuple(found)


def _ids(folder: Path) -> set[str]:
    return {row["message_id"] for row in rows_of(files_of(folder), ["message_id"])}


def _holds_in(folder: Path, orders: Orders) -> dict[str, str]:
    """Return the held messages of a dataset and the hold of each."""
    files = files_of(folder)
    own = {row["message_id"]: orders.held_by(row) for row in rows_of(files)}
    return held_through_copies([folder], files, orders) | {each: name for each, name in own.items() if name}


def _drop_collections(folders: Sequence[Path]) -> None:
    """Drop what a Milvus server holds for the indexes in these folders alone."""
    goes: list[Index] = []
    stays: set[tuple[str, str]] = set()
    for path in _finished(indexes_below(home())):
        index = read_index(path)
        if any(path.is_relative_to(folder) for folder in folders):
            goes.append(index)
        else:
            stays.add((index.uri, index.collection))
    for index in goes:
        if index.uri and (index.uri, index.collection) not in stays:
            with milvus_client(index.uri) as client:
                client.drop_collection(index.collection)
