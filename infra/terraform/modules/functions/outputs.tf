output "urls" {
  description = "What Google says."
  value       = { for name, function in google_cloudfunctions2_function.this : name => function.service_config[0].uri }
}
