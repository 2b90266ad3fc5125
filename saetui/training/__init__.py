"""Processes that train, evaluate and measure: everything here may import torch."""

from __future__ import annotations

import os

# Read by libgomp when torch loads it. By default its threads spin for a millisecond before they sleep: where another process has
# one of the cores they spin against each other. With 3000 turns a step beside such a process is faster still (29 instead of 26
# thousand tokens a second, 22 by default), but a model's forward pass, of many small parts, a tenth slower on idle cores.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
