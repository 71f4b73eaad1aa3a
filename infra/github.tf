# What the workflows in .github/ need: GitHub's identities are exchanged for these two accounts, and no key exists.
# Trusted is a repository's number, not its name, which another can take over after a renaming.
locals {
  github = var.github_repository_id == "" ? {} : {
    plan   = { environment = "plan", permissions = local.github_reads }
    deploy = { environment = "production", permissions = concat(local.github_reads, local.github_changes) }
  }

  state_bucket = var.state_bucket == "" ? "${var.project}-relay-state" : var.state_bucket

  # What Terraform reads to compare: configuration only, no document, no message, no secret's value.
  github_reads = [
    "artifactregistry.repositories.get", "artifactregistry.repositories.getIamPolicy",
    "cloudkms.cryptoKeys.get", "cloudkms.cryptoKeys.getIamPolicy", "cloudkms.keyRings.get",
    "cloudscheduler.jobs.get",
    "cloudtasks.queues.get", "cloudtasks.queues.getIamPolicy",
    "datastore.backupSchedules.get", "datastore.databases.getMetadata", "datastore.indexes.get", "datastore.indexes.list",
    "iam.roles.get", "iam.serviceAccounts.get", "iam.serviceAccounts.getIamPolicy",
    "iam.workloadIdentityPoolProviders.get", "iam.workloadIdentityPools.get",
    "logging.exclusions.get", "logging.logMetrics.get",
    "monitoring.alertPolicies.get", "monitoring.dashboards.get", "monitoring.notificationChannels.get", "monitoring.uptimeCheckConfigs.get",
    "pubsub.subscriptions.get", "pubsub.subscriptions.getIamPolicy", "pubsub.topics.get", "pubsub.topics.getIamPolicy",
    "resourcemanager.projects.get", "resourcemanager.projects.getIamPolicy",
    "secretmanager.secrets.get", "secretmanager.secrets.getIamPolicy",
    "serviceusage.services.get", "serviceusage.services.list",
  ]

  # What `make infra` and `make deploy` change. It may not delete the database or a secret. Roles, and who may act as an account,
  # are changed by a person: with those rights it could give itself any other.
  github_changes = concat(
    flatten([for kind in ["artifactregistry.repositories", "cloudtasks.queues", "pubsub.subscriptions", "pubsub.topics"] :
      [for verb in ["create", "update", "setIamPolicy"] : "${kind}.${verb}"]
    ]),
    flatten([for kind in ["cloudscheduler.jobs", "logging.exclusions", "logging.logMetrics", "monitoring.alertPolicies", "monitoring.dashboards",
      "monitoring.notificationChannels", "monitoring.uptimeCheckConfigs", "datastore.backupSchedules", "datastore.indexes"] :
      [for verb in ["create", "delete", "update"] : "${kind}.${verb}"]
    ]),
    ["cloudtasks.queues.delete", "pubsub.subscriptions.delete", "pubsub.topics.attachSubscription", "pubsub.topics.publish"],
    ["cloudkms.cryptoKeys.create", "cloudkms.cryptoKeys.setIamPolicy", "cloudkms.cryptoKeys.update", "cloudkms.keyRings.create"],
    ["iam.serviceAccounts.create", "iam.serviceAccounts.update"],
    ["cloudtasks.tasks.create", "datastore.databases.create", "datastore.databases.update", "logging.logEntries.list"],
    ["secretmanager.secrets.create", "secretmanager.secrets.setIamPolicy", "secretmanager.secrets.update", "secretmanager.versions.list"],
    ["serviceusage.services.enable", "serviceusage.services.use"],
  )

  github_account = { for name, account in google_service_account.github : name => account.member }

  # The roles that the relay binds on the project. The pipeline may give and take these and no others.
  bound_on_project = concat(
    [for role in google_project_iam_custom_role.database : role.name],
    [google_project_iam_custom_role.measurements.name, google_project_iam_member.build_logs.role, google_project_iam_member.build_sources.role],
  )
}

