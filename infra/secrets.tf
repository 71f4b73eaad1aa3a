# Names only: a value never passes through Terraform, so none stands in its state. `make secrets` asks for the values.
locals {
  # The table of functions says when a secret is needed: "always", or with a choice like "SMS_PROVIDER=twilio".
  choices = [
    "always",
    "SMS_PROVIDER=${var.sms_provider}",
    "EMAIL_PROVIDER=${var.email_provider}",
    "SHORTENER=${var.shortener}",
  ]

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
  for_each = toset(flatten([for secrets in values(local.function_secrets) : values(secrets)]))

  secret_id           = each.key
  deletion_protection = var.deletion_protection

  replication {
    auto {}
  }

  depends_on = [google_project_service.required]
}
