"""A Kubeflow component for every notebook: generated from its contract, its code embedded."""

from __future__ import annotations

import keyword
import linecache
import re
from pathlib import Path
from typing import Any

from components.contract import Contract, ContractError, Parameter, read_contract
from components.embed import embed

IMAGE = "mailroom-python:0.1.0"
MAX_ARGUMENT_BYTES = 100_000  # Linux refuses more than 128 KiB in one argument of a command


def components(folder: str | Path, image: str = IMAGE) -> dict[str, Any]:
    """Return a component for every notebook of a folder, by the notebook's name without its number.

    Raises:
        ContractError: a notebook breaks the contract, or two differ in their number alone.
    """
    made: dict[str, Any] = {}
    for path in sorted(Path(folder).glob("*.ipynb")):
        name = function_name(path)
        if name in made:
            raise ContractError(f"two notebooks in {folder} are called {name!r}; rename one")
        made[name] = component_of(path, image)
    return made


def function_name(path: Path) -> str:
    """Return what the graph calls a notebook: ``02_train_classifier.ipynb`` is ``train_classifier``."""
    name = re.sub(r"\W", "_", re.sub(r"^\d+[_-]*", "", path.stem))
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ContractError(f"{path.name}: not a name for a step; call it like 02_train_classifier.ipynb")
    return name


def component_of(path: str | Path, image: str = IMAGE) -> Any:
    """Return the component of one notebook.

    Beside what the contract says it takes ``fingerprint`` (whatever else the result depends on, for the
    cache alone) and gives the executed notebook and its HTML.
    """
    from kfp import dsl

    path = Path(path)
    contract = read_contract(path)
    name = function_name(path)
    source = _source(name, contract, embed(path))
    file = f"<notebook {path.name}>"
    # kfp takes a component's code from inspect.getsource, which asks linecache; without an mtime, unchecked
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    namespace = {item: getattr(dsl, item) for item in dir(dsl)}
    code = compile(source, file, "exec", dont_inherit=True)  # annotations as objects, which kfp reads
    exec(code, namespace)  # noqa: S102 - our own text, from validated names and literals
    component = dsl.component(base_image=image, install_kfp_package=False)(namespace[name])
    container = component.component_spec.implementation.container
    longest = max(len(str(part).encode()) for part in (*container.command, *container.args))
    if longest > MAX_ARGUMENT_BYTES:
        raise ContractError(
            f"{path.name} is too large to embed ({longest} bytes, at most {MAX_ARGUMENT_BYTES}); "
            "move code into a library module and data out of the notebook"
        )
    return component


def _source(name: str, contract: Contract, payload: str) -> str:
    """Return the component's code: plain text, the same for the same notebook."""
    # inputs without a default come first, as Python wants it
    ordered = sorted(
        (item for item in contract.parameters if item.kind != "result"),
        key=lambda item: item.kind == "parameter" and not item.required,
    )
    result = contract.result
    values = [item.name for item in contract.of_kind("parameter")]
    paths = [item.name for item in contract.parameters if item.kind in ("input", "output")]
    return "\n".join(
        [
            f"def {name}(",
            "    executed_notebook: Output[Artifact],",
            "    executed_html: Output[HTML],",
            *(f"    {_declaration(item)}," for item in ordered),
            "    fingerprint: str = '',",
            f"){f' -> {result.type}' if result else ''}:",
            f"    {_docstring(contract)!r}",
            "    from components.step import run_step",
            "",
            "    executed_notebook.path += '.ipynb'",
            "    executed_html.path += '.html'",
            f"    {'return ' if result else ''}run_step(",
            f"        {contract.name!r},",
            f"        {payload!r},",
            f"        values=dict({', '.join(f'{item}={item}' for item in values)}),",
            f"        paths=dict({', '.join(f'{item}={item}.path' for item in paths)}),",
            "        executed_notebook=executed_notebook.path,",
            "        executed_html=executed_html.path,",
            "    )",
            "",
        ]
    )


def _declaration(parameter: Parameter) -> str:
    if parameter.kind in ("input", "output"):
        return f"{parameter.name}: {parameter.kind.capitalize()}[{parameter.type}]"
    default = "" if parameter.required else f" = {parameter.default!r}"
    return f"{parameter.name}: {parameter.type}{default}"


def _docstring(contract: Contract) -> str:
    lines = [contract.description or contract.name, "", "Args:"]
    told = [item for item in contract.parameters if item.kind != "result" and item.help]
    lines += [f"    {item.name}: {item.help}" for item in told]
    lines.append("    fingerprint: Whatever else the result depends on; a new value misses the cache.")
    return "\n".join(lines)
