#!/bin/sh
# Runs a search on the cluster: search.sh SPACE [the options of python -m tune_lpc.run]
#
# A program that uses a Ray cluster needs a Ray node beside it, so this container joins as a node without CPUs and GPUs:
# no trial runs here, and the node goes when the container does.
set -eu
export RAY_AUTH_MODE="${RAY_AUTH_MODE:-token}"
if ! ray start --address "${RAY_HEAD:-head:6379}" --num-cpus 0 --num-gpus 0 --object-store-memory 100000000 \
    > /tmp/ray-start.log 2>&1; then
    cat /tmp/ray-start.log >&2
    exit 1
fi
exec python -m tune_lpc.run --address auto "$@"
