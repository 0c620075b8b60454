terraform {
  required_version = ">= 1.9.0"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 7.21"
    }
    archive = {
      source  = "hashicorp/archive"
      version = "~> 2.7"
    }
  }

  # infra/deploy makes the bucket and names it: terraform init -backend-config=bucket=...
  backend "gcs" {
    prefix = "wherry"
  }
}

provider "google" {
  project = var.project
  region  = var.region

  # Budgets and service usage are billed to the project itself, not to the caller's.
  user_project_override = true
  billing_project       = var.project
}
