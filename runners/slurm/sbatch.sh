#!/bin/bash
@@{directives}
# A Flink cluster for one pipeline, written by beam-curate @@{version}: a JobManager on the first node, a
# TaskManager on each, then the pipeline; everything ends with it. Submit: cd to a folder that all
# nodes see, sbatch this file. docs/slurm.md explains it.
set -euo pipefail

# ---- what was asked for ----------------------------------------------------------------------
@@{settings}
# ----------------------------------------------------------------------------------------------

say() { printf '%(%F %T)T slurm %s: %s\n' -1 "$SLURM_JOB_ID" "$*"; }
# A trap runs at once only while bash waits for something in the background.
pause() { sleep "$1" & wait "$!" || true; }

job="${BC_LOG_FOLDER:-$SLURM_SUBMIT_DIR}/${SLURM_JOB_NAME}_$SLURM_JOB_ID"
attempt=${SLURM_RESTART_COUNT:-0}
run=$job/attempt-$attempt
mkdir -p "$run"
# These are steps of this job, whatever the shell that called sbatch had set.
export SLURM_EXPORT_ENV=ALL
unset SLURM_CPU_BIND SLURM_GRES SRUN_CPUS_PER_TASK SLURM_CPUS_PER_TASK 2>/dev/null || true

why=       # why the job must end before the pipeline does
declare -A pids=()
trap 'why=${why:-time}' USR1
trap 'why=${why:-term}' TERM INT

step() {   # step NAME SRUN-FLAG... -- BC_COMMAND...: starts a step; it shares the job's cores and memory
  local name=$1 flags=()
  shift
  while [ "$1" != -- ]; do flags+=("$1"); shift; done
  shift
  srun --job-name="$name" --overlap --mem=0 --mpi=none --cpu-bind=none --export=ALL --input=none \
    --kill-on-bad-exit=0 --wait=0 --ntasks-per-node=1 "${flags[@]}" "${BC_CONTAINER[@]}" "$@" &
  pids[$name]=$!
}
is_up() { [ -n "${pids[$1]:-}" ] && kill -0 "${pids[$1]}" 2>/dev/null; }
stop() {   # stop NAME SECONDS: a TERM to srun itself would end its step by KILL, so its tasks get it
  local id i
  is_up "$1" || return 0
  id=$(squeue -h -s -j "$SLURM_JOB_ID" -o '%i %j' 2>/dev/null | awk -v name="$1" '$2 == name { print $1 }') || true
  if [ -n "$id" ]; then scancel --signal=TERM "$id" 2>/dev/null || true; fi
  for ((i = 0; i < $2 * 4; i++)); do is_up "$1" || return 0; sleep 0.25; done
  say "$1 had to be killed"
  kill -TERM "${pids[$1]}" 2>/dev/null || true
}
show_logs() {   # what is not everyday in the logs of Flink's parts
  local log
  for log in "$run"/*.log; do
    [ -e "$log" ] || continue
    echo "==> $log"
    grep -v 'INFO ' "$log" | tail -n 15 || true
  done
}

go_on_later() {   # go_on_later REASON [free]: puts the job back into the queue if that may be done
  local times which
  times=$(cat "$job/requeued" 2>/dev/null || echo 0)
  if [ "${2:-}" = free ] && ((BC_RETRIES > 0)); then
    which="as SLURM would"
  elif ((times < BC_RETRIES)); then
    which="retry $((times + 1)) of $BC_RETRIES"
    echo $((times + 1)) > "$job/requeued"
  else
    say "ended by $1 after $times of $BC_RETRIES retries; submit the same command again and it goes on"
    return 0
  fi
  say "ended by $1; back into the queue ($which)"
  scontrol requeue "$SLURM_JOB_ID" ||
    say "SLURM does not requeue it; submit the same command again and it goes on"
}

was_preempted() {   # since this attempt began: the job may remember the last time
  [[ $job_now =~ \ StartTime=([0-9T:-]+) ]] || return 1
  local began=${BASH_REMATCH[1]}
  [[ $job_now =~ \ PreemptTime=([0-9][0-9T:-]*) ]] || return 1
  [[ ! ${BASH_REMATCH[1]} < $began ]]
}

finish() {
  local status=$? job_now
  trap - EXIT
  trap '' USR1 TERM INT
  say "ending${why:+: $why}"
  # Before its end: a job that is cancelled, or that SLURM puts back by itself, runs no longer.
  job_now=$(scontrol show job -o "$SLURM_JOB_ID" 2>/dev/null) || job_now=
  # Without a cluster it asks for half a minute whether its job still runs there; so does its guard.
  stop driver $([ "$why" = broken ] && echo 75 || echo 40)
  touch "$run/driver-ended"
  stop taskmanagers 12
  stop jobmanager 12
  say "ended, status $status"
  if [[ $job_now == *JobState=RUNNING* ]]; then
    case $why in
      time) go_on_later "the time limit" ;;
      # With a time of grace, SLURM asks the steps of a job to end and leaves the rest to it. Which of
      # them ends first is chance.
      *)
        if was_preempted; then
          go_on_later "preemption" free
        elif [ "$why" = broken ]; then
          go_on_later "the loss of the Flink cluster"
        fi
        ;;
    esac
  fi
  exit "$status"
}
trap finish EXIT
end_if_asked() {
  case $why in
    time) say "the time limit is near"; exit 124 ;;
    term) say "asked to end"; exit 143 ;;
  esac
}

# ---- addresses and ports ---------------------------------------------------------------------
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
first=${SLURMD_NODENAME:-${nodes[0]}}

own_address() {   # an address of this node that the others reach
  local name found
  if [ -n "$BC_NETWORK_INTERFACE" ]; then
    ip -4 -o address show dev "$BC_NETWORK_INTERFACE" | awk 'NR == 1 { sub("/.*", "", $4); print $4 }'
    return
  fi
  # On Debian a node's own name is 127.0.1.1 in its /etc/hosts.
  name=$(scontrol show node "$first" | sed -n 's/.*NodeAddr=\([^ ]*\).*/\1/p') || name=
  found=$({ getent ahostsv4 "$first"; getent ahostsv4 "${name:-$first}"; hostname -I | tr ' ' '\n'; } \
    2>/dev/null | awk '$1 !~ /^127\./ && NF && !found { print $1; found = 1 }') || true
  echo "${found:-127.0.0.1}"
}
is_free() { ! timeout 2 bash -c ': < "/dev/tcp/$0/$1"' "$address" "$1" 2>/dev/null; }

