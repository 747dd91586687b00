"""Sweeps on the Slurm that scripts/slurm_test.sh starts: what is cut off is queued again.

A. `sweep --cluster slurm`: of six tasks one is killed by SIGKILL, one preempted by Slurm, one told
   as at its time limit; the command itself is killed too, and repeated.
B. the plain `sbatch --array` script: one of six tasks is killed, one is told as at its time limit.
C. two runs of two processes each, as replicas and as shards; of one a process is killed.
D. a run that is longer than its time limit.
E. a partition that there is not, and no Slurm at all, are one sentence.

Every run has to end with the bits and the rows of the same run made here, alone.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from sftheory import lm
from sftheory.lm.store import outcome_of, read_rows

WORK = Path(sys.argv[1] if len(sys.argv) == 2 else ".")
WORDS = ["step", "average", "weight", "the", "a", "of", "norm", "point", "then", "falls", "\n"]
PLAN = """
[experiment]
runs = {runs}
[model]
width = 16
layers = 1
heads = 2
context = 16
[data]
source = "{source}"
eval_tokens = 256
[averages]
names = ["uniform", "ema:0.9", "lawa:20:4"]
[run]
steps = {steps}
batch = 4
eval_every = 100
checkpoint_every = 20
probe_every = 50
probe = ["weight_norm"]
device = "cpu"
threads = 1
[[sweep]]
{block}
"""
SIX = '"optimizer.name" = ["adamw", "schedule_free_adamw"]\n"run.seed" = [0, 1, 2]'
STEPS = 300
LONG = 45  # seconds; a task with a limit of one minute is told after half of it
BEGAN = time.monotonic()


def say(text):
    sys.stdout.write(f"-- {text} ({time.monotonic() - BEGAN:.0f} s)\n")
    sys.stdout.flush()


def check(fact, text):
    if not fact:
        sys.exit(f"slurm_test: {text}")


def plan(name, runs, steps, block):
    path = WORK / f"{name}.toml"
    source = WORK / "text.txt"
    source.write_text(" ".join(random.Random(0).choices(WORDS, k=8000)))
    path.write_text(PLAN.format(runs=runs, steps=steps, block=block, source=source))
    return path


def sweep(path, out, *words, **how):
    command = [sys.executable, "-m", "sftheory", "sweep", str(path), "--out", str(out), "--json"]
    log = (WORK / f"{out.name}.log").open("a")
    return subprocess.Popen([*command, *words], stdout=log, stderr=log, **how)


def slurm(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=60)


def queue():
    """Job to state of what is in the queue; jobs that wait for a date are told to start."""
    lines = slurm("squeue", "--noheader", "--array", "--format", "%i %T").stdout.split("\n")
    states = dict(line.split() for line in lines if line)
    for job, state in states.items():
        if state == "PENDING":
            slurm("scontrol", "update", f"JobId={job}", "StartTime=now")
    return states


def until(fact, text, limit=240):
    """Waits for what `fact` returns to be true."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        queue()
        if found := fact():
            return found
        time.sleep(0.5)
    sys.exit(f"slurm_test: waited {limit} s in vain: {text}")


def ids(path):
    return [case.config.id for case in lm.read_sweep(path)]


def job_of(out, name):
    path = out / "jobs" / f"{name}.job"
    return path.read_text() if path.exists() else None


def under_way(out, name, least=40):
    """Whether a run has a checkpoint and has not ended."""
    steps = [int(p.name[5:]) for p in (out / name / "checkpoints").glob("step-*")]
    return bool(steps) and max(steps) >= least and outcome_of(out / name) is None


