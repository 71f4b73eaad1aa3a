locals {
  topics = ["clickwrap-events", "signer-notices", "request-status"]

  # One subscription per channel, so that an unavailable SMS provider does not delay e-mail.
  pushes = {
    resolve       = { topic = "clickwrap-events", function = "resolve", path = "", filter = "" }
    deliver-sms   = { topic = "signer-notices", function = "deliver", path = "/sms", filter = "attributes.channel = \"sms\"" }
    deliver-email = { topic = "signer-notices", function = "deliver", path = "/email", filter = "attributes.channel = \"email\"" }
    forward       = { topic = "request-status", function = "forward", path = "", filter = "" }
  }

  pushed        = { for name, push in local.pushes : name => push if contains(keys(local.functions), push.function) }
  watched       = concat(keys(local.pushed), var.status_table == "" ? [] : ["request-status-table"])
  dead_lettered = toset([for push in values(local.pushed) : push.topic])
}

# The topics have no retention: only subscriptions store messages, until they are acknowledged.
resource "google_pubsub_topic" "relay" {
  for_each = toset(local.topics)

  project      = var.project
  name         = "${var.prefix}${each.key}"
  kms_key_name = var.kms_key == "" ? null : var.kms_key
  labels       = local.labels
  depends_on   = [google_project_service.required]

  dynamic "message_storage_policy" {
    for_each = length(var.storage_regions) == 0 ? [] : [var.storage_regions]

    content {
      allowed_persistence_regions = message_storage_policy.value
    }
  }
}

resource "google_pubsub_subscription" "push" {
  for_each = local.pushed

  project                    = var.project
  name                       = "${var.prefix}${each.key}"
  topic                      = google_pubsub_topic.relay[each.value.topic].id
  labels                     = local.labels
  filter                     = each.value.filter
  ack_deadline_seconds       = 80 # also the time-out of the push request; it begins before a cold start, the function's 60 s after it
  message_retention_duration = "604800s"
  retain_acked_messages      = false

  push_config {
    push_endpoint = "${local.urls[each.value.function]}${each.value.path}"

    oidc_token {
      service_account_email = google_service_account.relay["push"].email
      audience              = local.audiences[each.value.function]
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead[each.value.topic].id
    max_delivery_attempts = var.max_delivery_attempts
  }

  expiration_policy {
    ttl = "" # never: by default, a subscription expires after 31 days without activity
  }
}

resource "google_pubsub_topic" "dead" {
  for_each = local.dead_lettered

  project      = var.project
  name         = "${google_pubsub_topic.relay[each.key].name}-dead"
  kms_key_name = var.kms_key == "" ? null : var.kms_key
  labels       = local.labels
  depends_on   = [google_project_service.required]

  dynamic "message_storage_policy" {
    for_each = length(var.storage_regions) == 0 ? [] : [var.storage_regions]

    content {
      allowed_persistence_regions = message_storage_policy.value
    }
  }
}

# For the customer's own systems; what nobody has read for a week is dropped. Whoever reads it needs roles/pubsub.subscriber on it.
resource "google_pubsub_subscription" "status" {
  project                    = var.project
  name                       = google_pubsub_topic.relay["request-status"].name
  topic                      = google_pubsub_topic.relay["request-status"].id
  labels                     = local.labels
  ack_deadline_seconds       = 60
  message_retention_duration = "604800s"
  retain_acked_messages      = false

  expiration_policy {
    ttl = ""
  }
}

# Every change of status as a row. The table is the customer's: it exists before, and they let Pub/Sub write to it.
resource "google_pubsub_subscription" "status_table" {
  count = var.status_table == "" ? 0 : 1

  project                    = var.project
  name                       = "${var.prefix}request-status-table"
  topic                      = google_pubsub_topic.relay["request-status"].id
  labels                     = local.labels
  ack_deadline_seconds       = 60
  message_retention_duration = "604800s"
  retain_acked_messages      = false

  bigquery_config {
    table = var.status_table
  }

  expiration_policy {
    ttl = ""
  }
}

# A topic alone stores nothing: these subscriptions keep the dead letters for the operator.
resource "google_pubsub_subscription" "kept" {
  for_each = local.dead_lettered

  project                    = var.project
  name                       = "${google_pubsub_topic.dead[each.key].name}-kept"
  topic                      = google_pubsub_topic.dead[each.key].id
  labels                     = local.labels
  ack_deadline_seconds       = 60
  message_retention_duration = "2678400s" # 31 days, Pub/Sub's maximum; the code does not replay older messages either
  retain_acked_messages      = false

  expiration_policy {
    ttl = ""
  }
}
