"""``python -m hyperhive.harness LAUNCH``."""

import sys

from hyperhive.harness.main import main

sys.exit(main(sys.argv))
