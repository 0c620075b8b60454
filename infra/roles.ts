// Who may do what in the project, as the code needs it: infra/terraform declares the same, a test
// compares the two. Nothing here is read by the product.

import type { FunctionName } from '#functions/environment.ts'
import { TOPICS, type Topic } from '#shared/ports/bus.ts'

/** Accounts beside the functions' own. */
export type Account = FunctionName | 'nodes' | 'invoker' | 'timers' | 'build'

/** Roles in the whole project. */
export const PROJECT_ROLES: Partial<Record<Account, readonly string[]>> = {
  api: ['roles/datastore.user'],
  reconcile: ['roles/datastore.user'],
  cloud: ['roles/datastore.user'],
  deploys: ['roles/datastore.user'],
  signals: ['roles/datastore.user'],
  sweep: ['roles/datastore.user'],
  nodes: ['roles/logging.logWriter', 'roles/monitoring.metricWriter'],
  build: ['roles/cloudbuild.builds.builder'],
}

/** Topics that a function publishes to. */
export const PUBLISHES: Record<FunctionName, readonly Topic[]> = {
  api: [TOPICS.changes, TOPICS.cloud, TOPICS.deploys],
  reconcile: [TOPICS.nodes, TOPICS.cloud, TOPICS.deploys],
  cloud: [TOPICS.changes, TOPICS.cloud],
  deploys: [TOPICS.changes],
  signals: [TOPICS.cloud],
  sweep: [TOPICS.changes, TOPICS.cloud, TOPICS.deploys, TOPICS.nodes],
}

/** Functions that set timers: they put tasks into the queue, as the timers' account. */
export const SETS_TIMERS: readonly FunctionName[] = ['reconcile', 'cloud', 'deploys', 'sweep']

/** What a VM's agent does with its own subscription. */
export const NODE_PERMISSIONS = [
  'pubsub.subscriptions.consume',
  'pubsub.subscriptions.create',
  'pubsub.subscriptions.get',
]

/**
 * Permissions that a call of the Compute API asks for: by client (as compute-clients.ts names it) and
 * method. https://cloud.google.com/compute/docs/reference/rest/v1
 */
