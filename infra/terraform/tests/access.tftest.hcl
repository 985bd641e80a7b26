# Least privilege, and secrets that stand nowhere in plain text.

mock_provider "google" {
  source = "./tests/mocks"
}

provider "google" {
  alias        = "secrets"
  project      = "example-lending"
  access_token = "none" # it is never asked for anything
}

override_data {
  target = data.archive_file.source
  values = { output_sha256 = "0123abcd", output_path = "./build/source.zip" }
}

variables {
  project_id      = "example-lending"
  environment     = "dev"
  billing_account = "012345-6789AB-CDEF01"
  monthly_budget  = 50
  alert_emails    = ["desk@example.com"]
}

run "least_privilege" {
  command = plan

  variables {
    redis          = { enabled = true }
    chroma         = { enabled = true }
    model          = "vertex"
    billing_export = "example-lending.billing.focus"
    operators      = ["group:desk@example.com"]
    secrets        = { SMTP_URL = "smtp" }
  }

  assert {
    condition     = toset(keys(google_service_account.function)) == toset(keys(google_cloudfunctions2_function.this)) && length(distinct([for one in google_service_account.function : one.account_id])) == length(google_cloudfunctions2_function.this)
    error_message = "Every function has an account of its own."
  }
  assert {
    condition = toset(concat(
      [google_project_iam_member.build_writes_logs.role],
      [for one in google_project_iam_member.chroma_writes_logs : one.role],
      [for one in google_project_iam_member.models : one.role],
      [for one in google_project_iam_member.traces : one.role],
      [for one in google_project_iam_member.bill_queries : one.role],
    )) == toset(["roles/logging.logWriter", "roles/aiplatform.user", "roles/cloudtrace.agent", "roles/bigquery.jobUser"])
    error_message = "Roles for the whole project are these and no others: neither owner, editor nor any admin."
  }
  assert {
    condition = toset(keys(google_cloud_run_v2_service_iam_member.anyone)) == toset([
      for one in jsondecode(file("../../functions/functions.json")).functions : one.name if contains(["public", "api-key"], one.callers)
    ])
    error_message = "allUsers may call the functions that are listed as public or for API keys, and no other."
  }
  assert {
    condition     = keys(google_cloud_run_v2_service_iam_member.scheduler) == ["retention"] && keys(google_cloud_run_v2_service_iam_member.events) == ["budget_alert"]
    error_message = "What only Google calls is called by the account whose business it is."
  }
  assert {
    condition     = keys(google_project_iam_member.models) == ["documents", "health", "query"] && keys(google_storage_bucket_iam_member.archive) == ["cost_report"] && keys(google_bigquery_dataset_iam_member.bill) == ["cost_report"]
    error_message = "A function may use what functions.json says it uses."
  }
  assert {
    condition     = !contains(keys(google_secret_manager_secret_iam_member.function), "health/SMTP_URL") && contains(keys(google_secret_manager_secret_iam_member.function), "query/SMTP_URL")
    error_message = "A secret is open to the functions that use it."
  }
  assert {
    condition     = google_service_account_iam_member.operators["group:desk@example.com"].role == "roles/iam.serviceAccountOpenIdTokenCreator"
    error_message = "Operators get tokens of the operator's account, and nothing else of it."
  }
  assert {
    condition     = google_storage_bucket.archive.public_access_prevention == "enforced" && google_storage_bucket.source.public_access_prevention == "enforced"
    error_message = "No bucket can be opened to the public."
  }
}

run "secrets_by_reference" {
  command = apply

  variables {
    redis    = { enabled = true }
    model    = "api-key"
    database = { enabled = false }
    secrets  = { GEMINI_API_KEY = "gemini", DATABASE_URL = "database" } # pragma: allowlist secret
  }

  assert {
    condition     = alltrue(flatten([for one in google_cloudfunctions2_function.this : [for name in keys(one.service_config[0].environment_variables) : !contains(["DATABASE_URL", "REDIS_URL", "GEMINI_API_KEY", "SMTP_URL", "PSEUDONYM_KEY"], name)]]))
    error_message = "No secret is a plain variable of a function."
  }
  assert {
    condition     = toset(google_cloudfunctions2_function.this["query"].service_config[0].secret_environment_variables[*].key) == toset(["DATABASE_URL", "GEMINI_API_KEY", "REDIS_URL"])
    error_message = "query gets its secrets by reference."
  }
  assert {
    condition     = google_secret_manager_secret_version.redis_url[0].secret_data == null
    error_message = "What is made here is written with write-only arguments."
  }
}
