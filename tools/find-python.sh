#!/bin/sh
# Called by the Makefile: prints the first Python on PATH that can make the environment, or says what is missing.
# $PYTHON, where set, is the only candidate.
set -u

probe='import sys; assert (3, 11) <= sys.version_info < (3, 14); import ensurepip, venv; print(sys.executable)'

for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if found=$("$candidate" -c "$probe" 2>/dev/null); then
        printf '%s\n' "$found"
        exit 0
    fi
done

{
    echo "No usable Python was found (tried: ${PYTHON:-python3, python3.13, python3.12, python3.11})."
    echo "Antiphon needs Python 3.11, 3.12 or 3.13 with its venv and ensurepip modules."
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        version=$("$candidate" -c 'import sys; print(sys.version.split()[0])' 2>/dev/null) || continue
        missing=$("$candidate" -c 'import ensurepip, venv' 2>&1 | tail -n 1)
        echo "  $candidate is $version${missing:+ ($missing: on Debian and Ubuntu, install python3-venv)}"
    done
    echo "Set PYTHON=/path/to/python3.11 to name one that is not on PATH."
} >&2
exit 1
