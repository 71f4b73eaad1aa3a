# Who looked at personal data, at a secret or at a message. Google logs writes of the configuration anyway.
locals {
  # "datastore" stands for Firestore too, says Google's page on its audit logs.
  audited = ["datastore.googleapis.com", "pubsub.googleapis.com", "secretmanager.googleapis.com"]
}

resource "google_project_iam_audit_config" "reads" {
  for_each = toset(var.audit_reads ? local.audited : [])

  project = var.project
  service = each.key

  # A function's read names the document, and the name of a link's document is its code: a log must not hold that.
  dynamic "audit_log_config" {
    for_each = ["DATA_READ", "DATA_WRITE"]

    content {
      log_type         = audit_log_config.value
      exempted_members = concat([for account in google_service_account.relay : account.member], formatlist("serviceAccount:%s", var.audit_exempt))
    }
  }
}
