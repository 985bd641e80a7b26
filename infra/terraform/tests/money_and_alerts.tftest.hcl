# The budget, who hears of it, and the alerts.

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

run "budget_is_wired_and_alerts_reach_people" {
  command = apply

  variables {
    database = { enabled = false }
    secrets  = { DATABASE_URL = "database" }
  }

  assert {
    condition     = google_billing_budget.month[0].amount[0].specified_amount[0].units == "50" && google_billing_budget.month[0].budget_filter[0].calendar_period == "MONTH"
    error_message = "The budget is of a calendar month."
  }
  assert {
    condition     = toset([for rule in google_billing_budget.month[0].threshold_rules : "${rule.spend_basis} ${rule.threshold_percent}"]) == toset(["CURRENT_SPEND 0.5", "CURRENT_SPEND 0.9", "CURRENT_SPEND 1", "FORECASTED_SPEND 1"])
    error_message = "It has current and forecast thresholds."
  }
  assert {
    condition     = google_billing_budget.month[0].all_updates_rule[0].pubsub_topic == google_pubsub_topic.this["budget"].id && google_billing_budget.month[0].all_updates_rule[0].schema_version == "1.0"
    error_message = "It tells the topic that budget_alert hears."
  }
  assert {
    condition     = google_pubsub_subscription.function["budget_alert"].push_config[0].push_endpoint == "https://lcc-dev-budget-alert-123456789012.us-central1.run.app/events/budget" && google_pubsub_subscription.function["budget_alert"].push_config[0].oidc_token[0].audience == "https://lcc-dev-budget-alert-123456789012.us-central1.run.app"
    error_message = "The topic is pushed to budget_alert with a token."
  }
  assert {
    condition     = length(google_billing_budget.month[0].all_updates_rule[0].monitoring_notification_channels) == 1
    error_message = "It tells people by e-mail."
  }
  assert {
    condition     = alltrue([for policy in google_monitoring_alert_policy.this : length(policy.notification_channels) == 1])
    error_message = "Every alert reaches somebody."
  }
  assert {
    condition     = google_monitoring_slo.this["query/availability"].goal == 0.995 && google_monitoring_slo.this["query/latency"].goal == 0.95
    error_message = "Objectives are those of alerts.yml."
  }
  assert {
    condition     = !contains(keys(google_monitoring_slo.this), "health/availability")
    error_message = "A health answer of 503 is a statement, no failure."
  }
  assert {
    condition     = google_monitoring_uptime_check_config.health.http_check[0].path == "/health"
    error_message = "Somebody outside looks at /health."
  }
  assert {
    condition     = google_logging_project_bucket_config.audit.locked && length(google_logging_project_sink.audit.exclusions) == 0
    error_message = "The audit log is kept whole, in a locked bucket."
  }
  assert {
    condition     = google_logging_project_bucket_config.functions.retention_days == 30
    error_message = "Log lines are kept as long as is said."
  }
}
