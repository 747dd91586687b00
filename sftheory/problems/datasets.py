"""Real data for two-class problems: scikit-learn's bundled sets and LIBSVM files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sftheory.core.errors import InputError, nearest
from sftheory.core.tableau import Array


class Labelled(NamedTuple):
    """Features A (n, d) as they were read, labels b (n,) in {-1, +1}."""

    A: Array
    b: Array


def load_labelled(name_or_path: str | os.PathLike[str]) -> Labelled:
    """A bundled data set by name, or a file in LIBSVM format.

    Names: breast_cancer (also cancer), digits (even against odd), wine (class 0 against the rest),
    diabetes (target above its median).

    Raises:
        InputError: no such name and no such file, or a malformed file.
    """
    from sklearn import datasets

    bundled = {
        "breast_cancer": (datasets.load_breast_cancer, lambda t: t == 1),
        "cancer": (datasets.load_breast_cancer, lambda t: t == 1),
        "digits": (datasets.load_digits, lambda t: t % 2 == 0),
        "wine": (datasets.load_wine, lambda t: t == 0),
        "diabetes": (datasets.load_diabetes, lambda t: t > np.median(t)),
    }
    if str(name_or_path) in bundled:
        load, positive = bundled[str(name_or_path)]
        A, target = load(return_X_y=True)
        return Labelled(A.astype(float), np.where(positive(target), 1.0, -1.0))
    if Path(name_or_path).exists():
        return read_libsvm(name_or_path)
    if os.sep in str(name_or_path) or "." in str(name_or_path):
        raise InputError(f"There is no file {name_or_path}; pass a path of a LIBSVM file.")
    raise nearest("data set", str(name_or_path), bundled)


def read_libsvm(path: str | os.PathLike[str]) -> Labelled:
    """A two-class file in LIBSVM format: `label index:value index:value ...` a line, from 1.

    The larger of the two labels becomes +1. Text after # is a comment.

    Raises:
        InputError: a line is malformed (the sentence gives file, line number and reason), or there
            are not exactly two labels.
    """
    labels: list[float] = []
    entries: list[tuple[int, int, float]] = []
    try:
        with open(path, encoding="utf-8") as file:
            for number, text in enumerate(file, start=1):
                fields = text.split("#")[0].split()
                if not fields:
                    continue
                try:
                    entries += _parse(fields, row=len(labels))
                    labels.append(_finite(fields[0]))
                except ValueError as reason:
                    raise InputError(f"{path}, line {number}: {reason}.") from None
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text; pass a file in LIBSVM format.") from None
    if not labels:
        raise InputError(f"{path} is empty; write label index:value ... on its lines.")
    classes = sorted(set(labels))
    if len(classes) != 2:
        raise InputError(
            f"{path} has {'one label' if len(classes) == 1 else f'{len(classes)} labels'}, but "
            f"two classes are needed; keep rows of exactly two."
        )
    if not entries:
        raise InputError(f"{path} has labels but no features; write index:value after the label.")
    A = np.zeros((len(labels), 1 + max(j for _, j, _ in entries)))
    for i, j, value in entries:
        A[i, j] = value
    return Labelled(A, np.where(np.array(labels) == classes[1], 1.0, -1.0))


def _parse(fields: list[str], row: int) -> list[tuple[int, int, float]]:
    entries, previous = [], 0
    _finite(fields[0])
    for field in fields[1:]:
        index, colon, value = field.partition(":")
        if not colon or not index.isdigit():
            raise ValueError(f"expected index:value but found {field!r}")
        if int(index) <= previous:
            raise ValueError(f"index {index} follows {previous}; indices start at 1 and increase")
        previous = int(index)
        entries.append((row, previous - 1, _finite(value)))
    return entries


def _finite(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"expected a number but found {text!r}") from None
    if not np.isfinite(number):
        raise ValueError(f"{text!r} is not finite")
    return number
