"""What `saetui demo` trains: an SAE on the bundled model and text, in a few minutes on two cores."""

from __future__ import annotations

from typing import Any

DEMO_NAME = "demo"

DEMO_SPEC: dict[str, Any] = {
    "model": "bundled:tiny",
    "dataset": {"source": "bundled:stdlib", "context_length": 128},
    "layers": [2],
    "hook_points": ["resid_post"],
    "architecture": "topk",
    "hyperparameters": {
        "expansion_factor": 8,
        "k": 32,
        "batch_size": 2048,
        "num_steps": 2000,
        "eval_interval": 500,
        "checkpoint_interval": 1000,
    },
}
