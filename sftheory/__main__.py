"""`python -m sftheory` is the command `sftheory`."""

import sys

from sftheory.cli import main

if __name__ == "__main__":
    sys.exit(main())
