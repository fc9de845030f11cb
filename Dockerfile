# One image for every service. Its command is `tapewire run orders`, `tapewire run edge`, and so on.
#
# The base is an argument, so it can come from your own registry or be built without a registry
# (`make images`). It needs Python 3.11 or newer with venv, and nothing else. requirements-image.lock
# pins all dependencies by hash. With wheels in build/wheels and PIP_NO_INDEX=1 the build needs no
# network. The context brings the built pages (`make pages`), so no stage has Node; without them the
# build stops and says so.
ARG BASE=python:3.13.9-slim-bookworm

FROM ${BASE} AS build
ARG PIP_NO_INDEX=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
# The wildcard allows build/wheels to be absent; the lock file gives COPY at least one source.
COPY requirements-image.lock build/wheels* wheels/
RUN python3 -m venv /opt/tapewire \
    && /opt/tapewire/bin/pip install --require-hashes --find-links wheels -r wheels/requirements-image.lock
# After the dependencies, so a change of the code does not install them again.
COPY pyproject.toml README.md ./
COPY libs libs
COPY services services
# The build tools are removed: the services do not need them, and an intruder could use them.
RUN /opt/tapewire/bin/pip install --no-deps --no-build-isolation . \
    && /opt/tapewire/bin/pip uninstall --yes --quiet hatchling pathspec pluggy trove-classifiers setuptools pip

FROM ${BASE}
LABEL org.opencontainers.image.title="tapewire" \
      org.opencontainers.image.description="Event-sourced trading services over NATS JetStream"
# The path is the same in both stages, because a virtual environment cannot be moved.
COPY --from=build /opt/tapewire /opt/tapewire
# In a container every service answers probes, which come from outside, so it listens on all
# addresses. Tapewire writes nothing to HOME, but libraries expect it to be set.
ENV PATH=/opt/tapewire/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TAPEWIRE_LOG_FORMAT=json \
    TAPEWIRE_HOST=0.0.0.0 \
    TAPEWIRE_PORT=8000 \
    TAPEWIRE_HEALTH_HOST=0.0.0.0 \
    TAPEWIRE_HEALTH_PORT=8080
# A number, because kubernetes' runAsNonRoot cannot resolve a name. The user owns no file.
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000 8080
STOPSIGNAL SIGTERM
CMD ["tapewire", "--help"]
