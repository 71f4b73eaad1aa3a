# Domains of your own for short links: a load balancer in front of the function `links`. `make infra` copies this file into
# infra/ where LINKS_DOMAIN is set, or a links_domain in BRANDS. See docs/adr/0017-link-domain.md.

variable "links_domains" {
  description = "Domains of short links: LINKS_DOMAIN and each links_domain of BRANDS."
  type        = list(string)

  validation {
    condition     = alltrue([for d in var.links_domains : can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", d))])
    error_message = "links_domains must be domains in lower case, like go.example.com."
  }

  validation {
    condition     = length(var.links_domains) >= 1 && length(var.links_domains) <= 100
    error_message = "A certificate of Google's holds 1 to 100 domains."
  }
}

resource "google_project_service" "compute" {
  project            = var.project
  service            = "compute.googleapis.com"
  disable_on_destroy = false # other systems in the project may use it too
}

resource "google_compute_global_address" "links" {
  project    = var.project
  name       = "${var.prefix}relay-links"
  depends_on = [google_project_service.compute]
}

resource "google_compute_region_network_endpoint_group" "links" {
  project               = var.project
  name                  = "${var.prefix}relay-links"
  region                = var.region
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = local.services_of["links"] # a function of the second generation is a service of Cloud Run
  }

  depends_on = [google_project_service.compute]
}

resource "google_compute_backend_service" "links" {
  project               = var.project
  name                  = "${var.prefix}relay-links"
  load_balancing_scheme = "EXTERNAL_MANAGED"

  backend {
    group = google_compute_region_network_endpoint_group.links.id
  }

  log_config {
    enable = false # a line would hold the path, and who has a path may sign
  }
}

resource "google_compute_url_map" "links" {
  project         = var.project
  name            = "${var.prefix}relay-links"
  default_service = google_compute_backend_service.links.id
}

# Google issues it once the domains point to the address, within an hour, and renews it. Another list of domains is
# another certificate, so that the old one serves until then.
resource "google_compute_managed_ssl_certificate" "links" {
  project = var.project
  name    = "${var.prefix}relay-links-${substr(sha256(join(",", var.links_domains)), 0, 8)}"

  managed {
    domains = var.links_domains
  }

  depends_on = [google_project_service.compute]

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_compute_ssl_policy" "links" {
  project         = var.project
  name            = "${var.prefix}relay-links"
  profile         = "MODERN"
  min_tls_version = "TLS_1_2"
  depends_on      = [google_project_service.compute]
}

resource "google_compute_target_https_proxy" "links" {
  project          = var.project
  name             = "${var.prefix}relay-links"
  url_map          = google_compute_url_map.links.id
  ssl_certificates = [google_compute_managed_ssl_certificate.links.id]
  ssl_policy       = google_compute_ssl_policy.links.id
}

resource "google_compute_global_forwarding_rule" "links" {
  project               = var.project
  name                  = "${var.prefix}relay-links"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.links.id
  port_range            = "443"
  target                = google_compute_target_https_proxy.links.id
}

# The workflows compare all of this at each plan; a person makes and changes it.
resource "google_project_iam_member" "github_links" {
  for_each = local.github

  project = var.project
  role    = "roles/compute.viewer"
  member  = local.github_account[each.key]
}

output "links_dns" {
  description = "DNS records to enter for the domains of short links"
  value       = [for d in var.links_domains : { name = d, type = "A", value = google_compute_global_address.links.address }]
}
