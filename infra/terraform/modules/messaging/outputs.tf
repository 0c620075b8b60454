output "topics" {
  description = "Full names by id."
  value       = { for name, topic in google_pubsub_topic.this : name => topic.id }
}

output "queue" {
  description = "Id of the queue."
  value       = google_cloud_tasks_queue.this.name
}
