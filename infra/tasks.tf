locals {
  # One queue of deferred messages per subscription, so that a provider that hangs delays no other channel.
  # Dispatches per second, and concurrent ones. Limited by the concurrency of `remind`, `resolve` and `deliver`.
  queues = {
    reminders      = { rate = 50, concurrent = 40 }
    retries        = { rate = 20, concurrent = 40 }
    retries-sms    = { rate = 20, concurrent = 40 }
    retries-email  = { rate = 20, concurrent = 40 }
    retries-status = { rate = 20, concurrent = 40 }
  }
}

# Cloud Tasks has no dead letter: a task is retried until it succeeds or, after 31 days, Google drops it.
resource "google_cloud_tasks_queue" "relay" {
  for_each = local.queues

  project  = var.project
  name     = "${var.prefix}${each.key}"
  location = var.region

  rate_limits {
    max_dispatches_per_second = each.value.rate
    max_concurrent_dispatches = each.value.concurrent
  }

  retry_config {
    max_attempts       = -1
    max_retry_duration = "0s" # no limit
    min_backoff        = "10s"
    max_backoff        = "600s"
    max_doublings      = 6
  }

  depends_on = [google_project_service.required]
}

resource "google_cloud_scheduler_job" "reconcile" {
  project          = var.project
  name             = "${var.prefix}reconcile"
  description      = "Rechecks every request that is due"
  region           = var.region
  schedule         = "* * * * *"
  time_zone        = "Etc/UTC"
  attempt_deadline = "${local.functions.reconcile.timeout}s"

  http_target {
    http_method = "POST"
    uri         = local.urls["reconcile"]

    oidc_token {
      service_account_email = google_service_account.relay["scheduler"].email
      audience              = local.audiences["reconcile"]
    }
  }

  retry_config {
    retry_count = 0 # it is called every minute anyway
  }

  depends_on = [google_project_service.required]
}
