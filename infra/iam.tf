locals {
  # docs/permissions.md has the same table of permissions; a test compares the two. One role is not bound
  # here: roles/run.invoker on the functions' services, which do not exist before the first deployment. `make deploy` binds it.
  accounts = toset(concat(keys(local.functions), ["push", "tasks", "scheduler", "build"]))

  publishers = {
    receive   = ["clickwrap-events"]
    resolve   = ["signer-notices", "request-status"]
    deliver   = ["signer-notices", "request-status"]
    remind    = ["signer-notices", "request-status"]
    receipts  = ["signer-notices", "request-status"]
    reconcile = ["signer-notices", "request-status"]
    console   = ["clickwrap-events", "signer-notices", "request-status"]
  }

  # What each function does with documents. Only the console deletes some, when a request is to be forgotten; `links` and `receipts`, which are public, find a document
  # only by its name and cannot list any.
  database_roles = {
    resolve   = "relaySearcher"
    deliver   = "relaySearcher"
    remind    = "relaySearcher"
    links     = "relayUpdater"
    receipts  = "relayWriter"
    reconcile = "relaySearcher"
    console   = "relayEraser"
  }

  database_permissions = {
    relayUpdater  = ["datastore.databases.get", "datastore.entities.get", "datastore.entities.update"]
    relayWriter   = ["datastore.databases.get", "datastore.entities.get", "datastore.entities.create", "datastore.entities.update"]
    relayEraser   = ["datastore.databases.get", "datastore.entities.get", "datastore.entities.create", "datastore.entities.update", "datastore.entities.list", "datastore.entities.delete"]
    relaySearcher = ["datastore.databases.get", "datastore.entities.get", "datastore.entities.create", "datastore.entities.update", "datastore.entities.list"]
  }

  task_creators = {
    resolve   = ["reminders", "retries"]
    deliver   = ["retries-sms", "retries-email"]
    forward   = ["retries-status"]
    reconcile = ["reminders"]
    console   = ["reminders"]
  }

  task_deleters = {
    resolve   = ["reminders"]
    reconcile = ["reminders"]
    console   = ["reminders"]
  }

  # A message with a permanent failure is published to the dead-letter topic at once.
  buriers = {
    resolve = ["clickwrap-events"]
    deliver = ["signer-notices"]
    forward = ["request-status"]
  }

  dead_letter_readers = ["console"]

  # function => members of roles/run.invoker. Cloud Tasks delivers deferred messages, so it may call the functions that defer.
  invokers = {
    for name, f in local.functions : name => (
      f.public ? [for member in ["allUsers"] : member if var.public_by_iam]
      : f.caller == "operators" ? var.operators
      : [for caller in concat([f.caller], f.deferred ? ["tasks"] : []) : "serviceAccount:${var.prefix}relay-${caller}@${var.project}.iam.gserviceaccount.com"]
    )
  }

  pubsub_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_service_account" "relay" {
  for_each = local.accounts

  project      = var.project
  account_id   = "${var.prefix}relay-${each.key}"
  display_name = "Clickwrap Relay: ${each.key}"
  depends_on   = [google_project_service.required]
}

# -- the roles of the functions

resource "google_pubsub_topic_iam_member" "publisher" {
  for_each = merge([for name, topics in local.publishers : { for topic in topics : "${name}:${topic}" => { function = name, topic = topic } }]...)

  project = var.project
  topic   = google_pubsub_topic.relay[each.value.topic].name
  role    = "roles/pubsub.publisher"
  member  = google_service_account.relay[each.value.function].member
}

resource "google_project_iam_custom_role" "database" {
  for_each = local.database_permissions

  project     = var.project
  role_id     = "${replace(var.prefix, "-", "_")}${each.key}"
  title       = "Clickwrap Relay: ${each.key}"
  permissions = each.value
}

# Google offers no role on a collection; the condition keeps each function to this database.
resource "google_project_iam_member" "database" {
  for_each = local.database_roles

  project = var.project
  role    = google_project_iam_custom_role.database[each.value].name
  member  = google_service_account.relay[each.key].member

  condition {
    title      = "the relay's database only"
    expression = "resource.name == \"projects/${var.project}/databases/${var.database}\""
  }
}

