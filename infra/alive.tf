# Whether the relay works at all, asked from outside and from end to end, also while there is no work.
locals {
  # Google's checkers call the public addresses every five minutes: the answers show that a function runs behind them.
  public_checks = {
    receive = { path = "/${local.services_of["receive"]}", status = 405, says = "only POST" }
    links   = { path = "/${local.services_of["links"]}/uptime-check-relay", status = 404, says = "<!-- link unknown -->" }
  }

  # Every 15 minutes Cloud Scheduler publishes what both subscribers accept and ignore.
  heartbeats = {
    resolve = {
      topic      = "clickwrap-events"
      attributes = {}
      data = {
        v           = 1, event = "heartbeat", type = "request_sent", request = "relay-check", signer = null, title_hint = ""
        received_at = "2026-01-01T00:00:00Z"
      }
    }
    # Its body and its subscription name different channels, so `deliver` leaves it alone.
    deliver = {
      topic      = "signer-notices"
      attributes = { channel = "sms" }
      data = {
        v       = 1, notice = "heartbeat", request = "relay-check", signer = "relay-check", kind = "progress", reminder_day = 0
        channel = "email", round = 1
      }
    }
  }
}

resource "google_monitoring_uptime_check_config" "public" {
  for_each = local.public_checks

  project      = var.project
  display_name = "Relay: ${each.key}"
  timeout      = "10s"
  period       = "300s"
  user_labels  = local.labels
  depends_on   = [google_project_service.required]

  http_check {
    path         = each.value.path
    port         = 443
    use_ssl      = true
    validate_ssl = true

    accepted_response_status_codes {
      status_value = each.value.status
    }
  }

  # Google answers 404 itself where there is no function.
  content_matchers {
    content = each.value.says
    matcher = "CONTAINS_STRING"
  }

  monitored_resource {
    type = "uptime_url"

    labels = {
      project_id = var.project
      host       = "${var.region}-${var.project}.cloudfunctions.net"
    }
  }
}

resource "google_monitoring_alert_policy" "public_address" {
  project               = var.project
  display_name          = "Relay: public address down"
  severity              = "CRITICAL"
  combiner              = "OR"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]

  documentation {
    content = "What it means and what to do: docs/runbook.md, \"public address down\"."
  }

  dynamic "conditions" {
    for_each = google_monitoring_uptime_check_config.public

    content {
      display_name = conditions.key

      condition_threshold {
        filter          = "resource.type=\"uptime_url\" AND metric.type=\"monitoring.googleapis.com/uptime_check/check_passed\" AND metric.labels.check_id=\"${conditions.value.uptime_check_id}\""
        comparison      = "COMPARISON_GT"
        threshold_value = 1 # one place alone may have trouble of its own
        duration        = "300s"

        aggregations {
          alignment_period     = "600s"
          per_series_aligner   = "ALIGN_NEXT_OLDER"
          cross_series_reducer = "REDUCE_COUNT_FALSE"
          group_by_fields      = ["resource.label.host"]
        }
      }
    }
  }
}

resource "google_cloud_scheduler_job" "heartbeat" {
  for_each = local.heartbeats

  project     = var.project
  name        = "${var.prefix}heartbeat-${each.key}"
  description = "Shows that Pub/Sub reaches ${each.key}; it does nothing else"
  region      = var.region
  schedule    = "*/15 * * * *"
  time_zone   = "Etc/UTC"

  pubsub_target {
    topic_name = google_pubsub_topic.relay[each.value.topic].id
    attributes = each.value.attributes
    data       = base64encode(jsonencode(each.value.data))
  }

  depends_on = [google_project_service.required]
}

# Three heartbeats without an answer: the subscription, the identity of pushes or the function itself is broken.
resource "google_monitoring_alert_policy" "heartbeat" {
  project               = var.project
  display_name          = "Relay: heartbeat missing"
  severity              = "CRITICAL"
  combiner              = "OR"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]

  documentation {
    content = "What it means and what to do: docs/runbook.md, \"heartbeat missing\"."
  }

  dynamic "conditions" {
    for_each = local.heartbeats

    content {
      display_name = conditions.key

      condition_threshold {
        filter                  = "${local.requests_to} AND resource.labels.service_name=\"${local.services_of[conditions.key]}\" AND metric.labels.response_code_class=\"2xx\""
        comparison              = "COMPARISON_LT"
        threshold_value         = 1
        duration                = "2700s"
        evaluation_missing_data = "EVALUATION_MISSING_DATA_ACTIVE"

        aggregations {
          alignment_period     = "300s"
          per_series_aligner   = "ALIGN_SUM"
          cross_series_reducer = "REDUCE_SUM"
        }
      }
    }
  }
}

# The objective: of a month's requests to the public functions, no more than `1 - availability` fail (5xx). At a burn rate of
# 14.4 the month's share is used up in two days, at 6 in five. The shorter window ends the alert soon after the repair.
locals {
  burns = {
    fast = { rate = 14.4, windows = ["1h", "5m"] }
    slow = { rate = 6, windows = ["6h", "30m"] }
  }

  requests_of_all = "run_googleapis_com:request_count{monitored_resource=\"cloud_run_revision\",service_name=~\"${join("|", local.public_services)}\"%s}[%s]"
  failing         = "sum(rate(${format(local.requests_of_all, ",response_code_class=\"5xx\"", "%s")})) / sum(rate(${format(local.requests_of_all, "", "%s")})) > %g"
}

resource "google_monitoring_alert_policy" "objective" {
  for_each = local.burns

  project               = var.project
  display_name          = "Relay: objective at risk, ${each.key}"
  severity              = each.key == "fast" ? "CRITICAL" : "WARNING"
  combiner              = "OR"
  notification_channels = [for channel in google_monitoring_notification_channel.email : channel.id]

  documentation {
    content = "What it means and what to do: docs/runbook.md, \"objective at risk\"."
  }

  conditions {
    display_name = "failures at ${each.value.rate} times the allowed rate"

    condition_prometheus_query_language {
      query               = join(" and ", [for window in each.value.windows : "(${format(local.failing, window, window, each.value.rate * (1 - var.availability))})"])
      evaluation_interval = "60s"
      duration            = "0s"
    }
  }
}
