# One archive for all functions, of what they run and nothing else: what is left out is all that is not named here, so
# that tests, infra, keys and databases of this machine never get into it, nor those that somebody put among the code.

locals {
  shipped = ["common", "functions", "requirements.txt", "LICENSE"]
  beside = setsubtract(
    # Three levels deep, and nothing hidden, for what is deeper takes minutes; hidden files are left out by their pattern.
    [for path in setunion(fileset(local.root, "*"), fileset(local.root, "[^.]*/*"), fileset(local.root, "[^.]*/*/*")) : split("/", path)[0]],
    local.shipped,
  )
  left_out = ["**/*.pem", "**/*.key", "**/*.p12", "**/*.db", "**/*.sqlite*"]
}

data "archive_file" "source" {
  type             = "zip"
  source_dir       = local.root
  output_path      = "${path.module}/build/source.zip"
  output_file_mode = "0644" # the same archive whatever the umask was
  excludes         = concat(sort(local.beside), ["**/__pycache__", "**/*.pyc", "**/.*"], local.left_out)
}

resource "google_storage_bucket" "source" {
  # checkov:skip=CKV_GCP_62: archives of the source hold nothing that is secret
  # checkov:skip=CKV_GCP_78: an object is named by its content, and has no second version
  name                        = "${var.project_id}-${local.prefix}-source"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # archives can be made again
}

# An object by its content: the same code is the same object, and no function is deployed again for nothing.
resource "google_storage_bucket_object" "source" {
  name   = "source-${data.archive_file.source.output_sha256}.zip"
  bucket = google_storage_bucket.source.name
  source = data.archive_file.source.output_path
}

resource "google_artifact_registry_repository" "images" {
  # checkov:skip=CKV_GCP_84: keys of our own for this would be one more thing to lose; Google encrypts it at rest; images hold source and packages alone
  repository_id = "${local.prefix}-functions"
  description   = "Images of the functions, made of the archive."
  location      = var.region
  format        = "DOCKER"

  cleanup_policies {
    id     = "keep-for-rollback"
    action = "KEEP"
    most_recent_versions {
      keep_count = 10
    }
  }
  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"
    condition {
      older_than = "${30 * 24 * 3600}s"
    }
  }

  depends_on = [google_project_service.this]
}

# The default account of Compute Engine has too many roles in old projects and none in new ones.
resource "google_service_account" "build" {
  account_id   = "${local.prefix}-build"
  display_name = "Builds the images of ${local.prefix}"

  depends_on = [google_project_service.this]
}

resource "google_storage_bucket_iam_member" "build_reads_source" {
  bucket = google_storage_bucket.source.name
  role   = "roles/storage.objectViewer"
  member = google_service_account.build.member
}

resource "google_artifact_registry_repository_iam_member" "build_writes_images" {
  repository = google_artifact_registry_repository.images.name
  location   = google_artifact_registry_repository.images.location
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.build.member
}

resource "google_project_iam_member" "build_writes_logs" {
  project = var.project_id
  role    = "roles/logging.logWriter"
  member  = google_service_account.build.member
}