export const COMPUTE_CALLS: Readonly<Record<string, readonly string[]>> = {
  'addresses.delete': ['compute.addresses.delete'],
  'addresses.get': ['compute.addresses.get'],
  'addresses.insert': ['compute.addresses.create'],
  'backendServices.delete': ['compute.regionBackendServices.delete'],
  'backendServices.get': ['compute.regionBackendServices.get'],
  'backendServices.insert': [
    'compute.regionBackendServices.create',
    'compute.instanceGroups.use',
    'compute.regionHealthChecks.useReadOnly',
  ],
  'backendServices.update': ['compute.regionBackendServices.update'],
  'disks.aggregatedListAsync': ['compute.disks.list'],
  'disks.delete': ['compute.disks.delete'],
  'disks.get': ['compute.disks.get'],
  'disks.insert': ['compute.disks.create', 'compute.disks.setLabels'],
  'disks.resize': ['compute.disks.resize'],
  'endpointGroups.aggregatedListAsync': ['compute.networkEndpointGroups.list'],
  'endpointGroups.attachNetworkEndpoints': [
    'compute.networkEndpointGroups.attachNetworkEndpoints',
    'compute.instances.use',
  ],
  'endpointGroups.delete': ['compute.networkEndpointGroups.delete'],
  'endpointGroups.detachNetworkEndpoints': ['compute.networkEndpointGroups.detachNetworkEndpoints'],
  'endpointGroups.insert': ['compute.networkEndpointGroups.create', 'compute.networks.use'],
  'endpointGroups.listNetworkEndpoints': ['compute.networkEndpointGroups.get'],
  'firewalls.delete': ['compute.firewalls.delete', 'compute.networks.updatePolicy'],
  'firewalls.get': ['compute.firewalls.get'],
  'firewalls.insert': ['compute.firewalls.create', 'compute.networks.updatePolicy'],
  'firewalls.update': ['compute.firewalls.update', 'compute.networks.updatePolicy'],
  'forwardingRules.aggregatedListAsync': ['compute.forwardingRules.list'],
  'forwardingRules.delete': ['compute.forwardingRules.delete'],
  'forwardingRules.get': ['compute.forwardingRules.get'],
  'forwardingRules.insert': [
    'compute.forwardingRules.create',
    'compute.addresses.use',
    'compute.regionBackendServices.use',
  ],
  'globalAddresses.delete': ['compute.globalAddresses.delete'],
  'globalAddresses.get': ['compute.globalAddresses.get'],
  'globalAddresses.insert': ['compute.globalAddresses.create'],
  'globalAddresses.list': ['compute.globalAddresses.list'],
  'globalForwardingRules.delete': ['compute.globalForwardingRules.delete'],
  'globalForwardingRules.get': ['compute.globalForwardingRules.get'],
  'globalForwardingRules.insert': [
    'compute.globalForwardingRules.create',
    'compute.globalAddresses.use',
    'compute.targetHttpProxies.use',
    'compute.targetHttpsProxies.use',
  ],
  'globalHealthChecks.delete': ['compute.healthChecks.delete'],
  'globalHealthChecks.insert': ['compute.healthChecks.create'],
  'globalHealthChecks.list': ['compute.healthChecks.list'],
  'globalHealthChecks.update': ['compute.healthChecks.get', 'compute.healthChecks.update'],
  'globalOperations.wait': ['compute.globalOperations.get'],
  'groups.delete': ['compute.instanceGroupManagers.delete', 'compute.instances.delete'],
  'groups.deleteInstances': ['compute.instanceGroupManagers.update', 'compute.instances.delete'],
  'groups.get': ['compute.instanceGroupManagers.get'],
  'groups.insert': [
    'compute.instanceGroupManagers.create',
    'compute.instanceTemplates.useReadOnly',
    'compute.instances.create',
    'compute.instances.setLabels',
    'compute.instances.setMetadata',
    'compute.instances.setServiceAccount',
    'compute.instances.setTags',
    'compute.disks.create',
    'compute.subnetworks.use',
    'compute.subnetworks.useExternalIp',
    'compute.regionHealthChecks.useReadOnly',
  ],
  'groups.listManagedInstances': ['compute.instanceGroupManagers.get'],
  'groups.patch': ['compute.instanceGroupManagers.update'],
  'groups.recreateInstances': ['compute.instanceGroupManagers.update'],
  'healthChecks.delete': ['compute.regionHealthChecks.delete'],
  'healthChecks.get': ['compute.regionHealthChecks.get'],
  'healthChecks.insert': ['compute.regionHealthChecks.create'],
  'healthChecks.patch': ['compute.regionHealthChecks.update'],
  'httpProxies.delete': ['compute.targetHttpProxies.delete'],
  'httpProxies.insert': ['compute.targetHttpProxies.create', 'compute.urlMaps.use'],
  'httpServices.delete': ['compute.backendServices.delete'],
  'httpServices.insert': [
    'compute.backendServices.create',
    'compute.healthChecks.useReadOnly',
    'compute.networkEndpointGroups.use',
  ],
  'httpServices.list': ['compute.backendServices.list'],
  'httpServices.update': ['compute.backendServices.get', 'compute.backendServices.update'],
  'httpsProxies.delete': ['compute.targetHttpsProxies.delete'],
  'httpsProxies.get': ['compute.targetHttpsProxies.get'],
  'httpsProxies.insert': [
    'compute.targetHttpsProxies.create',
    'compute.sslCertificates.get',
    'compute.urlMaps.use',
  ],
  'httpsProxies.setSslCertificates': ['compute.targetHttpsProxies.setSslCertificates'],
  'instances.aggregatedListAsync': ['compute.instances.list'],
  'instances.attachDisk': [
    'compute.instances.attachDisk',
    'compute.disks.use',
    'compute.disks.useReadOnly',
  ],
  'instances.detachDisk': ['compute.instances.detachDisk'],
  'instances.get': ['compute.instances.get'],
  'regionOperations.wait': ['compute.regionOperations.get'],
  'regions.get': ['compute.regions.get'],
  'sslCertificates.delete': ['compute.sslCertificates.delete'],
  'sslCertificates.insert': ['compute.sslCertificates.create'],
  'sslCertificates.list': ['compute.sslCertificates.list'],
  'templates.delete': ['compute.instanceTemplates.delete'],
  'templates.insert': ['compute.instanceTemplates.create'],
  'templates.list': ['compute.instanceTemplates.list'],
  'urlMaps.delete': ['compute.urlMaps.delete'],
  'urlMaps.get': ['compute.urlMaps.get'],
  'urlMaps.insert': ['compute.urlMaps.create', 'compute.backendServices.use'],
  'urlMaps.update': ['compute.urlMaps.update'],
  'zoneOperations.wait': ['compute.zoneOperations.get'],
}

/** What the sweep asks Compute Engine: how the VMs are. */
export const SWEEP_PERMISSIONS = [
  ...new Set(
    ['groups.listManagedInstances', 'instances.aggregatedListAsync'].flatMap(
      (call) => COMPUTE_CALLS[call] ?? [],
    ),
  ),
]

/** All of them, once, in order. */
export function computePermissions(): string[] {
  return [...new Set(Object.values(COMPUTE_CALLS).flat())].sort()
}
