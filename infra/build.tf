# The repository of the functions' images. It is separate, so that the build account needs no access to others.
resource "google_artifact_registry_repository" "functions" {
  project       = var.project
  repository_id = "${var.prefix}relay-functions"
  location      = var.region
  format        = "DOCKER"
  kms_key_name  = var.kms_key == "" ? null : var.kms_key
  labels        = local.labels
  description   = "Images of the relay's functions, created by their deployment"

  cleanup_policies {
    id     = "old-images"
    action = "DELETE"

    condition {
      older_than = "2592000s"
    }
  }

  cleanup_policies {
    id     = "to-go-back-to"
    action = "KEEP"

    most_recent_versions {
      keep_count = 5
    }
  }

  depends_on = [google_project_service.required]
}
