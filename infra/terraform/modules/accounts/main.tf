# Who acts: a service account for each function, one for VMs, and those in whose name Google calls the
# functions, publishes wake-ups and builds. Each may do what it needs, as infra/roles.ts says.

locals {
  accounts = {
    api       = "the api function"
    reconcile = "the reconcile function"
    cloud     = "the cloud function"
    deploys   = "the deploy function"
    signals   = "the signals function"
    sweep     = "the sweep function"
    nodes     = "VMs"
    invoker   = "Pub/Sub and Cloud Scheduler when they call functions"
    timers    = "Cloud Tasks when it publishes wake-ups"
    build     = "Cloud Build when it builds functions"
  }

  # Roles in the whole project. Topics, queue and images have bindings of their own.
  project_roles = {
    api       = ["roles/datastore.user"]
    reconcile = ["roles/datastore.user"]
    cloud     = ["roles/datastore.user"]
    deploys   = ["roles/datastore.user"]
    signals   = ["roles/datastore.user"]
    sweep     = ["roles/datastore.user"]
    nodes     = ["roles/logging.logWriter", "roles/monitoring.metricWriter"]
    build     = ["roles/cloudbuild.builds.builder"]
  }

  bindings = merge([
    for account, roles in local.project_roles : {
      for role in roles : "${account} ${role}" => { account = account, role = role }
    }
  ]...)
}

resource "google_service_account" "this" {
  for_each     = local.accounts
  project      = var.project
  account_id   = "wherry-${each.key}"
  display_name = "Wherry: ${each.value}"
}

resource "google_project_iam_member" "this" {
  for_each = local.bindings
  project  = var.project
  role     = each.value.role
  member   = google_service_account.this[each.value.account].member
}

resource "google_project_iam_custom_role" "region_reader" {
  project     = var.project
  role_id     = "wherryRegionReader"
  title       = "Wherry: sees whether Compute Engine answers"
  permissions = ["compute.regions.get"]
}

resource "google_project_iam_member" "region_reader" {
  project = var.project
  role    = google_project_iam_custom_role.region_reader.id
  member  = google_service_account.this["api"].member
}

resource "google_project_iam_custom_role" "machine_reader" {
  project     = var.project
  role_id     = "wherryMachineReader"
  title       = "Wherry: sees how VMs are"
  permissions = ["compute.instanceGroupManagers.get", "compute.instances.list"]
}

resource "google_project_iam_member" "machine_reader" {
  project = var.project
  role    = google_project_iam_custom_role.machine_reader.id
  member  = google_service_account.this["sweep"].member
}

# A VM makes its own subscription when it starts and listens to it.
resource "google_project_iam_custom_role" "node" {
  project = var.project
  role_id = "wherryNode"
  title   = "Wherry: a VM hears that it has work"
  permissions = [
    "pubsub.subscriptions.consume",
    "pubsub.subscriptions.create",
    "pubsub.subscriptions.get",
  ]
}

resource "google_project_iam_member" "node" {
  project = var.project
  role    = google_project_iam_custom_role.node.id
  member  = google_service_account.this["nodes"].member
}

resource "google_project_iam_custom_role" "machines" {
  project     = var.project
  role_id     = "wherryMachines"
  title       = "Wherry: makes and removes VMs and load balancers"
  permissions = local.machine_permissions
}

resource "google_project_iam_member" "machines" {
  project = var.project
  role    = google_project_iam_custom_role.machines.id
  member  = google_service_account.this["cloud"].member
}

# Templates name the VMs' account: only who may act as it may do that.
resource "google_service_account_iam_member" "cloud_uses_nodes" {
  service_account_id = google_service_account.this["nodes"].name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.this["cloud"].member
}

# Likewise for tasks that publish as the timers' account.
resource "google_service_account_iam_member" "uses_timers" {
  for_each           = toset(["reconcile", "cloud", "deploys", "sweep"])
  service_account_id = google_service_account.this["timers"].name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.this[each.key].member
}
