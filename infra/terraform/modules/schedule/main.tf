# Once a minute: what a lost message should have said is said again. The first three jobs of a billing
# account are free.

resource "google_cloud_scheduler_job" "sweep" {
  project          = var.project
  region           = var.region
  name             = "wherry-sweep"
  description      = "Calls the sweep function"
  schedule         = "* * * * *"
  time_zone        = "Etc/UTC"
  attempt_deadline = "120s"

  # The next minute is the next attempt.
  retry_config {
    retry_count = 0
  }

  http_target {
    uri         = var.url
    http_method = "POST"

    oidc_token {
      service_account_email = var.invoker
      audience              = var.url
    }
  }
}
