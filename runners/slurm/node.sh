#!/bin/bash
# One program of a Flink cluster on one node: node.sh jobmanager|taskmanager|driver SETTINGS
set -euo pipefail
role=$1
# shellcheck source=/dev/null
source "$2"
node=${SLURMD_NODENAME:-$(hostname -s)}
die() { echo "beam-curate on $node, $role: $*" >&2; exit 1; }

# A batch job has no USER, the batch node's HOSTNAME, and the login node's run-time folder.
export USER=${USER:-$(id -un)} HOSTNAME=$node PYTHONUNBUFFERED=1
[ -d "${XDG_RUNTIME_DIR:-}" ] || unset XDG_RUNTIME_DIR
if [ -n "$BC_SCRATCH" ]; then
  mkdir -p -- "$BC_SCRATCH" || die "node_scratch $BC_SCRATCH cannot be made on this node"
  export TMPDIR=$BC_SCRATCH
fi
if [ -n "$BC_SETUP" ]; then
  set +eu
  eval "$BC_SETUP"
  set -eu
fi
command -v -- "$BC_PYTHON" > /dev/null ||
  die "there is no $BC_PYTHON here; --python must name the same interpreter on every node (in the container, if there is one)"
if [ -n "$BC_PYTHON_PATH" ]; then export PYTHONPATH=$BC_PYTHON_PATH${PYTHONPATH:+:$PYTHONPATH}; fi
if [ -n "$BC_JAVA_HOME" ]; then export JAVA_HOME=$BC_JAVA_HOME; fi
if [ -z "${JAVA_HOME:-}" ] && command -v java > /dev/null; then
  JAVA_HOME=$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")
fi
if [ ! -x "${JAVA_HOME:-}/bin/java" ]; then
  die "no java here (JAVA_HOME is '${JAVA_HOME:-}'); give --java_home PATH or --setup 'module load java'"
fi
export JAVA_HOME PATH=$JAVA_HOME/bin:$PATH