address=$(own_address)
if [ -z "$address" ]; then say "no address on interface $BC_NETWORK_INTERFACE of $first"; exit 1; fi
# A window of twelve of this job's own, below the ports that systems hand out: two jobs on a node do not
# meet. The JobManager takes the first three that are free, TaskManagers the rest, see node.sh.
window=$((20000 + SLURM_JOB_ID % 1000 * 12))
ports=()
for ((port = window; ${#ports[@]} < 3 && port < 32700; port++)); do
  if is_free "$port"; then ports+=("$port"); fi
done
if ((${#ports[@]} < 3)); then say "no three free ports on $first"; exit 1; fi
rest=$address:${ports[1]}
stamp=$SLURM_JOB_ID.$attempt

declare -p address window ports rest stamp run BC_PYTHON BC_PYTHON_PATH BC_FLINK_HOME BC_JAVA_HOME BC_JAR \
  BC_SETUP BC_SCRATCH BC_SLOTS BC_JOBMANAGER_MEMORY BC_TASKMANAGER_MEMORY BC_FLINK_CONF BC_WORK_FOLDER BC_IS_PIPELINE BC_COMMAND \
  > "$run/settings.sh"
cat > "$run/node.sh" <<'BEAM_CURATE_NODE'
@@{node}
BEAM_CURATE_NODE

# ---- the cluster -----------------------------------------------------------------------------
started=$SECONDS
say "attempt $attempt on ${nodes[*]}; JobManager $first ($address), ports ${ports[*]}; logs in $run"
step jobmanager --nodes=1 --ntasks=1 --nodelist="$first" --gres=none --output="$run/jobmanager.log" \
  -- bash "$run/node.sh" jobmanager "$run/settings.sh"
step taskmanagers --nodes="${#nodes[@]}" --ntasks="${#nodes[@]}" --output="$run/taskmanager-%N.log" \
  -- bash "$run/node.sh" taskmanager "$run/settings.sh"

get() {   # get PATH: what the JobManager's REST interface answers, or nothing
  timeout 5 bash -c 'exec 3<>"/dev/tcp/${0%:*}/${0##*:}" &&
    printf "GET %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n" "$1" "$0" >&3 && cat <&3' \
    "$rest" "$1" 2>/dev/null || true
}
missing() {   # the nodes whose TaskManager has not come
  local there node
  there=$(get /taskmanagers)
  for node in "${nodes[@]}"; do [[ $there == *"\"tm-$node-"* ]] || printf ' %s' "$node"; done
}
num_ready=-1
until ((num_ready == ${#nodes[@]})); do
  end_if_asked
  if ! is_up jobmanager || ! is_up taskmanagers; then
    say "Flink did not start: its logs in $run say why, here their ends"
    show_logs
    exit 1
  fi
  if ((SECONDS - started > BC_READY_SECONDS)); then
    say "Flink is not ready after $BC_READY_SECONDS s: no TaskManager from$(missing); see $run"
    show_logs
    exit 1
  fi
  pause 0.5
  if [[ $(get /overview) =~ \"taskmanagers\":([0-9]+) ]]; then num_ready=${BASH_REMATCH[1]}; fi
done
if [[ $(get /jobmanager/config) != *"\"$stamp\""* ]]; then
  say "another Flink answers on $rest; submit again"
  exit 1
fi
say "Flink is ready after $((SECONDS - started)) s; its pages: ssh -L 8081:$rest LOGIN_NODE, then http://localhost:8081"

# ---- the pipeline ----------------------------------------------------------------------------
step driver --nodes=1 --ntasks=1 --nodelist="$first" -- bash "$run/node.sh" driver "$run/settings.sh"
while is_up driver; do
  end_if_asked
  if ! is_up jobmanager || ! is_up taskmanagers; then
    why=broken
    say "Flink ended while the pipeline ran: its logs in $run say why, here their ends"
    show_logs
    exit 1
  fi
  pause 1
done
status=0
wait "${pids[driver]}" || status=$?
unset 'pids[driver]'
end_if_asked
say "the pipeline ended with status $status"
exit "$status"
