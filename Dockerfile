# The image of every pipeline step: the locked set without JupyterLab.
#   COMMIT=$(git describe --always --dirty --abbrev=40 --exclude='*')
#   docker build --build-arg WORLD=cpu --build-arg COMMIT=$COMMIT -t mailroom-python:0.1.0 .
# Behind a mirror: --build-arg PIP_INDEX_URL=... --build-arg UV_DEFAULT_INDEX=..., without a password,
# which would stay in the image's history. Push it and compile with the digest that the registry answers:
# Kubeflow's cache follows the image's name, not its content.
#   mailroom compile --image REGISTRY/mailroom@sha256:...
ARG PYTHON=python:3.11-slim-bookworm
FROM ${PYTHON}
ARG WORLD=cpu
ARG PIP_INDEX_URL
ARG UV_DEFAULT_INDEX
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
    MAILROOM_HOME=/var/lib/mailroom MAILROOM_KEYS=/etc/mailroom/keys \
    HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 VLLM_NO_USAGE_STATS=1 RAGAS_DO_NOT_TRACK=true MLFLOW_DISABLE_TELEMETRY=true PYTHONWARNINGS="ignore:IProgress not found"
RUN groupadd --gid 10001 mailroom && useradd --uid 10001 --gid 10001 --create-home mailroom \
    && mkdir -p /var/lib/mailroom && chown 10001:10001 /var/lib/mailroom
# last, so that another commit with the same code reuses all layers above
ARG COMMIT
ENV MAILROOM_COMMIT=${COMMIT}
# a number: runAsNonRoot cannot tell who a name is
USER 10001:10001
