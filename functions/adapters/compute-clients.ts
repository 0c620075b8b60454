// Google's Compute clients, each loaded when it is first needed: all of them together take two
// seconds and 170 MB to load.

import type { AddressesClient } from '@google-cloud/compute/build/src/v1/addresses_client.js'
import type { DisksClient } from '@google-cloud/compute/build/src/v1/disks_client.js'
import type { FirewallsClient } from '@google-cloud/compute/build/src/v1/firewalls_client.js'
import type { ForwardingRulesClient } from '@google-cloud/compute/build/src/v1/forwarding_rules_client.js'
import type { GlobalOperationsClient } from '@google-cloud/compute/build/src/v1/global_operations_client.js'
import type { InstanceGroupManagersClient } from '@google-cloud/compute/build/src/v1/instance_group_managers_client.js'
import type { InstanceTemplatesClient } from '@google-cloud/compute/build/src/v1/instance_templates_client.js'
import type { InstancesClient } from '@google-cloud/compute/build/src/v1/instances_client.js'
import type { RegionBackendServicesClient } from '@google-cloud/compute/build/src/v1/region_backend_services_client.js'
import type { RegionHealthChecksClient } from '@google-cloud/compute/build/src/v1/region_health_checks_client.js'
import type { RegionOperationsClient } from '@google-cloud/compute/build/src/v1/region_operations_client.js'
import type { RegionsClient } from '@google-cloud/compute/build/src/v1/regions_client.js'
import type { ZoneOperationsClient } from '@google-cloud/compute/build/src/v1/zone_operations_client.js'
import type { NetworkEndpointGroupsClient } from '@google-cloud/compute/build/src/v1/network_endpoint_groups_client.js'
import type { GlobalAddressesClient } from '@google-cloud/compute/build/src/v1/global_addresses_client.js'
import type { GlobalForwardingRulesClient } from '@google-cloud/compute/build/src/v1/global_forwarding_rules_client.js'
import type { HealthChecksClient } from '@google-cloud/compute/build/src/v1/health_checks_client.js'
import type { TargetHttpProxiesClient } from '@google-cloud/compute/build/src/v1/target_http_proxies_client.js'
import type { BackendServicesClient } from '@google-cloud/compute/build/src/v1/backend_services_client.js'
import type { TargetHttpsProxiesClient } from '@google-cloud/compute/build/src/v1/target_https_proxies_client.js'
import type { SslCertificatesClient } from '@google-cloud/compute/build/src/v1/ssl_certificates_client.js'
import type { UrlMapsClient } from '@google-cloud/compute/build/src/v1/url_maps_client.js'

/** A client is bound when it is made; the first use of each loads it. */
export interface ComputeClients {
  addresses: () => Promise<AddressesClient>
  backendServices: () => Promise<RegionBackendServicesClient>
  disks: () => Promise<DisksClient>
  firewalls: () => Promise<FirewallsClient>
  forwardingRules: () => Promise<ForwardingRulesClient>
  globalOperations: () => Promise<GlobalOperationsClient>
  groups: () => Promise<InstanceGroupManagersClient>
  healthChecks: () => Promise<RegionHealthChecksClient>
  instances: () => Promise<InstancesClient>
  regionOperations: () => Promise<RegionOperationsClient>
  regions: () => Promise<RegionsClient>
  templates: () => Promise<InstanceTemplatesClient>
  zoneOperations: () => Promise<ZoneOperationsClient>
  endpointGroups: () => Promise<NetworkEndpointGroupsClient>
  globalAddresses: () => Promise<GlobalAddressesClient>
  globalForwardingRules: () => Promise<GlobalForwardingRulesClient>
  globalHealthChecks: () => Promise<HealthChecksClient>
  httpProxies: () => Promise<TargetHttpProxiesClient>
  httpServices: () => Promise<BackendServicesClient>
  httpsProxies: () => Promise<TargetHttpsProxiesClient>
  sslCertificates: () => Promise<SslCertificatesClient>
  urlMaps: () => Promise<UrlMapsClient>
  /** Closes those that were made. */
  close(): Promise<void>
}

/** What every client takes: project, endpoint, credentials. */
export type ClientOptions = NonNullable<ConstructorParameters<typeof AddressesClient>[0]>

