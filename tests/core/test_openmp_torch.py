"""Jobs on the threads of torch's own operations."""

import threading

import pytest
import torch

from sftheory.core import openmp

assert torch.get_num_threads()  # brings the runtime


@pytest.fixture(params=["team", "pool"])
def threads(request, monkeypatch):
    if request.param == "pool":
        monkeypatch.setattr(openmp, "runtime", lambda: None)
    elif openmp.runtime() is None:
        pytest.skip("torch has loaded no GOMP here")
    return request.param


@pytest.mark.parametrize("count", [1, 2, 3, 16])
def test_every_job_is_done_once(threads, count):
    done, lock = [], threading.Lock()

    def do(job):
        with lock:
            done.append(job)

    openmp.each(list(range(count)), do)
    assert sorted(done) == list(range(count))


def test_jobs_meet_on_different_threads(threads):
    both = threading.Barrier(2, timeout=30)  # one thread alone would wait in vain
    openmp.each([0, 1], lambda job: both.wait())


def test_an_error_of_a_job_is_raised_when_all_have_ended(threads):
    done = []

    def do(job):
        if job == 1:
            raise ValueError("job 1")
        done.append(job)

    with pytest.raises(ValueError, match="job 1"):
        openmp.each([0, 1, 2], do)
    assert sorted(done) == [0, 2]
