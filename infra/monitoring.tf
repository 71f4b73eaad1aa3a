# Every alert has an entry of the same name in docs/runbook.md.
locals {
  from_functions = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=~\"^(${join("|", values(local.services_of))})$\""

  alert_metric  = "resource.type=\"cloud_run_revision\" AND metric.type=\"logging.googleapis.com/user/${google_logging_metric.counted["alerts"].name}\""
  notice_metric = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"${var.prefix}deliver\" AND metric.type=\"logging.googleapis.com/user/${google_logging_metric.counted["notices"].name}\""
  event_metric  = "resource.type=\"cloud_run_revision\" AND metric.type=\"logging.googleapis.com/user/${google_logging_metric.counted["events"].name}\""
  requests_to   = "resource.type=\"cloud_run_revision\" AND metric.type=\"run.googleapis.com/request_count\""
  subscription  = "resource.type=\"pubsub_subscription\""

  told = [for channel in google_monitoring_notification_channel.email : channel.id]

  # Values of the field `alert` with a separate alert; all other values are about a request.
  own_alerts = ["api_credentials", "api_unavailable", "dead_letter", "overdue_reminders"]

  # Alerts on a metric above a threshold within `window`, separately for each value of `by`. gauge: a level, not a count.
  alerts = {
    "dead letters" = {
      severity  = "CRITICAL"
      threshold = 0
      gauge     = true
      window    = "300s"
      by        = "resource.label.subscription_id"
      filter    = "${local.subscription} AND resource.labels.subscription_id=monitoring.regex.full_match(\".*-dead-kept\") AND metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\""
    }
    "oldest message" = {
      severity  = "ERROR"
      threshold = var.oldest_message_seconds
      gauge     = true
      window    = "300s"
      by        = "resource.label.subscription_id"
      filter    = "${local.subscription} AND resource.labels.subscription_id=one_of(${join(", ", formatlist("\"${var.prefix}%s\"", local.watched))}) AND metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
    }
    "API credentials" = {
      severity  = "CRITICAL"
      threshold = 0
      gauge     = false
      window    = "1800s" # deferred events are tried every 15 minutes; this gives one alert instead of one per attempt
      by        = "metric.label.alert"
      filter    = "${local.alert_metric} AND metric.labels.alert=\"api_credentials\""
    }
    "API unavailable" = {
      severity  = "ERROR"
      threshold = 20 # single 503 answers are harmless, because the call is repeated
      gauge     = false
      window    = "1800s"
      by        = "metric.label.alert"
      filter    = "${local.alert_metric} AND metric.labels.alert=\"api_unavailable\""
    }
    "webhooks refused" = {
      severity  = "ERROR"
      threshold = var.refused_webhooks
      gauge     = false
      window    = "300s"
      by        = "resource.label.service_name"
      filter    = "${local.requests_to} AND resource.labels.service_name=\"${var.prefix}receive\" AND metric.labels.response_code=\"401\""
    }
    "public functions failing" = {
      severity  = "CRITICAL"
      threshold = 5
      gauge     = false
      window    = "300s"
      by        = "resource.label.service_name"
      filter    = "${local.requests_to} AND resource.labels.service_name=one_of(${join(", ", formatlist("\"%s\"", local.public_services))}) AND metric.labels.response_code_class=\"5xx\""
    }
    # Without the right of allUsers, Google answers 403 before a function runs, and Clickwrap's webhooks are lost.
    "public access lost" = {
      severity  = "CRITICAL"
      threshold = 0
      gauge     = false
      window    = "300s"
      by        = "resource.label.service_name"
      filter    = "${local.requests_to} AND resource.labels.service_name=one_of(${join(", ", formatlist("\"%s\"", local.public_services))}) AND metric.labels.response_code=\"403\""
    }
    "request to look at" = {
      severity  = "WARNING"
      threshold = 0
      gauge     = false
      window    = "3600s"
      by        = "metric.label.alert"
      filter    = "${local.alert_metric} AND ${join(" AND ", formatlist("metric.labels.alert!=\"%s\"", local.own_alerts))}"
    }
  }
}