def pids(name):
    """The Python processes that work on a run or, below submitit, on a job."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().decode(errors="replace").split("\0")
            environment = (place / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        told = f"SLURM_ARRAY_JOB_ID={name.split('_')[0]}\0" in environment
        told = told and f"SLURM_ARRAY_TASK_ID={name.split('_')[-1]}\0" in environment
        if told and "python" in words[0] and "-m" in words:
            found.append((int(place.name), words))
    return found


def restarts(job):
    text = slurm("scontrol", "show", "job", job).stdout
    return max((int(part[9:]) for part in text.split() if part.startswith("Restarts=")), default=0)


def same(path, out, reference):
    """Every run ended, with the bits and the rows of the reference, and nothing else is there."""
    names = set(ids(path))
    there = {p.parent.name for p in out.glob("*/config.json")}
    check(there == names, f"{out} has the runs {there} and not {names}.")
    for name in sorted(names):
        run, other = lm.load(out / name), lm.load(reference / name)
        check(run.status == "finished", f"{name} is {run.status}.")
        check(run.state_hash == other.state_hash, f"{name} ended with other bits.")
        for log in ("metrics", "probe"):
            rows, wanted = (list(read_rows(r.directory / f"{log}.jsonl")) for r in (run, other))
            check(rows == wanted, f"{name} has {len(rows)} rows of {log} and not {len(wanted)}.")


def by_submitit(path, out):
    words = ["--cluster", "slurm", "--jobs", "3", "--sbatch", "time=10"]
    command = sweep(path, out, *words)
    names = ids(path)

    def busy():
        return [n for n in names if under_way(out, n)]

    until(lambda: len(busy()) >= 3, "three tasks under way")
    killed, preempted, told = busy()[:3]
    array = job_of(out, killed).split("_")[0]
    for pid, _ in pids(job_of(out, killed)):
        os.kill(pid, signal.SIGKILL)
    slurm("scontrol", "requeue", job_of(out, preempted))
    slurm("scancel", "--signal=USR2", job_of(out, told))
    say("one task killed, one preempted, one told of its time limit")
    command.kill()
    command.wait()
    say("the command killed, and repeated")
    command = sweep(path, out, *words)
    for name in (killed, preempted, told):
        until(lambda n=name: restarts(job_of(out, n)) == 1, f"{name} is queued again")
    until(lambda: command.poll() is not None, "the sweep to end")
    check(command.returncode == 0, f"the command ended with {command.returncode}.")
    jobs = {job_of(out, name) for name in names}
    check(jobs == {f"{array}_{i}" for i in range(6)}, f"there were more jobs than six: {jobs}.")


def by_script(path, out):
    words = ["--cluster", "script", "--jobs", "3", "--sbatch", "time=10"]
    check(sweep(path, out, *words).wait() == 0, "the script was not written.")
    (script,) = (out / "jobs").glob("*.sh")
    array = slurm("sbatch", "--parsable", str(script)).stdout.strip()
    check(array.isdecimal(), "sbatch did not take the script.")
    names = ids(path)
    job = {name: f"{array}_{i}" for i, name in enumerate(names)}

    def busy():
        return [n for n in names if under_way(out, n)]

    until(lambda: len(busy()) >= 2, "two tasks of the script under way")
    killed, told = busy()[:2]
    for pid, _ in pids(job[killed]):
        os.kill(pid, signal.SIGKILL)
    slurm("scancel", "--batch", "--signal=USR1", job[told])
    say("of the script one task killed, one told of its time limit")
    for name in (killed, told):
        until(lambda n=name: restarts(job[n]) == 1, f"{name} is queued again")
    until(lambda: not queue(), "the array to end")


def by_two_processes(path, out):
    words = ["--cluster", "slurm", "--jobs", "2", "--processes", "2"]
    command = sweep(path, out, *words, "--sbatch", "time=10", "--sbatch", "cpus-per-task=2")
    names = ids(path)
    until(lambda: any(under_way(out, n) for n in names), "a run of two processes under way")
    name = next(n for n in names if under_way(out, n))
    workers = [pid for pid, words in pids(job_of(out, name)) if "sftheory" in words]
    check(len(workers) == 2, f"{name} has {len(workers)} processes.")
    os.kill(max(workers), signal.SIGKILL)
    say("of a run of two processes one killed")
    until(lambda: restarts(job_of(out, name)) >= 1, f"{name} is queued again")
    until(lambda: command.poll() is not None, "the sweep of two processes to end")
    check(command.returncode == 0, f"the command ended with {command.returncode}.")


def beyond_its_limit(path, out):
    words = ["--cluster", "slurm", "--sbatch", "time=1"]
    command = sweep(path, out, *words)
    (name,) = ids(path)
    until(lambda: (j := job_of(out, name)) and restarts(j) >= 1, "the time limit")
    until(lambda: command.poll() is not None, "the long run to end")
    check(command.returncode == 0, f"the command ended with {command.returncode}.")


def refused(path, out):
    for words, how, says in [
        (["--sbatch", "partition=none"], {}, "Slurm refuses the jobs"),
        ([], {"env": {**os.environ, "PATH": "/nowhere"}}, "there is no squeue here"),
    ]:
        log = WORK / f"{out.name}.log"
        log.write_text("")
        check(sweep(path, out, "--cluster", "slurm", *words, **how).wait() == 2, "no status 2.")
        text = log.read_text().strip()
        check(says in text and len(text.split("\n")) == 1, f"what was said is {text!r}.")


def main():
    six = plan("six", 6, STEPS, SIX)
    two = plan("two", 2, STEPS, '"run.parallel" = ["ddp", "fsdp"]')
    here = WORK / "here"
    refused(six, WORK / "E")
    say("bad input is told")
    began = time.monotonic()
    lm.sweep(six, here)
    a_second = 6 * STEPS / (time.monotonic() - began)
    one = plan("one", 1, int(LONG * a_second), '"run.seed" = 3')
    lm.sweep(one, here)
    lm.sweep(two, here, processes=2)
    say("the same runs made here, alone")
    for path, out, work in [
        (six, WORK / "A", by_submitit),
        (six, WORK / "B", by_script),
        (two, WORK / "C", by_two_processes),
        (one, WORK / "D", beyond_its_limit),
    ]:
        work(path, out)
        same(path, out, here)
        say(f"{out.name}: nothing lost, nothing repeated")


if __name__ == "__main__":
    main()
