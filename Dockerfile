# One image for every service: `tapewire run orders`, `tapewire run edge`, … is its command.
#
# The base is an argument, so that an image of your own registry, or one made without a registry
# (`make images`), fits as well; it needs Python 3.11 or newer with venv, and nothing else.
# What is installed is pinned by hash in requirements-image.lock. With wheels in build/wheels and
# PIP_NO_INDEX=1 the build needs no network at all.
ARG BASE=python:3.13.9-slim-bookworm

FROM ${BASE} AS build
ARG PIP_NO_INDEX=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
# The wildcard lets build/wheels be absent; the lock keeps COPY from finding nothing.
COPY requirements-image.lock build/wheels* wheels/
RUN python3 -m venv /opt/tapewire \
    && /opt/tapewire/bin/pip install --require-hashes --find-links wheels -r wheels/requirements-image.lock
# After the dependencies, so that a change of ours does not install them again.
COPY pyproject.toml README.md ./
COPY libs libs
COPY services services
# What built and installed it is of no use to it, and of some to an intruder.
RUN /opt/tapewire/bin/pip install --no-deps --no-build-isolation . \
    && /opt/tapewire/bin/pip uninstall --yes --quiet hatchling pathspec pluggy trove-classifiers setuptools pip

FROM ${BASE}
LABEL org.opencontainers.image.title="tapewire" \
      org.opencontainers.image.description="Event-sourced trading services over NATS JetStream"
# The same path in both stages: a virtual environment does not move.
COPY --from=build /opt/tapewire /opt/tapewire
# In a container every service listens for the probes, and on all its addresses, since whoever
# asks comes from outside it. HOME: nothing of ours writes there, but libraries look for it.
ENV PATH=/opt/tapewire/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TAPEWIRE_LOG_FORMAT=json \
    TAPEWIRE_HOST=0.0.0.0 \
    TAPEWIRE_PORT=8000 \
    TAPEWIRE_HEALTH_HOST=0.0.0.0 \
    TAPEWIRE_HEALTH_PORT=8080
# A number, since kubernetes' runAsNonRoot cannot tell what a name stands for. It owns no file.
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000 8080
STOPSIGNAL SIGTERM
CMD ["tapewire", "--help"]
