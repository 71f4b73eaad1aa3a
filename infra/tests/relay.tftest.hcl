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

run "changes_of_status_wait_a_week_for_a_reader" {
  command = apply

  assert {
    condition     = google_pubsub_subscription.status.name == "request-status" && google_pubsub_subscription.status.message_retention_duration == "604800s" && google_pubsub_subscription.status.expiration_policy[0].ttl == ""
    error_message = "The pull subscription keeps what is unread for a week, and never expires."
  }

  assert {
    condition     = !contains(keys(google_service_account.relay), "forward") && !contains(keys(output.invokers), "forward") && !contains(keys(google_pubsub_topic.dead), "request-status")
    error_message = "Without an endpoint there is no function forward, and nothing for it."
  }
}

run "changes_of_status_are_posted_where_an_endpoint_is_named" {
  command = apply

  variables {
    status_webhook_url = "https://acme.example/status"
  }

  assert {
    condition     = google_pubsub_subscription.push["forward"].push_config[0].push_endpoint == local.environment["FORWARD_URL"] && google_pubsub_subscription.push["forward"].topic == google_pubsub_topic.relay["request-status"].id
    error_message = "Every change is pushed to forward."
  }

  assert {
    condition     = google_pubsub_subscription.kept["request-status"].name == "request-status-dead-kept"
    error_message = "What the endpoint does not take is kept."
  }

  assert {
    condition     = [for id, g in local.secret_grants : g.secret if g.function == "forward"] == ["status-webhook-secrets"]
    error_message = "forward reads its secret and no other."
  }

  assert {
    condition     = length([for id, b in google_project_iam_member.database : id if id == "forward"]) == 0
    error_message = "forward has no right on documents."
  }

  assert {
    condition     = strcontains(google_monitoring_alert_policy.threshold["oldest message"].conditions[0].condition_threshold[0].filter, "\"forward\"")
    error_message = "A change that waits too long is told."
  }
}

