"""``python -m vrestore``: the `vrestore` command."""

import sys

from vrestore.cli import main

if __name__ == "__main__":
    sys.exit(main())
