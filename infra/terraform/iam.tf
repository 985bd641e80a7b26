# One account per function, with what it uses and nothing for the whole project that can be had for one thing.

resource "google_service_account" "function" {
  for_each = local.functions

  account_id   = each.value.service
  display_name = "Function ${each.value.service}"

  # The list is looked at first, which says better than a refused id what is wrong with a name.
  depends_on = [terraform_data.functions_list, google_project_service.this]
}

resource "google_service_account" "scheduler" {
  account_id   = "${local.prefix}-scheduler"
  display_name = "Calls the scheduled functions of ${local.prefix}"

  depends_on = [google_project_service.this]
}

resource "google_service_account" "events" {
  account_id   = "${local.prefix}-events"
  display_name = "Delivers messages to the functions of ${local.prefix}"

  depends_on = [google_project_service.this]
}

# For people: they act as this account to bring documents in, ask, and see everything.
resource "google_service_account" "operator" {
  account_id   = "${local.prefix}-operator"
  display_name = "Operator of ${local.prefix}"

  depends_on = [google_project_service.this]
}

locals {
  # Whose tokens a function lets in, and as what. Each account only where it calls.
  accounts = {
    for name, one in local.functions : name => merge(
      var.google_accounts,
      one.is_open ? { (google_service_account.operator.email) = "admin" } : {},
      contains(one.triggers, "scheduler") ? { (google_service_account.scheduler.email) = "service" } : {},
      contains(keys(local.subscribed), name) ? { (google_service_account.events.email) = "service" } : {},
    )
  }

  uses = merge([
    for part in keys(local.parts) : { (part) = { for name, one in local.functions : name => one if contains(one.uses, part) } }
  ]...)
}

# Who may call

resource "google_cloud_run_v2_service_iam_member" "anyone" {
  for_each = { for name, one in local.functions : name => one if one.is_open }

  # These are the functions that functions.json lists as public, or for API keys: they check what comes along themselves.
  name     = google_cloudfunctions2_function.this[each.key].name
  location = var.region
  role     = "roles/run.invoker"
  member   = "allUsers"
}

resource "google_cloud_run_v2_service_iam_member" "scheduler" {
  for_each = { for name, one in local.scheduled : name => one if one.is_private }

  name     = google_cloudfunctions2_function.this[each.key].name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.scheduler.member
}

resource "google_cloud_run_v2_service_iam_member" "events" {
  for_each = { for name, one in local.subscribed : name => one if one.is_private }

  name     = google_cloudfunctions2_function.this[each.key].name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.events.member
}

resource "google_service_account_iam_member" "operators" {
  for_each = var.operators

  service_account_id = google_service_account.operator.name
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = each.key
}

# What functions may do

resource "google_kms_crypto_key_iam_member" "function" {
  for_each = local.uses["keys"]

  crypto_key_id = google_kms_crypto_key.data.id
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = google_service_account.function[each.key].member
}

resource "google_secret_manager_secret_iam_member" "function" {
  for_each = merge([
    for name, secrets in local.function_secrets : { for setting, secret in secrets : "${name}/${setting}" => { function = name, id = secret.id } }
  ]...)

  secret_id = each.value.id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.function[each.value.function].member
}

resource "google_secret_manager_secret_iam_member" "redis_authority" {
  for_each = { for name, one in local.uses["limits"] : name => one if var.redis.enabled }

  secret_id = google_secret_manager_secret.redis_authority[0].secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.function[each.key].member
}

resource "google_storage_bucket_iam_member" "archive" {
  for_each = local.uses["archive"]

  bucket = google_storage_bucket.archive.name
  role   = "roles/storage.objectUser" # what is kept too long is deleted, so more than a creator
  member = google_service_account.function[each.key].member
}

resource "google_project_iam_member" "models" {
  for_each = { for name, one in local.uses["models"] : name => one if var.model == "vertex" }

  project = var.project_id
  role    = "roles/aiplatform.user"
  member  = google_service_account.function[each.key].member
}

resource "google_project_iam_member" "traces" {
  for_each = { for name, one in local.functions : name => one if var.trace_exporter == "cloud-trace" }

  project = var.project_id
  role    = "roles/cloudtrace.agent"
  member  = google_service_account.function[each.key].member
}

resource "google_bigquery_dataset_iam_member" "bill" {
  for_each = { for name, one in local.uses["bill"] : name => one if var.billing_export != null }

  project    = split(".", var.billing_export)[0]
  dataset_id = split(".", var.billing_export)[1]
  role       = "roles/bigquery.dataViewer"
  member     = google_service_account.function[each.key].member
}

resource "google_project_iam_member" "bill_queries" {
  for_each = { for name, one in local.uses["bill"] : name => one if var.billing_export != null }

  project = var.project_id
  role    = "roles/bigquery.jobUser"
  member  = google_service_account.function[each.key].member
}
