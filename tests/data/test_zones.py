"""Zones: what the author wrote is told from what was quoted, signed or appended, and nothing is lost."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.zones import Zone, find_zones, own_text

DISCLAIMER = (
    "This e-mail and any attachments are confidential and intended solely for the addressee. If you are\n"
    "not the intended recipient, please notify the sender and delete it.\n"
)


def kinds(text: str) -> list[str]:
    return [zone.kind for zone in find_zones(text)]


def own(text: str) -> str:
    return own_text(text, find_zones(text))


def test_a_plain_message_is_all_body() -> None:
    text = "Shall we meet at ten?\n\nI will bring the file.\n"

    assert (Zone("body", 0, len(text)),) == find_zones(text)


def test_an_empty_message_has_no_zones() -> None:
    assert () == find_zones("")
    assert "" == own_text("", ())


@pytest.mark.parametrize(
    "attribution",
    [
        "On Mon, 5 Oct 2026 at 09:12, Anna <anna@example.com> wrote:",
        "On Mon, 5 Oct 2026 at 09:12, Anna Maria Schmidt\n<anna.maria.schmidt@example.com> wrote:",
        "Am 05.10.2026 um 09:12 schrieb Anna Schmidt:",
        "Am Montag, 5. Oktober 2026 schrieb Anna:",
        "Le lun. 5 oct. 2026 à 09:12, Anna Schmidt <anna@example.com> a écrit :",
        "Anna Schmidt wrote:",
    ],
)
def test_quoted_lines_go_with_the_line_that_says_whose_they_are(attribution: str) -> None:
    text = f"Yes, at ten.\n\n{attribution}\n> Shall we meet?\n> At ten?\n"

    assert ["body", "quoted"] == kinds(text)
    assert "Yes, at ten." == own(text)


@pytest.mark.parametrize(
    "start",
    [
        "-----Original Message-----\nFrom: Anna",
        "-----Ursprüngliche Nachricht-----\nVon: Anna",
        "---------- Forwarded message ---------\nFrom: Anna <a@example.com>",
        "Begin forwarded message:\n\nFrom: Anna",
        "________________________________\nFrom: Anna\nSent: Monday\nTo: Ben\nSubject: File",
        "From: Anna\nSent: Monday\nTo: Ben\nSubject: File",
        "Von: Anna\nGesendet: Montag\nAn: Ben\nBetreff: Akte",
        "De : Anna\nEnvoyé : lundi\nÀ : Ben\nObjet : Dossier",
        "On Mon, 5 Oct 2026 at 09:12, Anna <anna@example.com> wrote:\n",
    ],
)
def test_a_forwarded_message_reaches_to_the_end(start: str) -> None:
    text = f"For your information.\n\n{start}\n\nThe whole other message.\nRegards\nAnna\n"

    assert ["body", "quoted"] == kinds(text)
    assert "For your information." == own(text)


def test_answers_between_quotations_are_the_authors() -> None:
    text = "> At ten?\nYes.\n> In the big room?\nNo, in mine.\n"

    assert ["quoted", "body", "quoted", "body"] == kinds(text)
    assert "Yes.\nNo, in mine." == own(text)


@pytest.mark.parametrize(
    "signature",
    [
        "-- \nAnna Schmidt\nSettlements\n",
        "Best regards,\nAnna\n",
        "Kind regards\n\nAnna Schmidt\nHead of Settlements\n+49 30 1234567\n",
        "Mit freundlichen Grüßen\nAnna Schmidt\n",
        "Viele Grüße\nAnna\n",
        "Cordialement,\nAnna Schmidt\n",
        "Thanks,\nAnna\n",
    ],
)
def test_a_signature_ends_the_message(signature: str) -> None:
    text = f"The file is ready.\n\n{signature}"

    assert ["body", "signature"] == kinds(text)
    assert "The file is ready." == own(text)


def test_a_signature_above_a_quotation_is_found() -> None:
    text = "Ready.\n\nBest regards,\nAnna\n\nOn 5 Oct 2026, Ben wrote:\n> Ready?\n"

    assert ["body", "signature", "quoted"] == kinds(text)


def test_thanks_before_a_long_text_is_no_signature() -> None:
    text = "Thanks.\n" + "\n".join(
        f"Point {number} needs another look before we go on." for number in range(7)
    )

    assert ["body"] == kinds(text)


def test_a_rule_in_the_middle_of_a_long_message_is_no_signature() -> None:
    text = "First part.\n-- \n" + "\n".join(f"line {number}" for number in range(20))

    assert ["body"] == kinds(text)


@pytest.mark.parametrize(
    "disclaimer",
    [
        DISCLAIMER,
        "Diese E-Mail ist vertraulich. Wenn Sie nicht der richtige Adressat sind, informieren Sie bitte "
        "sofort den Absender und vernichten Sie diese Mail.\n",
        "Ce message est confidentiel. S'il vous est parvenu par erreur, merci d'avertir l'expéditeur.\n",
    ],
)
def test_a_disclaimer_is_told_by_its_phrases(disclaimer: str) -> None:
    text = f"The file is ready.\n\nBest regards,\nAnna\n\n{disclaimer}"

    assert ["body", "signature", "disclaimer"] == kinds(text)


def test_asking_for_secrecy_is_no_disclaimer() -> None:
    text = (
        "Keep this strictly confidential and privileged: the merger comes on Thursday, tell nobody at all.\n"
    )

    assert ["body"] == kinds(text)


@pytest.mark.parametrize(
    "text",
    [
        "> Everything here\n> was written by someone else\n",
        "-----Original Message-----\nFrom: Anna\n\nA forwarded message without a word of one's own.\n",
        DISCLAIMER,
    ],
)
def test_a_message_without_own_words_keeps_its_text(text: str) -> None:
    assert text.strip() == own(text)


LINES = st.sampled_from(
    ["> quoted", "On 5 Oct 2026, Ben wrote:", "-- ", "Best regards,", "Anna", "", "a line",
     "-----Original Message-----",
     "From: Anna", "To: Ben", "Subject: x",
     "This is confidential, for the intended recipient only; notify the sender.",
     "_" * 20, "\r", "\x0b", "\u2028"]
)  # fmt: skip


@given(st.lists(LINES).map("\n".join) | st.text())
def test_zones_cover_the_text_in_order_without_gaps(text: str) -> None:
    zones = find_zones(text)

    assert text == "".join(text[zone.start : zone.end] for zone in zones)
    assert all(zone.start < zone.end for zone in zones)
    assert all(before.kind != after.kind for before, after in pairwise(zones))


@pytest.mark.parametrize(
    "unit", ["\n", "> ", ">\n", "-- \n", "On 1 wrote:\n", "From: a\n", "Thanks\n", "confidential ", "_", "a"]
)
def test_time_grows_with_the_length_alone(unit: str) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        return min(_seconds_of(text) for _ in range(3))

    small, large = seconds(4_000), seconds(32_000)

    assert large < 8 * small * 3 + 0.05


def _seconds_of(text: str) -> float:
    start = time.process_time()
    find_zones(text)
    return time.process_time() - start
