"""`python -m tests.benchmarks.end_to_end`: tokens a second from text to SAE, beside SAELens, for one site and for four.

A random GPT-2 of 4 layers with 256 dimensions, contexts of 128 tokens, topk with k = 32 of 2048 latents, batches of 4096. Ours
is the trainer of a job, on text; SAELens gets tokens. It trains one site in a run: for four, its four runs are added up. All
take turns; the figures are medians over the rounds. Beside them stand the forward pass alone and the step alone, for what
they cost one after the other is the limit of who does not overlap them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from saetui.activations import ActivationExtractor, ContextOrder, Site, extract_rows, open_model, prepare_tokens
from saetui.bundled import stdlib_files
from saetui.child_processes import torch_environment
from saetui.home import Home
from saetui.rundir.layout import RunDirectory
from saetui.rundir.metrics import MetricReader
from saetui.sae import build
from saetui.spec.training_spec import spec_json
from saetui.spec.validation import complete_spec
from saetui.training.gradient_step import accumulate
from saetui.training.recorder import JOB
from tests.benchmarks.step import machine
from tests.peers.environment import peer_python

PLAN: dict[str, Any] = {
    "layers": 4,
    "d": 256,
    "context": 128,
    "vocabulary": 4096,
    "tokens": 1 << 18,
    # SAELens refills its buffer every other batch, and so is steady sooner than we, who refill ours every sixteenth.
    "peer_tokens": 1 << 17,
    "batch": 4096,
    "latents": 2048,
    "k": 32,
    "learning_rate": 1e-3,
}
SITE = 2
SITES = (0, 1, 2, 3)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(machine())
    with tempfile.TemporaryDirectory(prefix="saetui-end-to-end-") as name:
        place = Path(name)
        write_material(place)
        figures: dict[str, list[float]] = {}
        for turn in range(rounds):
            for measure in contenders(place, turn):
                for what, speed in measure().items():
                    figures.setdefault(what, []).append(speed)
                    print(f"round {turn + 1}: {what:<28}{speed:>10,.0f} tokens/s", flush=True)
    medians = {what: statistics.median(values) for what, values in figures.items()}
    for what, speed in medians.items():
        print(f"median:  {what:<28}{speed:>10,.0f} tokens/s")
    report(medians)


def contenders(place: Path, turn: int) -> list[Callable[[], dict[str, float]]]:
    """What is measured in each round: functions that give tokens a second by name."""
    found: list[Callable[[], dict[str, float]]] = [
        lambda: {"saetui, one site": trained(place, f"one-{turn}", [SITE])},
        lambda: {"saetui, four sites": trained(place, f"four-{turn}", SITES)},
        lambda: {"forward to one site alone": forward(place)},
        lambda: {"step alone": stepping()},
    ]
    if peer_python("saelens") is not None:
        found.append(saelens_at_all_sites)
    return found


def report(medians: dict[str, float]) -> None:
    """The ratios."""
    limit = 1 / (1 / medians["forward to one site alone"] + 1 / medians["step alone"])
    print(f"of forward and step one after the other: {medians['saetui, one site'] / limit:.0%}")
    for sites in ("one site", "four sites"):
        if f"SAELens, {sites}" in medians:
            print(f"saetui / SAELens, {sites}: {medians[f'saetui, {sites}'] / medians[f'SAELens, {sites}']:.2f}")


def write_material(place: Path) -> None:
    """A random model with the bundled tokenizer, and text enough."""
    torch.manual_seed(0)
    tokenizer = open_model("bundled:tiny", device="cpu", last_layer=0).tokenizer
    config = GPT2Config(
        n_layer=PLAN["layers"],
        n_embd=PLAN["d"],
        n_head=PLAN["d"] // 64,
        n_positions=PLAN["context"],
        vocab_size=PLAN["vocabulary"],
        bos_token_id=None,
        eos_token_id=None,
    )
    GPT2LMHeadModel(config).save_pretrained(place / "model")
    tokenizer.save_pretrained(place / "model")
    (place / "text.txt").write_bytes(b"\n".join(file.read_bytes() for file in stdlib_files()))


def trained(place: Path, name: str, layers: Sequence[int]) -> float:
    """A job's trainer, from its start to its end; tokens a second after the first quarter."""
    home = Home(place / "home")
    home.make()
    run = RunDirectory(home.runs / name)
    spec = {
        "model": str(place / "model"),
        "dataset": {"source": str(place / "text.txt"), "context_length": PLAN["context"]},
        "layers": list(layers),
        "architecture": "topk",
        "hyperparameters": {
            "latent_dim": PLAN["latents"],
            "k": PLAN["k"],
            "batch_size": PLAN["batch"],
            "num_steps": PLAN["tokens"] // PLAN["batch"],
            "learning_rate": PLAN["learning_rate"],
            "log_interval": 4,
        },
    }
    run.create(spec_json(complete_spec(spec).spec))
    environment = torch_environment({**os.environ, "SAETUI_HOME": str(home.root)})
    command = [sys.executable, "-m", "saetui.training", str(run.path)]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = MetricReader(run.job_metrics)
    log.poll()
    _, tokens = log.series(JOB, "tokens")
    _, seconds = log.series(JOB, "seconds")
    first = len(tokens) // 4
    return float((tokens[-1] - tokens[first]) / (seconds[-1] - seconds[first]))


def saelens_at_all_sites() -> dict[str, float]:
    """SAELens, a run for each site."""
    speeds = {site: saelens(site) for site in SITES}
    return {"SAELens, one site": speeds[SITE], "SAELens, four sites": 1 / sum(1 / speed for speed in speeds.values())}


def saelens(layer: int) -> float:
    """SAELens's runner at one site."""
    python = peer_python("saelens")
    assert python is not None
    script = Path(__file__).with_name("end_to_end_saelens.py")
    done = subprocess.run(
        [str(python), str(script), json.dumps(PLAN), str(layer)], capture_output=True, text=True, check=True
    )
    return float(json.loads(done.stdout.splitlines()[-1])["tokens_per_second"])


def forward(place: Path) -> float:
    """The model up to the site, in its widest micro-batch, and nothing else."""
    site = Site.parse(f"layer_{SITE}.resid_post")
    model = open_model(str(place / "model"), device="cpu", last_layer=SITE)
    data = prepare_tokens(
        str(place / "text.txt"), model.tokenizer, context_length=PLAN["context"], cache_directory=place / "tokens"
    )
    extractor = ActivationExtractor(model, [site])
    contexts = ContextOrder(data.train, 0).at(range(PLAN["tokens"] // PLAN["context"] // 2))
    began, tokens = time.perf_counter(), 0
    for rows in extract_rows(extractor, data, contexts):
        tokens += len(rows[site.name])
    return tokens / (time.perf_counter() - began)


def stepping() -> float:
    """The SAE's step on activations in memory."""
    sae = build("topk", PLAN["d"], PLAN["d"], PLAN["latents"], torch.Generator().manual_seed(0), k=PLAN["k"])
    optimizer = torch.optim.Adam(sae.parameters(), lr=PLAN["learning_rate"], fused=True)
    x = torch.randn(PLAN["batch"], PLAN["d"])
    steps = 24
    for turn in range(steps + 4):
        if turn == 4:
            began = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        accumulate(sae, x)
        sae.before_step()
        torch.nn.utils.clip_grad_norm_(sae.parameters(), 1.0)
        optimizer.step()
        sae.after_step()
    return float(steps * PLAN["batch"] / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
