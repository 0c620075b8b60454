output "network" {
  description = "Name of the network."
  value       = google_compute_network.this.name
}

output "node_subnetwork" {
  description = "Name of the VMs' subnetwork."
  value       = google_compute_subnetwork.nodes.name
}

output "function_subnetwork" {
  description = "Name of the subnetwork from which the api function reaches VMs."
  value       = google_compute_subnetwork.functions.name
}

output "pod_range_name" {
  description = "Name of the secondary range for pods."
  value       = google_compute_subnetwork.nodes.secondary_ip_range[0].range_name
}
