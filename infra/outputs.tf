output "webhook_url" {
  description = "What to paste into Clickwrap"
  value       = local.urls["receive"]
}

output "environment" {
  description = "Variables of all functions that depend on this infrastructure, for their env files"
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
  description = "Repository of the functions' images"
  value       = google_artifact_registry_repository.functions.id
}

output "github" {
  description = "What the workflows need as variables of the repository; empty without github_repository_id"
  value = length(local.github) == 0 ? {} : {
    GCP_WORKLOAD_IDENTITY_PROVIDER = google_iam_workload_identity_pool_provider.github[0].name
    GCP_PLAN_SERVICE_ACCOUNT       = google_service_account.github["plan"].email
    GCP_DEPLOY_SERVICE_ACCOUNT     = google_service_account.github["deploy"].email
  }
}

output "vpc_connector" {
  description = "VPC connector of outgoing calls, empty for none"
  value       = var.vpc_connector
}
