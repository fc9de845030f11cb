#!/bin/sh
# Runs a command in a network namespace and a mount namespace of its own, which end with it, so that
# it may cut links and mount disks. Where this user may not have them, runs it without.
PATH="$PATH:/usr/sbin:/sbin"
prepare='mount -t tmpfs tmpfs /run && mkdir /run/netns && ip link set lo up'
for user in "" "--map-root-user"; do
    # shellcheck disable=SC2086
    if unshare $user --net --mount sh -c "$prepare && ip netns add try" >/dev/null 2>&1; then
        export TAPEWIRE_TEST_PRIVATE_NETWORK=1
        exec unshare $user --net --mount sh -c "$prepare"' && exec "$@"' sh "$@"
    fi
done
exec "$@"
