"""A name written otherwise is the same person; the environment does not say who somebody is."""

from __future__ import annotations

import os
import pwd

import pytest

from data.identity import account, author, person
from data.workspace import UserError


@pytest.mark.parametrize(
    "written",
    [
        "Anna",
        " anna ",
        "ANNA",
        "Ａｎｎａ",
        "аnnа",
        "ΑΝΝΑ",
        "An\u200bna",
        "A.n-n_a",
        "Ánna",
        "a\u0301nna",
        "аппа",
    ],
)
def test_a_name_written_otherwise_is_the_same_person(written: str) -> None:
    assert person("anna") == person(written)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("paul", "PAU1"),
        ("mila", "MlLA"),
        ("bernd", "bemd"),
        ("Нanna", "hanna"),
        ("anna", "ᴀɴɴᴀ"),
        ("anna", "Ꭺnna"),
        ("lars", "ʟars"),
        ("hans", "ħans"),
        ("djordje", "đordje"),
        ("djordje", "Đorđe"),
        ("wanda", "vvanda"),
        ("wvera", "vwera"),
        ("aegir", "Ægir"),
        ("thor", "Þor"),
    ],
)
def test_letters_that_look_alike_are_one(one: str, other: str) -> None:
    assert person(one) == person(other)


@pytest.mark.parametrize("other", ["anne", "hanna", "bert", "an", "安娜"])
def test_other_names_are_other_people(other: str) -> None:
    assert person("anna") != person(other)


def test_a_name_of_no_letters_is_nobody() -> None:
    assert person(" .\u200b- ") == ""


def test_the_account_is_not_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")

    assert pwd.getpwuid(os.geteuid()).pw_name == account()


@pytest.mark.parametrize(("named", "expected"), [("ada", "ada"), ("", account()), ("  ", account())])
def test_the_author_is_who_is_named_else_the_account(
    monkeypatch: pytest.MonkeyPatch, named: str, expected: str
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("MAILROOM_AUTHOR", named)

    assert expected == author()


def test_in_a_pod_the_author_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.delenv("MAILROOM_AUTHOR", raising=False)

    with pytest.raises(UserError, match="no author is named"):
        author()
    monkeypatch.setenv("MAILROOM_AUTHOR", "ada")
    assert "ada" == author()
