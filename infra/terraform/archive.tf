# Reports and exported audit events. Nothing is written over: the product refuses, and older versions stay.

resource "google_storage_bucket" "archive" {
  # checkov:skip=CKV_GCP_62: who reads it is in the cloud's audit log (logging.tf), which replaces access logs
  name                        = "${var.project_id}-${local.prefix}-archive"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.deletion_protection

  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = 30 * 24 * 3600
  }

  lifecycle_rule {
    action {
      type          = "SetStorageClass"
      storage_class = "NEARLINE"
    }
    condition {
      age = 90
    }
  }
  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      days_since_noncurrent_time = 365
      with_state                 = "ARCHIVED"
    }
  }
}
