#!/bin/sh
# The containers tried on a real Docker engine, without a registry.
#
#   engine.sh images    make the base, the message server's image and Tapewire's, offline
#   engine.sh trial     images, then compose.yaml up, an order through it, the server killed, down
#
# What it needs: an engine that the docker command reaches (DOCKER_HOST says where), root and
# debootstrap for a base made of Debian's packages or BASE=IMAGE for one that is there already,
# and pip for the wheels. Start reading at `images`.
set -eu
cd "$(dirname "$0")/../.."

PYTHON=${PYTHON:-.venv/bin/python}
DOCKER=${DOCKER:-docker}
BASE=${BASE:-tapewire-base:local}
SUITE=${SUITE:-bookworm}
export TAPEWIRE_IMAGE=tapewire:local TAPEWIRE_NATS_IMAGE=tapewire-nats:local
export TAPEWIRE_PORT="${TAPEWIRE_PORT:-28000}" NATS_PORT="${NATS_PORT:-24222}"
export COMPOSE_PROJECT_NAME=tapewire-trial
# The classic builder is in every engine; BuildKit's client is a plugin that may be missing.
export DOCKER_BUILDKIT="${DOCKER_BUILDKIT:-0}"

say() { echo "engine: $*" >&2; }
fail() { say "$*"; exit 1; }

need_engine() {
    "$DOCKER" version --format '{{.Server.Version}}' >/dev/null 2>&1 ||
        fail "no Docker engine answers $DOCKER version (DOCKER_HOST=${DOCKER_HOST:-unset})"
}

# A base with Python, as small as debootstrap makes one; busybox stands in for wget.
base() {
    ! "$DOCKER" image inspect "$BASE" >/dev/null 2>&1 || return 0
    command -v debootstrap >/dev/null || fail "no image $BASE, and no debootstrap to make one"
    say "making $BASE from Debian $SUITE"
    root=$(mktemp -d)
    debootstrap --variant=minbase --include=python3,python3-venv,busybox,ca-certificates \
        "$SUITE" "$root" >"$root.log" 2>&1 || fail "debootstrap failed: $(tail -n 3 "$root.log")"
    rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
    ln -s /bin/busybox "$root/usr/bin/wget"
    tar -C "$root" -c . | "$DOCKER" import --change 'CMD ["python3"]' - "$BASE" >/dev/null
    rm -rf "$root" "$root.log"
}

# Wheels for the base's Python, which need not be the one that runs here.
wheels() {
    version=$("$DOCKER" run --rm --network none "$BASE" python3 -c \
        'import sys; print("%d.%d" % sys.version_info[:2])')
    say "fetching wheels for Python $version"
    rm -rf build/wheels
    "$PYTHON" -m pip download --quiet --disable-pip-version-check --require-hashes --no-deps \
        --only-binary :all: --python-version "$version" -r requirements-image.lock -d build/wheels
}

# Like the published image, it takes options alone as options of nats-server.
nats_image() {
    context=$(mktemp -d)
    cp "$(dirname "$PYTHON")/nats-server" "$context/"
    cat >"$context/Dockerfile" <<END
FROM $BASE
COPY nats-server /usr/local/bin/
ENTRYPOINT ["sh", "-c", "case \"\$1\" in -*) set -- nats-server \"\$@\";; esac; exec \"\$@\"", "--"]
CMD ["nats-server"]
END
    "$DOCKER" build --quiet --network none -t "$TAPEWIRE_NATS_IMAGE" "$context" >/dev/null
    rm -rf "$context"
}

images() {
    need_engine
    base
    wheels
    say "building $TAPEWIRE_NATS_IMAGE and $TAPEWIRE_IMAGE, without a network"
    nats_image
    "$DOCKER" build --quiet --network none --build-arg BASE="$BASE" --build-arg PIP_NO_INDEX=1 \
        -t "$TAPEWIRE_IMAGE" . >/dev/null
    "$DOCKER" image ls --format '{{.Repository}}:{{.Tag}}  {{.Size}}' | grep tapewire >&2
}

compose() {
    if "$DOCKER" compose version >/dev/null 2>&1; then "$DOCKER" compose "$@"
    elif command -v docker-compose >/dev/null; then docker-compose "$@"
    else fail "neither 'docker compose' nor docker-compose is here"; fi
}

# A stop is a clean end within its grace period, not a kill.
stopped() {
    id=$(compose ps -q "$1")
    compose stop "$1" >/dev/null 2>&1
    code=$("$DOCKER" inspect --format '{{.State.ExitCode}}' "$id")
    [ "$code" = 0 ] || { "$DOCKER" logs --tail 20 "$id"; fail "$1 stopped with exit code $code"; }
}

trial() {
    images
    trap 'compose down --volumes --timeout 20 >/dev/null 2>&1' EXIT
    trap 'exit 130' INT TERM
    compose up --detach --no-build || { compose logs --tail 20; fail "compose up failed"; }
    nats=$(compose ps -q nats)
    "$PYTHON" -m tests.deploy.trial "http://127.0.0.1:$TAPEWIRE_PORT" \
        sh -c "'$DOCKER' kill $nats && '$DOCKER' start $nats" ||
        { compose ps; compose logs --tail 40; fail "the trial failed"; }
    stopped edge
    stopped orders
    stopped prices
    say "the trial passed"
}

case "${1:-}" in
images | trial) "$1" ;;
*) fail "say 'images' or 'trial'" ;;
esac
