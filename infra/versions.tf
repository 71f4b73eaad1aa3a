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

# Google's own service agents are named by the project's number.
data "google_project" "this" {
  project_id = var.project
  depends_on = [google_project_service.required]
}
