"""The engines of a gateway: one for each model, however many of the bundles that are served have it.

From one bundle to the next an engine runs on where its model is the same, byte by byte; the generator
takes the next bundle's adapter beside the present one. What was started for a bundle alone ends with it.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress

from serving.adapter import ADAPTER, adapter_arguments, adapter_name
from serving.bundle import Bundle
from serving.engines import EngineKind, Engines, choose_engine
from serving.launch import Placements, Role, engine_model, roles_of
from serving.metrics import Metrics
from serving.supervise import POLL_S, Lessee, Starting, SupervisedEngine, Together

Key = tuple[str, ...]


class EnginePool:
    """The engines that the bundles of a gateway lease."""

    def __init__(
        self,
        engine: str,
        metrics: Metrics,
        *,
        stop: threading.Event,
        placements: Placements | None = None,
    ) -> None:
        """Start nothing yet; ``stop`` ends whatever start is under way.

        Raises:
            UserError: an unknown engine, or one that cannot run here.
        """
        self.engine = engine
        self._starting = Starting(choose_engine(engine), metrics, stop, placements)
        self._lock = threading.Lock()  # one bundle after the other
        self._engines: dict[Key, list[SupervisedEngine]] = {}
        """Several of one key while one of them does not answer."""

    @contextmanager
    def lease(self, bundle: Bundle, *, asleep: Collection[Role] = ()) -> Iterator[Engines]:
        """Serve a bundle's models until the block ends; what is yielded follows engines that are replaced.

        The bundle was verified just now. Engines that run already are shared. Of the others those of
        ``asleep`` start when they are first asked for, the rest together, now: in this thread, which has to
        stay as long as they do, since Linux ends them with it.

        Raises:
            UserError: a model that cannot be served, an engine that cannot run here.
            RuntimeError: an engine died while starting, or does not take the bundle's adapter.
        """
        keys = {role: _key(bundle, role, self._starting.kind) for role in roles_of(bundle.folder)}
        lessee = Lessee(bundle, Engines(self._starting.kind, {}, 0.0, (), models=self._models(bundle)))
        held: dict[Role, SupervisedEngine] = {}
        try:
            with self._lock:
                self._share(lessee, held, keys)
                self._start(lessee, held, keys, asleep)
                for role in set(held) - set(asleep):
                    self._wake(held[role])
            yield lessee.engines
        finally:
            self._release(lessee, [*held.values()])

    def _models(self, bundle: Bundle) -> dict[Role, str]:
        """Return by which name the generator's engine serves the bundle's adapter, where it exchanges any."""
        stated = any(name.startswith(f"{ADAPTER}/") for name in bundle.files)
        if self._starting.kind != "vllm" or not stated:
            return {}
        return {"generator": adapter_name(bundle.digest_of(ADAPTER))}

    def _share(self, lessee: Lessee, held: dict[Role, SupervisedEngine], keys: Mapping[Role, Key]) -> None:
        for role, key in keys.items():
            for engine in self._engines.get(key, ()):
                if not engine.may_be_shared():
                    continue
                with suppress(RuntimeError):  # it does not take the adapter; another may, or says why
                    engine.admit(lessee)
                    held[role] = engine
                    break

    def _start(
        self,
        lessee: Lessee,
        held: dict[Role, SupervisedEngine],
        keys: Mapping[Role, Key],
        asleep: Collection[Role],
    ) -> None:
        folder, new = lessee.bundle.folder, [role for role in keys if role not in held]
        for role in (role for role in new if role in asleep):
            engine_model(role, folder / role)  # what cannot be served is refused now
        now = tuple(role for role in new if role not in asleep)
        together = Together(folder, now, self._starting, stop=self._starting.stop) if now else None
        started = {
            role: SupervisedEngine(role, self._starting, together if role in now else None) for role in new
        }
        held |= started
        for role, engine in started.items():
            engine.admit(lessee)
            engine.begin()
            self._engines.setdefault(keys[role], []).append(engine)

    def _wake(self, engine: SupervisedEngine) -> None:
        while not engine.sleeper.wake(POLL_S):
            if self._starting.stop.is_set() or not engine.sleeper.is_wanted(0):
                raise RuntimeError(f"the {engine.role} engine, which slept, did not start")

    def _release(self, lessee: Lessee, held: Collection[SupervisedEngine]) -> None:
        """End the engines that no other bundle has; a start that failed leaves none of its own, either."""
        with self._lock:
            for engine in held:
                engine.dismiss(lessee)
            unused = [engine for engine in held if not engine.is_leased]
            left = {key: [each for each in of if each not in unused] for key, of in self._engines.items()}
            self._engines = {key: of for key, of in left.items() if of}
        for engine in unused:
            engine.stop.set()
        for engine in unused:
            engine.join()
        with ExitStack() as ending:
            for together in {engine.together for engine in unused if engine.together}:
                roles = [engine.role for engine in unused if engine.together is together]
                ending.callback(together.let_go, *roles)


def _key(bundle: Bundle, role: Role, kind: EngineKind) -> Key:
    """Return what an engine is started with: bundles of the same key can share it.

    vLLM takes any adapter for which it was given room; elsewhere an adapter is a part of the model.
    """
    key = (role, bundle.digest_of(role))
    if role != "generator":
        return key
    generator = bundle.folder / role
    return (*key, *adapter_arguments(generator)) if kind == "vllm" else (*key, bundle.digest_of(ADAPTER))
