# Artifact Registry: images of people's workloads, and those that Cloud Build makes of functions (in a
# repository of ours, so that nothing stays behind). infra/deploy makes the one for the node agent's
# image, which must be there before the plan.

resource "google_artifact_registry_repository" "images" {
  project       = var.project
  location      = var.region
  repository_id = "wherry"
  format        = "DOCKER"
  description   = "Images of workloads"
}

resource "google_artifact_registry_repository" "functions" {
  project       = var.project
  location      = var.region
  repository_id = "wherry-functions"
  format        = "DOCKER"
  description   = "Images that Cloud Build makes of the functions"

  # Every deployment adds images; the free tier is half a gigabyte.
  cleanup_policies {
    id     = "keep-newest"
    action = "KEEP"

    most_recent_versions {
      keep_count = 3
    }
  }

  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"

    condition {
      older_than = "604800s"
    }
  }
}

resource "google_artifact_registry_repository_iam_member" "nodes_read" {
  project    = var.project
  location   = var.region
  repository = google_artifact_registry_repository.images.name
  role       = "roles/artifactregistry.reader"
  member     = "serviceAccount:${var.node_account}"
}

resource "google_artifact_registry_repository_iam_member" "nodes_read_agent" {
  project    = var.project
  location   = var.region
  repository = "wherry-agent"
  role       = "roles/artifactregistry.reader"
  member     = "serviceAccount:${var.node_account}"
}