export function createComputeClients(options: ClientOptions): ComputeClients {
  const made: { close(): Promise<void> }[] = []

  function once<T extends { close(): Promise<void> }>(load: () => Promise<T>): () => Promise<T> {
    let client: Promise<T> | undefined
    return () => {
      client ??= load().then((loaded) => {
        made.push(loaded)
        return loaded
      })
      // A failed load is tried again by the next call.
      client.catch(() => (client = undefined))
      return client
    }
  }

  return {
    addresses: once(async () => {
      const { AddressesClient } =
        await import('@google-cloud/compute/build/src/v1/addresses_client.js')
      return new AddressesClient(options)
    }),
    backendServices: once(async () => {
      const { RegionBackendServicesClient } =
        await import('@google-cloud/compute/build/src/v1/region_backend_services_client.js')
      return new RegionBackendServicesClient(options)
    }),
    disks: once(async () => {
      const { DisksClient } = await import('@google-cloud/compute/build/src/v1/disks_client.js')
      return new DisksClient(options)
    }),
    firewalls: once(async () => {
      const { FirewallsClient } =
        await import('@google-cloud/compute/build/src/v1/firewalls_client.js')
      return new FirewallsClient(options)
    }),
    forwardingRules: once(async () => {
      const { ForwardingRulesClient } =
        await import('@google-cloud/compute/build/src/v1/forwarding_rules_client.js')
      return new ForwardingRulesClient(options)
    }),
    globalOperations: once(async () => {
      const { GlobalOperationsClient } =
        await import('@google-cloud/compute/build/src/v1/global_operations_client.js')
      return new GlobalOperationsClient(options)
    }),
    groups: once(async () => {
      const { InstanceGroupManagersClient } =
        await import('@google-cloud/compute/build/src/v1/instance_group_managers_client.js')
      return new InstanceGroupManagersClient(options)
    }),
    healthChecks: once(async () => {
      const { RegionHealthChecksClient } =
        await import('@google-cloud/compute/build/src/v1/region_health_checks_client.js')
      return new RegionHealthChecksClient(options)
    }),
    instances: once(async () => {
      const { InstancesClient } =
        await import('@google-cloud/compute/build/src/v1/instances_client.js')
      return new InstancesClient(options)
    }),
    regionOperations: once(async () => {
      const { RegionOperationsClient } =
        await import('@google-cloud/compute/build/src/v1/region_operations_client.js')
      return new RegionOperationsClient(options)
    }),
    regions: once(async () => {
      const { RegionsClient } = await import('@google-cloud/compute/build/src/v1/regions_client.js')
      return new RegionsClient(options)
    }),
    templates: once(async () => {
      const { InstanceTemplatesClient } =
        await import('@google-cloud/compute/build/src/v1/instance_templates_client.js')
      return new InstanceTemplatesClient(options)
    }),
    zoneOperations: once(async () => {
      const { ZoneOperationsClient } =
        await import('@google-cloud/compute/build/src/v1/zone_operations_client.js')
      return new ZoneOperationsClient(options)
    }),
    endpointGroups: once(async () => {
      const { NetworkEndpointGroupsClient } =
        await import('@google-cloud/compute/build/src/v1/network_endpoint_groups_client.js')
      return new NetworkEndpointGroupsClient(options)
    }),
    globalAddresses: once(async () => {
      const { GlobalAddressesClient } =
        await import('@google-cloud/compute/build/src/v1/global_addresses_client.js')
      return new GlobalAddressesClient(options)
    }),
    globalForwardingRules: once(async () => {
      const { GlobalForwardingRulesClient } =
        await import('@google-cloud/compute/build/src/v1/global_forwarding_rules_client.js')
      return new GlobalForwardingRulesClient(options)
    }),
    globalHealthChecks: once(async () => {
      const { HealthChecksClient } =
        await import('@google-cloud/compute/build/src/v1/health_checks_client.js')
      return new HealthChecksClient(options)
    }),
    httpProxies: once(async () => {
      const { TargetHttpProxiesClient } =
        await import('@google-cloud/compute/build/src/v1/target_http_proxies_client.js')
      return new TargetHttpProxiesClient(options)
    }),
    httpServices: once(async () => {
      const { BackendServicesClient } =
        await import('@google-cloud/compute/build/src/v1/backend_services_client.js')
      return new BackendServicesClient(options)
    }),
    httpsProxies: once(async () => {
      const { TargetHttpsProxiesClient } =
        await import('@google-cloud/compute/build/src/v1/target_https_proxies_client.js')
      return new TargetHttpsProxiesClient(options)
    }),
    sslCertificates: once(async () => {
      const { SslCertificatesClient } =
        await import('@google-cloud/compute/build/src/v1/ssl_certificates_client.js')
      return new SslCertificatesClient(options)
    }),
    urlMaps: once(async () => {
      const { UrlMapsClient } =
        await import('@google-cloud/compute/build/src/v1/url_maps_client.js')
      return new UrlMapsClient(options)
    }),
    async close() {
      await Promise.all(made.splice(0).map((client) => client.close()))
    },
  }
}
