import numpy as np
import pytest

from sftheory.core.errors import InputError
from sftheory.schedules import FromValues, Linear


def write(folder, text):
    path = folder / "schedule.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("1\n0.75\n0.5\n0.25\n", None),
        ("lr\n1\n0.75\n0.5\n0.25\n", None),
        ("step,lr\n1,1\n2,0.75\n3,0.5\n4,0.25\n", "lr"),
        ("step, lr \n1, 1\n\n2, 7.5e-1\n3, 0.5\n4, 0.25", "lr"),
    ],
    ids=["bare", "one column", "named column", "spaces, exponent and an empty line"],
)
def test_a_csv_file_gives_the_values_of_its_column(tmp_path, text, column):
    schedule = FromValues(write(tmp_path, text), column)
    np.testing.assert_array_equal(schedule(4), Linear()(4))


@pytest.mark.parametrize(
    ("text", "column", "reason"),
    [
        ("", None, "holds no values"),
        ("lr\n", None, "is empty"),
        ("step,lr\n1,1\n", None, r"several columns; pass column=, one of \['step', 'lr'\]"),
        ("step,lr\n1,1\n", "rate", "no column 'rate'"),
        ("1\n2\n", "lr", "no column 'lr'"),
        ("step,lr\n1,1\n2,high\n", "lr", "line 3: expected a number but found 'high'"),
        ("step,lr\n1,1\n2\n", "lr", "line 3: expected a number but found 'nothing'"),
        ("lr\n1\nnan\n", None, "line 3.*nan"),
        ("lr\n1\n-0.5\n", None, "line 3.*-0.5"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(tmp_path, text, column, reason):
    with pytest.raises(InputError, match=reason) as error:
        FromValues(write(tmp_path, text), column)
    assert "schedule.csv" in str(error.value)


def test_a_file_that_is_no_text_is_an_input_error(tmp_path):
    path = tmp_path / "schedule.csv"
    path.write_bytes(b"\xff\xfe1\n2\n")
    with pytest.raises(InputError, match=r"schedule\.csv"):
        FromValues(path)


def test_given_values_stay_when_the_callers_array_changes():
    values = np.array([1.0, 0.5])
    schedule = FromValues(values)
    values[0] = 7
    assert schedule(2).tolist() == [1, 0.5]


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        FromValues(tmp_path / "none.csv")
