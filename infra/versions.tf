terraform {
  required_version = ">= 1.9"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 8.0"
    }
  }
}

# The names of Google's service agents contain the project's number. It depends on no resource: otherwise a change of the
# services would defer it, and everything that is bound to an agent would be replaced.
data "google_project" "this" {
  project_id = var.project
}
