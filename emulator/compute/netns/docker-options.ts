// How a VM's Docker Engine is started: no network of its own (the agent makes pods' networks), its
// containers in the VM's control group, its data on the VM's disk.

export function dockerOptions({
  cgroup,
  registry,
}: {
  cgroup: string
  registry: string
}): string[] {
  return [
    '--host=unix:///run/docker.sock',
    '--data-root=/run/stateful/docker',
    '--exec-root=/run/docker',
    '--pidfile=/run/docker.pid',
    '--bridge=none',
    '--iptables=false',
    '--ip6tables=false',
    '--ip-masq=false',
    '--ip-forward=false',
    '--userland-proxy=false',
    '--storage-driver=overlay2',
    '--exec-opt=native.cgroupdriver=cgroupfs',
    `--cgroup-parent=/${cgroup}/pods`,
    // As on Container-Optimized OS: containers outlive their engine.
    '--live-restore',
    // Docker Hub is asked for what this machine's own registry does not have.
    `--registry-mirror=http://${registry}`,
    `--insecure-registry=${registry}`,
    '--shutdown-timeout=8',
    '--log-level=warn',
  ]
}
