# The key that wraps the data keys of sealed columns. It never leaves Cloud KMS; without it nothing can be read again.

resource "google_kms_key_ring" "this" {
  name     = local.prefix
  location = var.region

  depends_on = [google_project_service.this]
}

resource "google_kms_crypto_key" "data" {
  # checkov:skip=CKV_GCP_82: prevent_destroy cannot depend on a variable; a destroyed version comes back within 30 days
  name                       = "data"
  key_ring                   = google_kms_key_ring.this.id
  purpose                    = "ENCRYPT_DECRYPT"
  rotation_period            = "7776000s" # 90 days
  destroy_scheduled_duration = "${30 * 24 * 3600}s"
}
