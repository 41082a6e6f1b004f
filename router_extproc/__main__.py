"""`python -m router_extproc` is the command `router-extproc`."""

import sys

from router_extproc.cli import main

sys.exit(main())
