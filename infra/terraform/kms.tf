# The key that wraps the data keys of sealed columns. It never leaves Cloud KMS; without it nothing can be read again.

resource "google_kms_key_ring" "this" {
  name     = local.prefix
  location = var.region

  depends_on = [google_project_service.this]
}

# checkov:skip=CKV_GCP_82: prevent_destroy cannot depend on a variable; a destroyed version comes back within 30 days.
resource "google_kms_crypto_key" "data" {
  name                       = "data"
  key_ring                   = google_kms_key_ring.this.id
  purpose                    = "ENCRYPT_DECRYPT"
  rotation_period            = "${90 * 24 * 3600}s"
  destroy_scheduled_duration = "${30 * 24 * 3600}s"
}
