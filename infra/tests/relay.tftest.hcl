# Properties that every change must keep. Run by `terraform test` with a mocked provider, without any network call.
mock_provider "google" {}

variables {
  project        = "acme-relay-test"
  region         = "us-central1"
  alert_emails   = ["ops@example.com"]
  sms_provider   = "twilio"
  email_provider = "postmark"
}

run "subscriptions" {
  command = apply

  assert {
    condition     = toset(keys(google_pubsub_subscription.push)) == toset(["resolve", "deliver-sms", "deliver-email"])
    error_message = "There is one push subscription for resolve and one a channel for deliver."
  }

  assert {
    condition = alltrue([for s in google_pubsub_subscription.push :
      length(s.dead_letter_policy) == 1 && s.dead_letter_policy[0].max_delivery_attempts == 100
    ])
    error_message = "Each push subscription has a dead-letter policy of 100 attempts."
  }

  assert {
    condition = alltrue([for s in google_pubsub_subscription.push :
      s.retry_policy[0].minimum_backoff == "10s" && s.retry_policy[0].maximum_backoff == "600s"
    ])
    error_message = "Each push subscription backs off from 10 to 600 seconds."
  }

  assert {
    condition = alltrue([for s in google_pubsub_subscription.push :
      s.push_config[0].oidc_token[0].service_account_email == google_service_account.relay["push"].email
    ])
    error_message = "Each push carries the identity of relay-push."
  }

  assert {
    condition     = google_pubsub_subscription.push["deliver-sms"].push_config[0].oidc_token[0].audience == "https://us-central1-acme-relay-test.cloudfunctions.net/deliver"
    error_message = "The audience is the whole URL of the function, its path included, without the channel."
  }

  assert {
    condition     = google_pubsub_subscription.push["deliver-sms"].push_config[0].push_endpoint == "https://us-central1-acme-relay-test.cloudfunctions.net/deliver/sms"
    error_message = "A channel's subscription pushes to the channel's path."
  }

  assert {
    condition     = alltrue([for s in google_pubsub_subscription.push : s.ack_deadline_seconds == 80])
    error_message = "The ack deadline is longer than the function's time-out, 60 seconds."
  }

  assert {
    condition     = alltrue([for s in google_pubsub_subscription.push : s.retain_acked_messages == false && s.expiration_policy[0].ttl == ""])
    error_message = "Acknowledged messages are not kept, and no subscription expires."
  }

  assert {
    condition     = alltrue([for t in google_pubsub_topic.relay : t.message_retention_duration == null || t.message_retention_duration == ""])
    error_message = "No topic keeps messages."
  }

  assert {
    condition     = toset([for s in google_pubsub_subscription.kept : s.name]) == toset(["clickwrap-events-dead-kept", "signer-notices-dead-kept"])
    error_message = "Each dead-letter topic has a subscription that keeps what lands there."
  }

  assert {
    condition     = length(google_pubsub_subscription_iam_member.dead_letters) == 3 && length(google_pubsub_topic_iam_member.dead_letters) == 2
    error_message = "Pub/Sub may take from each push subscription and publish to each dead-letter topic."
  }
}

run "database" {
  command = apply

  assert {
    condition     = google_firestore_database.relay.point_in_time_recovery_enablement == "POINT_IN_TIME_RECOVERY_ENABLED"
    error_message = "The database can be taken back to any minute of the last week."
  }

  assert {
    condition     = google_firestore_database.relay.delete_protection_state == "DELETE_PROTECTION_ENABLED"
    error_message = "The database is protected from deletion unless asked otherwise."
  }

  assert {
    condition = alltrue([for name in ["requests", "notices", "links"] :
      google_firestore_field.expiring[name].field == "purge_at" && length(google_firestore_field.expiring[name].ttl_config) == 1
    ])
    error_message = "Requests, notices and links expire by purge_at."
  }

  assert {
    condition = alltrue([for f in google_firestore_field.unindexed :
      length(f.index_config) == 1 && length(f.index_config[0].indexes) == 0 && length(f.ttl_config) == 0
    ])
    error_message = "Growing maps and lists have no index."
  }
}

run "tasks" {
  command = apply

  assert {
    condition = alltrue([for q in google_cloud_tasks_queue.relay :
      q.retry_config[0].max_attempts == -1 && q.retry_config[0].max_retry_duration == "0s"
    ])
    error_message = "Cloud Tasks has no dead letter: tasks are retried for ever."
  }

  assert {
    condition     = alltrue([for q in google_cloud_tasks_queue.relay : q.rate_limits[0].max_dispatches_per_second > 0])
    error_message = "Each queue has a rate limit."
  }

  assert {
    condition     = google_cloud_scheduler_job.reconcile.http_target[0].oidc_token[0].service_account_email == google_service_account.relay["scheduler"].email
    error_message = "Reconcile is called by relay-scheduler."
  }
}

