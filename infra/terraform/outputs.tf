output "api_url" {
  description = "The api function: the GKE API, and below /clusters every cluster's Kubernetes API."
  value       = local.api_url
}

output "function_urls" {
  description = "Where Google says that the functions are. The first of each must be the one in local.urls."
  value       = module.functions.urls
}

output "gcloud" {
  description = "Makes a gcloud configuration that speaks to Wherry."
  value       = <<-EOT
    gcloud config configurations create wherry --no-activate
    gcloud config set project ${var.project} --configuration=wherry
    gcloud config set account "$(gcloud config get account)" --configuration=wherry
    gcloud config set compute/zone ${var.region}-a --configuration=wherry
    gcloud config set api_endpoint_overrides/container ${local.api_url}/ --configuration=wherry
    gcloud config set api_endpoint_overrides/serviceusage ${local.api_url}/ --configuration=wherry
    export CLOUDSDK_ACTIVE_CONFIG_NAME=wherry
  EOT
}
