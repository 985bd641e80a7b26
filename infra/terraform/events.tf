# Functions that hear messages: of a topic by its name in functions.json, or of objects in the bucket for documents. Both
# come as a push with an ID token, to the function's first path, and again for a week until the function takes them.

locals {
  topics = toset([for name, one in local.with_trigger["pubsub"] : one.topic if one.topic != null])
  heard  = { for name, one in local.subscribed : name => contains(one.triggers, "storage") ? google_pubsub_topic.documents[0].id : try(google_pubsub_topic.this[one.topic].id, "") }
}

resource "google_pubsub_topic" "this" {
  # checkov:skip=CKV_GCP_83: keys of our own for this would be one more thing to lose; Google encrypts it at rest; messages are of budgets
  for_each = local.topics

  name                       = "${local.prefix}-${each.key}"
  message_retention_duration = "${7 * 24 * 3600}s"

  depends_on = [google_project_service.this]
}

resource "google_pubsub_subscription" "function" {
  for_each = local.heard

  name                       = local.functions[each.key].service
  topic                      = each.value
  ack_deadline_seconds       = min(600, max(10, local.functions[each.key].timeout_seconds))
  message_retention_duration = "${7 * 24 * 3600}s"

  push_config {
    push_endpoint = "${local.functions[each.key].url}${local.functions[each.key].paths[0]}"
    oidc_token {
      service_account_email = google_service_account.events.email
      audience              = local.functions[each.key].url
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  expiration_policy {
    ttl = "" # a budget may be silent for long
  }

  depends_on = [google_cloud_run_v2_service_iam_member.events]
}

resource "google_storage_bucket" "documents" {
  # checkov:skip=CKV_GCP_62: who reads it is in the cloud's audit log (logging.tf), which replaces access logs
  count = length(local.with_trigger["storage"]) > 0 ? 1 : 0

  name                        = "${var.project_id}-${local.prefix}-documents"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = !var.deletion_protection

  versioning {
    enabled = true
  }
}

resource "google_storage_bucket_iam_member" "documents" {
  for_each = local.with_trigger["storage"]

  bucket = google_storage_bucket.documents[0].name
  role   = "roles/storage.objectViewer"
  member = google_service_account.function[each.key].member
}

resource "google_pubsub_topic" "documents" {
  # checkov:skip=CKV_GCP_83: keys of our own for this would be one more thing to lose; Google encrypts it at rest; messages name objects alone
  count = length(google_storage_bucket.documents)

  name = "${local.prefix}-documents-stored"

  depends_on = [google_project_service.this]
}

data "google_storage_project_service_account" "this" {
  count = length(google_storage_bucket.documents)
}

resource "google_pubsub_topic_iam_member" "documents" {
  count = length(google_storage_bucket.documents)

  topic  = google_pubsub_topic.documents[0].name
  role   = "roles/pubsub.publisher"
  member = data.google_storage_project_service_account.this[0].member
}

resource "google_storage_notification" "documents" {
  count = length(google_storage_bucket.documents)

  bucket         = google_storage_bucket.documents[0].name
  topic          = google_pubsub_topic.documents[0].id
  payload_format = "JSON_API_V1"
  event_types    = ["OBJECT_FINALIZE"]

  depends_on = [google_pubsub_topic_iam_member.documents]
}
