"""Turn an official weight file into safetensors that say what they hold."""

import sys

from vrestore.checkpoints.convert import main

if __name__ == "__main__":
    sys.exit(main())
