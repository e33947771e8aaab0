"""The bundle: what goes live, in one folder that does not change, with the hash of every file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from data.dataset import read_manifest
from data.prompts import PROMPTS, Prompts, prompts_in
from data.workspace import UserError, locate, write_atomically
from serving.adapter import ADAPTER, check_adapter, decided_adapter
from serving.calibrate import refusal_threshold
from serving.champion import Champion, champion_index, champion_models, release_to_prove
from serving.digest import file_digest, files_below, folder_digest, stated_digest
from serving.embed import servable_folder
from serving.generator import generator_path
from serving.index import read_index
from serving.launch import engine_model
from serving.reranker import CANDIDATES, RERANKER, RERANKING, check_candidates
from serving.reranking import Reranker

MANIFEST = "manifest.json"
DEPLOYED = "deploy.json"
UNHASHED = (MANIFEST, DEPLOYED)  # the manifest itself, and what was measured afterwards
SIMILARITY = 0.3  # MiniLM's cosine, names left out, below which the nearest sentence says another thing


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Numbers that turn scores into statements."""

    temperature: float = 1.0  # divides the classifier's logits
    similarity: float = SIMILARITY  # the nearest sentence must be this near, or the archive does not say


@dataclass(frozen=True)
class Bundle:
    """A complete bundle; ``digest`` names its content.

    Prompts and thresholds are read once: who writes to the folder later does not change a running gateway.
    """

    folder: Path
    digest: str
    release_id: str
    classifier_version: str
    embedder_version: str
    files: Mapping[str, str]

    @cached_property
    def thresholds(self) -> Thresholds:
        return Thresholds(**json.loads(self._stated("thresholds.json")))

    @cached_property
    def prompts(self) -> Prompts:
        return prompts_in(self._stated("prompts.yaml").decode())

    def digest_of(self, part: str) -> str:
        """Return the digest that a folder of the bundle has by the manifest."""
        inside = {name: name.removeprefix(f"{part}/") for name in self.files if name.startswith(f"{part}/")}
        return stated_digest({short: self.files[name] for name, short in inside.items()})

    @cached_property
    def candidates(self) -> int:
        """How many of the found chunks the bundle's reranker puts in order; 0 where it has none."""
        if RERANKING not in self.files:
            return 0
        return int(json.loads(self._stated(RERANKING))["candidates"])

    def _stated(self, name: str) -> bytes:
        """Return the bytes of a file, of which the manifest has the hash."""
        path = self.folder / name
        content = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(content).hexdigest() != self.files.get(name):
            raise UserError(f"{name} of the bundle {self.folder} is not what its manifest says; deploy again")
        return content


def build_bundle(
    release: str | Path,
    bundle: str | Path,
    prepared: str | Path,
    *,
    reranker: str | Path = "",
    candidates: int = CANDIDATES,
) -> Bundle:
    """Build the bundle of a release, with the generator's adapter that it names, if any.

    With ``reranker``, the folder of a cross-encoder, it puts the first ``candidates`` of a search in order.

    ``release`` is the folder of 06_promote. The bundle holds the champion, by the decision log, or what
    is proposed in its place (:func:`serving.champion.release_to_prove`).

    Raises:
        UserError: no release is live, the log does not verify, an alias was moved without a
            decision, or a model, the adapter or the index is gone.
    """
    read_manifest(prepared)
    champion = release_to_prove(release)
    with champion_models(champion) as models:
        index = champion_index(champion)
        reorder = _in_process(reranker, candidates) if reranker else None
        similarity = refusal_threshold(prepared, index, models.embedder, SIMILARITY, reorder)
        return bundle_of(
            classifier=models.classifier,
            embedder=models.embedder,
            index=index,
            bundle=bundle,
            thresholds=Thresholds(temperature=models.temperature, similarity=similarity),
            champion=champion,
            adapter=decided_adapter(champion.digests),
            reranker=reranker,
            candidates=candidates,
        )


