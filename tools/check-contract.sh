#!/bin/sh
# Called by `make contract` and, with --take-baseline, by `make baseline`: lints protos/ and compares it with the
# contract as it last was promised, the image protos/baseline.binpb. An image that is committed, and not a branch,
# because it is there in a shallow clone and moves only by a commit that says so.
# `tools/generate.py` has put the googleapis protos into build/, where buf.yaml expects them.
set -eu

baseline=protos/baseline.binpb

if [ "${1:-}" = --take-baseline ]; then
    buf build protos --exclude-source-info --output "$baseline"
    echo "$baseline is now the contract that must not break"
    exit 0
fi

buf lint protos
if [ -f "$baseline" ]; then
    buf breaking protos --exclude-imports --against "$baseline"
    echo "the contract is clean, and breaks nothing of $baseline"
else
    echo "the contract is clean; there is no $baseline yet, so nothing can break"
fi
