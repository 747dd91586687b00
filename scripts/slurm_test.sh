#!/usr/bin/env bash
# Sweeps on a real Slurm: one node, this machine, with daemons of its own in a temporary folder.
#
#   scripts/slurm_test.sh [PYTHON]      as root, on Debian; installs slurm-wlm and munge if missing
#
# What is submitted, killed and compared is in tests/lm/slurm_sweeps.py.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=$(realpath -s "${1:-.venv/bin/python}")
ROOT=$PWD
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONPATH=$ROOT${PYTHONPATH:+:$PYTHONPATH}

die() { echo "slurm_test: $1" >&2; exit 1; }
say() { echo "== $1 ($SECONDS s)"; }

[ -x "$PYTHON" ] || die "There is no $PYTHON; run make setup first, or name a Python with sftheory."
missing() { for name in slurmctld slurmd sbatch srun munged; do command -v $name >/dev/null || return 0; done; return 1; }
if missing; then
  [ "$(id -u)" = 0 ] || die "Slurm is missing and only root can install it; apt-get install slurm-wlm munge."
  say "installing slurm-wlm and munge"
  export DEBIAN_FRONTEND=noninteractive
  log=$(mktemp)
  { apt-get update && apt-get install -y --no-install-recommends slurm-wlm munge; } >"$log" 2>&1 ||
    die "Slurm could not be installed: $(tail -n 1 "$log")"
  missing && die "Slurm was installed but its daemons are not on the PATH; see $log."
fi
[ "$(id -u)" = 0 ] || die "Slurm's daemons start tasks only as root; run this as root."

WORK=$(mktemp -d /tmp/slurm_test.XXXXXX)
chmod 755 "$WORK"
export SLURM_CONF=$WORK/slurm.conf
unset "${!SLURM_@}" 2>/dev/null || true
export SLURM_CONF=$WORK/slurm.conf
NODE=$(hostname -s)
free_port() { "$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'; }

pids=()
finish() {
  status=$?
  scancel --user root 2>/dev/null || true
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  sleep 1
  for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
  if [ $status -ne 0 ]; then
    echo "slurm_test: failed; what there is to see is in $WORK" >&2
    tail -n 5 "$WORK"/*.log >&2 || true
  else
    rm -rf "$WORK"
  fi
}
trap finish EXIT

say "starting munged, slurmctld and slurmd"
mkdir -p "$WORK/munge" "$WORK/state" "$WORK/spool"
export TMPDIR=$WORK
head -c 1024 /dev/urandom >"$WORK/munge/key"
chmod 700 "$WORK/munge"; chmod 400 "$WORK/munge/key"
SOCKET=$WORK/munge.socket
munged --foreground --force --key-file="$WORK/munge/key" --socket="$SOCKET" \
  --pid-file="$WORK/munge/pid" --seed-file="$WORK/munge/seed" >"$WORK/munged.log" 2>&1 &
pids+=($!)
cat >"$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=$NODE(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
AuthType=auth/munge
AuthInfo=socket=$SOCKET
CredType=cred/munge
CommunicationParameters=NoAddrCache
StateSaveLocation=$WORK/state
SlurmdSpoolDir=$WORK/spool
SlurmctldPidFile=$WORK/slurmctld.pid
SlurmdPidFile=$WORK/slurmd.pid
SlurmctldLogFile=$WORK/slurmctld.log
SlurmdLogFile=$WORK/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SwitchType=switch/none
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=100000,sched_interval=2,bf_interval=2
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
KillWait=20
MinJobAge=600
NodeName=$NODE NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=all Nodes=$NODE Default=YES MaxTime=60 State=UP
CONF
for _ in $(seq 50); do [ -S "$SOCKET" ] && break; sleep 0.1; done
[ -S "$SOCKET" ] || die "munged did not start: $(tail -n 1 "$WORK/munged.log")"
slurmctld -D -i >"$WORK/slurmctld.out.log" 2>&1 & pids+=($!)
slurmd -D -N "$NODE" >"$WORK/slurmd.out.log" 2>&1 & pids+=($!)
for _ in $(seq 100); do
  [ "$(sinfo --noheader --format=%t 2>/dev/null)" = idle ] && break
  sleep 0.2
done
[ "$(sinfo --noheader --format=%t 2>/dev/null)" = idle ] || die "The node of Slurm did not come up: $(sinfo 2>&1 | tail -n 1)"

"$PYTHON" "$ROOT/tests/lm/slurm_sweeps.py" "$WORK"
say "all passed"
