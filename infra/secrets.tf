# Names only: the values are set by `make secrets`, so that Terraform's state contains none.
locals {
  # The secrets of all providers, used or not: the deployed functions may still need those of an earlier provider.
  # A name without a value costs nothing.
  secrets = toset([for variable in flatten([for f in values(local.functions) : keys(f.secrets)]) : replace(lower(variable), "_", "-")])

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
      for variable, when in f.secrets : variable => replace(lower(variable), "_", "-") if contains(local.choices, when)
    }
  }

  secret_grants = merge([
    for name, secrets in local.function_secrets : {
      for id in values(secrets) : "${name}:${id}" => { function = name, secret = id }
    }
  ]...)
}

resource "google_secret_manager_secret" "relay" {
  for_each = local.secrets

  secret_id           = each.key
  deletion_protection = var.deletion_protection

  replication {
    auto {}
  }

  depends_on = [google_project_service.required]
}
