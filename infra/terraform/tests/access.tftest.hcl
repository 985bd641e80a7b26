# Least privilege, of functions and of those who deploy them; and secrets that stand nowhere in plain text.

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
    condition     = length(google_iam_workload_identity_pool.github) + length(google_service_account.deployer) + length(google_project_iam_member.deployer) + length(google_service_account_iam_member.deployer_runs_as) == 0 && output.github_variables == null
    error_message = "Without github_repository nobody deploys but people."
  }
  assert {
    condition     = google_service_account.migrations["this"].account_id == "lcc-dev-migrate" && keys(google_secret_manager_secret_iam_member.migrations) == ["this"]
    error_message = "Migrations have an account of their own, and one secret."
  }
  assert {
    condition     = google_storage_bucket.archive.public_access_prevention == "enforced" && google_storage_bucket.source.public_access_prevention == "enforced"
    error_message = "No bucket can be opened to the public."
  }
}

run "secrets_by_reference_and_deploys_from_one_place" {
  command = apply

  variables {
    github_repository         = "example/loan-collateral-check"
    state_bucket              = "example-lending-terraform"
    new_revisions_get_traffic = false
    redis                     = { enabled = true }
    chroma                    = { enabled = true }
    model                     = "api-key"
    database                  = { enabled = false }
    secrets                   = { GEMINI_API_KEY = "gemini", DATABASE_URL = "database" } # pragma: allowlist secret
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

  assert {
    condition     = google_iam_workload_identity_pool_provider.github["github"].attribute_condition == "assertion.repository == 'example/loan-collateral-check' && (assertion.event_name == 'pull_request' || (assertion.event_name != 'pull_request' && assertion.ref == 'refs/heads/main' && assertion.environment == 'dev'))"
    error_message = "A token is taken from this repository alone, of a pull request, or of the branch and the environment."
  }
  assert {
    condition     = endswith(google_service_account_iam_member.deployer_from_github["github"].member, "/workloadIdentityPools/lcc-dev-github/attribute.may/deploy") && endswith(google_service_account_iam_member.planner_from_github["github"].member, "/workloadIdentityPools/lcc-dev-github/attribute.may/plan")
    error_message = "A pull request gets the account that plans, and no other."
  }
  assert {
    condition     = !anytrue([for role in concat(keys(google_project_iam_member.deployer), keys(google_project_iam_member.planner)) : contains(["roles/owner", "roles/editor", "roles/viewer", "roles/iam.workloadIdentityPoolAdmin", "roles/iam.serviceAccountUser", "roles/iam.serviceAccountKeyAdmin", "roles/resourcemanager.projectIamAdmin"], role)])
    error_message = "Neither account has a basic role, may change the federation, or may act as any account whatever."
  }
  assert {
    condition     = toset(keys(google_project_iam_member.planner)) == toset(["roles/browser", "roles/run.viewer"]) && google_storage_bucket_iam_member.planner_reads_state["github"].role == "roles/storage.objectViewer"
    error_message = "Who plans reads, and reads no secret."
  }
  assert {
    condition = toset(concat(
      [google_project_iam_member.build_writes_logs.role, google_project_iam_member.chroma_writes_logs[0].role, "roles/aiplatform.user", "roles/bigquery.jobUser"],
      [for one in google_project_iam_member.traces : one.role],
    )) == toset(local.roles_to_give) && strcontains(google_project_iam_member.deployer_gives_roles["github"].condition[0].expression, "hasOnly(['roles/aiplatform.user', 'roles/bigquery.jobUser', 'roles/cloudtrace.agent', 'roles/logging.logWriter'])")
    error_message = "The deployer gives the roles that functions have, and none that gives on."
  }
  assert {
    condition     = length(google_service_account_iam_member.deployer_runs_as) == length(google_cloudfunctions2_function.this) + 5
    error_message = "The deployer lets run as the accounts that are made here."
  }
  assert {
    condition     = google_service_account_iam_member.deployer_asks["github"].role == "roles/iam.serviceAccountOpenIdTokenCreator"
    error_message = "Smoke questions are asked as the operator."
  }
  assert {
    condition     = toset(keys(output.github_variables)) == toset(["GCP_PROJECT", "GCP_REGION", "WORKLOAD_IDENTITY_PROVIDER", "DEPLOYER", "PLANNER", "OPERATOR", "STATE_BUCKET"])
    error_message = "What the workflow has to be told is told."
  }

  assert {
    condition     = google_cloud_run_v2_job.migrations["this"].name == "lcc-dev-migrate" && google_cloud_run_v2_job.migrations["this"].template[0].template[0].containers[0].command == tolist(["/cnb/lifecycle/launcher"]) && google_cloud_run_v2_job.migrations["this"].template[0].template[0].containers[0].args == tolist(["python", "-m", "common.database.migrations", "upgrade"])
    error_message = "The job migrates by the command that every image has."
  }
  assert {
    condition     = google_cloud_run_v2_job.migrations["this"].template[0].template[0].max_retries == 0
    error_message = "A migration that failed is not tried again by itself."
  }
  assert {
    condition     = [for one in google_cloud_run_v2_job.migrations["this"].template[0].template[0].containers[0].env : one.value_source[0].secret_key_ref[0].secret if length(one.value_source) > 0] == ["database"]
    error_message = "Of secrets the job has the database's URL alone."
  }
  assert {
    condition     = alltrue([for name, one in google_cloudfunctions2_function.this : one.service_config[0].environment_variables["MIGRATE_ON_START"] == "false"])
    error_message = "Functions leave migrations to the job where the pipeline moves traffic."
  }
}
