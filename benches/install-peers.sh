#!/bin/sh
# Installs from Debian what `peers` compares mallook with, and the programs that it runs.
set -eu
apt-get update
apt-get install --yes --no-install-recommends \
    heaptrack zstd \
    lttng-tools liblttng-ust1 liblttng-ust-ctl5 babeltrace2 \
    libgoogle-perftools4 \
    valgrind \
    gcc libc6-dev git python3 redis-server redis-tools
