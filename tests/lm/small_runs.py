"""A config that takes milliseconds a step, on a text that is written here."""

import random

from sftheory import lm

WORDS = ["step", "average", "weight", "the", "a", "of", "norm", "point", "then", "falls", "\n"]


def text(seed=0, words=8000):
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def corpus(folder, seed=0, words=8000):
    path = folder / f"text-{seed}.txt"
    path.write_text(text(seed, words))
    return str(path)


def small(source, **changes):
    sections = {
        "model": {"width": 16, "layers": 1, "heads": 2, "context": 16},
        "data": {"source": source, "eval_tokens": 256},
        "optimizer": {"name": "adamw", "lr": 1e-2},
        "run": {"steps": 12, "batch": 4, "log_every": 5, "compile": "no", "device": "cpu"},
    }
    return lm.Config.of(sections).replaced(changes)
