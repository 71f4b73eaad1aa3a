locals {
  lateness = "resource.type=\"cloud_run_revision\" AND metric.type=\"logging.googleapis.com/user/${google_logging_metric.measured["lateness"].name}\""

  # Title => what a chart shows: a filter, how each series is aligned, and by what it is split; or a query. limit: a line.
  charts = {
    "Lateness of messages, median, in s" = {
      filter = local.lateness
      align  = "ALIGN_PERCENTILE_50"
      by     = []
    }
    "Lateness of messages, 99th percentile, in s" = {
      filter = local.lateness
      align  = "ALIGN_PERCENTILE_99"
      by     = []
    }
    "Calls of Clickwrap's API a minute, of 2,000" = {
      query = "sum(increase(${local.api_calls}[5m])) / 5"
      limit = 2000
    }
    "Checks of the whole relay that arrived, by channel" = {
      query = "sum by (check) (increase(${local.checks_seen}[30m]))"
    }
    "Requests by function and answer" = {
      filter = "${local.requests_to} AND resource.labels.service_name=monitoring.regex.full_match(\"${join("|", values(local.services_of))}\")"
      align  = "ALIGN_RATE"
      by     = ["resource.label.service_name", "metric.label.response_code_class"]
    }
    "Notices by state and channel" = {
      filter = local.notice_metric
      align  = "ALIGN_SUM"
      by     = ["metric.label.state", "metric.label.channel"]
    }
    "Logged alerts by kind" = {
      filter = local.alert_metric
      align  = "ALIGN_SUM"
      by     = ["metric.label.alert"]
    }
    "Messages waiting, oldest in seconds" = {
      filter = "${local.subscription} AND metric.type=\"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
      align  = "ALIGN_MAX"
      by     = ["resource.label.subscription_id"]
    }
    "Dead letters" = {
      filter = "${local.subscription} AND resource.labels.subscription_id=monitoring.regex.full_match(\".*-dead-kept\") AND metric.type=\"pubsub.googleapis.com/subscription/num_undelivered_messages\""
      align  = "ALIGN_MAX"
      by     = ["resource.label.subscription_id"]
    }
    "Tasks waiting" = {
      filter = "resource.type=\"cloud_tasks_queue\" AND metric.type=\"cloudtasks.googleapis.com/queue/depth\""
      align  = "ALIGN_MAX"
      by     = ["resource.label.queue_id"]
    }
    "Time to answer, 99th percentile, in ms" = {
      filter = "resource.type=\"cloud_run_revision\" AND metric.type=\"run.googleapis.com/request_latencies\""
      align  = "ALIGN_PERCENTILE_99"
      by     = ["resource.label.service_name"]
    }
    "Instances" = {
      filter = "resource.type=\"cloud_run_revision\" AND metric.type=\"run.googleapis.com/container/instance_count\""
      align  = "ALIGN_MAX"
      by     = ["resource.label.service_name"]
    }
  }
}

resource "google_monitoring_dashboard" "relay" {
  project = var.project

  dashboard_json = jsonencode({
    displayName = "Clickwrap Relay"
    labels      = local.labels
    gridLayout = {
      columns = 2
      widgets = [for title, chart in local.charts : {
        title = title
        xyChart = {
          thresholds = [for limit in try([chart.limit], []) : { value = limit }]
          dataSets = [{
            plotType = "LINE"
            timeSeriesQuery = { for kind, query in {
              prometheusQuery = try(chart.query, null)
              timeSeriesFilter = try({
                filter = chart.filter
                aggregation = {
                  alignmentPeriod    = "300s"
                  perSeriesAligner   = chart.align
                  crossSeriesReducer = startswith(chart.align, "ALIGN_MAX") || startswith(chart.align, "ALIGN_PERCENTILE") ? "REDUCE_MAX" : "REDUCE_SUM"
                  groupByFields      = chart.by
                }
              }, null)
            } : kind => query if query != null }
          }]
        }
      }]
    }
  })

  depends_on = [google_project_service.required]
}
