# Test and production from one root: two projects, one state. With a state each, use a root each, or `make infra` with two files of settings.
terraform {
  required_version = ">= 1.9"

  backend "gcs" {
    bucket = "acme-states"
    prefix = "relay/both"
  }
}

provider "google" {
  region = "us-central1"
}

locals {
  environments = {
    test = { project = "acme-relay-test", emails = ["relay-developers@example.com"], protected = false, silence = 0 }
    prod = { project = "acme-relay-prod", emails = ["legal-ops@example.com"], protected = true, silence = 23 }
  }
}

module "relay" {
  source   = "../.."
  for_each = local.environments

  project               = each.value.project
  region                = "us-central1"
  labels                = { environment = each.key }
  alert_emails          = each.value.emails
  email_provider        = "postmark"
  deletion_protection   = each.value.protected
  webhook_silence_hours = each.value.silence
}

output "webhook_urls" {
  description = "What to paste into each Clickwrap account"
  value       = { for name, relay in module.relay : name => relay.webhook_url }
}
