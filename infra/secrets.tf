# Names only: the values are set by `make secrets`, so that Terraform's state contains none.
locals {
  # The secrets of all providers, used or not: the deployed functions may still need those of an earlier provider.
  # A name without a value costs nothing.
  secrets = toset([for variable in flatten([for f in values(local.table) : keys(f.secrets)]) : replace(lower(variable), "_", "-")])

  # functions.json says when a secret is needed: "always", or with a setting like "SMS_PROVIDER=twilio".
  choices = concat([
    "always",
    "SMS_PROVIDER=${var.sms_provider}",
    "EMAIL_PROVIDER=${var.email_provider}",
    "SHORTENER=${var.shortener}",
  ], [for name in local.receipt_senders : "RECEIPTS=${name}"])

  receipt_senders = concat([var.sms_provider, var.email_provider], split(",", replace(var.former_providers, " ", "")))

  function_secrets = {
    for name, f in local.functions : name => {
      for variable, when in f.secrets : variable => "${var.prefix}${replace(lower(variable), "_", "-")}" if contains(local.choices, when)
    }
  }

  secret_grants = merge([
    for name, secrets in local.function_secrets : {
      for id in values(secrets) : "${name}:${id}" => { function = name, secret = trimprefix(id, var.prefix) }
    }
  ]...)
}

resource "google_secret_manager_secret" "relay" {
  for_each = local.secrets

  project             = var.project
  secret_id           = "${var.prefix}${each.key}"
  labels              = local.labels
  deletion_protection = var.deletion_protection

  # A policy on locations forbids `auto`.
  replication {
    dynamic "auto" {
      for_each = length(var.storage_regions) == 0 ? [1] : []

      content {
        dynamic "customer_managed_encryption" {
          for_each = var.kms_key == "" ? [] : [var.kms_key]

          content {
            kms_key_name = customer_managed_encryption.value
          }
        }
      }
    }

    dynamic "user_managed" {
      for_each = length(var.storage_regions) == 0 ? [] : [1]

      content {
        dynamic "replicas" {
          for_each = var.storage_regions

          content {
            location = replicas.value

            dynamic "customer_managed_encryption" {
              for_each = var.kms_key == "" ? [] : [var.kms_key]

              content {
                kms_key_name = customer_managed_encryption.value
              }
            }
          }
        }
      }
    }
  }

  depends_on = [google_project_service.required]
}
