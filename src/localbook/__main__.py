"""``python -m localbook`` is the ``localbook`` command."""

import sys

from localbook.cli import main

sys.exit(main())
