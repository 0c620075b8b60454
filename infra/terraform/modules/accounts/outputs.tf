output "emails" {
  description = "E-mail addresses by short name."
  value       = { for name, account in google_service_account.this : name => account.email }
}
