# A relay with e-mail by SMTP, in a root of your own. The project holds nothing else.
terraform {
  required_version = ">= 1.9"

  backend "gcs" {
    bucket = "acme-relay-prod-relay-state"
    prefix = "relay/acme-relay-prod"
  }
}

provider "google" {
  project = "acme-relay-prod"
  region  = "us-central1"
}

module "relay" {
  source = "../.." # yours: git::https://your-host/clickwrap-relay.git//infra?ref=v1.0.0

  project        = "acme-relay-prod"
  region         = "us-central1"
  alert_emails   = ["legal-ops@example.com"]
  email_provider = "smtp"
}

output "webhook_url" {
  description = "What to paste into Clickwrap"
  value       = module.relay.webhook_url
}