resource "google_monitoring_notification_channel" "email" {
  for_each = toset(var.alert_emails)

  project      = var.project
  display_name = "Clickwrap Relay: ${each.key}"
  type         = "email"
  labels       = { email_address = each.key }
  user_labels  = local.labels
  depends_on   = [google_project_service.required]
}

# With LOG_LEVEL above INFO all but "alerts" count nothing.
locals {
  # How many log lines there are of a kind, by the values of fields.
  counted = {
    alerts  = { filter = "jsonPayload.alert:*", by = { alert = "api_credentials, api_unavailable, dead_letter, overdue_reminders, or what is odd about a request" } }
    notices = { filter = "jsonPayload.notice:* AND jsonPayload.state:*", by = { state = "accepted, failed, unknown, planned ...: one line an attempt, and planned means that it is tried again", channel = "sms or email" } }
    late    = { filter = "jsonPayload.state=\"accepted\" AND jsonPayload.waited>${var.late_seconds}", by = { channel = "sms or email" } }
    events  = { filter = "jsonPayload.message=\"event resolved\"", by = { type = "request_sent, request_signed ..." } }
    checks  = { filter = "jsonPayload.check:*", by = { check = "the channel on which a check of the whole relay arrived" } }
  }

  # What numbers in log lines amount to.
  measured = {
    lateness  = { filter = "jsonPayload.state=\"accepted\"", field = "waited", unit = "s", says = "From a notice's publication until a provider took it" }
    api_calls = { filter = "jsonPayload.api_calls:*", field = "api_calls", unit = "1", says = "Calls of Clickwrap's API, told by an instance every minute" }
  }
}

resource "google_logging_metric" "counted" {
  for_each = local.counted

  project          = var.project
  name             = "${var.prefix}relay_${each.key}"
  description      = "Log lines, by ${join(" and ", keys(each.value.by))}"
  filter           = "${local.from_functions} AND ${each.value.filter}"
  label_extractors = { for field, says in each.value.by : field => "EXTRACT(jsonPayload.${field})" }
  depends_on       = [google_project_service.required]

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"

    dynamic "labels" {
      for_each = each.value.by

      content {
        key         = labels.key
        value_type  = "STRING"
        description = labels.value
      }
    }
  }
}

resource "google_logging_metric" "measured" {
  for_each = local.measured

  project         = var.project
  name            = "${var.prefix}relay_${each.key}"
  description     = each.value.says
  filter          = "${local.from_functions} AND ${each.value.filter}"
  value_extractor = "EXTRACT(jsonPayload.${each.value.field})"
  depends_on      = [google_project_service.required]

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = each.value.unit
  }

  bucket_options {
    exponential_buckets {
      num_finite_buckets = 24
      growth_factor      = 2
      scale              = 0.05
    }
  }
}

moved {
  from = google_logging_metric.alerts
  to   = google_logging_metric.counted["alerts"]
}

moved {
  from = google_logging_metric.notices
  to   = google_logging_metric.counted["notices"]
}

resource "google_monitoring_alert_policy" "threshold" {
  for_each = local.alerts

  project               = var.project
  display_name          = "Relay: ${each.key}"
  severity              = each.value.severity
  combiner              = "OR"
  notification_channels = local.told

  documentation {
    content = "What it means and what to do: docs/runbook.md, \"${each.key}\"."
  }

  conditions {
    display_name = each.key

    condition_threshold {
      filter          = each.value.filter
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.threshold
      duration        = "0s"

      aggregations {
        alignment_period     = each.value.window
        per_series_aligner   = each.value.gauge ? "ALIGN_MAX" : "ALIGN_SUM"
        cross_series_reducer = each.value.gauge ? "REDUCE_MAX" : "REDUCE_SUM"
        group_by_fields      = [each.value.by]
      }
    }
  }
}