run "changes_of_status_as_rows_of_a_table" {
  command = apply

  variables {
    status_table = "acme-data.legal.request_status"
  }

  assert {
    condition     = google_pubsub_subscription.status_table[0].bigquery_config[0].table == "acme-data.legal.request_status" && google_pubsub_subscription.status_table[0].expiration_policy[0].ttl == ""
    error_message = "Every change becomes a row."
  }

  assert {
    condition     = strcontains(google_monitoring_alert_policy.threshold["oldest message"].conditions[0].condition_threshold[0].filter, "\"request-status-table\"")
    error_message = "A row that cannot be written is told."
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
    condition     = toset(google_project_iam_custom_role.measurements.permissions) == toset(["monitoring.timeSeries.list"]) && google_project_iam_member.measurements.member == google_service_account.relay["console"].member
    error_message = "The console reads measurements, and nothing else of Cloud Monitoring."
  }

  assert {
    condition = alltrue([for b in concat(
      values(google_project_iam_member.database),
      [google_project_iam_member.build_logs, google_project_iam_member.build_sources, google_project_iam_member.measurements],
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
      "address-secret", "clickwrap-api-token", "clickwrap-webhook-tokens", "links-secret",
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

run "a_prefix_begins_every_name" {
  command = apply

  variables {
    prefix = "eu-"
  }

  assert {
    condition     = alltrue([for t in concat(values(google_pubsub_topic.relay), values(google_pubsub_topic.dead)) : startswith(t.name, "eu-")])
    error_message = "Topics begin with the prefix."
  }

  assert {
    condition     = alltrue([for s in concat(values(google_pubsub_subscription.push), values(google_pubsub_subscription.kept)) : startswith(s.name, "eu-")])
    error_message = "Subscriptions begin with the prefix."
  }

  assert {
    condition     = alltrue([for a in google_service_account.relay : startswith(a.account_id, "eu-relay-")])
    error_message = "Accounts begin with the prefix."
  }

  assert {
    condition     = alltrue([for q in google_cloud_tasks_queue.relay : startswith(q.name, "eu-")]) && alltrue([for s in google_secret_manager_secret.relay : startswith(s.secret_id, "eu-")])
    error_message = "Queues and secrets begin with the prefix."
  }

  assert {
    condition     = local.urls["links"] == "https://us-central1-acme-relay-test.cloudfunctions.net/eu-links"
    error_message = "Functions begin with the prefix."
  }

  assert {
    condition     = local.function_secrets["receive"] == { CLICKWRAP_WEBHOOK_TOKENS = "eu-clickwrap-webhook-tokens" }
    error_message = "A function reads the secret under its full name."
  }
}

run "an_account_has_room_for_the_longest_prefix" {
  command = apply

  variables {
    prefix = "abcdefghi-"
  }

  assert {
    condition     = alltrue([for a in google_service_account.relay : length(a.account_id) <= 30])
    error_message = "Google takes 30 characters."
  }
}

run "labels_are_added_to_ours" {
  command = apply

  variables {
    labels = { team = "legal" }
  }

  assert {
    condition     = alltrue([for t in google_pubsub_topic.relay : t.labels == tomap({ app = "clickwrap-relay", team = "legal" })])
    error_message = "Topics have both labels."
  }

  assert {
    condition     = alltrue([for s in google_secret_manager_secret.relay : s.labels["team"] == "legal"])
    error_message = "Secrets have the label."
  }
}

run "where_messages_and_secrets_rest" {
  command = apply

  variables {
    storage_regions = ["europe-west1", "europe-west4"]
  }

  assert {
    condition     = alltrue([for t in concat(values(google_pubsub_topic.relay), values(google_pubsub_topic.dead)) : toset(t.message_storage_policy[0].allowed_persistence_regions) == toset(["europe-west1", "europe-west4"])])
    error_message = "Messages rest in the named regions only, dead letters too."
  }

  assert {
    condition     = alltrue([for s in google_secret_manager_secret.relay : length(s.replication[0].auto) == 0 && [for r in s.replication[0].user_managed[0].replicas : r.location] == ["europe-west1", "europe-west4"]])
    error_message = "Secrets rest in the named regions only."
  }
}

run "google_decides_where_nothing_is_named" {
  command = apply

  assert {
    condition     = alltrue([for t in google_pubsub_topic.relay : length(t.message_storage_policy) == 0])
    error_message = "No policy on storage."
  }

  assert {
    condition     = alltrue([for s in google_secret_manager_secret.relay : length(s.replication[0].auto) == 1 && length(s.replication[0].user_managed) == 0])
    error_message = "Secrets are replicated by Google."
  }
}

run "a_key_of_ones_own_encrypts_all_that_is_stored" {
  command = apply

  variables {
    kms_key = "projects/k/locations/us/keyRings/r/cryptoKeys/relay"
  }

  assert {
    condition     = google_firestore_database.relay.cmek_config[0].kms_key_name == "projects/k/locations/us/keyRings/r/cryptoKeys/relay"
    error_message = "The database has the key."
  }

  assert {
    condition     = alltrue([for t in concat(values(google_pubsub_topic.relay), values(google_pubsub_topic.dead)) : t.kms_key_name == "projects/k/locations/us/keyRings/r/cryptoKeys/relay"])
    error_message = "Topics have the key."
  }

  assert {
    condition     = alltrue([for s in google_secret_manager_secret.relay : s.replication[0].auto[0].customer_managed_encryption[0].kms_key_name == "projects/k/locations/us/keyRings/r/cryptoKeys/relay"])
    error_message = "Secrets have the key."
  }

  assert {
    condition     = google_artifact_registry_repository.functions.kms_key_name == "projects/k/locations/us/keyRings/r/cryptoKeys/relay"
    error_message = "Images have the key."
  }
}

run "a_key_and_regions_together" {
  command = apply

  variables {
    kms_key         = "projects/k/locations/us/keyRings/r/cryptoKeys/relay"
    storage_regions = ["us-central1"]
  }

  assert {
    condition     = alltrue([for s in google_secret_manager_secret.relay : s.replication[0].user_managed[0].replicas[0].customer_managed_encryption[0].kms_key_name == "projects/k/locations/us/keyRings/r/cryptoKeys/relay"])
    error_message = "Each copy of a secret has the key."
  }
}

run "without_a_key_google_has_one" {
  command = apply

  assert {
    condition     = length(google_firestore_database.relay.cmek_config) == 0
    error_message = "No key is named."
  }
}

run "a_database_of_another_name" {
  command = apply

  variables {
    database           = "relay-eu"
    firestore_location = "eur3"
  }

  assert {
    condition     = google_firestore_database.relay.name == "relay-eu" && google_firestore_database.relay.location_id == "eur3"
    error_message = "Name and location are as given."
  }

  assert {
    condition     = local.environment["FIRESTORE_DATABASE"] == "relay-eu"
    error_message = "The functions are told."
  }

  assert {
    condition     = alltrue([for b in google_project_iam_member.database : strcontains(b.condition[0].expression, "databases/relay-eu")])
    error_message = "Rights hold for this database only."
  }
}

run "rights_on_documents" {
  command = apply

  assert {
    condition     = [for name, r in google_project_iam_custom_role.database : name if contains(r.permissions, "datastore.entities.delete")] == ["relayEraser"] && [for name, role in local.database_roles : name if role == "relayEraser"] == ["console"]
    error_message = "Only the console may delete a document."
  }

  assert {
    condition     = local.database_roles["receipts"] == "relayWriter" && !contains(google_project_iam_custom_role.database["relayWriter"].permissions, "datastore.entities.list")
    error_message = "receipts cannot list documents."
  }

  assert {
    condition     = toset(google_project_iam_custom_role.database["relayUpdater"].permissions) == toset(["datastore.databases.get", "datastore.entities.get", "datastore.entities.update"])
    error_message = "links reads and changes documents, and neither makes nor lists nor deletes any."
  }
}

run "daily_copies_of_the_database" {
  command = apply

  assert {
    condition     = google_firestore_backup_schedule.daily[0].retention == "1209600s" && length(google_firestore_backup_schedule.daily[0].daily_recurrence) == 1
    error_message = "A copy a day is kept for 14 days."
  }
}

run "no_copies" {
  command = apply

  variables {
    backup_days = 0
  }

  assert {
    condition     = length(google_firestore_backup_schedule.daily) == 0
    error_message = "0 days mean no copies."
  }
}

run "reads_by_people_are_logged" {
  command = apply

  assert {
    condition     = toset(keys(google_project_iam_audit_config.reads)) == toset(["datastore.googleapis.com", "pubsub.googleapis.com", "secretmanager.googleapis.com"])
    error_message = "Database, messages and secrets are audited."
  }

  assert {
    condition     = alltrue(flatten([for c in google_project_iam_audit_config.reads : [for l in c.audit_log_config : length(l.exempted_members) == length(google_service_account.relay)]]))
    error_message = "The functions are exempted: their reads name link codes."
  }
}

run "no_audit" {
  command = apply

  variables {
    audit_reads = false
  }

  assert {
    condition     = length(google_project_iam_audit_config.reads) == 0
    error_message = "Nothing is configured."
  }
}

run "a_connector_needs_its_service" {
  command = apply

  variables {
    vpc_connector = "relay"
  }

  assert {
    condition     = contains(keys(google_project_service.required), "vpcaccess.googleapis.com")
    error_message = "The service is enabled."
  }
}

run "no_key_for_evidence" {
  command = apply

  assert {
    condition     = local.environment["EVIDENCE_KEY"] == "" && length(google_kms_key_ring.evidence) == 0 && !contains(keys(google_project_service.required), "cloudkms.googleapis.com")
    error_message = "Nothing is made unless asked for."
  }
}

run "a_key_for_evidence" {
  command = apply

  variables {
    evidence_key = true
  }

  assert {
    condition     = google_kms_crypto_key.evidence[0].purpose == "ASYMMETRIC_SIGN" && google_kms_crypto_key.evidence[0].version_template[0].algorithm == "EC_SIGN_P256_SHA256"
    error_message = "The key signs as the code does."
  }

  assert {
    condition     = google_kms_crypto_key_iam_member.evidence[0].member == google_service_account.relay["console"].member && google_kms_crypto_key_iam_member.evidence[0].role == "roles/cloudkms.signerVerifier"
    error_message = "The console may sign, and nobody else."
  }

  assert {
    condition     = local.environment["EVIDENCE_KEY"] == "${google_kms_crypto_key.evidence[0].id}/cryptoKeyVersions/1"
    error_message = "The console is told which key."
  }
}

run "no_connector" {
  command = apply

  assert {
    condition     = !contains(keys(google_project_service.required), "vpcaccess.googleapis.com")
    error_message = "The service is not enabled for nothing."
  }
}

run "the_public_addresses_are_called_from_outside" {
  command = apply

  assert {
    condition     = google_monitoring_uptime_check_config.public["receive"].http_check[0].accepted_response_status_codes[0].status_value == 405
    error_message = "receive answers a GET with 405."
  }

  assert {
    condition     = google_monitoring_uptime_check_config.public["links"].http_check[0].accepted_response_status_codes[0].status_value == 404
    error_message = "links answers 404 for an unknown code."
  }

  assert {
    condition     = alltrue([for c in google_monitoring_uptime_check_config.public : length(c.content_matchers) == 1 && c.http_check[0].validate_ssl])
    error_message = "The text tells it from the answer of Google."
  }
}

run "the_check_of_the_whole_relay" {
  command = apply

  variables {
    prefix = "eu-"
  }

  assert {
    condition     = google_cloud_scheduler_job.check.schedule == "*/15 * * * *" && endswith(google_cloud_scheduler_job.check.http_target[0].uri, "/eu-reconcile/check")
    error_message = "Every 15 minutes, by a function that nobody else may call."
  }

  assert {
    condition     = google_cloud_scheduler_job.check.http_target[0].oidc_token[0].service_account_email == google_service_account.relay["scheduler"].email && output.invokers["reconcile"] == tolist(["serviceAccount:eu-relay-scheduler@acme-relay-test.iam.gserviceaccount.com"])
    error_message = "Only the scheduler may begin it."
  }

  assert {
    condition     = google_monitoring_alert_policy.check.conditions[0].condition_prometheus_query_language[0].query == "(count(sum by (check) (increase(logging_googleapis_com:user_eu_relay_checks{monitored_resource=\"cloud_run_revision\"}[40m])) > 0) or vector(0)) < 2"
    error_message = "Two that are missing on a channel are told, also where none was ever seen."
  }

  assert {
    condition     = google_monitoring_alert_policy.webhook_silence[0].conditions[0].condition_threshold[0].filter == local.event_metric
    error_message = "A check is no webhook of Clickwrap's."
  }
}

run "the_objective" {
  command = apply

  variables {
    availability = 0.99
    punctuality  = 0.95
    late_seconds = 120
    prefix       = "eu-"
  }

  assert {
    condition     = strcontains(google_monitoring_alert_policy.objective["objective at risk, fast"].conditions[0].condition_prometheus_query_language[0].query, "> 0.144")
    error_message = "14.4 times the allowed rate."
  }

  assert {
    condition     = strcontains(google_monitoring_alert_policy.objective["objective at risk, slow"].conditions[0].condition_prometheus_query_language[0].query, "[6h]")
    error_message = "The slow one looks back six hours."
  }

  assert {
    condition     = google_monitoring_alert_policy.objective["messages late, slow"].conditions[0].condition_prometheus_query_language[0].query == join(" and ", concat([for window in ["6h", "30m"] : "(sum(rate(logging_googleapis_com:user_eu_relay_late{monitored_resource=\"cloud_run_revision\"}[${window}])) / sum(rate(logging_googleapis_com:user_eu_relay_notices{monitored_resource=\"cloud_run_revision\",state=\"accepted\"}[${window}])) > 0.3)"], ["(sum(increase(logging_googleapis_com:user_eu_relay_late{monitored_resource=\"cloud_run_revision\"}[6h])) > 2)"]))
    error_message = "Six times the allowed part of the messages is late."
  }

  assert {
    condition     = endswith(google_logging_metric.counted["late"].filter, "jsonPayload.waited>120")
    error_message = "Late is what the root says."
  }

  assert {
    condition     = toset(keys(google_logging_metric.counted["notices"].label_extractors)) == toset(["channel", "state"])
    error_message = "Messages are counted by state and channel."
  }
}

run "every_alert_tells_every_address" {
  command = apply

  variables {
    alert_emails = ["a@example.com", "b@example.com"]
  }

  assert {
    condition     = alltrue([for p in concat(values(google_monitoring_alert_policy.threshold), values(google_monitoring_alert_policy.objective), [google_monitoring_alert_policy.check, google_monitoring_alert_policy.public_address]) : length(p.notification_channels) == 2])
    error_message = "Two addresses, two channels."
  }
}

run "the_dashboard" {
  command = apply

  assert {
    condition     = length(jsondecode(google_monitoring_dashboard.relay.dashboard_json).gridLayout.widgets) == length(local.charts)
    error_message = "A chart for each entry."
  }

  assert {
    condition     = alltrue([for w in jsondecode(google_monitoring_dashboard.relay.dashboard_json).gridLayout.widgets : length(w.xyChart.dataSets[0].timeSeriesQuery) == 1])
    error_message = "Each shows a filter or a query."
  }

  assert {
    condition     = toset([for m in google_logging_metric.measured : m.metric_descriptor[0].value_type]) == toset(["DISTRIBUTION"])
    error_message = "Percentiles need distributions."
  }
}

run "no_workflow_is_trusted_unless_its_repository_is_named" {
  command = apply

  assert {
    condition     = length(google_service_account.github) == 0 && length(google_iam_workload_identity_pool.github) == 0
    error_message = "Nothing is made."
  }
}

run "workflows" {
  command = apply

  variables {
    github_repository_id = "4711"
  }

  assert {
    condition     = google_iam_workload_identity_pool_provider.github[0].attribute_condition == "assertion.repository_id == \"4711\""
    error_message = "The repository is trusted by its number."
  }

  assert {
    condition     = endswith(google_service_account_iam_member.github["deploy"].member, "/attribute.environment/production") && endswith(google_service_account_iam_member.github["plan"].member, "/attribute.environment/plan")
    error_message = "Each account is for jobs of one environment, which has reviewers."
  }

  assert {
    condition     = strcontains(google_project_iam_member.github_state["plan"].condition[0].expression, "\"projects/_/buckets/acme-relay-test-relay-state\"")
    error_message = "Of the buckets, that of the state only."
  }

  assert {
    condition = alltrue([for p in google_project_iam_custom_role.github["plan"].permissions :
      can(regex("[.](get|list|getIamPolicy|getMetadata)$", p)) && !strcontains(p, "entities") && !strcontains(p, "versions")
    ])
    error_message = "The plan reads configuration and neither documents nor secrets."
  }

  assert {
    condition = alltrue([for p in google_project_iam_custom_role.github["deploy"].permissions :
      !strcontains(p, "entities") && !contains(["secretmanager.versions.access", "pubsub.subscriptions.consume", "datastore.databases.delete", "secretmanager.secrets.delete"], p)
    ])
    error_message = "The deployment reads no document, message or secret, and deletes neither database nor secrets."
  }

  assert {
    condition     = alltrue([for p in google_project_iam_custom_role.github["deploy"].permissions : !can(regex("^iam[.].*(roles|IamPolicy|actAs|delete|Pools)", p)) || can(regex("[.](get|getIamPolicy)$", p))])
    error_message = "The deployment changes no role, and not who may act as an account: with that it could give itself any right."
  }

  assert {
    condition     = strcontains(google_project_iam_member.github_grants[0].condition[0].expression, "hasOnly") && !strcontains(google_project_iam_member.github_grants[0].condition[0].expression, "roles/owner")
    error_message = "On the project it may bind the relay's roles only."
  }
}

run "workflows_with_a_shared_bucket" {
  command = apply

  variables {
    github_repository_id = "4711"
    state_bucket         = "acme-states"
  }

  assert {
    condition     = alltrue([for b in google_project_iam_member.github_state : strcontains(b.condition[0].expression, "\"projects/_/buckets/acme-states\"")])
    error_message = "The bucket that is named holds the state."
  }
}

run "without_bundles_no_function" {
  command = apply

  assert {
    condition     = length(google_cloudfunctions2_function.relay) == 0 && length(google_storage_bucket.sources) == 0 && length(google_cloud_run_service_iam_member.invoker) == 0
    error_message = "The functions are left to others."
  }
}

run "functions_by_terraform" {
  command = apply

  variables {
    operators = ["group:relay-operators@example.com"]
    ingress   = "ALLOW_INTERNAL_ONLY"
    settings  = { TWILIO_FROM = "+15005550006", API_RATE_PER_MINUTE = "1000" }
    bundles   = { for name in ["receive", "resolve", "deliver", "remind", "links", "receipts", "reconcile", "console"] : name => "functions.json" }
  }

  assert {
    condition     = alltrue([for name, f in google_cloudfunctions2_function.relay : f.build_config[0].runtime == "python313" && f.build_config[0].entry_point == name && f.build_config[0].source[0].storage_source[0].object == "${name}-${substr(filesha256("functions.json"), 0, 12)}.zip"])
    error_message = "Each is built from its bundle, and anew when that changes."
  }

  assert {
    condition     = alltrue([for name, f in google_cloudfunctions2_function.relay : f.service_config[0].environment_variables["THREADS"] == tostring(local.table[name].concurrency) && f.service_config[0].environment_variables["TWILIO_FROM"] == "+15005550006" && f.service_config[0].environment_variables["EVENTS_TOPIC"] == "clickwrap-events"])
    error_message = "Each has the settings of the table, of the root, and of this infrastructure."
  }

  assert {
    condition     = google_cloudfunctions2_function.relay["resolve"].service_config[0].environment_variables["API_RATE_PER_MINUTE"] == "50" && google_cloudfunctions2_function.relay["deliver"].service_config[0].environment_variables["API_RATE_PER_MINUTE"] == "30"
    error_message = "All instances together keep to the budget of calls."
  }

  assert {
    condition     = { for name, f in google_cloudfunctions2_function.relay : name => f.service_config[0].environment_variables["CALLERS"] if can(f.service_config[0].environment_variables["CALLERS"]) } == { for name in ["resolve", "deliver", "remind", "reconcile"] : name => join(",", [for m in output.invokers[name] : trimprefix(m, "serviceAccount:")]) }
    error_message = "Each private function knows its callers."
  }

  assert {
    condition     = alltrue([for name, f in google_cloudfunctions2_function.relay : f.service_config[0].ingress_settings == (contains(["resolve", "deliver", "remind", "reconcile"], name) ? "ALLOW_INTERNAL_ONLY" : "ALLOW_ALL")])
    error_message = "What only Google calls may be closed to the internet."
  }

  assert {
    condition     = toset([for s in google_cloudfunctions2_function.relay["deliver"].service_config[0].secret_environment_variables : s.key]) == toset(keys(output.secrets["deliver"]))
    error_message = "Each reads its secrets and no other."
  }

  assert {
    condition     = toset([for b in google_cloud_run_service_iam_member.invoker : b.service if b.member == "allUsers"]) == toset(["receive", "links", "receipts"])
    error_message = "Three are public."
  }

  assert {
    condition     = toset([for b in google_cloud_run_service_iam_member.invoker : b.member if b.service == "resolve"]) == toset(output.invokers["resolve"]) && toset([for b in google_cloud_run_service_iam_member.invoker : b.member if b.service == "console"]) == toset(["group:relay-operators@example.com"])
    error_message = "The others are for those whom the output names."
  }
}

run "what_terraform_cannot_set_is_refused" {
  command = plan

  variables {
    public_by_iam = false
    bundles       = { for name in ["receive", "resolve", "deliver", "remind", "links", "receipts", "reconcile", "console"] : name => "functions.json" }
  }

  expect_failures = [google_cloudfunctions2_function.relay]
}

run "wrong_values_are_refused" {
  command = plan

  variables {
    operators              = ["allUsers"]
    links_base_url         = "http://l.example.com/"
    status_webhook_url     = "http://acme.example/status"
    status_table           = "legal.request_status"
    project                = "Acme Relay"
    region                 = "us-central1-a"
    alert_emails           = []
    sms_provider           = "pigeon"
    former_providers       = "postmark, twillio"
    oidc_audience          = "relay"
    max_delivery_attempts  = 7.5
    oldest_message_seconds = 1
    provider_failure_ratio = 1
    webhook_silence_hours  = 24
    prefix                 = "Acme"
    database               = "x"
    backup_days            = 99
    kms_key                = "relay"
    availability           = 1
    github_repository_id   = "owner/name"
    ingress                = "internal"
    punctuality            = 1
    late_seconds           = 1
  }

  expect_failures = [
    var.project,
    var.region,
    var.alert_emails,
    var.sms_provider,
    var.former_providers,
    var.oidc_audience,
    var.max_delivery_attempts,
    var.operators,
    var.links_base_url,
    var.status_webhook_url,
    var.status_table,
    var.oldest_message_seconds,
    var.provider_failure_ratio,
    var.webhook_silence_hours,
    var.prefix,
    var.database,
    var.backup_days,
    var.kms_key,
    var.availability,
    var.github_repository_id,
    var.ingress,
    var.punctuality,
    var.late_seconds,
  ]
}
