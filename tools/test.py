"""The same as `vrestore test`."""

import sys

from vrestore.cli import main

if __name__ == "__main__":
    sys.exit(main(["test", *sys.argv[1:]]))
