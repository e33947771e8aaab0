"""The executed notebook as one HTML page that needs nothing else: no script, no font, no server."""

from __future__ import annotations

from typing import Any

# The stock template loads require.js, MathJax and Mermaid from outside.
TEMPLATE = """{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block jupyter_widgets -%}{%- endblock -%}
"""


def render(notebook: Any, title: str) -> str:
    """Return the page of an executed notebook (an nbformat node), images embedded.

    Prompts and collapsers are left out: MLflow's artifact pane is about 540 pixels wide.
    """
    from nbconvert.exporters import HTMLExporter

    exporter = HTMLExporter(
        raw_template=TEMPLATE,
        embed_images=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
    page, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": title}})
    return str(page)


def settle_streams(notebook: Any) -> None:
    """Join the pieces of every printed stream, and keep of a progress bar what a terminal would show last."""
    for cell in notebook.cells:
        kept: list[Any] = []
        for output in cell.get("outputs", ()):
            if kept and output.output_type == "stream" and output.name == kept[-1].get("name"):
                kept[-1].text += output.text
            else:
                kept.append(output)
        for output in kept:
            if output.output_type == "stream":
                lines = output.text.split("\n")
                output.text = "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines)
        if cell.cell_type == "code":
            cell.outputs = kept
