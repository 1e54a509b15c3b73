#!/bin/sh
# Called by `make triton-setup`: prints the Python to make the environment of the Triton server with, or says what is
# missing in words that pip and Triton would not find. $PYTHON, where set, is the only candidate.
#
# The server's wheel asks for glibc 2.35. Its Python models run in a program that loads libpython, and with numpy 1.26,
# whose newest wheels are for Python 3.12.
set -u

fail() {
    echo "The local Triton server cannot run here: $1." >&2
    echo "Nothing else needs it; ANTIPHON_TRITON_URL leads the services to a server on another machine." >&2
    exit 1
}

libc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || libc="another C library"
case $libc in
    glibc*) [ "$(printf 'glibc 2.35\n%s\n' "$libc" | sort -V | head -n 1)" = "glibc 2.35" ] ;;
    *) false ;;
esac || fail "it needs glibc 2.35 or newer, and this machine has $libc"

base='import sys; assert (3, 11) <= sys.version_info < (3, 13); print(sys.base_prefix)'
library='import ctypes, sys; ctypes.CDLL("libpython%d.%d.so.1.0" % sys.version_info[:2])'
candidates=${PYTHON:-python3.12 python3.11 python3}
for candidate in $candidates; do
    prefix=$("$candidate" -c "$base" 2>/dev/null) || continue
    LD_LIBRARY_PATH=$prefix/lib "$candidate" -c "$library" 2>/dev/null || continue
    PYTHON=$candidate exec "$(dirname "$0")/find-python.sh"
done
fail "it needs Python 3.11 or 3.12 with its shared library (on Debian and Ubuntu: libpython3.11), tried: $candidates"
