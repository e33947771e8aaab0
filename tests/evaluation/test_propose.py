"""What is proposed for labelling: some by chance, the rest where the model wavers, one a thread."""

from __future__ import annotations

import numpy as np

from evaluation.propose import Unlabelled, choose, random_sample


def pool(count: int, *, threads: int = 10**6) -> list[Unlabelled]:
    return [
        Unlabelled(f"m{place}", f"t{place % threads}", in_train=place % 10 != 0) for place in range(count)
    ]


def wavering(count: int) -> np.ndarray:
    """Probabilities of two labels; the first messages are the least certain."""
    best = np.linspace(0.5, 1.0, count)
    return np.column_stack([best, 1 - best])


def test_a_stated_share_is_random_and_the_rest_least_certain() -> None:
    chosen = choose(pool(400), wavering(400), count=20, seed=7)

    by_rule = {rule: [each.place for each in chosen if each.rule == rule] for rule in ("random", "uncertain")}
    assert (5, 15) == tuple(map(len, by_rule.values()))
    assert max(by_rule["uncertain"]) < 30
    assert 20 == len({each.place for each in chosen})


def test_a_model_chooses_from_train_alone_and_once_a_thread() -> None:
    messages = pool(400, threads=13)

    uncertain = [
        each.place for each in choose(messages, wavering(400), count=20, seed=7) if each.rule != "random"
    ]

    assert all(messages[place].in_train for place in uncertain)
    assert len(uncertain) == len({messages[place].thread_id for place in uncertain})


def test_without_a_model_all_are_random() -> None:
    assert {"random"} == {each.rule for each in choose(pool(50), None, count=20, seed=7)}


def test_the_random_order_is_fixed_and_goes_on_where_it_stopped() -> None:
    messages = pool(100)
    first = {messages[each.place].message_id for each in choose(messages, None, count=10, seed=7)}
    left = [each for each in messages if each.message_id not in first]

    both = {messages[each.place].message_id for each in choose(messages, None, count=20, seed=7)}
    second = {left[each.place].message_id for each in choose(left, None, count=10, seed=7)}

    assert first | second == both


def test_every_message_has_the_same_chance() -> None:
    messages = pool(40, threads=4)
    hits = np.zeros(40)
    for seed in range(600):
        for each in choose(messages, wavering(40), count=4, seed=seed, random_share=1.0):
            hits[each.place] += 1

    assert 60 == hits.mean()
    assert hits.max() - hits.min() < 60  # ±4 standard deviations of a binomial with 600 tries at .1


def test_the_random_sample_is_unbiased_where_the_rule_random_alone_is_not() -> None:
    sought = np.arange(200) < 40  # what is sought is also what the model wavers on
    shares, by_rule = [], []
    for seed in range(60):
        labelled: dict[int, str] = {}
        for _ in range(8):
            left = [place for place in range(200) if place not in labelled]
            messages = [Unlabelled(f"m{place}", f"t{place}", in_train=True) for place in left]
            chosen = choose(messages, wavering(200)[left], count=12, seed=seed, random_share=0.5)
            labelled |= {left[each.place]: each.rule for each in chosen}
        unlabelled = [f"m{place}" for place in range(200) if place not in labelled]
        sample = random_sample([f"m{place}" for place in labelled], unlabelled, seed=seed)
        shares.append(np.mean([sought[int(each[1:])] for each in sample]))
        by_rule.append(np.mean([sought[place] for place, rule in labelled.items() if rule == "random"]))

    assert abs(np.mean(shares) - 0.2) < 0.02
    assert np.mean(by_rule) < 0.15


def test_a_message_without_an_answer_is_not_uncertain() -> None:
    probabilities = wavering(40)
    probabilities[:30] = np.nan

    uncertain = [
        each for each in choose(pool(40), probabilities, count=8, seed=7) if each.rule == "uncertain"
    ]

    assert uncertain
    assert all(each.place >= 30 for each in uncertain)


def test_a_small_pool_is_proposed_whole() -> None:
    assert 5 == len(choose(pool(5), wavering(5), count=20, seed=7))
