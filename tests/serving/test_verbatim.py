"""What the generator writes is its source's words in their order, or it is not given."""

from __future__ import annotations

import time

import pytest

from serving.sentences import LONGEST
from serving.verbatim import stands_on

LEASE = (
    "The lease of the harbour warehouse in Hamburg costs 3.5 million euros a year, and it ends on 30 June"
    " 2026 as agreed with the owner by both sides."
)
DESKS = "Desk A sold 500 shares at 20 and desk B bought 20 bonds for 1,250 €."
KEPT = [
    (LEASE, LEASE),
    (LEASE, "The lease costs 3.5 million euros a year."),
    (LEASE, "the lease of harbour warehouse costs 3.5 million euros a year"),
    (LEASE, "It ends on 30 June 2026."),
    (LEASE, "The lease in Hamburg costs 3.5 million euros a year, and it ends on 30 June 2026."),
    (DESKS, "Desk B bought 20 bonds for 1,250 €."),
    ("Please call [PHONE_0a1b2c3d] about it.", "Please call phone."),
    ("The cooling did not fail at night.", "The cooling did not fail."),
    ("Der Mietvertrag für die Halle am Hafen endet im Juni.", "Der Mietvertrag endet im Juni."),
    ("“Don’t sell”, said Anna - twice.", "“Don't sell”, said Anna"),
]
CHANGED = [
    ("The fee is 3.5 million, payable on 1/2/2025.", "The fee is 5.3 million, payable on 1/2/2025."),
    ("The fee is 3.5 million, payable on 1/2/2025.", "The fee is 3.5 million, payable on 2/1/2025."),
    ("We bought 1,250 shares.", "We bought 250,1 shares."),
    (DESKS, "Desk A sold 20 shares at 500 and desk B bought 500 bonds for 1,250 €."),
    (DESKS, "Desk A bought 20 bonds for 1,250 €."),
    (DESKS, "Desk A sold 500 bonds for 1,250 €."),
    ("The client can withdraw the deposit.", "The client cannot withdraw the deposit."),
    ("The client can withdraw the deposit.", "The client can't withdraw the deposit."),
    ("Compliance approved the trade.", "Neither Compliance approved the trade."),
    ("Compliance approved the trade of Sextant bonds.", "Compliance refused the trade of Sextant bonds."),
    ("Anna paid Bert for the tip.", "Bert paid Anna for the tip."),
    ("Anna was paid by Bert.", "Anna paid Bert."),
    ("Anna was paid by Bert.", "Anna was paid Bert."),
    ("Anna said Bert paid.", "Anna paid."),
    ("Anna denied that Bert paid.", "Bert paid."),
    ("The margin moved by 5% after the call.", "The margin moved by -5% after the call."),
    ("The margin moved by 5% after the call.", "The margin moved by - 5% after the call."),
    ("The margin moved by 5 % after the call.", "The margin moved by 5 after the call."),
    ("The fee is 500 € for the lease.", "The fee is $500 for the lease."),
    ("The fee is 500 € for the lease.", "The fee is 500 for the lease."),
    ("The fee is 500 € and the tax 300 $.", "The fee is 500 $."),
    ("The fee is 3.5 million euros and 2 thousand dollars.", "The fee is 3.5 million dollars."),
    ("The fee is 3.5 million euros and 2 thousand dollars.", "The fee is 3.5 thousand dollars."),
    ("The fee is 5 to 10 million.", "The fee is 5."),
    ("They sent three ships and five trucks.", "They sent three trucks."),
    ("Der Kunde hat den Vertrag bezahlt.", "Der Kunde hat niemals den Vertrag bezahlt."),
    ("Der Kunde hat den Vertrag nie bezahlt.", "Der Kunde hat den Vertrag bezahlt."),
    ("Le client n'a jamais signé le contrat.", "Le client a signé le contrat."),
    ("El cliente nunca pagó la factura.", "El cliente pagó la factura."),
    ("Il cliente non ha pagato la fattura.", "Il cliente ha pagato la fattura."),
    ("De klant heeft niet betaald.", "De klant heeft betaald."),
    ("We sell if the price falls.", "We sell."),
    ("They approved the lease or the sale.", "They approved the lease."),
    ("Was the trade approved?", "Was the trade approved."),
    ("The trade was approved.", "The trade was approved 👎"),
    ("The trade was approved.", ""),
    ("The trade was approved.", "..."),
]


@pytest.mark.parametrize(("source", "claim"), KEPT)
def test_what_leaves_out_a_phrase_or_a_clause_stands(source: str, claim: str) -> None:
    assert stands_on(claim, source)


@pytest.mark.parametrize(("source", "claim"), CHANGED)
def test_what_changes_a_number_a_negation_or_a_role_does_not_stand(source: str, claim: str) -> None:
    assert not stands_on(claim, source)


@pytest.mark.parametrize("source", sorted({source for source, _ in [*KEPT, *CHANGED]}))
def test_every_sentence_stands_on_itself(source: str) -> None:
    assert stands_on(source, source)


def test_a_claim_longer_than_a_sentence_is_read_stands_on_nothing() -> None:
    longest = ("ab " * LONGEST)[: LONGEST - 1]

    assert stands_on(longest, longest)
    assert not stands_on(f"{longest}abc", f"{longest}abc")


def test_a_sentence_of_one_word_again_and_again_takes_no_time_to_speak_of() -> None:
    source, claim = "of x " * (LONGEST // 5), "x " * (LONGEST // 4)
    start = time.process_time()

    stands_on(claim, source)
    stands_on(source, source)

    assert time.process_time() - start < 1
