# Lines of the functions are kept in a bucket of their own for as long as var.log_retention_days says; the cloud's audit
# log goes, whole, into another one that can be locked.

resource "google_logging_project_bucket_config" "functions" {
  project        = var.project_id
  location       = var.region
  bucket_id      = "${local.prefix}-functions"
  description    = "Log lines of the functions; personal data is masked before they are written."
  retention_days = var.log_retention_days

  depends_on = [google_project_service.this]
}

resource "google_logging_project_sink" "functions" {
  name                   = "${local.prefix}-functions"
  description            = "Log lines of the functions."
  destination            = "logging.googleapis.com/${google_logging_project_bucket_config.functions.id}"
  filter                 = local.from_functions
  unique_writer_identity = true
}

resource "google_logging_project_bucket_config" "audit" {
  project        = var.project_id
  location       = var.region
  bucket_id      = "${local.prefix}-audit"
  description    = "The cloud's audit log: who changed what, and who used secrets and keys."
  retention_days = var.audit_logs.retention_days
  locked         = var.audit_logs.locked

  depends_on = [google_project_service.this]
}

# No exclusions: what an audit log leaves out is what it was for.
resource "google_logging_project_sink" "audit" {
  name                   = "${local.prefix}-audit"
  description            = "Every audit log of this project."
  destination            = "logging.googleapis.com/${google_logging_project_bucket_config.audit.id}"
  filter                 = "log_id(\"cloudaudit.googleapis.com/activity\") OR log_id(\"cloudaudit.googleapis.com/data_access\") OR log_id(\"cloudaudit.googleapis.com/system_event\") OR log_id(\"cloudaudit.googleapis.com/policy\") OR log_id(\"cloudaudit.googleapis.com/access_transparency\")"
  unique_writer_identity = true
}

# Reading a secret or using a key is in the audit log only where it is asked for.
resource "google_project_iam_audit_config" "this" {
  for_each = toset(["secretmanager.googleapis.com", "cloudkms.googleapis.com"])

  project = var.project_id
  service = each.key

  audit_log_config {
    log_type = "DATA_READ"
  }
  audit_log_config {
    log_type = "DATA_WRITE"
  }
}

locals {
  from_functions = join(" ", [
    "resource.type=\"cloud_run_revision\"",
    "resource.labels.service_name=(${join(" OR ", [for one in local.functions : "\"${one.service}\""])})",
  ])

  # What alerts count, by the event's name in the lines. A test holds the names to the code.
  counted_events = {
    agent_failed         = "agent.failed"
    breaker_changed      = "model.breaker_changed"
    budget_held          = "budget.held"
    budget_reached       = "budget.reached"
    budget_unusable      = "budget.unusable"
    embeddings_failed    = "embeddings.failed"
    keys_unavailable     = "keys.unavailable"
    limits_redis_away    = "limits.redis_away"
    model_answered       = "model.answered"
    model_call_failed    = "model.call_failed"
    model_failed         = "model.failed"
    notice_not_sent      = "notice.not_sent"
    price_unknown        = "price.unknown"
    refusals_unrecorded  = "refusals.not_recorded"
    retrieval_failed     = "retrieval.failed"
    signing_keys_missing = "signing_keys.not_fetched"
    telemetry_failed     = "telemetry.failed"
    vectors_failed       = "vectors.failed"
  }
}

resource "google_logging_metric" "event" {
  for_each = local.counted_events

  name        = "${local.prefix}/${each.key}"
  description = "Log lines ${each.value} of the functions."
  filter      = "${local.from_functions} jsonPayload.message=\"${each.value}\""

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"

    dynamic "labels" {
      for_each = lookup(local.event_labels, each.key, {})
      content {
        key        = labels.key
        value_type = "STRING"
      }
    }
  }
  label_extractors = lookup(local.event_labels, each.key, {})

  depends_on = [google_project_service.this]
}

locals {
  event_labels = {
    breaker_changed   = { outcome = "EXTRACT(jsonPayload.outcome)" }
    model_call_failed = { error_type = "EXTRACT(jsonPayload.error_type)" }
    telemetry_failed  = { channel = "EXTRACT(jsonPayload.part)" }
  }
  summed_fields = {
    input_tokens  = "EXTRACT(jsonPayload.input_tokens)"
    output_tokens = "EXTRACT(jsonPayload.output_tokens)"
  }
}

resource "google_logging_metric" "sum" {
  for_each = local.summed_fields

  name            = "${local.prefix}/model_${each.key}"
  description     = "${each.key} of model calls, from the lines model.answered."
  filter          = "${local.from_functions} jsonPayload.message=\"model.answered\""
  value_extractor = each.value

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "DISTRIBUTION"
    unit        = "{token}"
  }

  depends_on = [google_project_service.this]
}

# A process that ends by itself says nothing; Cloud Run does in its place.
resource "google_logging_metric" "ended" {
  name        = "${local.prefix}/instance_ended"
  description = "Instances whose process ended, or was ended for its memory."
  filter      = "${local.from_functions} log_id(\"run.googleapis.com/varlog/system\") severity>=WARNING (\"Container called exit\" OR \"Uncaught signal\" OR \"Memory limit of\")"

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = "INT64"
  }

  depends_on = [google_project_service.this]
}

# What has a bucket of its own is not paid for a second time in _Default. Metrics count it all the same.
resource "google_logging_project_exclusion" "functions" {
  name        = "${local.prefix}-functions"
  description = "Log lines of the functions: they are in the bucket ${google_logging_project_bucket_config.functions.bucket_id}."
  filter      = local.from_functions

  depends_on = [google_logging_project_sink.functions]
}
