#!/bin/bash
# The first process of an emulated VM, in namespaces of its own: mounts its disk, starts Docker Engine
# and the node agent, and starts each again when it dies, as systemd does. SIGTERM is the power button:
# the agent, then Docker are asked to stop. Whatever ends this process ends the VM.
#
# Environment: VM_NAME, VM_DISK (image file), VM_CGROUP, VM_LOGS (folder), VM_DOCKER (dockerd's options,
# one a line), VM_AGENT (program and arguments, one a line); all else is the agent's. What it says on
# standard output is for the emulator: `booted`, or nothing.
set -u

fail() {
  echo "$*" >&2
  exit 1
}

# A view of files of its own: what the machine's other programs have in /run is not the VM's.
mount -t tmpfs -o mode=755,size=64m tmpfs /run || fail 'no /run'
mkdir -p /run/vm /run/stateful /run/lock
hostname "$VM_NAME"
mount -o loop "$VM_DISK" /run/stateful || fail "the disk $VM_DISK cannot be mounted"
mkdir -p /run/stateful/docker /run/stateful/agent
# A disk that was full on purpose is not so for ever.
rm -rf /run/stateful/filler

# Google's name server and the metadata server's name.
overlay() { # FILE, with standard input as its content
  local target
  target=$(readlink -m "$1")
  cat >"/run/vm/$(basename "$1")"
  mkdir -p "$(dirname "$target")"
  [[ -e $target ]] || touch "$target"
  mount --bind "/run/vm/$(basename "$1")" "$target"
}
printf 'nameserver 169.254.169.254\n' | overlay /etc/resolv.conf
printf '127.0.0.1 localhost\n169.254.169.254 metadata.google.internal metadata\n' | overlay /etc/hosts
mkdir -p /dev/disk && mount -t tmpfs -o mode=755,size=1m tmpfs /dev/disk && mkdir -p /dev/disk/by-id

for setting in net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 \
  net.ipv4.conf.eth0.rp_filter=0 net.ipv4.conf.all.send_redirects=0; do
  sysctl -qw "$setting"
done

mapfile -t docker <<<"$VM_DOCKER"
mapfile -t agent <<<"$VM_AGENT"
name=$VM_NAME logs=$VM_LOGS
unset VM_NAME VM_DISK VM_LOGS VM_DOCKER VM_AGENT VM_CGROUP
echo '{}' >/run/vm/daemon.json

supervise() { # NAME, command: again and again
  local unit=$1
  shift
  local since
  while :; do
    since=$SECONDS
    "$@" </dev/null >>"$logs/$unit.log" 2>&1 &
    echo $! >"/run/vm/$unit.pid"
    wait $!
    echo "$name: $unit has ended with $?, and is started again" >>"$logs/serial.log"
    # What a Docker Engine that was killed has left would keep the next one from starting.
    [[ $unit == docker ]] && rm -f /run/vm/docker.pid /run/docker.pid
    # At once, as systemd does; one that does not live has to wait.
    if ((SECONDS - since < 5)); then sleep 0.5; else sleep 0.1; fi
  done
}

supervise docker dockerd --config-file /run/vm/daemon.json "${docker[@]}" &
docker_loop=$!
supervise agent "${agent[@]}" &
agent_loop=$!

end() { # NAME, its loop, seconds: asks it to end and waits
  local pid
  kill -KILL "$2" 2>/dev/null
  pid=$(cat "/run/vm/$1.pid" 2>/dev/null) || return
  kill -TERM "$pid" 2>/dev/null
  for ((tick = 0; tick < $3 * 20; tick++)); do
    kill -0 "$pid" 2>/dev/null || return
    sleep 0.05
  done
}

power_button() {
  end agent "$agent_loop" 28
  end docker "$docker_loop" 8
  exit 0
}
trap power_button TERM
echo booted
# As the first process it buries whatever has lost its parent.
while :; do wait; sleep 1; done
