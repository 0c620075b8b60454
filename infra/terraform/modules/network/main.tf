# A VPC of its own: VMs, their pods (alias ranges, no overlay) and the api function's way to agents.

locals {
  # Google's health checkers; the last two are for passthrough load balancers.
  # https://cloud.google.com/load-balancing/docs/health-check-concepts#ip-ranges
  health_checkers = ["35.191.0.0/16", "130.211.0.0/22", "209.85.152.0/22", "209.85.204.0/22"]

  node_tag   = "wherry-node"
  agent_port = "10250"
}

resource "google_compute_network" "this" {
  project                 = var.project
  name                    = "wherry"
  auto_create_subnetworks = false
  routing_mode            = "REGIONAL"
}

resource "google_compute_subnetwork" "nodes" {
  project                  = var.project
  region                   = var.region
  name                     = "wherry-nodes"
  network                  = google_compute_network.this.id
  ip_cidr_range            = var.node_range
  private_ip_google_access = true

  secondary_ip_range {
    range_name    = "pods"
    ip_cidr_range = var.pod_range
  }
}

resource "google_compute_subnetwork" "functions" {
  project                  = var.project
  region                   = var.region
  name                     = "wherry-functions"
  network                  = google_compute_network.this.id
  ip_cidr_range            = var.function_range
  private_ip_google_access = true
}

# Pods' addresses are not covered by tags: ranges it is.
resource "google_compute_firewall" "internal" {
  project       = var.project
  name          = "wherry-internal"
  network       = google_compute_network.this.id
  direction     = "INGRESS"
  priority      = 900
  source_ranges = [var.node_range, var.pod_range]

  allow {
    protocol = "all"
  }
}

resource "google_compute_firewall" "api_to_agents" {
  project       = var.project
  name          = "wherry-api-to-agents"
  network       = google_compute_network.this.id
  direction     = "INGRESS"
  priority      = 900
  source_ranges = [var.function_range]
  target_tags   = [local.node_tag]

  allow {
    protocol = "tcp"
    ports    = [local.agent_port]
  }
}

resource "google_compute_firewall" "health_checks" {
  project       = var.project
  name          = "wherry-health-checks"
  network       = google_compute_network.this.id
  direction     = "INGRESS"
  priority      = 900
  source_ranges = local.health_checkers
  target_tags   = [local.node_tag]

  allow {
    protocol = "tcp"
    ports    = [local.agent_port]
  }
}

resource "google_compute_firewall" "never" {
  project       = var.project
  name          = "wherry-never"
  network       = google_compute_network.this.id
  direction     = "INGRESS"
  priority      = 1000
  source_ranges = ["0.0.0.0/0"]
  target_tags   = [local.node_tag]

  deny {
    protocol = "tcp"
    ports    = ["22", local.agent_port]
  }
}

# The cloud function makes a rule for each Service of type LoadBalancer: functions/adapters/compute-firewalls.ts.

# The HTTP balancer of Ingresses, and its probes, come from Google's own addresses to the pods' ports.
# https://cloud.google.com/load-balancing/docs/https#firewall-rules
resource "google_compute_firewall" "http_balancers" {
  project       = var.project
  name          = "wherry-http-balancers"
  network       = google_compute_network.this.id
  direction     = "INGRESS"
  priority      = 1100
  source_ranges = slice(local.health_checkers, 0, 2)
  target_tags   = [local.node_tag]

  allow {
    protocol = "tcp"
  }
}
