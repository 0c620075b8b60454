// What a VM of Container-Optimized OS does when it boots, as cloud-init reads it from the metadata key
// `user-data`: it prepares the machine and starts the node agent's container. /etc is made anew at each
// boot, and so is all of this: every step may be repeated. Pure.
// https://cloud.google.com/container-optimized-os/docs/how-to/create-configure-instance

import { VM_METADATA } from '#shared/api/agent-wire.ts'

/** The agent's own folder, by the same name inside and outside of its container: Docker mounts from it. */
const STATE = '/var/lib/wherry'
const SCRIPTS = '/etc/wherry'
const UNIT = 'wherry-agent.service'
const CONTAINER = 'wherry-agent'
/** systemd's word that the machine goes; Spot VMs have 30 s in all. */
const STOP_SECONDS = 27

/** The value of `user-data`. JSON is YAML, and needs no thought about indentation. */
export function cloudInit(): string {
  const config = {
    write_files: [
      file('/etc/docker/daemon.json', json(DOCKER)),
      file('/etc/default/instance_configs.cfg', GUEST_AGENT),
      file('/etc/sysctl.d/90-wherry.conf', SYSCTLS),
      file(`${SCRIPTS}/prepare.sh`, PREPARE),
      file(`${SCRIPTS}/agent.sh`, AGENT),
      file(`/etc/systemd/system/${UNIT}`, SERVICE),
    ],
    runcmd: [
      // One setting that a kernel does not know must not keep the others away.
      ['sysctl', '--ignore', '--system'],
      ['/bin/bash', `${SCRIPTS}/prepare.sh`],
      ['systemctl', 'daemon-reload'],
      // Enabling does not last here, and is not needed: this runs at each boot.
      ['systemctl', 'start', '--no-block', UNIT],
    ],
  }
  return `#cloud-config\n${json(config)}`
}

function file(
  path: string,
  content: string,
): { path: string; permissions: string; content: string } {
  return { path, permissions: '0644', content }
}

function json(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`
}

/**
 * Docker Engine without a network of its own: the agent makes pods' networks. As in the emulated VMs
 * (emulator/compute/netns/docker-options.ts), but for what Google's unit says on its command line.
 */
const DOCKER = {
  'live-restore': true,
  'storage-driver': 'overlay2',
  bridge: 'none',
  iptables: false,
  ip6tables: false,
  'ip-masq': false,
  'ip-forward': false,
  'userland-proxy': false,
  // Outside of systemd's units: at a shutdown the agent stops pods, not systemd all at once.
  'exec-opts': ['native.cgroupdriver=cgroupfs'],
  // The agent keeps pods' logs itself; this bounds what the engine holds until then.
  'log-driver': 'json-file',
  'log-opts': { 'max-size': '10m', 'max-file': '2' },
}

/**
 * Google's guest agent would take the alias range for addresses of the VM itself, and no packet would
 * reach a pod. https://github.com/GoogleCloudPlatform/guest-agent#configuration
 */
const GUEST_AGENT = `[IpForwarding]
ip_aliases = false
`

/** Routing for pods, and what kubelet asks of a kernel (--protect-kernel-defaults). */
const SYSCTLS = `net.ipv4.ip_forward = 1
net.ipv4.conf.all.rp_filter = 0
net.ipv4.conf.default.rp_filter = 0
net.core.somaxconn = 4096
fs.inotify.max_user_instances = 8192
fs.inotify.max_user_watches = 524288
kernel.keys.root_maxkeys = 1000000
kernel.keys.root_maxbytes = 25000000
kernel.panic = 10
kernel.panic_on_oops = 1
vm.overcommit_memory = 1
vm.panic_on_oom = 0
`

const PREPARE = `set -euo pipefail

# Volumes of pods live here. The disk is mounted so that nothing on it may be run.
mkdir -p ${STATE}/agent ${STATE}/home
if ! mountpoint -q ${STATE}; then
  mount --bind ${STATE} ${STATE}
  mount -o remount,bind,exec,suid,dev ${STATE}
  # What the agent mounts for a pod must be seen by Docker.
  mount --make-rshared ${STATE}
fi

# The host's own firewall lets in SSH only. Who may come is decided by the VPC's firewall before, and by
# the agent's rules after it.
for chain in INPUT FORWARD; do
  iptables -w -C "$chain" -j ACCEPT 2>/dev/null || iptables -w -I "$chain" 1 -j ACCEPT
done
modprobe -a nf_tables nf_conntrack veth || true

# Routes to the alias range that the guest agent has made before it could be told.
systemctl try-restart google-guest-agent.service || true
for range in $(curl -sf -H 'Metadata-Flavor: Google' \\
  http://metadata.google.internal/computeMetadata/v1/instance/network-interfaces/0/ip-aliases/0 || true); do
  ip route del local "$range" table local 2>/dev/null || true
done

# Only now: the engine reads its settings when it starts. Containers outlive it.
systemctl restart docker.service
`

const AGENT = `set -euo pipefail
url=http://metadata.google.internal/computeMetadata/v1/instance/attributes/${VM_METADATA.agentImage}
ask() { curl -sf -H 'Metadata-Flavor: Google' "$1"; }

image=$(ask "$url")
registry=\${image%%/*}
# Artifact Registry takes the VM's own account.
case "$registry" in
  *.pkg.dev | gcr.io | *.gcr.io) docker-credential-gcr configure-docker --registries="$registry" ;;
esac
docker image inspect "$image" >/dev/null 2>&1 || docker pull "$image"
docker rm --force ${CONTAINER} 2>/dev/null || true

# A new version: fetched first, then the agent makes room. Its pods go on.
(
  while sleep 1; do
    next=$(ask "$url?wait_for_change=true&timeout_sec=300") || continue
    [ "$next" != "$image" ] || continue
    docker pull "$next" || continue
    docker kill --signal HUP ${CONTAINER}
    exit
  done
) &

exec docker run --rm --name ${CONTAINER} --log-driver none --oom-score-adj -999 \\
  --privileged --network host --pid host --ipc host --cgroupns host \\
  --mount type=bind,source=${STATE},target=${STATE},bind-propagation=rshared \\
  --volume /var/run/docker.sock:/var/run/docker.sock \\
  --volume /dev:/dev \\
  --volume /lib/modules:/lib/modules:ro \\
  --env WHERRY_RUNTIME=docker \\
  --env WHERRY_NETWORK=kernel \\
  --env WHERRY_DOCKER_SOCKET=/var/run/docker.sock \\
  --env WHERRY_STATE_DIR=${STATE}/agent \\
  "$image"
`

/**
 * Ordered after Docker and the network, and so stopped before them: the power button, a preemption too,
 * gives the agent its time to let pods leave.
 */
const SERVICE = `[Unit]
Description=Wherry node agent
Wants=network-online.target docker.service
After=network-online.target docker.service
StartLimitIntervalSec=0

[Service]
Environment=HOME=${STATE}/home
ExecStart=/bin/bash ${SCRIPTS}/agent.sh
ExecStop=-/usr/bin/docker stop --time ${STOP_SECONDS - 1} ${CONTAINER}
TimeoutStopSec=${STOP_SECONDS}
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
`