# The ratio alone would alert on a single failure when there are few messages.
resource "google_monitoring_alert_policy" "provider_failures" {
  project               = var.project
  display_name          = "Relay: provider failures"
  severity              = "ERROR"
  combiner              = "AND"
  notification_channels = local.told

  documentation {
    content = "What it means and what to do: docs/runbook.md, \"provider failures\"."
  }

  conditions {
    display_name = "part of the sends that did not succeed"

    condition_threshold {
      filter             = "${local.notice_metric} AND metric.labels.state=one_of(\"failed\", \"unknown\", \"planned\")"
      denominator_filter = "${local.notice_metric} AND metric.labels.state=one_of(\"accepted\", \"failed\", \"unknown\", \"planned\")"
      comparison         = "COMPARISON_GT"
      threshold_value    = var.provider_failure_ratio
      duration           = "0s"

      aggregations {
        alignment_period     = "900s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
      }

      denominator_aggregations {
        alignment_period     = "900s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  conditions {
    display_name = "sends that did not succeed"

    condition_threshold {
      filter          = "${local.notice_metric} AND metric.labels.state=one_of(\"failed\", \"unknown\", \"planned\")"
      comparison      = "COMPARISON_GT"
      threshold_value = 4
      duration        = "0s"

      aggregations {
        alignment_period     = "900s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }
}

# reconcile finds overdue reminders, so there is also an alert if it does not run.
resource "google_monitoring_alert_policy" "overdue_reminders" {
  project               = var.project
  display_name          = "Relay: overdue reminders"
  severity              = "ERROR"
  combiner              = "OR"
  notification_channels = local.told

  documentation {
    content = "What it means and what to do: docs/runbook.md, \"overdue reminders\"."
  }

  conditions {
    display_name = "reminders that no task fired"

    condition_threshold {
      filter          = "${local.alert_metric} AND metric.labels.alert=\"overdue_reminders\""
      comparison      = "COMPARISON_GT"
      threshold_value = 0
      duration        = "0s"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }

  conditions {
    display_name = "reconcile has not succeeded for 15 minutes"

    condition_absent {
      filter   = "${local.requests_to} AND resource.labels.service_name=\"${var.prefix}reconcile\" AND metric.labels.response_code_class=\"2xx\""
      duration = "900s"

      aggregations {
        alignment_period     = "60s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }
}

# No data and a count of zero both mean that there was no webhook. `receive` itself also takes the checks of the whole relay.
resource "google_monitoring_alert_policy" "webhook_silence" {
  count = var.webhook_silence_hours == 0 ? 0 : 1

  project               = var.project
  display_name          = "Relay: no webhook seen"
  severity              = "WARNING"
  combiner              = "OR"
  notification_channels = local.told

  documentation {
    content = "What it means and what to do: docs/runbook.md, \"no webhook seen\"."
  }

  conditions {
    display_name = "no webhook accepted for ${var.webhook_silence_hours} hours"

    condition_threshold {
      filter                  = local.event_metric
      comparison              = "COMPARISON_LT"
      threshold_value         = 1
      duration                = "${var.webhook_silence_hours * 3600}s"
      evaluation_missing_data = "EVALUATION_MISSING_DATA_ACTIVE"

      aggregations {
        alignment_period     = "300s"
        per_series_aligner   = "ALIGN_SUM"
        cross_series_reducer = "REDUCE_SUM"
      }
    }
  }
}

# Cloud Run logs each request with its path, and that of `links` is a credential: it must not be stored in a log.
resource "google_logging_project_exclusion" "links_requests" {
  project     = var.project
  name        = "${var.prefix}links-requests"
  description = "Requests of links: whoever knows such a path can sign"
  filter      = "log_id(\"run.googleapis.com/requests\") AND resource.labels.service_name=\"${var.prefix}links\""
}
