terraform {
  required_version = ">= 1.9"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 8.0"
    }
  }
}

provider "google" {
  project        = var.project
  region         = var.region
  default_labels = { app = "clickwrap-relay" }
}

# The names of Google's service agents contain the project's number.
data "google_project" "this" {
  project_id = var.project
  depends_on = [google_project_service.required]
}
