# What is wrong is refused at the plan, by the field.

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

run "every_field_is_named" {
  command = plan

  variables {
    project_id         = ""
    region             = "us-central1-a"
    environment        = "test"
    name               = "loancollateral"
    alert_emails       = ["desk"]
    operators          = ["ann@example.com"]
    google_accounts    = { "ann@example.com" = "king" }
    monthly_budget     = 0
    billing_account    = "my-account"
    budget_thresholds  = { current = [90] }
    runtime            = "python314"
    settings           = { GEMINI_API_KEY = "not-a-key" } # pragma: allowlist secret
    edge               = { enabled = true }
    network_range      = "8.8.8.0/24"
    billing_export     = "billing"
    time_zone          = "Mars"
    database           = { tier = "huge", password_version = 1.5 }
    redis              = { memory_gb = 0 }
    chroma             = { version = "latest" }
    log_retention_days = 0
    trace_exporter     = "otlp"
    cost_center        = "Lending Desk"
    github_repository  = "loan-collateral-check"
    github_branch      = "a branch"
  }

  expect_failures = [
    var.project_id,
    var.region,
    var.environment,
    var.name,
    var.alert_emails,
    var.operators,
    var.google_accounts,
    var.monthly_budget,
    var.billing_account,
    var.budget_thresholds,
    var.runtime,
    var.settings,
    var.edge,
    var.network_range,
    var.billing_export,
    var.time_zone,
    var.database,
    var.redis,
    var.chroma,
    var.log_retention_days,
    var.trace_exporter,
    var.cost_center,
    var.github_repository,
    var.github_branch,
  ]
}

# These look at other variables, and are not asked where those are wrong already.
run "what_goes_together_is_named" {
  command = plan

  variables {
    secrets           = { DATABASE_URL = "database" } # and the database that is made
    schedules         = { query = "daily" }           # neither scheduled nor a schedule
    github_repository = "example/loan-collateral-check"
  }

  expect_failures = [
    var.secrets,
    var.schedules,
    var.state_bucket,
  ]
}

run "other_wrong_values" {
  command = plan

  variables {
    functions_file    = "tests/lists/nowhere.json"
    project_id        = "Example"
    region            = "mars"
    name              = "9"
    alert_emails      = []
    monthly_budget    = -5
    settings          = { ENVIRONMENT = "development" }
    budget_thresholds = { forecast = [] }
    model             = "api-key"
    network_range     = "10.0.0.0/30"
    audit_logs        = { retention_days = 0 }
    edge              = { requests_per_minute = 1 }
    state_bucket      = "gs://example"
  }

  expect_failures = [
    var.functions_file,
    var.project_id,
    var.region,
    var.name,
    var.alert_emails,
    var.monthly_budget,
    var.settings,
    var.budget_thresholds,
    var.model,
    var.network_range,
    var.audit_logs,
    var.edge,
    var.state_bucket,
  ]
}

run "no_database_a_secret_that_is_none_and_too_many_addresses" {
  command = plan

  variables {
    secrets        = { LOG_LEVEL = "level" }
    database       = { enabled = false }
    alert_emails   = ["a@example.com", "b@example.com", "c@example.com", "d@example.com", "e@example.com", "f@example.com"]
    monthly_budget = 9.5
  }

  expect_failures = [
    var.secrets,
    var.alert_emails,
    var.monthly_budget,
  ]
}

# Which fields its message names is looked at in tests/unit/infra/test_terraform.py.
run "list_with_every_mistake" {
  command = plan

  variables {
    functions_file = "tests/lists/wrong.json"
  }

  expect_failures = [
    terraform_data.functions_list,
  ]
}
