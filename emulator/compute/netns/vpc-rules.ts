// The rules of the VPC's namespace, as nft reads them: whose packets are believed, the metadata server,
// external addresses, what Google's health checkers look like, and the firewall.

import { rangeOf } from '../address-plan.ts'
import type { Slot } from './slots.ts'

export interface VpcPorts {
  /** Where the VPC's name server listens on this machine's side of the uplink (UDP). */
  dns: number
}

/** Google's metadata server: the same for every VM, answered by the VPC itself. */
export const METADATA_IP = '169.254.169.254'
/** https://cloud.google.com/load-balancing/docs/health-check-concepts#ip-ranges */
export const HEALTH_CHECKER = '35.191.0.1'

/**
 * `ingress` and `egress` are the firewall's rules (firewall.ts). Until those are loaded VMs and pods reach
 * each other, and health checkers and clients of load balancers reach them. This machine always reaches
 * VMs and pods at their own addresses: it plays Google's control plane and HTTP load balancers.
 */
export function vpcRules({ plan, uplink }: Slot, { dns }: VpcPorts): string {
  const inside = `{ ${rangeOf(plan, 'vms')}, ${rangeOf(plan, 'pods')} }`
  const balancers = rangeOf(plan, 'balancers')
  return `table ip vpc {
  map metadata { type ipv4_addr : ipv4_addr . inet_service; flags interval; }
  map external { type ipv4_addr : ipv4_addr; }
  map external_of { type ipv4_addr : ipv4_addr; }
  set owned { type ifname . ipv4_addr; flags interval; }
  set cannot_send { type ifname; }
  set cannot_receive { type ifname; }
  map loses { type ifname : verdict; }
  chain balance { }
  chain raw {
    type filter hook prerouting priority raw; policy accept;
    iifname @cannot_send drop
    iifname vmap @loses
    iifname "vm*" ip saddr != ${balancers} iifname . ip saddr != @owned drop
  }
  chain mangle {
    type filter hook prerouting priority mangle; policy accept;
    ip daddr ${balancers} ct mark 0 jump balance
    ip daddr ${balancers} meta mark set ct mark
  }
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    ip daddr ${METADATA_IP} tcp dport 80 dnat ip to ip saddr map @metadata
    ip daddr ${METADATA_IP} udp dport 53 dnat ip to ${uplink.host}:${dns}
    dnat ip to ip daddr map @external
  }
  chain ingress {
    ip saddr ${inside} accept
    ip saddr { ${uplink.host}, ${uplink.prober} } accept
    ip daddr ${balancers} accept
  }
  chain egress { }
  chain firewall {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname "vm*" ct original ip daddr != ${METADATA_IP} jump egress
    oifname "uplink" accept
    ip saddr ${uplink.host} ct original ip daddr ${inside} accept
    jump ingress
  }
  chain last {
    type filter hook postrouting priority mangle; policy accept;
    oifname @cannot_receive drop
    oifname vmap @loses
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${uplink.prober} snat ip to ${HEALTH_CHECKER}
    oifname "uplink" ip daddr != ${uplink.host} snat ip to ip saddr map @external_of
  }
}
`
}
