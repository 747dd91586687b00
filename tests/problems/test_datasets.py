import numpy as np
import pytest

from sftheory.core.errors import InputError
from sftheory.problems import LogisticRegression
from sftheory.problems.datasets import load_labelled, read_libsvm

GOOD = """\
# a comment, and an empty line

+1 1:0.5 3:-2e-1  # another
-1 2:1
+1 3:4 4:1.25
"""


def write(folder, text):
    path = folder / "data.svm"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_good_file_is_read_as_it_was_written(tmp_path):
    A, b = read_libsvm(write(tmp_path, GOOD))
    assert A.tolist() == [[0.5, 0, -0.2, 0], [0, 1, 0, 0], [0, 0, 4, 1.25]]
    assert b.tolist() == [1, -1, 1]


def test_written_data_are_read_back_to_the_last_bit(tmp_path):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((40, 6)) * (rng.random((40, 6)) < 0.5)
    A[-1, -1] = 1.5  # the last column exists
    b = np.where(rng.random(40) < 0.5, 1.0, -1.0)
    rows = [" ".join(f"{j + 1}:{v!r}" for j, v in enumerate(a) if v) for a in A.tolist()]
    text = "\n".join(f"{label:g} {row}" for label, row in zip(b, rows, strict=True))
    back = load_labelled(write(tmp_path, text))
    np.testing.assert_array_equal(back.A, A)
    np.testing.assert_array_equal(back.b, b)


@pytest.mark.parametrize("low, high", [(0, 1), (1, 2), (-1, 1), (2, 4)])
def test_the_larger_of_any_two_labels_is_plus_one(tmp_path, low, high):
    b = read_libsvm(write(tmp_path, f"{high} 1:1\n{low} 1:2\n{high} 1:3\n")).b
    assert b.tolist() == [1, -1, 1]


MALFORMED = [
    ("+1 1:1\n-1 2\n", 2, "expected index:value but found '2'"),
    ("+1 1:1\n\n# text\n-1 a:2\n", 4, "expected index:value but found 'a:2'"),
    ("+1 1:one\n", 1, "expected a number but found 'one'"),
    ("+1 1:\n", 1, "expected a number but found ''"),
    ("yes 1:1\n", 1, "expected a number but found 'yes'"),
    ("+1 1:1\n-1 1:nan\n", 2, "'nan' is not finite"),
    ("inf 1:1\n", 1, "'inf' is not finite"),
    ("+1 0:1\n", 1, "index 0 follows 0; indices start at 1 and increase"),
    ("+1 1:1\n-1 3:1 2:1\n", 2, "index 2 follows 3"),
    ("+1 2:1 2:1\n", 1, "index 2 follows 2"),
    ("+1 -1:1\n", 1, "expected index:value but found '-1:1'"),
    ("+1 1:1 qid:3\n", 1, "expected index:value but found 'qid:3'"),
]


@pytest.mark.parametrize(("text", "line", "reason"), MALFORMED)
def test_a_malformed_line_is_named_with_file_number_and_reason(tmp_path, text, line, reason):
    path = write(tmp_path, text)
    with pytest.raises(InputError) as error:
        read_libsvm(path)
    assert str(error.value).startswith(f"{path}, line {line}: {reason}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("+1 1:1\n+1 1:2\n", "one label, but two classes are needed"),
        ("1 1:1\n2 1:1\n3 1:1\n", "3 labels"),
        ("+1\n-1\n", "labels but no features"),
        (b"\xff\xfe+1 1:1\n", "not text"),
    ],
)
def test_a_file_without_two_classes_of_features_is_refused(tmp_path, text, reason):
    with pytest.raises(InputError, match=reason):
        read_libsvm(write(tmp_path, text))


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_libsvm(tmp_path / "none.svm")
    with pytest.raises(InputError, match="no file"):
        LogisticRegression(tmp_path / "none.svm")


@pytest.mark.parametrize(
    ("name", "shape", "positive"),
    [
        ("breast_cancer", (569, 30), 357),
        ("cancer", (569, 30), 357),
        ("digits", (1797, 64), 891),
        ("wine", (178, 13), 59),
        ("diabetes", (442, 10), 221),
    ],
)
def test_a_bundled_set_has_two_classes(name, shape, positive):
    A, b = load_labelled(name)
    assert A.shape == shape and (b == 1).sum() == positive and (b == -1).sum() == len(b) - positive
