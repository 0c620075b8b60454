output "functions_repository" {
  description = "Full name of the repository for functions' images."
  value       = google_artifact_registry_repository.functions.id
}
