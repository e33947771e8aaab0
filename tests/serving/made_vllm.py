"""A made-up vLLM for the real fork server: it answers at once who it is and what it was loaded with."""

from __future__ import annotations

import json
from pathlib import Path

from test_bundle import write_manifest

from serving.bundle import Bundle

ARCHITECTURES = {
    "classifier": "BertForSequenceClassification",
    "embedder": "BertModel",
    "generator": "LlamaForCausalLM",
}
MODULES = (
    "entrypoints/launchers/cli_args",
    "v1/engine/async_llm",
    "v1/engine/core",
    "v1/engine/utils",
    "v1/worker/cpu_worker",
)
SERVER = """
import json, os, signal, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def main():
    flags = dict(zip(sys.argv[1:], sys.argv[2:]))
    base, folder = flags["--served-model-name"], Path(flags["--model"])
    words = (folder / "model.safetensors").read_text()
    if words == "broken":
        raise RuntimeError("no memory")
    if words == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    loaded, loads = {}, []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.reply(200, {"data": [{"id": name} for name in (base, *loaded)]})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name = body.get("model")
            if self.path == "/v1/load_lora_adapter":
                weights = Path(body["lora_path"]) / "adapter_model.safetensors"
                if "--enable-lora" not in flags or not weights.exists() or weights.read_text() == "bad":
                    return self.reply(400, {})
                loaded[body["lora_name"]] = weights.read_text()
                loads.append(body["lora_name"])
                return self.reply(200, {})
            if self.path == "/v1/unload_lora_adapter":
                return self.reply(200 if loaded.pop(body["lora_name"], None) else 404, {})
            if name not in (base, *loaded):
                return self.reply(404, {})
            says = loaded.get(name, "the base")
            if "wait_for" in body:
                Path(body["wait_for"]).with_suffix(".waiting").touch()
                while not Path(body["wait_for"]).exists():
                    time.sleep(0.01)
            self.reply(200, {"process": os.getpid(), "says": says, "loads": loads})

        def reply(self, status, content):
            written = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(written)))
            self.end_headers()
            self.wfile.write(written)

        def log_message(self, *_):
            pass

    ThreadingHTTPServer((flags["--host"], int(flags["--port"])), Handler).serve_forever()
"""


def write_vllm(folder: Path) -> Path:
    """Write a package ``vllm`` that the fork server imports in the place of the real one."""
    server = "entrypoints/launchers/api_server/entry"
    for module in (*MODULES, server):
        path = folder / "vllm" / f"{module}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SERVER if module == server else "")
    for package in (path for path in folder.rglob("*") if path.is_dir()):
        (package / "__init__.py").touch()
    (folder / "vllm" / "__init__.py").write_text("class ModelRegistry:\n    models = {}\n")
    return folder


def made_bundle(folder: Path, *, adapter: str = "", rank: int = 8, **models: str) -> Bundle:
    """Write a bundle whose models and adapter differ where their words do.

    A model that is ``broken`` dies at its start, one that is ``deaf`` does not end when it is asked to.
    """
    for role, architecture in ARCHITECTURES.items():
        model = folder / role
        model.mkdir(parents=True)
        config = {"architectures": [architecture], "max_position_embeddings": 512}
        (model / "config.json").write_text(json.dumps(config))
        (model / "model.safetensors").write_text(models.get(role, "weights"))
        (model / "tokenizer.json").write_text("{}")
    if adapter:
        (folder / "generator_adapter").mkdir()
        (folder / "generator_adapter" / "adapter_config.json").write_text(json.dumps({"r": rank}))
        (folder / "generator_adapter" / "adapter_model.safetensors").write_text(adapter)
    return write_manifest(folder)