resource "google_iam_workload_identity_pool" "github" {
  count = length(local.github) == 0 ? 0 : 1

  project                   = var.project
  workload_identity_pool_id = "${var.prefix}github"
  depends_on                = [google_project_service.required]
}

resource "google_iam_workload_identity_pool_provider" "github" {
  count = length(local.github) == 0 ? 0 : 1

  project                   = var.project
  workload_identity_pool_id = google_iam_workload_identity_pool.github[0].workload_identity_pool_id
  # checkov:skip=CKV_GCP_125:trusts the number of a repository, which nobody else can get; the check knows names only
  workload_identity_pool_provider_id = "github"
  attribute_condition                = "assertion.repository_id == \"${var.github_repository_id}\""

  attribute_mapping = {
    "google.subject"        = "assertion.sub"
    "attribute.environment" = "has(assertion.environment) ? assertion.environment : \"\""
  }

  oidc {
    issuer_uri = "https://token.actions.githubusercontent.com"
  }
}

resource "google_service_account" "github" {
  for_each = local.github

  project      = var.project
  account_id   = "${var.prefix}github-${each.key}"
  display_name = "Clickwrap Relay: GitHub's ${each.key}"
  depends_on   = [google_project_service.required]
}

# Only a job of that environment, which is where GitHub asks a reviewer.
resource "google_service_account_iam_member" "github" {
  for_each = local.github

  service_account_id = google_service_account.github[each.key].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principalSet://iam.googleapis.com/${google_iam_workload_identity_pool.github[0].name}/attribute.environment/${each.value.environment}"
}

resource "google_project_iam_custom_role" "github" {
  for_each = local.github

  project     = var.project
  role_id     = "${replace(var.prefix, "-", "_")}github${title(each.key)}"
  title       = "Clickwrap Relay: GitHub's ${each.key}"
  permissions = each.value.permissions
}

resource "google_project_iam_member" "github" {
  for_each = local.github

  project = var.project
  role    = google_project_iam_custom_role.github[each.key].name
  member  = local.github_account[each.key]
}

# The state and the releases. Its bucket is older than Terraform's first run, so this is a condition. In a bucket of another
# project a person grants this.
resource "google_project_iam_member" "github_state" {
  for_each = local.github

  project = var.project
  role    = each.key == "plan" ? "roles/storage.objectViewer" : "roles/storage.objectUser"
  member  = local.github_account[each.key]

  condition {
    title      = "Terraform's state only"
    expression = "resource.name.startsWith(\"projects/_/buckets/${local.state_bucket}\")"
  }
}

resource "google_project_iam_member" "github_functions" {
  for_each = length(local.github) == 0 ? [] : toset(["roles/cloudfunctions.developer", "roles/run.admin"])

  project = var.project
  role    = each.key
  member  = local.github_account["deploy"]
}

resource "google_project_iam_member" "github_grants" {
  count = length(local.github) == 0 ? 0 : 1

  project = var.project
  role    = "roles/resourcemanager.projectIamAdmin"
  member  = local.github_account["deploy"]

  condition {
    title      = "the relay's roles only"
    expression = "api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly([${join(", ", formatlist("'%s'", local.bound_on_project))}])"
  }
}

# To deploy a function, to make a subscription or a job with an identity, and to send a task in `make smoke`.
resource "google_service_account_iam_member" "github_acts_as" {
  for_each = length(local.github) == 0 ? [] : local.accounts

  service_account_id = google_service_account.relay[each.key].name
  role               = "roles/iam.serviceAccountUser"
  member             = local.github_account["deploy"]
}

# `make smoke` sends a test event with the webhook's token.
resource "google_secret_manager_secret_iam_member" "github_smoke" {
  count = length(local.github) == 0 ? 0 : 1

  project   = var.project
  secret_id = google_secret_manager_secret.relay["clickwrap-webhook-tokens"].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.github_account["deploy"]
}
