"""Language by message: right on ordinary sentences, silent when there is too little to tell by."""

from __future__ import annotations

import socket

import pytest

from data.language import UNKNOWN, language_of


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("en", "Please send me the settlement instructions before the market opens tomorrow."),
        ("de", "Bitte schicken Sie mir die Unterlagen noch vor Börsenschluss zurück."),
        ("fr", "Merci de me renvoyer les documents avant la clôture du marché demain."),
        ("es", "Por favor, envíeme los documentos antes del cierre del mercado mañana."),
    ],
)
def test_an_ordinary_sentence_has_its_language(expected: str, text: str) -> None:
    assert expected == language_of(text)


@pytest.mark.parametrize(
    "text", ["", "ok", "Danke!", "12:30 / 14:45 = 3.1415926535 8979323846", "😀😀😀 !!!"]
)
def test_too_few_letters_have_none(text: str) -> None:
    assert UNKNOWN == language_of(text)


def test_placeholders_and_links_say_nothing() -> None:
    assert UNKNOWN == language_of(
        "[EMAIL_1f3a9c2b] [PERSON_00000000] https://example.org/the/english/path ok"
    )


def test_placeholders_do_not_change_the_language() -> None:
    text = "Bitte rufen Sie {} an, bevor Sie die Unterlagen an {} weiterleiten."

    assert "de" == language_of(text.format("[PERSON_1f3a9c2b]", "[EMAIL_99999999]"))


def test_newlines_and_broken_characters_do_no_harm() -> None:
    assert "en" == language_of("Please send me the documents\nbefore the market\r\nopens \udce4 tomorrow.")


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("language detection opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)

    assert "en" == language_of("The committee will meet again on Thursday afternoon.")
