# Parts that can be switched. What there is by default: functions.tftest.hcl.

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

run "nothing_idle_with_a_database_of_your_own" {
  command = plan

  variables {
    database        = { enabled = false }
    secrets         = { DATABASE_URL = "database" }
    billing_account = null
  }

  assert {
    condition     = length(google_billing_budget.month) == 0
    error_message = "Without a billing account there is no budget."
  }

  assert {
    condition     = sum(values(output.idle_usd_per_month)) < 1 && length(google_compute_network.this) == 0
    error_message = "With a database of your own nothing is left that costs while idle, and there is no network."
  }
}

run "everything_on" {
  command = plan

  variables {
    redis  = { enabled = true, high_available = true }
    chroma = { enabled = true }
    edge   = { enabled = true, host = "assistant.example.com" }
  }

  assert {
    condition     = google_redis_instance.this[0].auth_enabled && google_redis_instance.this[0].transit_encryption_mode == "SERVER_AUTHENTICATION" && google_redis_instance.this[0].tier == "STANDARD_HA"
    error_message = "Redis wants a password and speaks TLS."
  }
  assert {
    condition     = length(google_compute_instance_template.chroma[0].network_interface[0].access_config) == 0
    error_message = "Chroma has no public address."
  }
  assert {
    condition     = keys(google_compute_backend_service.function) == ["cost_report", "documents", "health", "query"]
    error_message = "The edge has what is called over HTTP, and not what only Google calls."
  }
  assert {
    condition     = google_cloudfunctions2_function.this["query"].service_config[0].ingress_settings == "ALLOW_INTERNAL_AND_GCLB" && google_cloudfunctions2_function.this["query"].service_config[0].environment_variables["TRUSTED_PROXIES"] == "2"
    error_message = "Behind the edge, functions are reached through it alone, and know of it."
  }
  assert {
    condition     = alltrue([for rule in google_compute_security_policy.edge[0].rule : rule.preview if rule.action == "deny(403)"])
    error_message = "Rules that guess at attacks are in preview."
  }
  assert {
    condition     = alltrue([for rule in google_compute_url_map.edge[0].path_matcher[0].path_rule : !contains(rule.paths, "/events/budget")])
    error_message = "What only Google calls is not at the edge."
  }
}
