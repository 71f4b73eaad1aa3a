locals {
  # The table of functions, which `make deploy` reads too. Those with `only_with` belong to the relay only where that is set.
  table     = jsondecode(file("${path.module}/functions.json"))
  set       = concat([""], var.status_webhook_url == "" ? [] : ["STATUS_WEBHOOK_URL"])
  functions = { for name, f in local.table : name => f if contains(local.set, try(f.only_with, "")) }

  labels = merge({ app = "clickwrap-relay" }, var.labels)

  services_of     = { for name in keys(local.functions) : name => "${var.prefix}${name}" }
  public_services = values({ for name, f in local.functions : name => "${var.prefix}${name}" if f.public })

  # URLs are known before the functions are deployed.
  urls      = { for name in keys(local.table) : name => "https://${var.region}-${var.project}.cloudfunctions.net/${var.prefix}${name}" }
  audiences = { for name, url in local.urls : name => coalesce(var.oidc_audience, url) }

  # Variables of the functions that depend on this infrastructure. `make deploy` adds the other settings.
  environment = {
    GOOGLE_CLOUD_PROJECT  = var.project
    LOCATION              = var.region
    EVENTS_TOPIC          = google_pubsub_topic.relay["clickwrap-events"].name
    NOTICES_TOPIC         = google_pubsub_topic.relay["signer-notices"].name
    STATUS_TOPIC          = google_pubsub_topic.relay["request-status"].name
    REMINDERS_QUEUE       = google_cloud_tasks_queue.relay["reminders"].name
    RETRIES_QUEUE         = google_cloud_tasks_queue.relay["retries"].name
    REMIND_URL            = local.urls["remind"]
    DELIVER_URL           = local.urls["deliver"]
    RESOLVE_URL           = local.urls["resolve"]
    RECEIVE_URL           = local.urls["receive"]
    FORWARD_URL           = local.urls["forward"]
    RECONCILE_URL         = local.urls["reconcile"]
    STATUS_WEBHOOK_URL    = var.status_webhook_url
    TASKS_SERVICE_ACCOUNT = google_service_account.relay["tasks"].email
    OIDC_AUDIENCE         = var.oidc_audience
    FIRESTORE_DATABASE    = google_firestore_database.relay.name
    EVIDENCE_KEY          = var.evidence_key ? "${google_kms_crypto_key.evidence[0].id}/cryptoKeyVersions/1" : ""
    SMS_PROVIDER          = var.sms_provider
    EMAIL_PROVIDER        = var.email_provider
    SHORTENER             = var.shortener
    LINKS_BASE_URL        = coalesce(var.links_base_url, local.urls["links"])
    RECEIPTS_BASE_URL     = local.urls["receipts"]
  }
}
