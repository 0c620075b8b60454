# What Google notices of VMs, as log entries, to the signals function: changes of health, and what was
# done to them (health checkers say nothing of a VM that was stopped or deleted).

locals {
  # As functions/signals/log-entry.ts reads them.
  methods = [
    "compute.instances.automaticRestart",
    "compute.instances.guestTerminate",
    "compute.instances.hostError",
    "compute.instances.migrateOnHostMaintenance",
    "compute.instances.preempted",
    "compute.instances.repair.recreateInstance",
    "compute.instances.terminateOnHostMaintenance",
    "v1.compute.instances.delete",
    "v1.compute.instances.insert",
    "v1.compute.instances.reset",
    "v1.compute.instances.start",
    "v1.compute.instances.stop",
  ]

  # Calls of the beta API are logged under its own names.
  beta = [for method in local.methods : replace(method, "/^v1\\./", "beta.") if startswith(method, "v1.")]

  filter = join(" OR ", [
    "logName=\"projects/${var.project}/logs/compute.googleapis.com%2Fhealthchecks\"",
    "(resource.type=\"gce_instance_group_manager\" AND jsonPayload.instanceHealthStateChange.healthState:*)",
    "(resource.type=\"gce_instance\" AND logName=(\"projects/${var.project}/logs/cloudaudit.googleapis.com%2Fsystem_event\" OR \"projects/${var.project}/logs/cloudaudit.googleapis.com%2Factivity\") AND protoPayload.methodName=(${join(" OR ", [for method in concat(local.methods, local.beta) : "\"${method}\""])}))",
  ])
}

resource "google_logging_project_sink" "this" {
  project                = var.project
  name                   = "wherry-signals"
  description            = "News of VMs to Wherry"
  destination            = "pubsub.googleapis.com/${var.topic}"
  filter                 = local.filter
  unique_writer_identity = true
}

resource "google_pubsub_topic_iam_member" "sink_publishes" {
  project = var.project
  topic   = var.topic
  role    = "roles/pubsub.publisher"
  member  = google_logging_project_sink.this.writer_identity
}
