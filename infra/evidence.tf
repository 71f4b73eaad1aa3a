# The key that signs evidence, which never leaves Cloud KMS. See docs/evidence.md.
resource "google_kms_key_ring" "evidence" {
  count = var.evidence_key ? 1 : 0

  project    = var.project
  name       = "${var.prefix}relay"
  location   = var.region
  depends_on = [google_project_service.required]
}

resource "google_kms_crypto_key" "evidence" {
  count = var.evidence_key ? 1 : 0

  # checkov:skip=CKV_GCP_43:Google rotates no asymmetric key, because readers must learn of the new public key
  # checkov:skip=CKV_GCP_82:a destroyed version can be restored for 30 days, and its public key still verifies what it has signed
  name     = "evidence"
  key_ring = google_kms_key_ring.evidence[0].id
  purpose  = "ASYMMETRIC_SIGN"
  labels   = local.labels

  version_template {
    algorithm        = "EC_SIGN_P256_SHA256"
    protection_level = "SOFTWARE"
  }
}

resource "google_kms_crypto_key_iam_member" "evidence" {
  count = var.evidence_key ? 1 : 0

  crypto_key_id = google_kms_crypto_key.evidence[0].id
  role          = "roles/cloudkms.signerVerifier"
  member        = google_service_account.relay["console"].member
}
