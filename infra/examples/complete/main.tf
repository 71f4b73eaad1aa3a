# All choices at once: data stays in the EU under a key of one's own, calls to the outside leave from a fixed address, and a second
# relay has room in the same project. The functions are deployed by Terraform too, once their bundles are there (`make bundle`) and their secrets have values.
terraform {
  required_version = ">= 1.9"

  backend "gcs" {
    bucket = "acme-states"
    prefix = "relay/acme-legal"
  }
}

provider "google" {
  project = "acme-legal"
  region  = "europe-west1"
}

module "relay" {
  source = "../.."

  project = "acme-legal"
  region  = "europe-west1"
  prefix  = "eu-"
  labels  = { team = "legal", cost-center = "4711" }

  # Where data rests, under which key, and for how long its copies are kept.
  database           = "relay-eu"
  firestore_location = "eur3"
  storage_regions    = ["europe-west1", "europe-west4"]
  kms_key            = "projects/acme-keys/locations/europe/keyRings/relay/cryptoKeys/relay"
  backup_days        = 60

  sms_provider   = "twilio"
  email_provider = "postmark"
  links_base_url = "https://sign.example.com"
  vpc_connector  = "relay"

  # dist/receive.zip and so on, which lead to the newest; dist/ may also hold those of the last day.
  bundles = { for zip in fileset("${path.root}/../../../dist", "*.zip") : trimsuffix(zip, ".zip") => "${path.root}/../../../dist/${zip}" if !strcontains(zip, "-") }
  settings = {
    EMAIL_FROM         = "Acme Legal <signing@example.com>"
    TWILIO_ACCOUNT_SID = "AC00000000000000000000000000000000"
    TWILIO_FROM        = "+15005550006"
  }

  # Who is told, who may read.
  alert_emails           = ["legal-ops@example.com", "on-call@example.com"]
  operators              = ["group:relay-operators@example.com"]
  audit_reads            = true
  availability           = 0.9995
  oldest_message_seconds = 600
  webhook_silence_hours  = 12
}

output "environment" {
  description = "Variables of the functions, for your own pipeline"
  value       = module.relay.environment
}

output "secrets" {
  description = "Function => variable => secret id"
  value       = module.relay.secrets
}
