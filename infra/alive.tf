# Whether the relay works at all, asked from outside and from end to end, also while there is no work.
locals {
  channels = [for name, push in local.pushes : name if push.function == "deliver"]

  # Google's checkers call the public addresses every five minutes: the answers show that a function runs behind them.
  public_checks = {
    receive = { path = "/${local.services_of["receive"]}", status = 405, says = "only POST" }
    links   = { path = "/${local.services_of["links"]}/uptime-check-relay", status = 404, says = "<!-- link unknown -->" }
  }

  # Our metrics as queries name them, in which a prefix's hyphen is an underscore.
  checks_seen = format(local.counts, "checks", "")
  counts      = "${local.queried}${replace(var.prefix, "-", "_")}relay_%s{monitored_resource=\"cloud_run_revision\"%s}"
  api_calls   = "${local.queried}${replace(google_logging_metric.measured["api_calls"].name, "-", "_")}_sum{monitored_resource=\"cloud_run_revision\"}"
  queried     = "logging_googleapis_com:user_"
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
  notification_channels = local.told

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

# `reconcile` posts a webhook about no request to `receive`; it goes through `resolve` and `deliver`, and reaches nobody.
resource "google_cloud_scheduler_job" "check" {
  project          = var.project
  name             = "${var.prefix}check"
  description      = "Begins the check of the whole relay"
  region           = var.region
  schedule         = "*/15 * * * *"
  time_zone        = "Etc/UTC"
  attempt_deadline = "60s"

  http_target {
    http_method = "POST"
    uri         = "${local.urls["reconcile"]}/check"

    oidc_token {
      service_account_email = google_service_account.relay["scheduler"].email
      audience              = local.audiences["reconcile"]
    }
  }

  retry_config {
    retry_count          = 5 # `reconcile` may be busy: it does one thing at a time
    min_backoff_duration = "30s"
  }

  depends_on = [google_project_service.required]
}

# Two checks in a row that did not arrive on every channel. A query, because a threshold is silent about what was never there.
resource "google_monitoring_alert_policy" "check" {
  project               = var.project
  display_name          = "Relay: check not arrived"
  severity              = "CRITICAL"
  combiner              = "OR"
  notification_channels = local.told

  documentation {
    content = "What it means and what to do: docs/runbook.md, \"check not arrived\"."
  }

  conditions {
    display_name = "no check for 40 minutes on a channel"

    condition_prometheus_query_language {
      query               = "(count(sum by (check) (increase(${local.checks_seen}[40m])) > 0) or vector(0)) < ${length(local.channels)}"
      evaluation_interval = "60s"
      duration            = "0s"
    }
  }
}

# The objectives: of a month's requests to the public functions, no more than `1 - availability` fail (5xx); of its messages, no
# more than `1 - punctuality` leave late. At a burn rate of 14.4 the month's share is used up in two days, at 6 in five. The
# shorter window ends the alert soon after the repair.
locals {
  burns = {
    fast = { rate = 14.4, windows = ["1h", "5m"] }
    slow = { rate = 6, windows = ["6h", "30m"] }
  }

  requests_of_all = "run_googleapis_com:request_count{monitored_resource=\"cloud_run_revision\",service_name=~\"${join("|", local.public_services)}\"%s}"

  # few: how many may fail in the longer window whatever their share is: of three messages a night, one is a third.
  objectives = {
    "objective at risk" = { bad = format(local.requests_of_all, ",response_code_class=\"5xx\""), all = format(local.requests_of_all, ""), allowed = 1 - var.availability, few = 0 }
    "messages late"     = { bad = format(local.counts, "late", ""), all = format(local.counts, "notices", ",state=\"accepted\""), allowed = 1 - var.punctuality, few = 2 }
  }

  burning = merge([for name, o in local.objectives : { for speed, burn in local.burns : "${name}, ${speed}" => {
    name = name, speed = speed, rate = burn.rate
    query = join(" and ", concat(
      [for window in burn.windows : "(sum(rate(${o.bad}[${window}])) / sum(rate(${o.all}[${window}])) > ${format("%.6g", burn.rate * o.allowed)})"],
      o.few == 0 ? [] : ["(sum(increase(${o.bad}[${burn.windows[0]}])) > ${o.few})"],
    ))
  } }]...)
}

resource "google_monitoring_alert_policy" "objective" {
  for_each = local.burning

  project               = var.project
  display_name          = "Relay: ${each.key}"
  severity              = each.value.speed == "fast" ? "CRITICAL" : "WARNING"
  combiner              = "OR"
  notification_channels = local.told

  documentation {
    content = "What it means and what to do: docs/runbook.md, \"${each.value.name}\"."
  }

  conditions {
    display_name = "failures at ${each.value.rate} times the allowed rate"

    condition_prometheus_query_language {
      query               = each.value.query
      evaluation_interval = "60s"
      duration            = "0s"
    }
  }

  depends_on = [google_logging_metric.counted]
}
