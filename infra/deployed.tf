# The functions and who may call them, only where `bundles` are given: for a root that deploys all by Terraform.
locals {
  deployed = { for name, f in local.functions : name => f if length(var.bundles) > 0 }

  api_rate = tonumber(lookup(var.settings, "API_RATE_PER_MINUTE", 1600))
  warm     = tonumber(lookup(var.settings, "MIN_INSTANCES", 1)) # 0: no instance stays up while nothing happens
  callers  = { for name, members in local.invokers : name => replace(join(",", members), "serviceAccount:", "") }

  invocations = merge([for name, members in local.invokers : { for member in members : "${name}:${member}" => { function = name, member = member } } if contains(keys(local.deployed), name)]...)
}

resource "google_storage_bucket" "sources" {
  count = length(local.deployed) == 0 ? 0 : 1

  # checkov:skip=CKV_GCP_62:holds copies of code that is built from a commit, and nobody but the build reads it
  # checkov:skip=CKV_GCP_78:an object has its hash in its name, and is built again from its commit
  project                     = var.project
  name                        = "${var.project}-${var.prefix}relay-sources"
  location                    = var.region
  labels                      = local.labels
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true
}

resource "google_storage_bucket_object" "bundle" {
  for_each = local.deployed

  # Another content is another name: by it the function is built anew.
  bucket = google_storage_bucket.sources[0].name
  name   = "${each.key}-${substr(filesha256(var.bundles[each.key]), 0, 12)}.zip"
  source = var.bundles[each.key]
}

resource "google_storage_bucket_iam_member" "build" {
  count = length(local.deployed) == 0 ? 0 : 1

  bucket = google_storage_bucket.sources[0].name
  role   = "roles/storage.objectViewer"
  member = google_service_account.relay["build"].member
}

resource "google_cloudfunctions2_function" "relay" {
  for_each = local.deployed

  # checkov:skip=CKV_GCP_124:`receive`, `links` and `receipts` are public; IAM closes the others, see docs/deploy.md
  project  = var.project
  name     = local.services_of[each.key]
  location = var.region
  labels   = local.labels

  build_config {
    runtime               = "python313"
    entry_point           = each.key
    service_account       = google_service_account.relay["build"].name
    docker_repository     = google_artifact_registry_repository.functions.id
    environment_variables = { SOURCE_DATE_EPOCH = "1" } # see "What is deployed" in docs/deploy.md

    source {
      storage_source {
        bucket = google_storage_bucket.sources[0].name
        object = google_storage_bucket_object.bundle[each.key].name
      }
    }
  }

  service_config {
    available_memory                 = each.value.memory
    available_cpu                    = tostring(each.value.cpu)
    max_instance_request_concurrency = each.value.concurrency
    min_instance_count               = min(each.value.min_instances, local.warm)
    max_instance_count               = each.value.max_instances
    timeout_seconds                  = each.value.timeout
    ingress_settings                 = each.value.public || each.value.caller == "operators" ? "ALLOW_ALL" : var.ingress
    service_account_email            = google_service_account.relay[each.key].email
    vpc_connector                    = each.value.api_share > 0 || each.key == "forward" ? var.vpc_connector : null
    vpc_connector_egress_settings    = var.vpc_connector != "" && (each.value.api_share > 0 || each.key == "forward") ? "ALL_TRAFFIC" : null
    all_traffic_on_latest_revision   = true

    # As infra/ops/config.py: the table overrides the given settings, which override what follows from this infrastructure.
    environment_variables = merge(
      local.environment,
      var.settings,
      { BACKEND = "gcp", THREADS = tostring(each.value.concurrency) },
      each.value.public || each.value.caller == "operators" ? tomap({}) : tomap({ CALLERS = local.callers[each.key] }),
      each.value.api_share == 0 ? tomap({}) : tomap({ API_RATE_PER_MINUTE = tostring(floor(local.api_rate * each.value.api_share / each.value.max_instances)) }),
    )

    dynamic "secret_environment_variables" {
      for_each = local.function_secrets[each.key]

      content {
        key        = secret_environment_variables.key
        project_id = var.project
        secret     = secret_environment_variables.value
        version    = "latest"
      }
    }
  }

  lifecycle {
    precondition {
      condition     = var.public_by_iam && var.oidc_audience == ""
      error_message = "Terraform can neither switch off the check of callers (public_by_iam) nor add an audience (oidc_audience): leave the functions to `make deploy`."
    }
  }

  depends_on = [
    google_artifact_registry_repository_iam_member.build,
    google_project_iam_member.build_logs,
    google_secret_manager_secret_iam_member.reader,
    google_storage_bucket_iam_member.build,
  ]
}

resource "google_cloud_run_service_iam_member" "invoker" {
  for_each = local.invocations

  project  = var.project
  location = var.region
  service  = google_cloudfunctions2_function.relay[each.value.function].name
  role     = "roles/run.invoker"
  member   = each.value.member
}
