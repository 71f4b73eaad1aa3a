output "webhook_url" {
  description = "What to paste into Clickwrap"
  value       = local.urls["receive"]
}

output "environment" {
  description = "What every function must know of this infrastructure: a part of its env file"
  value       = local.environment
}

output "secrets" {
  description = "Function => variable => secret id"
  value       = local.function_secrets
}

output "service_accounts" {
  description = "Function => e-mail of the account it runs as"
  value       = { for name, account in google_service_account.relay : name => account.email if contains(keys(local.functions), name) }
}

output "invokers" {
  description = "Function => members of roles/run.invoker on its service, bound after its first deployment"
  value       = local.invokers
}

output "build_service_account" {
  description = "Full name of the account that builds the functions"
  value       = google_service_account.relay["build"].name
}

output "docker_repository" {
  description = "Where the functions' images go"
  value       = google_artifact_registry_repository.functions.id
}

output "vpc_connector" {
  description = "Connector through which calls to the outside leave, empty for none"
  value       = var.vpc_connector
}
