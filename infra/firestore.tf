locals {
  # Firestore deletes documents about a day after `purge_at`. The code has removed the personal data of requests by then.
  expiring = ["requests", "notices", "links", "suppressions"]

  # Maps and lists that grow: with indexes, they would reach the limit of 40,000 index entries per document.
  unindexed = {
    requests-signers  = { collection = "requests", field = "signers" }
    requests-events   = { collection = "requests", field = "events" }
    requests-types    = { collection = "requests", field = "event_types" }
    requests-resends  = { collection = "requests", field = "resends" }
    requests-notes    = { collection = "requests", field = "notes" }
    requests-metadata = { collection = "requests", field = "metadata" }
    notices-history   = { collection = "notices", field = "history" }
    notices-told      = { collection = "notices", field = "told" }
  }
}

resource "google_firestore_database" "relay" {
  project                           = var.project
  name                              = var.database
  location_id                       = coalesce(var.firestore_location, var.region)
  type                              = "FIRESTORE_NATIVE"
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_ENABLED"
  delete_protection_state           = var.deletion_protection ? "DELETE_PROTECTION_ENABLED" : "DELETE_PROTECTION_DISABLED"
  deletion_policy                   = "DELETE" # a destroy fails on a protected database, and does not leave it behind silently
  depends_on                        = [google_project_service.required]

  dynamic "cmek_config" {
    for_each = var.kms_key == "" ? [] : [var.kms_key]

    content {
      kms_key_name = cmek_config.value
    }
  }
}

# Point-in-time recovery reaches back seven days; these copies reach further, and outlive the database.
resource "google_firestore_backup_schedule" "daily" {
  count = var.backup_days == 0 ? 0 : 1

  project   = var.project
  database  = google_firestore_database.relay.name
  retention = "${var.backup_days * 86400}s"

  daily_recurrence {}
}

resource "google_firestore_index" "requests_by_status" {
  project    = var.project
  database   = google_firestore_database.relay.name
  collection = "requests"

  fields {
    field_path = "status"
    order      = "ASCENDING"
  }

  fields {
    field_path = "changed_at"
    order      = "DESCENDING"
  }
}

resource "google_firestore_index" "requests_by_search" {
  project    = var.project
  database   = google_firestore_database.relay.name
  collection = "requests"

  fields {
    field_path   = "search"
    array_config = "CONTAINS"
  }

  fields {
    field_path = "changed_at"
    order      = "DESCENDING"
  }
}

resource "google_firestore_index" "notices_by_state" {
  project    = var.project
  database   = google_firestore_database.relay.name
  collection = "notices"

  fields {
    field_path = "state"
    order      = "ASCENDING"
  }

  fields {
    field_path = "changed_at"
    order      = "DESCENDING"
  }
}

resource "google_firestore_index" "notices_by_provider_id" {
  project    = var.project
  database   = google_firestore_database.relay.name
  collection = "notices"

  fields {
    field_path = "provider_id"
    order      = "ASCENDING"
  }

  fields {
    field_path = "changed_at"
    order      = "DESCENDING"
  }
}

resource "google_firestore_field" "unindexed" {
  for_each = local.unindexed

  project    = var.project
  database   = google_firestore_database.relay.name
  collection = each.value.collection
  field      = each.value.field

  index_config {}
}

# No query uses `purge_at`, and an index on increasing times limits the rate of writes.
resource "google_firestore_field" "expiring" {
  for_each = toset(local.expiring)

  project    = var.project
  database   = google_firestore_database.relay.name
  collection = each.key
  field      = "purge_at"

  index_config {}
  ttl_config {}
}