if [ "$role" = driver ]; then
  if [ -n "$BC_WORK_FOLDER" ]; then
    cd -- "$BC_WORK_FOLDER" || die "$BC_WORK_FOLDER, where the command was given, is not here; is it on a shared disk?"
  fi
  export FLINK_MASTER=$rest
  if [ "$BC_IS_PIPELINE" = 1 ]; then
    "$BC_PYTHON" -c 'import beam_pipeline' || die "$BC_PYTHON has no beam_pipeline; install beam-curate there"
    BC_COMMAND=("$BC_PYTHON" -m beam_pipeline "${BC_COMMAND[@]}" --runner=FlinkRunner --flink_master="$rest")
    if [ -n "$BC_JAR" ]; then BC_COMMAND+=(--flink_job_server_jar="$BC_JAR"); fi
    # A worker takes one GPU: as many workers on each node as the job has GPUs there.
    IFS=, read -ra gpus <<< "${CUDA_VISIBLE_DEVICES:-}"
    if ((${#gpus[@]} > 1)) && [[ " ${BC_COMMAND[*]}" != *" --sdk_worker_parallelism"* ]]; then
      BC_COMMAND+=(--sdk_worker_parallelism="${#gpus[@]}")
    fi
  fi
  exec "${BC_COMMAND[@]}"
fi

# ---- a JobManager or a TaskManager -----------------------------------------------------------
flink=${BC_FLINK_HOME:-${FLINK_HOME:-}}
if [ -z "$flink" ]; then
  flink=$("$BC_PYTHON" -c 'import importlib.util as u
found = u.find_spec("pyflink")
print(found.submodule_search_locations[0] if found else "")')
fi
[ -x "$flink/bin/$role.sh" ] ||
  die "no Flink at '$flink' (bin/$role.sh is missing); unpack one, or install apache-flink and apache-flink-libraries beside $BC_PYTHON, and give --flink_home PATH"

root=${TMPDIR:-/tmp}/beam-curate-flink-$(id -u)
own=$root/$stamp-$node-$role
mkdir -p -m 700 -- "$root"
if [ ! -O "$root" ] || [ -L "$root" ]; then die "$root is not this user's; give --node_scratch PATH"; fi
# What killed jobs left goes; nobody looks while a new folder has no lock yet.
exec 9> "$root/sweep.lock"
flock 9
for old in "$root"/*/; do
  [ -e "$old" ] || continue
  if [ ! -e "$old/lock" ] || flock -n "$old/lock" true; then rm -rf -- "$old" || true; fi
done
mkdir -p -- "$own"/{conf,tmp,log,pid}
exec 8> "$own/lock"
flock 8
flock -u 9
exec 9>&-

# What the workers of this node print, 8 MiB of each at most.
export BEAM_CURATE_LOGS=${BEAM_CURATE_LOGS:-$run/workers-$node}
slots=${BC_SLOTS:-${SLURM_CPUS_ON_NODE:-$(nproc)}}
# Shuffles take 16 MB of network buffers per slot and exchange; the rest is the JVM itself.
memory=${BC_TASKMANAGER_MEMORY:-$((1280 + 192 * slots))m}
cp -- "$flink"/conf/log4j*.properties "$own/conf/"
# Java 17 needs the --add-opens that Flink ships in its own configuration.
opens=$(sed -n 's/^ *\(env\.java\.opts\.\)\{0,1\}all: *\(--add.*\)/\2/p' "$flink/conf/config.yaml" | head -n 1)
# The JobManager hands a job's files to itself by "localhost": its bind-host cannot be $address.
# A key given by --flink_conf takes the place of ours: Flink refuses a key that stands twice.
awk -F ': ' '{ if (!($1 in line)) keys[++count] = $1; line[$1] = $0 }
  END { for (i = 1; i <= count; i++) if (keys[i]) print line[keys[i]] }' > "$own/conf/config.yaml" <<YAML
env.java.opts.all: "$opens"
env.java.opts.taskmanager: "-XX:+ExitOnOutOfMemoryError"
env.java.opts.jobmanager: "-XX:+ExitOnOutOfMemoryError"
jobmanager.rpc.address: "$address"
jobmanager.rpc.port: ${ports[0]}
jobmanager.bind-host: "0.0.0.0"
jobmanager.memory.process.size: "$BC_JOBMANAGER_MEMORY"
jobmanager.execution.failover-strategy: region
taskmanager.bind-host: "0.0.0.0"
taskmanager.rpc.port: "$((window + 3))-$((window + 5))"
taskmanager.data.bind-port: "$((window + 6))-$((window + 8))"
metrics.internal.query-service.port: "$((window + 9))-$((window + 11))"
taskmanager.numberOfTaskSlots: $slots
taskmanager.memory.process.size: "$memory"
taskmanager.memory.network.fraction: 0.2
rest.address: "$address"
rest.bind-address: "$address"
rest.port: ${ports[1]}
rest.bind-port: "${ports[1]}"
blob.server.port: "${ports[2]}"
io.tmp.dirs: "$own/tmp"
web.tmpdir: "$own/tmp"
heartbeat.interval: 5000
heartbeat.timeout: 60000
beam-curate.job: "$stamp"
$BC_FLINK_CONF
YAML
export FLINK_CONF_DIR=$own/conf FLINK_LOG_DIR=$own/log FLINK_PID_DIR=$own/pid

stopped='' pid=''
end() { if [ -n "$pid" ]; then kill "-$1" "$pid" 2> /dev/null || true; fi; }
until_so() {   # until_so QUARTERS-OF-A-SECOND COMMAND...
  local i
  for ((i = 0; i < $1; i++)); do
    if "${@:2}"; then return; fi
    sleep 0.25
  done
}
is_gone() { [ -z "$pid" ] || ! kill -0 "$pid" 2> /dev/null; }
finish() {
  trap '' TERM INT
  # scancel asks all steps at once: the driver still needs the JobManager to cancel its Flink job.
  if [ "$role" = jobmanager ] && ! is_gone; then until_so 80 test -e "$run/driver-ended"; fi
  end HUP
  until_so 40 is_gone
  end KILL
  wait
  rm -rf -- "$own"
}
trap 'stopped=1; if [ "$role" = taskmanager ]; then end TERM; fi' TERM INT
# After scancel the batch script can start no step: this one removes its own files.
trap finish EXIT
start() {
  # A JVM that begins with TERM ignored goes on ignoring it, and ends in order on HUP.
  if [ "$role" = jobmanager ]; then trap '' TERM; fi
  exec "$flink/bin/$role.sh" start-foreground "$@"
}
if [ "$role" = jobmanager ]; then chances=1; else chances=5; fi
for ((try = 1; chances > 0; try++)); do
  arguments=()
  if [ "$role" = taskmanager ]; then arguments=(-D "taskmanager.resource-id=tm-$node-$try"); fi
  began=$SECONDS status=0
  start "${arguments[@]}" &
  pid=$!
  wait "$pid" || status=$?
  # The wait returns when the trap has run, too.
  if [ -n "$stopped" ]; then exit 0; fi
  echo "beam-curate on $node: the $role ended with status $status" >&2
  # One that lived is started again for ever, one that never comes up is not.
  if ((SECONDS - began > 120)); then chances=5; fi
  chances=$((chances - 1))
  if ((chances > 0)); then sleep 2; fi
  if [ -n "$stopped" ]; then exit 0; fi
done
exit 1
