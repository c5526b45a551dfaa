"""The same as `vrestore train`."""

import sys

from vrestore.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
