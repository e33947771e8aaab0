"""What each step may use on a cluster: processors, memory, accelerators, time, retries, secrets, storage."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from components.component import IMAGE
from data.workspace import UserError

HOME = "/var/lib/mailroom"
KEYS = "/etc/mailroom/keys"
STATE = "/var/lib/mailroom-state"


@dataclass(frozen=True, slots=True)
class Resources:
    """The limits of one step; ``accelerated`` says that an accelerator helps it.

    ``cached`` is whether Kubeflow may answer with an earlier result: not where a result depends on more
    than parameters and inputs, as on the archive's files, or on what people decided.
    """

    cpu: str
    memory: str
    timeout_s: int
    retries: int = 1
    accelerated: bool = False
    cached: bool = True


RESOURCES = {
    "prepare": Resources(cpu="8", memory="16G", timeout_s=6 * 3600, cached=False),
    "train_classifier": Resources(cpu="4", memory="16G", timeout_s=6 * 3600, accelerated=True),
    "train_embedder": Resources(cpu="4", memory="16G", timeout_s=6 * 3600, accelerated=True),
    "train_generator": Resources(cpu="4", memory="16G", timeout_s=6 * 3600, accelerated=True),
    "index": Resources(cpu="4", memory="8G", timeout_s=3 * 3600),
    "evaluate": Resources(cpu="4", memory="16G", timeout_s=3 * 3600, cached=False),  # beside the champion
    # a decision is recorded once: a retry would ask the reviewer twice
    "promote": Resources(cpu="1", memory="4G", timeout_s=1800, retries=0, cached=False),
    # engines are proved on what they are to be served on
    "deploy": Resources(cpu="4", memory="16G", timeout_s=3600, cached=False, accelerated=True),
}
OTHERWISE = Resources(cpu="2", memory="8G", timeout_s=3600)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster as the graph sees it.

    ``image`` should be pinned by digest: Kubeflow's cache knows the string alone. ``gpu`` is a resource
    name such as ``nvidia.com/gpu``, empty for none. ``tracking`` is the secret with the key
    ``tracking_uri``, ``keys`` the one with the redaction and signing keys and ``trusted.json`` as files,
    ``claim`` the volume claim of the workspace that all steps share, ``state`` that of what is remembered
    of the ledgers: a secret's volume is read-only, and the workspace's must not hold it. ``author`` and
    ``submitter`` (an account) may not approve what comes of the run; being environment, they are no part
    of the key of Kubeflow's cache.
    """

    image: str = IMAGE
    gpu: str = ""
    gpus: int = 1
    tracking: str = "mailroom"
    keys: str = "mailroom-keys"
    claim: str = "mailroom-home"
    state: str = "mailroom-state"
    author: str = ""
    submitter: str = ""

    def configure(self, step: str, task: Any) -> None:
        """Ask for a step's resources; :func:`pipelines.retrain.retrain_graph` calls it for every task."""
        from kfp import kubernetes

        resources = RESOURCES.get(step, OTHERWISE)
        task.set_cpu_limit(resources.cpu)
        task.set_memory_limit(resources.memory)
        if not resources.cached:
            task.set_caching_options(False)
        if resources.retries:
            task.set_retry(num_retries=resources.retries, backoff_duration="60s")
        if self.gpu and resources.accelerated:
            task.set_accelerator_type(self.gpu)
            task.set_accelerator_limit(self.gpus)
        task.set_env_variable("MAILROOM_HOME", HOME)
        task.set_env_variable("MAILROOM_KEYS", KEYS)
        task.set_env_variable("MAILROOM_STATE", STATE)
        if self.author:
            task.set_env_variable("MAILROOM_AUTHOR", self.author)
        if self.submitter:
            task.set_env_variable("MAILROOM_SUBMITTER", self.submitter)
        kubernetes.set_timeout(task, seconds=resources.timeout_s)
        kubernetes.use_secret_as_env(task, self.tracking, {"tracking_uri": "MLFLOW_TRACKING_URI"})
        kubernetes.use_secret_as_volume(task, self.keys, mount_path=KEYS)
        kubernetes.mount_pvc(task, self.claim, mount_path=HOME)
        kubernetes.mount_pvc(task, self.state, mount_path=STATE)


def cluster(*, image: str, gpu: str, gpus: int) -> Cluster:
    """Return the cluster that the options of the command line describe.

    Raises:
        UserError: a GPU that Kubernetes would not know, or a number of them that makes no sense.
    """
    if gpu and "/" not in gpu:
        raise UserError(f"--gpu {gpu}: not a Kubernetes resource name; write it like nvidia.com/gpu")
    if not 1 <= gpus <= 16:
        raise UserError(f"--gpus {gpus}: a step asks for 1 to 16")
    return Cluster(image=image, gpu=gpu, gpus=gpus, author=os.environ.get("MAILROOM_AUTHOR", "").strip())
