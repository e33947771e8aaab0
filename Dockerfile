# The image of every pipeline step: the locked set without JupyterLab.
#   docker build --build-arg WORLD=cpu -t mailroom .
# Push it and compile with the digest that the registry answers: Kubeflow's cache follows the
# image's name, not its content. `mailroom compile --image REGISTRY/mailroom@sha256:...`
ARG PYTHON=python:3.11-slim-bookworm
FROM ${PYTHON}
ARG WORLD=cpu
RUN apt-get update && apt-get install --yes --no-install-recommends gcc g++ libc6-dev make git && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/mailroom
COPY pyproject.toml README.md install.sh ./
COPY locks locks
COPY data data
COPY training training
COPY serving serving
COPY evaluation evaluation
COPY components components
COPY pipelines pipelines
COPY notebooks notebooks
RUN ./install.sh python3 ${WORLD} && rm -rf /root/.cache
ENV PATH=/opt/mailroom/.venv/bin:$PATH \
    MAILROOM_HOME=/var/lib/mailroom MAILROOM_KEYS=/var/run/secrets/mailroom \
    HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 VLLM_NO_USAGE_STATS=1 RAGAS_DO_NOT_TRACK=true MLFLOW_DISABLE_TELEMETRY=true PYTHONWARNINGS="ignore:IProgress not found"
RUN useradd --create-home mailroom && mkdir -p /var/lib/mailroom && chown mailroom /var/lib/mailroom
USER mailroom
