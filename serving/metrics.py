"""What a running gateway measures, in Prometheus' form; docs/gateway.md lists every name."""

from __future__ import annotations

from collections.abc import Collection
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from serving.launch import ROLES, Role

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The measures of one gateway, in a registry of their own; labels are routes and roles, never content."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "mailroom_requests", "requests by route and status", ("route", "status"), registry=registry
        )
        self.seconds = Histogram(
            "mailroom_request_seconds",
            "time to the answer by route and the caller's highest role, none without a credential",
            ("route", "role"),
            buckets=SECONDS,
            registry=registry,
        )
        self.in_flight = Gauge("mailroom_requests_in_flight", "requests being answered", registry=registry)
        self.refusals = Counter(
            "mailroom_refusals",
            "requests refused before a route: credential, right, tool, rate, busy, length, size",
            ("reason",),
            registry=registry,
        )
        self.engine_seconds = Histogram(
            "mailroom_engine_seconds",
            "time of one engine call",
            ("role",),
            buckets=SECONDS,
            registry=registry,
        )
        self.engine_failures = Counter(
            "mailroom_engine_failures", "engine calls without an answer", ("role",), registry=registry
        )
        self.engine_up = Gauge("mailroom_engine_up", "1 when the engine runs", ("role",), registry=registry)
        self.engine_sleeping = Gauge(
            "mailroom_engine_sleeping",
            "1 while an engine waits to be asked for, or starts since somebody has",
            ("role",),
            registry=registry,
        )
        self.engine_restarts = Counter(
            "mailroom_engine_restarts", "engines started again", ("role",), registry=registry
        )
        self.batch_texts = Histogram(
            "mailroom_batch_texts", "texts of one engine call", ("role",), buckets=SIZES, registry=registry
        )
        self.cached = Counter(
            "mailroom_embeddings",
            "embeddings by whether they were remembered",
            ("cached",),
            registry=registry,
        )
        self.answers = Counter(
            "mailroom_answers",
            "answers by origin: generated, extracted, refused",
            ("origin",),
            registry=registry,
        )
        self.summaries = Counter(
            "mailroom_summaries", "summaries by origin: generated, extracted", ("origin",), registry=registry
        )
        self.rerankings = Counter(
            "mailroom_rerankings",
            "searches and answers of a bundle with a reranker: done, starting, late, unavailable",
            ("outcome",),
            registry=registry,
        )
        self.tokens = Counter(
            "mailroom_generator_tokens", "tokens of the generator", ("kind",), registry=registry
        )
        self.labels = Counter(
            "mailroom_classified", "messages classified, by the label given", ("label",), registry=registry
        )
        self.confidence = Histogram(
            "mailroom_classified_confidence",
            "highest probability of a classified message: it drifts when the mail does",
            buckets=(0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0),
            registry=registry,
        )
        self.bundle = Gauge(
            "mailroom_live_bundle",
            "1 for the bundle that is served",
            ("bundle", "release"),
            registry=registry,
        )
        self.swaps = Counter(
            "mailroom_swaps", "changes of the served bundle by outcome", ("outcome",), registry=registry
        )
        for outcome in ("done", "refused", "rolled_back"):
            self.swaps.labels(outcome)  # at 0 from the start: the first one is an increase too
        self.canary = Counter(
            "mailroom_canary_messages",
            "messages classified by both bundles of a trial: agreeing, differing, failed",
            ("outcome",),
            registry=registry,
        )
        self.canary_score_difference = Histogram(
            "mailroom_canary_score_difference",
            "largest difference of a message's probabilities between both bundles of a trial",
            buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0),
            registry=registry,
        )

    def show_engines(
        self, *, asleep: Collection[Role], down: Collection[Role], roles: Collection[Role] = ROLES
    ) -> None:
        """Say which engines of the bundle that is served sleep, and which of the others run."""
        for role in get_args(Role):
            if role not in roles:  # of a former bundle: it is not down, there is none
                self.engine_sleeping.remove(role)
                self.engine_up.remove(role)
                continue
            self.engine_sleeping.labels(role).set(role in asleep)
            if role not in asleep:
                self.engine_up.labels(role).set(role not in down)
