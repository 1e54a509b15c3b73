"""`python -m antiphon`: the command line where its script is not on PATH; `antiphon up --detach` starts itself so."""

import sys

from antiphon.cli import main

if __name__ == "__main__":
    sys.exit(main())