def bundle_of(
    *,
    classifier: str | Path,
    embedder: str | Path,
    index: str | Path,
    bundle: str | Path,
    thresholds: Thresholds | None = None,
    champion: Champion | None = None,
    adapter: Path | None = None,
    reranker: str | Path = "",
    candidates: int = CANDIDATES,
) -> Bundle:
    """Put models and index into one folder; the manifest with all hashes is written last.

    Raises:
        UserError: a model that no engine serves, an index or an adapter that belongs to another model.
    """
    sources = {
        "classifier": servable_folder(classifier),
        "embedder": servable_folder(embedder),
        "generator": generator_path(),
    }
    if reranker:
        check_candidates(candidates)
        sources[RERANKER] = servable_folder(reranker)
    for role, folder in sources.items():
        engine_model(role, folder)  # type: ignore[arg-type]  # the keys are the roles
    _check_belongs(index, sources["embedder"])
    if adapter:
        check_adapter(adapter, sources["generator"])
    target = locate(bundle)
    with write_atomically(target) as unfinished:
        for role, folder in sources.items():
            copy_tree(folder, unfinished / role, links=role == "generator")
        copy_tree(locate(index), unfinished / "index")
        if adapter:
            copy_tree(adapter, unfinished / ADAPTER)
        if reranker:
            (unfinished / RERANKING).write_text(json.dumps({"candidates": candidates}))
        shutil.copy(PROMPTS, unfinished / "prompts.yaml")
        (unfinished / "thresholds.json").write_text(json.dumps(asdict(thresholds or Thresholds()), indent=1))
        document = {
            "schema_version": 1,
            "release_id": champion.id if champion else "",
            "classifier_version": champion.classifier_version if champion else "",
            "embedder_version": champion.embedder_version if champion else "",
            "files": {name: file_digest(unfinished / name) for name in files_below(unfinished)},
        }
        (unfinished / MANIFEST).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    return read_bundle(target)


def read_bundle(bundle: str | Path) -> Bundle:
    """Return what a complete bundle says of itself, unverified.

    Raises:
        UserError: there is no complete bundle in the folder.
    """
    folder = locate(bundle).resolve()
    try:
        text = (folder / MANIFEST).read_text()
        document = json.loads(text)
        return Bundle(
            folder=folder,
            digest=hashlib.sha256(text.encode()).hexdigest(),
            release_id=document["release_id"],
            classifier_version=document["classifier_version"],
            embedder_version=document["embedder_version"],
            files=document["files"],
        )
    except FileNotFoundError:
        raise UserError(f"no bundle in {folder}; run notebook 07_deploy, or: mailroom run") from None
    except (ValueError, KeyError) as error:
        raise UserError(f"the manifest of the bundle {folder} is damaged; deploy again") from error


def verify_bundle(bundle: str | Path) -> Bundle:
    """Return the bundle after comparing every file with its hash.

    Raises:
        UserError: a file is missing, was changed, was added, or lies elsewhere; the message names the
            first one.
    """
    stated = read_bundle(bundle)
    check_files(stated)
    return stated


def check_files(bundle: Bundle, *parts: str) -> None:
    """Compare every file, or those of some parts, with the manifest as it was when the bundle was read.

    Raises:
        UserError: as `verify_bundle` does.
    """
    present = set(files_below(bundle.folder)) - set(UNHASHED)
    for name in sorted(present | set(bundle.files)):
        if parts and not any(name == part or name.startswith(f"{part}/") for part in parts):
            continue
        if name not in present:
            raise UserError(f"the bundle {bundle.folder} lacks {name}; deploy again")
        if name not in bundle.files:
            raise UserError(
                f"the bundle {bundle.folder} holds {name}, which is not in its manifest; deploy again"
            )
        if (bundle.folder / name).is_symlink():  # a bundle is made of copies, never of links
            raise UserError(f"{name} of the bundle {bundle.folder} is a link; deploy again")
        if file_digest(bundle.folder / name) != bundle.files[name]:
            raise UserError(
                f"{name} of the bundle {bundle.folder} was changed after it was built; deploy again"
            )


def copy_bundle(source: Path, target: Path) -> None:
    """Copy a bundle; its models share their bytes with the source where the disk allows it."""
    target.mkdir()
    for part in sorted(source.iterdir()):
        if part.is_dir():
            # Milvus opens its files for writing: the index is copied, so that no two share one.
            copy_tree(part, target / part.name, links=part.name != "index")
        else:
            shutil.copyfile(part, target / part.name)


def copy_tree(source: Path, target: Path, *, links: bool = False) -> None:
    """Copy a folder; with ``links`` files share their bytes with the source where the disk allows it."""
    for name in files_below(source):
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        if links:
            try:
                os.link((source / name).resolve(), destination)
                continue
            except OSError:
                pass  # another file system, or one without links: a copy does
        shutil.copyfile(source / name, destination)


def _in_process(reranker: str | Path, candidates: int) -> Reranker:
    """Return a reranker that transformers runs here: no engine is up before there is a bundle."""
    from serving.transformers_engine import PairScorer

    folder = servable_folder(reranker)
    check_candidates(candidates)
    engine_model(RERANKER, folder)
    return Reranker(PairScorer(folder).scores, candidates)


def _check_belongs(index: str | Path, embedder: Path) -> None:
    if read_index(index).embedder_digest != folder_digest(embedder):
        raise UserError(f"the index {locate(index)} was made with another embedder; build it again: 04_index")
