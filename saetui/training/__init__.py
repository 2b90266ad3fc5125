"""Processes that train, evaluate and measure: everything here may import torch."""

from __future__ import annotations

import os

# Read by libgomp when torch loads it. Its threads spin for a millisecond before they sleep: where another process has one
# of the cores they spin against each other, and a step takes three times as long. Idle cores lose little by less of it.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")
