locals {
  topics = ["clickwrap-events", "signer-notices", "request-status"]

  # One subscription a channel: an SMS provider that is down does not slow e-mail.
  pushes = {
    resolve       = { topic = "clickwrap-events", function = "resolve", path = "", filter = "" }
    deliver-sms   = { topic = "signer-notices", function = "deliver", path = "/sms", filter = "attributes.channel = \"sms\"" }
    deliver-email = { topic = "signer-notices", function = "deliver", path = "/email", filter = "attributes.channel = \"email\"" }
  }

  dead_lettered = toset([for push in values(local.pushes) : push.topic])
}

# Without a retention of its own a topic keeps nothing: only subscriptions do, and only until the message is acknowledged.
resource "google_pubsub_topic" "relay" {
  for_each = toset(local.topics)

  name       = each.key
  depends_on = [google_project_service.required]
}

resource "google_pubsub_subscription" "push" {
  for_each = local.pushes

  name                       = each.key
  topic                      = google_pubsub_topic.relay[each.value.topic].id
  filter                     = each.value.filter
  ack_deadline_seconds       = 60 # also the time-out of the push request; the function's own is the same
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
    ttl = "" # never: a quiet month must not delete the subscription
  }
}

resource "google_pubsub_topic" "dead" {
  for_each = local.dead_lettered

  name       = "${each.key}-dead"
  depends_on = [google_project_service.required]
}

# A topic alone stores nothing: this is what keeps dead letters until an operator has seen them.
resource "google_pubsub_subscription" "kept" {
  for_each = local.dead_lettered

  name                       = "${google_pubsub_topic.dead[each.key].name}-kept"
  topic                      = google_pubsub_topic.dead[each.key].id
  ack_deadline_seconds       = 60
  message_retention_duration = "2678400s" # 31 days, Pub/Sub's longest; after that a message is stale to the code too
  retain_acked_messages      = false

  expiration_policy {
    ttl = ""
  }
}
