"""The same as `vrestore restore`."""

import sys

from vrestore.cli import main

if __name__ == "__main__":
    sys.exit(main(["restore", *sys.argv[1:]]))
