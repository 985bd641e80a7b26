# All functions of the list, by the list alone.

locals {
  # What the product's settings are here. A function's own address is an audience of the tokens it lets in.
  environment = {
    for name, one in local.functions : name => merge(
      var.settings,
      {
        ENVIRONMENT          = "production"
        DATA_DIR             = "/tmp" # memory, and there from the start; nothing that is to stay is kept in it
        GOOGLE_CLOUD_PROJECT = var.project_id
        TRACE_EXPORTER       = var.trace_exporter
        TRUSTED_PROXIES      = var.edge.enabled ? "2" : "1"
        GOOGLE_ACCOUNTS      = join(",", [for email, role in local.accounts[name] : "${email}=${role}"])
        GOOGLE_AUDIENCES     = join(",", concat([one.url], var.edge.enabled ? ["https://${var.edge.host}"] : []))
        THREADS              = tostring(max(4, one.concurrency))
      },
      # The pipeline runs the job of migrations before it moves traffic.
      contains(one.uses, "database") && !var.new_revisions_get_traffic ? { MIGRATE_ON_START = "false" } : {},
      # Cloud Run checks the tokens of callers by IAM, and takes their signatures away.
      one.is_private ? { GOOGLE_SIGNATURES = "taken" } : {},
      contains(one.uses, "keys") ? { KMS_KEY = google_kms_crypto_key.data.id } : {},
      contains(one.uses, "archive") ? { ARCHIVE_URL = "gs://${google_storage_bucket.archive.name}" } : {},
      contains(one.uses, "models") && var.model == "vertex" ? { VERTEX_PROJECT = var.project_id, VERTEX_LOCATION = var.region } : {},
      contains(one.uses, "vectors") && var.chroma.enabled ? { CHROMA_URL = local.chroma_url } : {},
      contains(one.uses, "bill") && var.billing_export != null ? { BILLING_EXPORT = "bigquery://${var.billing_export}" } : {},
    )
  }
  own_settings = [
    "ENVIRONMENT", "DATA_DIR", "GOOGLE_CLOUD_PROJECT", "TRACE_EXPORTER", "TRUSTED_PROXIES", "GOOGLE_ACCOUNTS",
    "GOOGLE_AUDIENCES", "GOOGLE_SIGNATURES", "THREADS", "KMS_KEY", "ARCHIVE_URL", "VERTEX_PROJECT", "VERTEX_LOCATION", "CHROMA_URL",
    "BILLING_EXPORT", "MIGRATE_ON_START",
  ]
}

resource "google_cloudfunctions2_function" "this" {
  # checkov:skip=CKV_GCP_124: what is called from outside without the edge has to be reachable; the rest is internal alone
  for_each = local.functions

  name        = each.value.service
  description = each.value.description
  location    = var.region
  labels      = { function = replace(each.key, "_", "-") }

  build_config {
    runtime               = var.runtime
    entry_point           = each.value.entry_point
    environment_variables = { GOOGLE_FUNCTION_SOURCE = each.value.source }
    docker_repository     = google_artifact_registry_repository.images.id
    service_account       = google_service_account.build.id

    source {
      storage_source {
        bucket = google_storage_bucket.source.name
        object = google_storage_bucket_object.source.name
      }
    }
  }

  service_config {
    available_memory                 = "${each.value.memory_mb}Mi"
    available_cpu                    = tostring(each.value.cpu)
    timeout_seconds                  = each.value.timeout_seconds
    max_instance_request_concurrency = each.value.concurrency
    min_instance_count               = each.value.min_instances
    max_instance_count               = each.value.max_instances
    service_account_email            = google_service_account.function[each.key].email
    all_traffic_on_latest_revision   = var.new_revisions_get_traffic
    environment_variables            = local.environment[each.key]

    # Scheduler and Pub/Sub of this project count as internal; nobody else has a reason to call these.
    ingress_settings = each.value.is_private ? "ALLOW_INTERNAL_ONLY" : var.edge.enabled ? "ALLOW_INTERNAL_AND_GCLB" : "ALLOW_ALL"

    dynamic "secret_environment_variables" {
      for_each = local.function_secrets[each.key]
      content {
        key        = secret_environment_variables.key
        project_id = var.project_id
        secret     = secret_environment_variables.value.id
        version    = secret_environment_variables.value.version
      }
    }

    # Memorystore signs with an authority of its own.
    dynamic "secret_volumes" {
      for_each = var.redis.enabled && contains(each.value.uses, "limits") ? [google_secret_manager_secret.redis_authority[0]] : []
      content {
        mount_path = local.redis_authority_folder
        project_id = var.project_id
        secret     = secret_volumes.value.secret_id
        versions {
          version = google_secret_manager_secret_version.redis_authority[0].version
          path    = "redis.pem"
        }
      }
    }

    direct_vpc_egress = local.needs_network ? "VPC_EGRESS_PRIVATE_RANGES_ONLY" : null
    dynamic "direct_vpc_network_interface" {
      for_each = google_compute_subnetwork.functions
      content {
        network    = direct_vpc_network_interface.value.network
        subnetwork = direct_vpc_network_interface.value.name
        tags       = [local.network_tag]
      }
    }
  }

  # A revision that may not read its secrets or open its keys does not start.
  depends_on = [
    terraform_data.functions_list,
    google_storage_bucket_iam_member.build_reads_source,
    google_artifact_registry_repository_iam_member.build_writes_images,
    google_project_iam_member.build_writes_logs,
    google_secret_manager_secret_iam_member.function,
    google_secret_manager_secret_iam_member.redis_authority,
    google_kms_crypto_key_iam_member.function,
    google_service_account_iam_member.deployer_runs_as,
    google_project_service.this,
  ]
}
