# Pub/Sub between functions and to VMs, and the queue of wake-ups.

locals {
  topics = ["wherry-changes", "wherry-cloud", "wherry-deploys", "wherry-nodes", "wherry-signals"]

  # Which function a topic is pushed to. VMs make their own subscriptions of wherry-nodes.
  subscriptions = {
    reconcile = { topic = "wherry-changes", is_ordered = true, ack_seconds = 120 }
    cloud     = { topic = "wherry-cloud", is_ordered = true, ack_seconds = 600 }
    deploys   = { topic = "wherry-deploys", is_ordered = true, ack_seconds = 300 }
    signals   = { topic = "wherry-signals", is_ordered = false, ack_seconds = 60 }
  }

  publishers = merge([
    for name, topics in var.publishes : {
      for topic in topics : "${name} ${topic}" => { name = name, topic = topic }
    }
  ]...)

  pubsub_agent = "serviceAccount:service-${var.project_number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_pubsub_topic" "this" {
  for_each = toset(local.topics)
  project  = var.project
  name     = each.value
}

resource "google_pubsub_topic" "dead_letters" {
  project = var.project
  name    = "wherry-dead-letters"
}

# Without a subscription what is sent to a topic is lost.
resource "google_pubsub_subscription" "dead_letters" {
  project                    = var.project
  name                       = "wherry-dead-letters"
  topic                      = google_pubsub_topic.dead_letters.id
  message_retention_duration = "604800s"

  # Never.
  expiration_policy {
    ttl = ""
  }
}

resource "google_pubsub_subscription" "push" {
  for_each                   = local.subscriptions
  project                    = var.project
  name                       = "wherry-${each.key}"
  topic                      = google_pubsub_topic.this[each.value.topic].id
  ack_deadline_seconds       = each.value.ack_seconds
  message_retention_duration = "86400s"
  enable_message_ordering    = each.value.is_ordered

  push_config {
    push_endpoint = var.urls[each.key]

    oidc_token {
      service_account_email = var.accounts["invoker"]
      audience              = var.urls[each.key]
    }
  }

  retry_policy {
    minimum_backoff = "1s"
    maximum_backoff = "60s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letters.id
    max_delivery_attempts = 20
  }

  # By default a subscription that nobody used for 31 days is gone.
  expiration_policy {
    ttl = ""
  }
}

resource "google_pubsub_topic_iam_member" "publisher" {
  for_each = local.publishers
  project  = var.project
  topic    = google_pubsub_topic.this[each.value.topic].name
  role     = "roles/pubsub.publisher"
  member   = "serviceAccount:${var.accounts[each.value.name]}"
}

resource "google_pubsub_topic_iam_member" "timers" {
  for_each = toset(["wherry-changes", "wherry-cloud", "wherry-deploys"])
  project  = var.project
  topic    = google_pubsub_topic.this[each.value].name
  role     = "roles/pubsub.publisher"
  member   = "serviceAccount:${var.accounts["timers"]}"
}

# `kubectl get componentstatuses` looks whether the topic is there.
resource "google_pubsub_topic_iam_member" "api_looks" {
  project = var.project
  topic   = google_pubsub_topic.this["wherry-changes"].name
  role    = "roles/pubsub.viewer"
  member  = "serviceAccount:${var.accounts["api"]}"
}

# Lets VMs attach their subscriptions to this topic and to no other.
resource "google_pubsub_topic_iam_member" "nodes_attach" {
  project = var.project
  topic   = google_pubsub_topic.this["wherry-nodes"].name
  role    = "roles/pubsub.subscriber"
  member  = "serviceAccount:${var.accounts["nodes"]}"
}

# Pub/Sub itself moves what cannot be delivered, and signs its calls.
resource "google_pubsub_topic_iam_member" "agent_buries" {
  project = var.project
  topic   = google_pubsub_topic.dead_letters.name
  role    = "roles/pubsub.publisher"
  member  = local.pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "agent_forwards" {
  for_each     = google_pubsub_subscription.push
  project      = var.project
  subscription = each.value.name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}

resource "google_service_account_iam_member" "agent_signs" {
  service_account_id = "projects/${var.project}/serviceAccounts/${var.accounts["invoker"]}"
  role               = "roles/iam.serviceAccountTokenCreator"
  member             = local.pubsub_agent
}

resource "google_cloud_tasks_queue" "this" {
  project  = var.project
  location = var.region
  name     = "wherry"

  rate_limits {
    max_concurrent_dispatches = 10
    max_dispatches_per_second = 50
  }

  # A lost wake-up costs a minute: the sweep repeats it.
  retry_config {
    max_attempts = 5
    min_backoff  = "1s"
    max_backoff  = "10s"
  }
}

resource "google_cloud_tasks_queue_iam_member" "enqueuer" {
  for_each = toset(var.with_timers)
  project  = var.project
  location = var.region
  name     = google_cloud_tasks_queue.this.name
  role     = "roles/cloudtasks.enqueuer"
  member   = "serviceAccount:${var.accounts[each.value]}"
}