# How many messages wait in Pub/Sub, for the console's first page. Google offers no right on one metric or subscription: these are all of the project's, numbers without content.
resource "google_project_iam_custom_role" "measurements" {
  project     = var.project
  role_id     = "${replace(var.prefix, "-", "_")}relayMeasurements"
  title       = "Clickwrap Relay: relayMeasurements"
  permissions = ["monitoring.timeSeries.list"]
}

resource "google_project_iam_member" "measurements" {
  project = var.project
  role    = google_project_iam_custom_role.measurements.name
  member  = google_service_account.relay["console"].member
}

resource "google_cloud_tasks_queue_iam_member" "enqueuer" {
  for_each = merge([for name, queues in local.task_creators : { for queue in queues : "${name}:${queue}" => { function = name, queue = queue } } if contains(keys(local.functions), name)]...)

  project  = var.project
  name     = google_cloud_tasks_queue.relay[each.value.queue].name
  location = var.region
  role     = "roles/cloudtasks.enqueuer"
  member   = google_service_account.relay[each.value.function].member
}

resource "google_cloud_tasks_queue_iam_member" "deleter" {
  for_each = merge([for name, queues in local.task_deleters : { for queue in queues : "${name}:${queue}" => { function = name, queue = queue } }]...)

  project  = var.project
  name     = google_cloud_tasks_queue.relay[each.value.queue].name
  location = var.region
  role     = "roles/cloudtasks.taskDeleter"
  member   = google_service_account.relay[each.value.function].member
}

# To create a task with a service account's identity, a function must be allowed to act as that account.
resource "google_service_account_iam_member" "task_identity" {
  for_each = setintersection(keys(local.task_creators), keys(local.functions))

  service_account_id = google_service_account.relay["tasks"].name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.relay[each.key].member
}

resource "google_secret_manager_secret_iam_member" "reader" {
  for_each = local.secret_grants

  project   = var.project
  secret_id = google_secret_manager_secret.relay[each.value.secret].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.relay[each.value.function].member
}

resource "google_pubsub_topic_iam_member" "burier" {
  for_each = merge([for name, topics in local.buriers : { for topic in topics : "${name}:${topic}" => { function = name, topic = topic } } if contains(keys(local.functions), name)]...)

  project = var.project
  topic   = google_pubsub_topic.dead[each.value.topic].name
  role    = "roles/pubsub.publisher"
  member  = google_service_account.relay[each.value.function].member
}

resource "google_pubsub_subscription_iam_member" "dead_letter_reader" {
  for_each = merge([for name in local.dead_letter_readers : { for topic in local.dead_lettered : "${name}:${topic}" => { function = name, topic = topic } }]...)

  project      = var.project
  subscription = google_pubsub_subscription.kept[each.value.topic].name
  role         = "roles/pubsub.subscriber"
  member       = google_service_account.relay[each.value.function].member
}

# -- the roles of Pub/Sub's service agent

resource "google_pubsub_topic_iam_member" "dead_letters" {
  for_each = local.dead_lettered

  project = var.project
  topic   = google_pubsub_topic.dead[each.key].name
  role    = "roles/pubsub.publisher"
  member  = local.pubsub_agent
}

resource "google_pubsub_subscription_iam_member" "dead_letters" {
  for_each = local.pushed

  project      = var.project
  subscription = google_pubsub_subscription.push[each.key].name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
}

resource "google_service_account_iam_member" "push_tokens" {
  service_account_id = google_service_account.relay["push"].name
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = local.pubsub_agent
}

# -- the build

resource "google_artifact_registry_repository_iam_member" "build" {
  project    = var.project
  repository = google_artifact_registry_repository.functions.name
  location   = var.region
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.relay["build"].member
}

resource "google_project_iam_member" "build_logs" {
  project = var.project
  role    = "roles/logging.logWriter"
  member  = google_service_account.relay["build"].member
}

# Google creates the bucket of sources at the first deployment, so this is a condition and not a binding on the bucket.
resource "google_project_iam_member" "build_sources" {
  project = var.project
  role    = "roles/storage.objectViewer"
  member  = google_service_account.relay["build"].member

  condition {
    title      = "sources of the functions only"
    expression = "resource.name.startsWith(\"projects/_/buckets/gcf-v2-\")"
  }
}
