"""Entry point. The shim starts this file by path, so the checkout is put on the module path here."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launcher.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
