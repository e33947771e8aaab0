"""vLLM's own server for one model on a GPU, ended with who started it: run as a module by the engines."""

from __future__ import annotations

import runpy

from serving.processes import end_forks_with_parent, end_with_parent

VLLM = "vllm.entrypoints.openai.api_server"


def main() -> None:
    """Become vLLM's server with this process's arguments.

    It leads a group of its own, which nobody would end when the gateway is killed. What it spawns it
    ends itself, as SIGTERM asks it to.
    """
    end_with_parent()
    end_forks_with_parent()
    # In the place of the main module, as if it had been started: what vLLM spawns imports that anew.
    runpy.run_module(VLLM, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