run "permissions" {
  command = apply

  assert {
    condition = alltrue([for b in concat(
      values(google_project_iam_member.database),
      [google_project_iam_member.build_logs, google_project_iam_member.build_sources],
    ) : !contains(["roles/owner", "roles/editor", "roles/viewer"], b.role)])
    error_message = "No basic role."
  }

  assert {
    condition = length(setintersection(["allUsers", "allAuthenticatedUsers"], concat(
      [for b in google_pubsub_topic_iam_member.publisher : b.member],
      [for b in google_project_iam_member.database : b.member],
      [for b in google_cloud_tasks_queue_iam_member.enqueuer : b.member],
      [for b in google_cloud_tasks_queue_iam_member.deleter : b.member],
      [for b in google_service_account_iam_member.task_identity : b.member],
      [for b in google_secret_manager_secret_iam_member.reader : b.member],
      [for b in google_pubsub_subscription_iam_member.dead_letter_reader : b.member],
    ))) == 0
    error_message = "Nothing here is open to the public."
  }

  assert {
    condition     = toset([for name, f in local.functions : name if f.public]) == toset(["receive", "links", "receipts"])
    error_message = "Only receive, links and receipts are public."
  }

  assert {
    condition     = toset([for name, members in output.invokers : name if contains(members, "allUsers")]) == toset(["receive", "links", "receipts"])
    error_message = "Everybody may call receive, links and receipts, and nothing else."
  }

  assert {
    condition     = length(output.invokers["console"]) == 0
    error_message = "Nobody may call the console who was not named."
  }

  assert {
    condition     = length([for id, g in local.secret_grants : id if g.function == "links" || g.function == "remind"]) == 0
    error_message = "links and remind read no secret."
  }
}

run "secrets_follow_the_choices" {
  command = apply

  assert {
    condition = toset([for g in values(local.secret_grants) : g.secret]) == toset([
      "clickwrap-api-token", "clickwrap-webhook-tokens", "links-secret",
      "postmark-server-token", "postmark-webhook-token", "twilio-auth-token",
    ])
    error_message = "What is chosen may be read, and nothing else."
  }

  assert {
    condition     = contains(keys(google_secret_manager_secret.relay), "vonage-api-secret")
    error_message = "A secret stays when another provider is chosen: it is protected, and what runs may still need it."
  }

  assert {
    condition     = local.function_secrets["receive"] == { CLICKWRAP_WEBHOOK_TOKENS = "clickwrap-webhook-tokens" }
    error_message = "receive reads the webhook's tokens and no other secret."
  }
}

run "audience_for_all" {
  command = apply

  variables {
    oidc_audience = "https://relay.example.com"
  }

  assert {
    condition     = alltrue([for s in google_pubsub_subscription.push : s.push_config[0].oidc_token[0].audience == "https://relay.example.com"])
    error_message = "A given audience goes into every push."
  }

  assert {
    condition     = google_cloud_scheduler_job.reconcile.http_target[0].oidc_token[0].audience == local.environment["OIDC_AUDIENCE"]
    error_message = "Scheduler and tasks use the same audience."
  }
}

run "no_alert_on_silence" {
  command = apply

  variables {
    webhook_silence_hours = 0
  }

  assert {
    condition     = length(google_monitoring_alert_policy.webhook_silence) == 0
    error_message = "0 hours mean no alert."
  }
}

run "where_a_policy_forbids_allusers" {
  command = apply

  variables {
    public_by_iam = false
    operators     = ["group:relay-operators@example.com"]
  }

  assert {
    condition     = !contains(flatten(values(output.invokers)), "allUsers")
    error_message = "No binding names allUsers."
  }

  assert {
    condition     = output.invokers["console"] == tolist(["group:relay-operators@example.com"])
    error_message = "The console is for its operators."
  }
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    operators              = ["allUsers"]
    links_base_url         = "http://l.example.com/"
    project                = "Acme Relay"
    region                 = "us-central1-a"
    alert_emails           = []
    sms_provider           = "pigeon"
    oldest_message_seconds = 1
    provider_failure_ratio = 1
    webhook_silence_hours  = 24
  }

  expect_failures = [
    var.project,
    var.region,
    var.alert_emails,
    var.sms_provider,
    var.operators,
    var.links_base_url,
    var.oldest_message_seconds,
    var.provider_failure_ratio,
    var.webhook_silence_hours,
  ]
}
