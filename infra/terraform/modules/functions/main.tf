# The functions, from the bundles that npm run build makes. Only the api function is open to
# everybody (it asks for credentials itself); the others may be called by Google on our behalf only,
# from inside, and check that again themselves.

locals {
  settings = {
    api       = { memory = "512Mi", cpu = "1", seconds = 3600, concurrency = 80, max = var.max_instances }
    reconcile = { memory = "512Mi", cpu = "1", seconds = 120, concurrency = 40, max = var.max_instances }
    cloud     = { memory = "512Mi", cpu = "1", seconds = 540, concurrency = 40, max = var.max_instances }
    deploys   = { memory = "512Mi", cpu = "1", seconds = 300, concurrency = 8, max = var.max_instances }
    signals   = { memory = "512Mi", cpu = "1", seconds = 60, concurrency = 80, max = var.max_instances }
    sweep     = { memory = "512Mi", cpu = "1", seconds = 120, concurrency = 1, max = 1 }
  }
}

resource "google_storage_bucket" "sources" {
  project                     = var.project
  location                    = var.region
  name                        = "${var.project}-wherry-functions"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true

  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      age = 30
    }
  }
}

data "archive_file" "bundle" {
  for_each    = local.settings
  type        = "zip"
  source_dir  = "${var.bundles}/${each.key}"
  output_path = "${var.bundles}/${each.key}.zip"
}

# Named by content: what has not changed is not built again.
resource "google_storage_bucket_object" "bundle" {
  for_each = local.settings
  bucket   = google_storage_bucket.sources.name
  name     = "${each.key}-${data.archive_file.bundle[each.key].output_sha256}.zip"
  source   = data.archive_file.bundle[each.key].output_path
}

resource "google_cloudfunctions2_function" "this" {
  for_each    = local.settings
  project     = var.project
  location    = var.region
  name        = "wherry-${each.key}"
  description = "Wherry: ${each.key}"

  build_config {
    runtime           = "nodejs24"
    entry_point       = each.key
    service_account   = "projects/${var.project}/serviceAccounts/${var.accounts["build"]}"
    docker_repository = var.image_repository

    source {
      storage_source {
        bucket = google_storage_bucket.sources.name
        object = google_storage_bucket_object.bundle[each.key].name
      }
    }
  }

  service_config {
    available_memory                 = each.value.memory
    available_cpu                    = each.value.cpu
    timeout_seconds                  = each.value.seconds
    max_instance_request_concurrency = each.value.concurrency
    min_instance_count               = 0
    max_instance_count               = each.value.max
    ingress_settings                 = each.key == "api" ? "ALLOW_ALL" : "ALLOW_INTERNAL_ONLY"
    service_account_email            = var.accounts[each.key]
    environment_variables            = var.environment[each.key]
    all_traffic_on_latest_revision   = true
    direct_vpc_egress                = each.key == "api" ? "VPC_EGRESS_PRIVATE_RANGES_ONLY" : null

    # kubectl logs and exec: the api function asks the agent on the VM.
    dynamic "direct_vpc_network_interface" {
      for_each = each.key == "api" ? [true] : []
      content {
        network    = var.network
        subnetwork = var.function_subnetwork
      }
    }
  }
}

# kubectl and gcloud send Google access tokens, which Cloud Run does not check: the function does.
resource "google_cloud_run_v2_service_iam_member" "public_api" {
  project  = var.project
  location = var.region
  name     = google_cloudfunctions2_function.this["api"].name
  role     = "roles/run.invoker"
  member   = "allUsers"
}

resource "google_cloud_run_v2_service_iam_member" "invoker" {
  for_each = toset(["reconcile", "cloud", "deploys", "signals", "sweep"])
  project  = var.project
  location = var.region
  name     = google_cloudfunctions2_function.this[each.value].name
  role     = "roles/run.invoker"
  member   = "serviceAccount:${var.accounts["invoker"]}"
}
